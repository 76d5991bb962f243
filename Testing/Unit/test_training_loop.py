"""The loop: what a run leaves, and that nothing is lost whatever happens to it."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from test_training_data import ball, write_volume

from MedColorizeLib.errors import Cancelled, InputError, ResourceError, UsageError
from MedColorizeLib.progress import CancelToken, Progress
from MedColorizeLib.training import checkpoint
from MedColorizeLib.training.collect import Folders
from MedColorizeLib.training.journal import Journal, read_table
from MedColorizeLib.training.lock import RunLock
from MedColorizeLib.training.loop import train
from MedColorizeLib.training.recipe import Recipe, load_recipe
from MedColorizeLib.training.runs import read_run

REPOSITORY = Path(__file__).resolve().parents[2]
TINY = """
method = "cyclegan"
seed = 3
[options]
width = 2
discriminator_width = 2
blocks = 1
pool = 2
learning_rate = 1e-3
schedule = "cosine"
[data]
size = 32
spacing = 2.0
levels = "none"
gray_background = "none"
color_background = "none"
subject = "name"
validation = 0.34
validation_slices = 2
[budget]
iterations = 12
epoch = 5
checkpoint_every = 3
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    root = tmp_path_factory.mktemp("images")
    for n in range(3):
        write_volume(root / "gray" / f"p{n}_t1.nii.gz", (ball(16) * (n + 1)).astype(np.int16), (4.0, 4.0, 4.0))
    (root / "color").mkdir()
    chance = np.random.default_rng(0)
    for n in range(7):  # fewer, and others, than the gray slices
        picture = np.zeros((20, 20, 3), np.uint8)
        picture[4:16, 4:16] = chance.integers(60, 220, 3)
        Image.fromarray(picture).save(root / "color" / f"c{n}_0.png")
    return Folders(root / "gray", root / "color")


def recipe_of(tmp_path: Path, text: str = TINY, *changes: str) -> Recipe:
    path = tmp_path / "tiny.toml"
    path.write_text(text)
    return load_recipe(path, changes=changes)


def final_weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(checkpoint.complete(run)[-1] / "weights.safetensors")


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@pytest.fixture(scope="module")
def finished(folders: Folders, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[Progress]]:
    """One unbroken run: folder, cache, events."""
    root = tmp_path_factory.mktemp("finished")
    events: list[Progress] = []
    train(recipe_of(root), folders, root / "run", device="cpu", cache=root / "cache", on_progress=events.append)
    return root / "run", root / "cache", events


def test_a_run_leaves_what_people_look_for(finished: tuple[Path, Path, list[Progress]]) -> None:
    run, _, events = finished
    log = read_table(run / "log.csv")
    assert [row["iteration"] for row in log] == list(range(1, 13))
    assert {"G_adversarial", "cycle_X", "D_Y", "steps_per_second", "learning_rate"} <= log[0].keys()
    assert log[-1]["learning_rate"] < log[0]["learning_rate"]
    validation = read_table(run / "validation.csv")
    assert [row["iteration"] for row in validation] == [5, 10, 12]
    assert {"luma_psnr", "luma_ssim", "color_psnr", "chroma_error", "chroma_distance", "D_of_real"} <= validation[
        0
    ].keys()
    for picture in ("curves.png", "samples/00000012.png"):
        assert np.asarray(Image.open(run / picture)).std() > 5
    assert any((run / "events").iterdir())
    assert not (run / "lock").exists()
    steps = [event for event in events if event.stage == "train" and "D_Y" in event.figures]
    assert [event.done for event in steps] == list(range(1, 13))
    assert {"steps_per_second", "seconds_left"} <= steps[0].figures.keys()
    assert steps[-1].figures["seconds_left"] == 0
    assert load_recipe(run / "recipe.toml").options.width == 2


def test_the_best_and_the_last_are_kept_and_no_pickle_anywhere(finished: tuple[Path, Path, list[Progress]]) -> None:
    run, _, _ = finished
    validation = read_table(run / "validation.csv")
    best = min(validation, key=lambda row: row["chroma_distance"])
    marked = json.loads((run / "best.json").read_text())
    assert int(marked["checkpoint"]) == best["iteration"]
    assert checkpoint.complete(run)[-1].name == "00000012"
    assert read_run(run, "best").checkpoint_facts["iteration"] == best["iteration"]
    assert read_run(run, "last").checkpoint_facts["iteration"] == 12
    for path in (run / "checkpoints").rglob("*"):
        assert path.is_dir() or path.suffix in (".json", ".safetensors")


