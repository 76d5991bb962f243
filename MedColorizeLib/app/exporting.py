"""From a run folder to a bundle: which checkpoint, in which precision, with which facts on its card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..bundles.folder import Bundle, InputFrame
from ..errors import ModelError, UsageError
from ..methods.registry import describe
from .thumbnails import draw_thumbnail


@dataclass(frozen=True)
class Exported:
    """What was made."""

    bundle: Bundle
    step: int
    difference: float
    """Largest change of an output on the run's probe, in codes, between training's network and the bundle's."""
    notes: tuple[str, ...]


def export_run(
    run: Path,
    output: Path,
    *,
    name: str,
    title: str = "",
    which: str = "auto",
    half: bool = False,
    about: str = "",
    terms: str = "",
    data: str = "",
    overwrite: bool = False,
) -> Exported:
    """Write the bundle `output` from the run folder `run`."""
    import torch

    from ..bundles.write import Facts, halved, write_bundle
    from ..training.loop import note_of_budget
    from ..training.runs import read_run

    source = read_run(run, which)
    method, recipe = source.method(), source.recipe
    entry = describe(recipe.method)
    built = method.inference_network().eval()
    probe = torch.from_numpy(source.probe()).float() / 127.5 - 1
    config = method.inference_config()
    fresh = type(method).build_inference(config).eval()
    with torch.no_grad():
        wanted = torch.cat([method.generate(each[None]).float() for each in probe])
    notes = list(source.facts.get("notes", []))
    segmentation = entry.kind == "segmentation"
    scale = 1.0 if segmentation else 127.5  # logits have no codes

    def difference(state: dict[str, torch.Tensor]) -> float:
        fresh.load_state_dict(state)
        with torch.no_grad():
            made = torch.cat([_picture(fresh(each[None])).float() for each in probe])
        made, shown = (made, wanted) if segmentation else (made.clamp(-1, 1), wanted.clamp(-1, 1))
        return float((made - shown).abs().max() * scale)

    largest = difference(built.state_dict())
    if not segmentation and not largest < 0.5:
        raise ModelError(
            f"The network as built for use differs from the trained one by {largest:.2f} codes: not exported."
        )
    if half:
        rounded = difference(halved(built))
        half = rounded < 1.0
        if half:
            largest = rounded
        else:
            notes.append(f"Kept in fp32: in half precision an output moved by {rounded:.1f} codes.")
    settings = recipe.data
    frame = InputFrame(
        plane=settings.plane,
        slices=settings.slices,
        size=settings.size,
        divisor=method.divisor,
        spacing=settings.spacing,
        masked=settings.gray_background != "none",
        modality=source.facts.get("modality", ""),
        window=settings.window,
        every_mm=method.every_mm,
    )
    facts = Facts(
        name=name,
        title=title or recipe.title or entry.title,
        method=recipe.method,
        paper=entry.paper,
        kind=entry.kind,
        config={**config, "options": without_folders(config["options"])},
        input=frame,
        training=_training(source, note_of_budget(recipe), data),
        notes=[*notes, *filter(None, [source.facts.get("start")]), *source.facts.get("method_notes", [])],
        about=about,
        terms=terms,
        output_channels=int(wanted.shape[1]),
        options=without_folders(recipe.options.to_mapping()),
    )
    picture = None
    if not segmentation:
        middle = probe[:, probe.shape[1] // 2]
        grays, colors = (
            ((each.clamp(-1, 1) + 1) * 127.5).round().byte().numpy() for each in (middle, wanted.movedim(1, -1))
        )
        picture = draw_thumbnail(facts, built, grays, colors)
    bundle = write_bundle(output, built, facts, half=half, thumbnail=picture, overwrite=overwrite)
    return Exported(bundle, source.checkpoint_facts["iteration"], largest, tuple(notes))


def export_features(run: Path, output: Path, *, which: str = "auto", overwrite: bool = False) -> Path:
    """The feature net of a `medical-features` run as the weight file that perceptual losses take."""
    from ..methods.feature_net import FeatureNet
    from ..training.runs import read_run

    method = read_run(run, which).method()
    if not isinstance(method, FeatureNet):
        raise UsageError(
            f"{run} did not train 'medical-features', so it has no feature net to write as {output.name}. Give a "
            "folder as output to make a model of it."
        )
    return method.save(output, overwrite=overwrite)


def without_folders(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options as a bundle tells them: where a weight file lay is of no use elsewhere, and may name a person."""
    return {key: Path(value).name if key.endswith("_weights") else value for key, value in options.items()}


def _picture(output: Any) -> Any:
    """The logits of a segmentation network, which also gives features; other networks' output as it is."""
    return output[0] if isinstance(output, tuple) else output


def _training(source: Any, budget: str, data: str) -> dict[str, Any]:
    """For metadata and card: counts and words, no names of files or patients."""
    counts = {
        key: value["slices"] for key, value in source.facts.items() if isinstance(value, dict) and "slices" in value
    }
    out = {
        "recipe": source.recipe.name if source.recipe.name != "recipe" else source.facts.get("recipe", ""),
        "seed": source.recipe.seed,
        "budget": budget,
        "step": source.checkpoint_facts["iteration"],
        "data": data,
        "slices": counts,
        "subjects": source.facts.get("subjects", 0),
        "validation": source.checkpoint_facts.get("figures", {}),
    }
    return {key: value for key, value in out.items() if value not in ("", {})}
