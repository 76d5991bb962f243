"""Bundles: written whole, found by name, and refused whenever they are not what they say. Data is never run."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from MedColorizeLib.bundles import installed, store
from MedColorizeLib.bundles.folder import CARD, FILES, METADATA, SUMS, THUMBNAIL, WEIGHTS, InputFrame, read_bundle
from MedColorizeLib.bundles.load import load_network
from MedColorizeLib.bundles.verify import sha256_of, verify
from MedColorizeLib.bundles.write import Facts, write_bundle
from MedColorizeLib.errors import ModelError, OutputError, UsageError
from MedColorizeLib.methods.registry import load_method

REPOSITORY = Path(__file__).resolve().parents[2]


def facts(name: str = "tiny", **changes: Any) -> Facts:
    method = tiny_method()
    frame = InputFrame("axial", 1, 32, method.divisor, 2.0, True, "MR", "auto")
    values: dict[str, Any] = {
        "name": name, "title": "Tiny", "method": "tanjim-4", "paper": "a paper", "kind": "color",
        "config": method.inference_config(), "input": frame, "training": {"step": 5, "slices": {"train/gray": 3}},
    }  # fmt: skip
    return Facts(**{**values, **changes})


def tiny_method() -> Any:
    torch.manual_seed(0)
    kind = load_method("tanjim-4")
    return kind(kind.Options.from_mapping({"width": 2}))


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    write_bundle(tmp_path / "tiny", tiny_method().inference_network(), facts())
    return tmp_path / "tiny"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MEDCOLORIZE_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def resigned(folder: Path) -> None:
    """Make the sums fit again, as somebody who altered a bundle on purpose would."""
    metadata = json.loads((folder / METADATA).read_text())
    metadata.get("medcolorize", {})["sha256"] = sha256_of(folder / WEIGHTS)
    (folder / METADATA).write_text(json.dumps(metadata))
    (folder / SUMS).write_text("".join(f"{sha256_of(folder / n)}  {n}\n" for n in (CARD, METADATA, WEIGHTS)))


def altered(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    metadata = json.loads((folder / METADATA).read_text())
    change(metadata)
    (folder / METADATA).write_text(json.dumps(metadata))
    resigned(folder)


def test_what_was_written_is_loaded_and_computes_the_same(bundle: Path) -> None:
    described, network = load_network(bundle)
    assert sorted(path.name for path in bundle.iterdir()) == sorted(FILES)
    picture = torch.randn(1, 1, 32, 32).clamp(-1, 1)
    with torch.no_grad():
        assert torch.equal(network(picture), tiny_method().inference_network()(picture))
    assert described.input.spacing == 2.0
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_no_folder_of_the_computer_that_trained_a_model_leaves_it() -> None:
    from MedColorizeLib.app.exporting import without_folders
    from MedColorizeLib.resources import resources_dir

    options = {"width": 4, "features": "vgg19", "features_weights": "/home/jane.doe/vgg19.npz", "b_weights": "random"}
    assert without_folders(options) == {**options, "features_weights": "vgg19.npz"}
    for folder in (resources_dir() / "Bundles").iterdir():
        told = json.loads((folder / METADATA).read_text(encoding="utf-8"))["medcolorize"]["config"]["options"]
        assert told == without_folders(told)


def test_a_model_is_listed_by_what_it_is_for(tmp_path: Path) -> None:
    every = dataclasses.replace(facts().input, every_mm=2.5)
    made = write_bundle(
        tmp_path / "tiny", tiny_method().inference_network(), facts(about="Hands, in plain light.", input=every)
    )
    assert made.description == "Hands, in plain light. Synthetic colour, not for diagnosis."
    assert "Hands, in plain light." in made.card()
    assert "| runs | on slices about 2.5 mm apart" in made.card()
    assert read_bundle(made.folder).input.every_mm == 2.5


def test_metadata_follow_monai_where_they_fit_and_the_card_says_synthetic(bundle: Path) -> None:
    metadata = json.loads((bundle / METADATA).read_text())
    image = metadata["network_data_format"]["inputs"]["image"]
    assert image["num_channels"] == 1
    assert image["modality"] == "MR"
    assert metadata["network_data_format"]["outputs"]["pred"]["channel_def"]["0"] == "red"
    assert {"version", "monai_version", "pytorch_version", "numpy_version", "intended_use"} <= metadata.keys()
    assert "synthetic" in (bundle / CARD).read_text()
    done = subprocess.run(["sha256sum", "-c", SUMS], cwd=bundle, capture_output=True, check=False)
    assert done.returncode == 0


def test_half_precision_halves_the_file_and_comes_back_as_float(tmp_path: Path) -> None:
    kind = load_method("tanjim-4")
    network = kind(kind.Options.from_mapping({"width": 16})).inference_network()
    write_bundle(
        tmp_path / "full", network, facts(config=kind(kind.Options.from_mapping({"width": 16})).inference_config())
    )
    write_bundle(
        tmp_path / "half",
        network,
        facts(config=kind(kind.Options.from_mapping({"width": 16})).inference_config()),
        half=True,
    )
    assert (tmp_path / "half" / WEIGHTS).stat().st_size < 0.6 * (tmp_path / "full" / WEIGHTS).stat().st_size
    described, loaded = load_network(tmp_path / "half")
    assert described.precision == "fp16"
    assert all(p.dtype == torch.float32 for p in loaded.parameters())
    picture = torch.linspace(-1, 1, 1024).view(1, 1, 32, 32)
    with torch.no_grad():
        assert float((loaded(picture) - network(picture)).abs().max()) * 127.5 < 1


def flip_a_bit(folder: Path) -> None:
    content = bytearray((folder / WEIGHTS).read_bytes())
    content[-2] ^= 4
    (folder / WEIGHTS).write_bytes(content)


def add_a_pickle(folder: Path) -> None:
    (folder / "model.pt").write_bytes(b"\x80\x04.")


def link_the_weights(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder.parent / "elsewhere")
    (folder / WEIGHTS).symlink_to(folder.parent / "elsewhere")


def poison(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    first = next(name for name, value in tensors.items() if value.is_floating_point())
    tensors[first].view(-1)[0] = float("nan")
    save_file(tensors, folder / WEIGHTS)
    resigned(folder)


def truncate(folder: Path) -> None:
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[: len(content) // 2])
    resigned(folder)


def drop_a_tensor(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    tensors.pop(next(iter(tensors)))
    save_file(tensors, folder / WEIGHTS)
    resigned(folder)


def widen(folder: Path) -> None:
    altered(folder, lambda m: m["medcolorize"]["config"]["options"].update(width=4))


def ask_for_a_monster(folder: Path) -> None:
    altered(folder, lambda m: m["medcolorize"]["config"]["options"].update(width=3000))


def more_channels(folder: Path) -> None:
    altered(folder, lambda m: m["medcolorize"]["config"].update(slices=5))


def other_method(folder: Path) -> None:
    altered(folder, lambda m: m["medcolorize"].update(method="cyclegan"))


def unknown_method(folder: Path) -> None:
    altered(
        folder,
        lambda m: (m["medcolorize"].update(method="os.system"), m["medcolorize"]["config"].update(method="os.system")),
    )


def unknown_option(folder: Path) -> None:
    altered(folder, lambda m: m["medcolorize"]["config"]["options"].update(_target_="os.system"))


def unknown_key(folder: Path) -> None:
    altered(folder, lambda m: m["medcolorize"].update(inptu={}))


def newer_schema(folder: Path) -> None:
    altered(folder, lambda m: m["medcolorize"].update(schema=2))


def foreign(folder: Path) -> None:
    altered(folder, lambda m: m.pop("medcolorize") and None)


def climbing_name(folder: Path) -> None:
    altered(folder, lambda m: m["medcolorize"].update(name="../../evil"))


def absurd_frame(folder: Path) -> None:
    altered(folder, lambda m: m["medcolorize"]["input"].update(size=10**9))


def text_for_a_number(folder: Path) -> None:
    altered(folder, lambda m: m["medcolorize"]["input"].update(size="$10**9"))


def broken_json(folder: Path) -> None:
    (folder / METADATA).write_text("{")


def deep_json(folder: Path) -> None:
    (folder / METADATA).write_text("[" * 200_000)


def huge_json(folder: Path) -> None:
    (folder / METADATA).write_text(" " * (2 << 20))


def no_sums(folder: Path) -> None:
    (folder / SUMS).unlink()


def unsummed_card(folder: Path) -> None:
    (folder / CARD).write_text("Not synthetic. Fit for diagnosis.")


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (flip_a_bit, "SHA-256 differs"), (add_a_pickle, r"model\.pt.*code"), (link_the_weights, "link"),
        (poison, "not finite"), (truncate, "safetensors"), (drop_a_tensor, "missing:"), (widen, "does not fit"),
        (ask_for_a_monster, "describe a network of"), (more_channels, "does not fit"), (other_method, "two methods"),
        (unknown_method, "no method named"), (unknown_option, "no option '_target_'"),
        (unknown_key, "'inptu'.*'input'"),
        (newer_schema, "schema 2"), (foreign, "other programs"), (climbing_name, "no name for a model"),
        (absurd_frame, "makes no sense"), (text_for_a_number, "of type int"), (broken_json, "can't be read"),
        (deep_json, "can't be read"), (huge_json, "larger than any metadata"), (no_sums, "missing"),
        (unsummed_card, "SHA-256 differs"),
    ],
)  # fmt: skip
def test_whatever_is_wrong_is_refused_with_the_reason(
    bundle: Path, home: Path, harm: Callable[[Path], None], message: str
) -> None:
    harm(bundle)
    with pytest.raises(ModelError, match=message):
        load_network(bundle)
    with pytest.raises(ModelError):
        store.add(bundle)
    assert not home.exists() or not list(home.iterdir())


def test_expressions_in_metadata_are_text(bundle: Path, tmp_path: Path) -> None:
    """MONAI's own bundles evaluate what follows a `$`; here it stays a string."""
    target = tmp_path / "was-run"
    evil = f"$__import__('pathlib').Path({str(target)!r}).touch()"
    altered(bundle, lambda m: (m.update(description=evil), m["medcolorize"]["training"].update(note=evil)))
    described, _ = load_network(bundle)
    assert described.description == evil
    assert not target.exists()