def test_losses_go_down(folders: Folders, tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, TINY, "iterations=60", "epoch=60", "checkpoint_every=60", "learning_rate=3e-3")
    train(recipe, folders, tmp_path / "run", device="cpu", cache=tmp_path / "cache")
    log = read_table(tmp_path / "run" / "log.csv")
    for name in ("cycle_Y", "identity_Y"):
        assert np.mean([row[name] for row in log[-10:]]) < 0.8 * np.mean([row[name] for row in log[:10]])


def test_curves_are_drawn_again_only_when_they_are_worth_it(tmp_path: Path) -> None:
    journal, picture = Journal(tmp_path, 0), tmp_path / "curves.png"
    journal.losses(1, {"G": 1.0})
    journal.validated(1, {"psnr": 20.0})
    first = picture.read_bytes()
    for n in (2, 3):
        journal.losses(n, {"G": 1.0 / n})
        journal.validated(n, {"psnr": 20.0 + n})
    assert picture.read_bytes() == first  # drawing takes longer than these steps
    journal.close()
    assert picture.read_bytes() != first


def test_the_same_seed_gives_the_same_weights_another_seed_others(
    finished: tuple[Path, Path, list[Progress]], folders: Folders, tmp_path: Path
) -> None:
    run, cache, _ = finished
    train(recipe_of(tmp_path), folders, tmp_path / "again", device="cpu", cache=cache)
    assert same(final_weights(run), final_weights(tmp_path / "again"))
    train(recipe_of(tmp_path, TINY, "seed=4"), folders, tmp_path / "other", device="cpu", cache=cache)
    assert not same(final_weights(run), final_weights(tmp_path / "other"))


def test_cancelling_saves_and_resuming_ends_as_if_nothing_had_happened(
    finished: tuple[Path, Path, list[Progress]], folders: Folders, tmp_path: Path
) -> None:
    run, cache, _ = finished
    token = CancelToken()

    def stop_at_seven(event: Progress) -> None:
        if event.stage == "train" and event.done == 7:
            token.cancel()

    with pytest.raises(Cancelled, match=r"after step 8.*--resume"):
        train(
            recipe_of(tmp_path),
            folders,
            tmp_path / "run",
            device="cpu",
            cache=cache,
            on_progress=stop_at_seven,
            cancel=token,
        )
    assert [row["iteration"] for row in read_table(tmp_path / "run" / "log.csv")] == list(range(1, 9))
    train(recipe_of(tmp_path), folders, tmp_path / "run", resume=True, device="cpu", cache=cache)
    assert same(final_weights(run), final_weights(tmp_path / "run"))
    assert (run / "validation.csv").read_text() == (tmp_path / "run" / "validation.csv").read_text()
    assert [row["iteration"] for row in read_table(tmp_path / "run" / "log.csv")] == list(range(1, 13))


def child(arguments: list[str], processes: int = 1) -> subprocess.Popen[bytes]:
    start = [sys.executable]
    if processes > 1:
        start += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    words = [*start, "-m", "MedColorizeLib.app.cli", "train", *arguments, "--device", "cpu"]
    return subprocess.Popen(
        words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    )


def arguments_of(recipe: Path, folders: Folders, run: Path, cache: Path, *more: str) -> list[str]:
    words = [str(recipe), "--gray", str(folders.gray), "--color", str(folders.color), "--out", str(run)]
    return [*words, "--cache", str(cache), *more]


