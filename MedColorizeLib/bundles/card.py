"""The model card of a bundle: what a person must know before using it, in plain Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .write import Facts


def model_card(facts: Facts, parameters: int, half: bool) -> str:
    """README.md of the bundle."""
    frame = facts.input
    scale = f"resampled to {frame.spacing:g} mm per pixel" if frame.spacing else f"fitted into {frame.size} pixels"
    runs = f"on slices about {frame.every_mm:g} mm apart, or on each if they lie further; neighbours share the colour"
    stack = f"{frame.slices} neighbouring slices in, the middle one out" if frame.slices > 1 else "one slice at a time"
    lines = [
        f"# {facts.title}",
        "",
        "**The colour this model gives is synthetic: learned, not measured. For teaching and research, "
        "not for diagnosis.**"
        if facts.kind == "color"
        else "**A segmentation network whose features help a colouring network. Not for diagnosis.**",
        "",
        *([facts.about, ""] if facts.about else []),
        "| | |",
        "|---|---|",
        f"| method | {facts.method} ({facts.paper}) |",
        f"| input | {frame.modality or 'gray'} slices, {frame.plane}, {stack}, {scale} |",
        *([f"| runs | {runs} |"] if frame.every_mm else []),
        f"| window | {frame.window} |",
        f"| background | {'black around the body, as in training' if frame.masked else 'as it comes'} |",
        f"| size | {parameters:,} numbers{', stored in half precision' if half else ''} |",
        "",
        "## Training",
        "",
        *(
            f"- {key.replace('_', ' ')}: {_words(value)}"
            for key, value in facts.training.items()
            if value not in ("", {}, [])
        ),
        *(f"- {note}" for note in facts.notes),
        "",
        "## Terms",
        "",
        facts.terms or "No terms were stated at export. Those of the images it was trained on apply.",
        "",
        "## Use",
        "",
        "    medcolorize models add THIS-FOLDER",
        f"    medcolorize colorize scan.nii.gz -o color.nrrd --model {facts.name}",
        "",
    ]
    if facts.options:
        lines += ["## Options of the method", "", *(f"- {key}: {value}" for key, value in facts.options.items()), ""]
    return "\n".join(lines)


_PICTURES = "## Pictures"


def with_pictures(card: str, captions: Mapping[str, str]) -> str:
    """The card with these pictures (file name and caption) at its end, in place of any it had."""
    kept = card.partition(f"\n{_PICTURES}\n")[0].rstrip("\n")
    shown = [f"![{caption}]({name})\n\n*{caption}*" for name, caption in captions.items()]
    return "\n\n".join([kept, _PICTURES, *shown]) + "\n"


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_words(each)}" for key, each in value.items())
    if isinstance(value, (list, tuple)):
        return "; ".join(_words(each) for each in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)