def test_a_diverged_network_or_an_impossible_name_is_never_written(tmp_path: Path) -> None:
    network = tiny_method().inference_network()
    with pytest.raises(UsageError, match="no name"):
        write_bundle(tmp_path / "a", network, facts("Bad Name"))
    next(p for p in network.parameters()).data.view(-1)[0] = float("inf")
    with pytest.raises(ModelError, match="not finite"):
        write_bundle(tmp_path / "b", network, facts())
    assert not list(tmp_path.iterdir())


def test_writing_over_a_bundle_must_be_allowed(bundle: Path) -> None:
    with pytest.raises(OutputError, match="exists already"):
        write_bundle(bundle, tiny_method().inference_network(), facts())
    write_bundle(bundle, tiny_method().inference_network(), facts("other"), overwrite=True)
    assert read_bundle(bundle).name == "other"


# Installed models


def test_adding_finding_listing_and_removing(bundle: Path, home: Path) -> None:
    added = store.add(bundle)
    assert added.name == "tiny"
    assert store.find("tiny") == home / "tiny"
    assert store.find(bundle) == bundle
    [entry] = [e for e in installed() if e["name"] == "tiny"]
    assert (entry["modality"], entry["method"], entry["problem"]) == ("MR", "tanjim-4", "")
    with pytest.raises(UsageError, match="installed already"):
        store.add(bundle)
    store.add(bundle, overwrite=True)
    with pytest.raises(ModelError, match="'tiyn'.*'tiny'"):
        store.find("tiyn")
    store.remove("tiny")
    assert not list(home.iterdir())
    with pytest.raises(ModelError, match="no model 'tiny'"):
        store.remove("tiny")