def killed_at_random(tmp_path: Path, folders: Folders, kills: int, seed: int) -> None:
    """Trains unbroken and, beside it, with SIGKILLs at random moments; the weights must be the same, bit for bit."""
    (tmp_path / "tiny.toml").write_text(
        TINY.replace("iterations = 12", "iterations = 60").replace("checkpoint_every = 3", "checkpoint_every = 4")
    )
    whole = child(arguments_of(tmp_path / "tiny.toml", folders, tmp_path / "whole", tmp_path / "cache"))
    assert whole.wait(240) == 0, whole.stderr.read().decode()  # type: ignore[union-attr]
    chance, run, died = random.Random(seed), tmp_path / "broken", 0
    for _ in range(kills):
        more = ["--resume"] if (run / "recipe.toml").exists() else []
        before = len(read_table(run / "log.csv"))
        process = child(arguments_of(tmp_path / "tiny.toml", folders, run, tmp_path / "cache", *more))
        target, deadline = before + chance.randint(1, 40 // kills + 4), time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline and len(read_table(run / "log.csv")) < target:
            time.sleep(0.01)
        time.sleep(chance.random() * 0.05)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            died += 1
        process.wait()
        process.stderr.close()  # type: ignore[union-attr]
    assert died, "no kill came in time"
    last = child(arguments_of(tmp_path / "tiny.toml", folders, run, tmp_path / "cache", "--resume"))
    assert last.wait(240) == 0, last.stderr.read().decode()  # type: ignore[union-attr]
    assert same(final_weights(tmp_path / "whole"), final_weights(run))
    one, other = (checkpoint.complete(each)[-1] for each in (tmp_path / "whole", run))
    for name in ("trainer-0.safetensors", "trainer-0.json"):
        assert (one / name).read_bytes() == (other / name).read_bytes()
    assert not list(checkpoint.folder_of(run).glob(".*"))


def test_kill_minus_nine_and_resume_gives_the_same_weights_bit_for_bit(tmp_path: Path, folders: Folders) -> None:
    killed_at_random(tmp_path, folders, kills=1, seed=11)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_many_kills_at_random_moments_change_nothing(tmp_path: Path, folders: Folders, seed: int) -> None:
    killed_at_random(tmp_path, folders, kills=4, seed=seed)


PLAIN = """
method = "tanjim-4"
seed = 3
[options]
width = 2
[data]
size = 32
spacing = 2.0
batch = 2
levels = "none"
color_background = "none"
subject = "name"
validation = 0.3
[budget]
iterations = 8
epoch = 4
"""


def test_two_processes_give_the_weights_of_one_with_the_same_batch(tmp_path: Path, folders: Folders) -> None:
    """Gradients are averaged, so only the order of additions differs: within 1e-5 after 8 steps of Adam.

    (A network without normalisation: before an instance norm a bias has no gradient but rounding, which Adam turns into
    steps of full size, with one process or two.)
    """
    (tmp_path / "plain.toml").write_text(PLAIN)
    one = child(arguments_of(tmp_path / "plain.toml", folders, tmp_path / "one", tmp_path / "cache"))
    two = child(arguments_of(tmp_path / "plain.toml", folders, tmp_path / "two", tmp_path / "cache"), processes=2)
    for process in (one, two):
        assert process.wait(240) == 0, process.stderr.read().decode()  # type: ignore[union-attr]
    a, b = final_weights(tmp_path / "one"), final_weights(tmp_path / "two")
    assert a.keys() == b.keys()
    assert max(float((a[key] - b[key]).abs().max()) for key in a) < 1e-5
    assert json.loads((checkpoint.complete(tmp_path / "two")[-1] / "metadata.json").read_text())["processes"] == 2
    losses = [read_table(tmp_path / name / "log.csv") for name in ("one", "two")]
    assert len(losses[0]) == 8
    for name in set(losses[0][0]) - {"iteration", "steps_per_second"}:
        assert [row[name] for row in losses[0]] == pytest.approx([row[name] for row in losses[1]], rel=1e-4)


def test_accumulated_gradients_are_those_of_the_mean_loss() -> None:
    from MedColorizeLib.training.engine import FabricEngine, make_fabric

    values = torch.tensor([[1.0, -2.0], [3.0, 5.0]])
    made = []
    for together in (False, True):
        weight = torch.nn.Parameter(torch.tensor([0.5, 0.25]))
        optimizer = torch.optim.SGD([weight], lr=0.1)
        engine = FabricEngine(make_fabric("cpu"), 1 if together else 2)
        for n in range(1 if together else 2):
            engine.accumulating = not together and n == 0
            loss = (weight * values).square().mean() if together else (weight * values[n]).square().mean()
            engine.backward(loss)
            before = weight.detach().clone()
            engine.step(optimizer)
            assert torch.equal(before, weight.detach()) == engine.accumulating
        assert weight.grad is None
        made.append(weight.detach())
    assert torch.allclose(made[0], made[1], atol=1e-7)


def test_bf16_is_used_inside_the_step_when_asked() -> None:
    from MedColorizeLib.training.engine import FabricEngine, make_fabric

    layer = torch.nn.Linear(3, 3)
    for precision, kind in (("bf16", torch.bfloat16), ("fp32", torch.float32)):
        with FabricEngine(make_fabric("cpu", precision)).autocast():
            assert layer(torch.ones(1, 3)).dtype == kind


class Poisoned:
    """Makes a method's step give a NaN, or run out of memory, at one iteration."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int, error: Exception | None = None) -> None:
        from MedColorizeLib.methods.cyclegan import CycleGAN

        original, calls = CycleGAN.step, [0]

        def step(method: Any, batch: Any, engine: Any) -> dict[str, float]:
            figures = original(method, batch, engine)
            calls[0] += 1
            if calls[0] != at:
                return figures
            if error:
                raise error
            return {**figures, "cycle_X": float("nan")}

        monkeypatch.setattr(CycleGAN, "step", step)


def test_a_nan_stops_with_the_loss_named_and_the_last_good_weights_kept(
    folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Poisoned(monkeypatch, at=8)
    with pytest.raises(ResourceError, match=r"'cycle_X' is nan at step 8.*step 6"):
        train(recipe_of(tmp_path), folders, tmp_path / "run", device="cpu", cache=tmp_path / "cache")
    kept = checkpoint.complete(tmp_path / "run")[-1]
    assert kept.name == "00000006"
    assert all(torch.isfinite(value).all() for value in load_file(kept / "weights.safetensors").values())
    assert not (tmp_path / "run" / "lock").exists()


def test_weights_that_are_not_finite_are_never_saved(folders: Folders, tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, TINY, "learning_rate=1e30", "iterations=6", "checkpoint_every=1", "epoch=99")
    with pytest.raises(ResourceError, match="diverged"):
        train(recipe, folders, tmp_path / "run", device="cpu", cache=tmp_path / "cache")
    for folder in checkpoint.complete(tmp_path / "run"):
        assert all(torch.isfinite(value).all() for value in load_file(folder / "weights.safetensors").values())


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_memory_that_gives_out_is_explained_and_the_checkpoint_kept(
    folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    Poisoned(monkeypatch, at=5, error=error)
    with pytest.raises(ResourceError, match=r"Memory gave out at step 5.*step 3.*data\.batch"):
        train(recipe_of(tmp_path), folders, tmp_path / "run", device="cpu", cache=tmp_path / "cache")
    assert checkpoint.complete(tmp_path / "run")[-1].name == "00000003"


def test_a_folder_in_use_is_refused_a_dead_trainer_s_is_not(tmp_path: Path) -> None:
    with RunLock(tmp_path), pytest.raises(UsageError, match=f"trained by process {os.getpid()}"), RunLock(tmp_path):
        pass
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    owner = {"pid": dead.pid, "host": os.uname().nodename, "started": "1"}
    (tmp_path / "lock").write_text(json.dumps(owner))
    with RunLock(tmp_path):
        assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid()
    (tmp_path / "lock").write_text('{"pid"')  # killed while writing
    with RunLock(tmp_path):
        pass
    assert not (tmp_path / "lock").exists()


def test_an_old_run_is_neither_overwritten_nor_resumed_as_something_else(
    finished: tuple[Path, Path, list[Progress]], folders: Folders, tmp_path: Path
) -> None:
    run, cache, _ = finished
    before = final_weights(run)
    with pytest.raises(UsageError, match="holds a run already"):
        train(recipe_of(tmp_path), folders, run, device="cpu", cache=cache)
    with pytest.raises(UsageError, match=r"another value of options\.width"):
        train(recipe_of(tmp_path, TINY, "options.width=3"), folders, run, resume=True, device="cpu", cache=cache)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.docx").write_text("x")
    with pytest.raises(UsageError, match="not empty"):
        train(recipe_of(tmp_path), folders, tmp_path / "full", device="cpu", cache=cache)
    assert same(before, final_weights(run))
    assert (tmp_path / "full" / "thesis.docx").exists()


def test_a_start_that_failed_leaves_nothing_and_the_corrected_command_works(folders: Folders, tmp_path: Path) -> None:
    """A forgotten folder, a folder without scans, a change of mind: correct it and start again."""
    run, cache = tmp_path / "runs" / "mine", tmp_path / "cache"
    with pytest.raises(UsageError, match="--gray"):
        train(recipe_of(tmp_path), Folders(None, folders.color), run, device="cpu", cache=cache)
    assert not run.exists()
    run.mkdir(parents=True)  # a folder that was there stays there, empty
    with pytest.raises(InputError):
        train(recipe_of(tmp_path), Folders(tmp_path, folders.color), run, device="cpu", cache=cache)
    assert list(run.iterdir()) == []
    stop = CancelToken()
    stop.cancel()
    with pytest.raises(Cancelled):
        train(recipe_of(tmp_path), folders, run, device="cpu", cache=tmp_path / "other cache", cancel=stop)
    train(recipe_of(tmp_path, TINY, "iterations=1"), folders, run, device="cpu", cache=cache)
    assert checkpoint.complete(run)[-1].name == "00000001"


def test_memory_that_gives_out_in_the_first_step_leaves_nothing(
    folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Poisoned(monkeypatch, at=1, error=MemoryError())
    with pytest.raises(ResourceError, match=r"Memory gave out at step 1 .*no checkpoint yet"):
        train(recipe_of(tmp_path), folders, tmp_path / "run", device="cpu", cache=tmp_path / "cache")
    assert not (tmp_path / "run").exists()


def test_a_failed_resume_and_a_failed_start_elsewhere_take_nothing_away(
    finished: tuple[Path, Path, list[Progress]], folders: Folders, tmp_path: Path
) -> None:
    import shutil

    run = tmp_path / "run"
    shutil.copytree(finished[0], run)
    before = sorted(path.relative_to(run) for path in run.rglob("*"))
    with pytest.raises(UsageError, match="--gray"):
        train(recipe_of(tmp_path), Folders(None, folders.color), run, resume=True, device="cpu", cache=finished[1])
    assert sorted(path.relative_to(run) for path in run.rglob("*")) == before
    other = tmp_path / "other"
    other.mkdir()
    with RunLock(other), pytest.raises(UsageError, match="being trained"):
        train(recipe_of(tmp_path), folders, other, device="cpu", cache=finished[1])
    assert other.is_dir()


def test_changed_images_are_noticed_on_resume(folders: Folders, tmp_path: Path) -> None:
    import shutil

    for kind in ("gray", "color"):
        shutil.copytree(getattr(folders, kind), tmp_path / kind)
    mine = Folders(tmp_path / "gray", tmp_path / "color")
    train(recipe_of(tmp_path, TINY, "iterations=3"), mine, tmp_path / "run", device="cpu", cache=tmp_path / "cache")
    os.utime(next((tmp_path / "color").iterdir()), ns=(5, 5))
    with pytest.raises(UsageError, match="images are not those"):
        train(
            recipe_of(tmp_path, TINY, "iterations=6"),
            mine,
            tmp_path / "run",
            resume=True,
            device="cpu",
            cache=tmp_path / "cache",
        )


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(folders: Folders, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(recipe_of(tmp_path, TINY, "iterations=6"), folders, run, device="cpu", cache=tmp_path / "cache")
    newest = checkpoint.complete(run)[-1]
    content = bytearray((newest / "weights.safetensors").read_bytes())
    content[-3] ^= 1
    (newest / "weights.safetensors").write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        checkpoint.read_facts(newest)
    older = checkpoint.newest(run)
    assert older is not None
    assert older.name < newest.name


def test_missing_folders_are_asked_for_by_name(tmp_path: Path, folders: Folders) -> None:
    with pytest.raises(UsageError, match="--color"):
        train(recipe_of(tmp_path), Folders(folders.gray, None), tmp_path / "a", device="cpu", cache=tmp_path / "cache")
    with pytest.raises(UsageError, match="--gray"):
        train(recipe_of(tmp_path), Folders(None, folders.color), tmp_path / "b", device="cpu", cache=tmp_path / "cache")


def test_trainer_state_survives_its_file_exactly(tmp_path: Path) -> None:
    from MedColorizeLib.training.state import load_state, save_state

    state = {"a": [torch.randn(3), {1: (0.1, 1e-300, float("inf")), "b": None}], "c": (True, 7, "x"), "e": {}, "f": []}
    save_state(state, tmp_path, "s")
    back = load_state(tmp_path, "s")
    assert torch.equal(back["a"][0], state["a"][0])  # type: ignore[index]
    assert back["a"][1] == state["a"][1]  # type: ignore[index]
    assert (back["c"], back["e"], back["f"]) == ((True, 7, "x"), {}, [])
    with pytest.raises(TypeError):
        save_state({"a": object()}, tmp_path, "t")


def test_a_feature_net_becomes_the_weight_file_of_perceptual_losses(folders: Folders, tmp_path: Path) -> None:
    """Train `medical-features` for two steps, export its file, and take a distance with it."""
    from MedColorizeLib.app import cli
    from MedColorizeLib.networks.feature_net import medical_features

    recipe = tmp_path / "features.toml"
    text = 'method = "medical-features"\n[data]\n' + TINY.partition("[data]\n")[2]
    recipe.write_text(text.replace("iterations = 12", "iterations = 2"))
    train(load_recipe(str(recipe)), folders, tmp_path / "run", cache=tmp_path / "cache")
    facts = read_run(tmp_path / "run", "last").facts
    assert facts["train/color"]["slices"]  # it learns on photographs too
    assert facts["train/gray"]["slices"]
    file = tmp_path / "features.safetensors"
    assert cli.main(["export", str(tmp_path / "run"), "-o", str(file), "--checkpoint", "last"]) == 0
    trained = read_run(tmp_path / "run", "last").method().net.features.state_dict()  # type: ignore[attr-defined]
    written = load_file(file)
    assert all(torch.equal(written[f"features.{key}"], value) for key, value in trained.items())
    mask = os.umask(0)
    os.umask(mask)
    assert file.stat().st_mode & 0o777 == 0o666 & ~mask  # others may use it, as any other output
    maps = medical_features(["relu3_3"], file)(torch.zeros(1, 3, 32, 32))
    assert maps["relu3_3"].shape[0] == 1
    assert cli.main(["export", str(tmp_path / "run"), "-o", str(file)]) == 6  # exists already
    (tmp_path / "other.toml").write_text(TINY.replace("iterations = 12", "iterations = 1"))
    train(load_recipe(str(tmp_path / "other.toml")), folders, tmp_path / "gan", cache=tmp_path / "cache")
    assert cli.main(["export", str(tmp_path / "gan"), "-o", str(tmp_path / "x.safetensors")]) == 2


def test_our_method_learns_from_photographs_alone_without_any_gray_folder(folders: Folders, tmp_path: Path) -> None:
    recipe = tmp_path / "photographs.toml"
    data = TINY.partition("[data]\n")[2].replace("iterations = 12", "iterations = 2")
    options = "widths = [4, 6]\nscan = 0.0\nsimulated = 0.0\n"
    recipe.write_text('method = "medcolorize"\n[options]\n' + options + "[data]\nslices = 3\n" + data)
    train(load_recipe(str(recipe)), Folders(None, folders.color), tmp_path / "run", cache=tmp_path / "cache")
    header = (tmp_path / "run" / "log.csv").read_text().splitlines()[0]
    assert "G_photograph" in header
    assert "G_simulated" not in header  # what has no weight is not computed either


def test_a_run_begins_with_the_weights_of_another_and_says_so(folders: Folders, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = train(recipe_of(tmp_path, TINY, "iterations=2"), folders, tmp_path / "first", device="cpu", cache=cache)
    second, still = tmp_path / "second", ["iterations=1", "options.learning_rate=1e-12"]
    train(recipe_of(tmp_path, TINY, *still), folders, second, start=first, device="cpu", cache=cache)
    begun = read_run(second, "last").method().networks()
    for name, network in read_run(first).method().networks().items():
        for key, value in network.state_dict().items():
            assert torch.allclose(begun[name].state_dict()[key], value, atol=1e-6)
    said = json.loads((second / "data.json").read_text())["start"]
    assert "at step 2" in said
    longer = recipe_of(tmp_path, TINY, "iterations=2", *still[1:])
    train(longer, folders, second, resume=True, device="cpu", cache=cache)
    assert json.loads((second / "data.json").read_text())["start"] == said
    other = recipe_of(tmp_path, TINY.replace('"cyclegan"', '"liang"'))
    with pytest.raises(UsageError, match="same method"):
        train(other, folders, tmp_path / "third", start=first, device="cpu", cache=cache)