def test_a_broken_bundle_is_listed_with_its_reason(bundle: Path, home: Path) -> None:
    store.add(bundle)
    (home / "tiny" / METADATA).write_text("{")
    [entry] = [e for e in installed() if e["name"] == "tiny"]
    assert "can't be read" in entry["problem"]


def zipped(path: Path, members: dict[str, bytes], links: tuple[str, ...] = ()) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (0o120777 if name in links else 0o100644) << 16
            archive.writestr(info, content)
    return path


@pytest.mark.parametrize("prefix", ["", "tiny/", "a/b/"])
def test_a_zip_is_installed_from_its_root_or_one_folder(bundle: Path, home: Path, tmp_path: Path, prefix: str) -> None:
    path = zipped(tmp_path / "b.zip", {prefix + name: (bundle / name).read_bytes() for name in FILES})
    assert store.add(path).name == "tiny"
    assert sorted(p.name for p in (home / "tiny").iterdir()) == sorted(FILES)


@pytest.mark.parametrize("evil", ["../evil", "/tmp/evil", "..\\evil", "tiny/../../evil", "model.pt", "sub/README.md"])
def test_a_zip_that_holds_anything_else_is_refused_and_writes_nothing(
    bundle: Path, home: Path, tmp_path: Path, evil: str
) -> None:
    members = {name: (bundle / name).read_bytes() for name in FILES}
    path = zipped(tmp_path / "b.zip", {**members, evil: b"x"})
    with pytest.raises(ModelError, match="refused"):
        store.add(path)
    assert not list(home.iterdir())
    assert not (tmp_path / "evil").exists()
    assert not Path("/tmp/evil").exists()


def test_a_zip_with_links_or_cut_off_is_refused(bundle: Path, home: Path, tmp_path: Path) -> None:
    members = {name: (bundle / name).read_bytes() for name in FILES}
    with pytest.raises(ModelError, match="refused"):
        store.add(zipped(tmp_path / "l.zip", members, links=(WEIGHTS,)))
    whole = zipped(tmp_path / "w.zip", members).read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[:-40])
    with pytest.raises(ModelError, match=r"not a whole \.zip"):
        store.add(tmp_path / "cut.zip")
    with pytest.raises(ModelError, match="does not exist"):
        store.add(tmp_path / "absent.zip")


def test_the_lists_need_no_torch(bundle: Path, home: Path) -> None:
    store.add(bundle)
    blocker = (
        "import sys\n"
        "class No:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name.split('.')[0] in ('torch', 'monai'): raise ImportError(name + ' is blocked')\n"
        "sys.meta_path.insert(0, No())\n"
        "from MedColorizeLib.app.cli import main\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    for words in (["models", "list", "--json"], ["methods", "--recipes", "--json"]):
        code = f"{blocker}sys.exit(main({words!r}))"
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        names = {entry["name"] for entry in document["models" if words[0] == "models" else "methods"]}
        assert ("tiny" if words[0] == "models" else "colormedgan") in names


def test_verifying_finds_integers_out_of_place(bundle: Path) -> None:
    tensors = load_file(bundle / WEIGHTS)
    save_file({**tensors, "extra": torch.zeros(2, dtype=torch.float64)}, bundle / WEIGHTS)
    resigned(bundle)
    with pytest.raises(ModelError, match="F64"):
        verify(bundle)
    assert np.isfinite(next(iter(tensors.values())).numpy()).all()


#
# Thumbnails
#


def picture(width: int = 16, height: int = 16) -> bytes:
    from io import BytesIO

    from PIL import Image

    out = BytesIO()
    Image.new("RGB", (width, height), (200, 120, 90)).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def pictured(tmp_path: Path) -> Path:
    write_bundle(tmp_path / "tiny", tiny_method().inference_network(), facts(), thumbnail=picture())
    return tmp_path / "tiny"


def test_a_thumbnail_is_kept_hashed_and_listed(pictured: Path, home: Path) -> None:
    from MedColorizeLib.bundles.verify import thumbnail_of

    assert verify(pictured).name == "tiny"
    assert THUMBNAIL in (pictured / SUMS).read_text()
    store.add(pictured)
    (entry,) = (each for each in installed() if each["name"] == "tiny")
    assert Path(entry["thumbnail"]) == home / "tiny" / THUMBNAIL
    assert Path(entry["thumbnail"]).read_bytes() == picture()
    # Altered later, it is not shown, and the whole bundle no longer passes.
    (home / "tiny" / THUMBNAIL).write_bytes(picture(17))
    assert thumbnail_of(home / "tiny") is None
    assert [each["thumbnail"] for each in installed() if each["name"] == "tiny"] == [""]
    with pytest.raises(ModelError, match="thumbnail"):
        verify(home / "tiny")


def test_a_zip_with_a_thumbnail_is_taken_whole(pictured: Path, tmp_path: Path, home: Path) -> None:
    names = (*FILES, THUMBNAIL)
    path = zipped(tmp_path / "b.zip", {"tiny/" + name: (pictured / name).read_bytes() for name in names})
    store.add(path)
    assert sorted(p.name for p in (home / "tiny").iterdir()) == sorted(names)


@pytest.mark.parametrize(
    "content",
    [
        b"not a picture at all, but long enough to be read",
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",  # cut off
        picture(513, 8),
        picture()[:16] + (1 << 30).to_bytes(4, "big") + picture()[20:],  # announces a billion columns
        picture()[:16] + bytes(4) + picture()[20:],
        picture() + bytes(300 << 10),
    ],
)
def test_a_thumbnail_that_is_none_is_refused(pictured: Path, content: bytes) -> None:
    (pictured / THUMBNAIL).write_bytes(content)
    names = (CARD, METADATA, WEIGHTS, THUMBNAIL)
    (pictured / SUMS).write_text("".join(f"{sha256_of(pictured / n)}  {n}\n" for n in names))
    with pytest.raises(ModelError, match="PNG"):
        verify(pictured)


def test_a_thumbnail_missing_or_not_named_is_refused(pictured: Path) -> None:
    kept = (pictured / THUMBNAIL).read_bytes()
    (pictured / THUMBNAIL).unlink()
    with pytest.raises(ModelError, match="thumbnail"):
        verify(pictured)
    (pictured / THUMBNAIL).write_bytes(kept)
    resigned(pictured)  # names the three others
    with pytest.raises(ModelError, match="does not name thumbnail"):
        verify(pictured)
    (pictured / THUMBNAIL).unlink()
    assert verify(pictured).name == "tiny"
