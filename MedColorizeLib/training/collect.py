"""From the folders a person names to the training and validation slices of a run.

Finds, selects, splits by patient, matches label maps, prepares (with the cache). Not for: batches (`dataset`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError, UsageError
from ..progress import CancelToken, OnProgress
from .dataset import Pairs
from .prepare import Domain, Prepared, key_of, prepare
from .recipe import Recipe
from .settings import DataSettings
from .sources import Source, find_sources, select, split_by_patient


@dataclass
class Material:
    """Everything a run looks at."""

    train: Pairs
    validate: Pairs | None
    facts: dict[str, Any]
    """Counts, notes, and a fingerprint by which a resumed run knows that the images are the same. No names."""
    modality: str = ""
    subjects: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Folders:
    """Where the images are."""

    gray: Path | None = None
    color: Path | None = None
    labels: Path | None = None


def collect(
    recipe: Recipe,
    folders: Folders,
    *,
    paired: bool,
    segmentation: bool = False,
    cache: Path | None = None,
    on_progress: OnProgress | None = None,
    cancel: CancelToken | None = None,
) -> Material:
    """Read (or take from the cache) what the recipe asks for."""
    data = recipe.data
    gray_sources, color_sources, notes = _sources(recipe, folders, paired, segmentation)
    label_files = _label_files(folders.labels, data, {source.subject for source in [*gray_sources, *color_sources]})
    keys: list[str] = []
    parts: dict[str, list[Prepared]] = {}
    for domain, sources, share in (
        ("gray", gray_sources, data.gray_validate),
        ("color", color_sources, data.color_validate),
    ):
        split = split_by_patient(sources, share, data.validation, recipe.seed, domain) if sources else None
        if split:
            notes.append(split.note)
        for part, chosen in (("train", split.train), ("validate", split.validate)) if split else ():
            shaping: Domain = "color" if domain == "color" or data.gray_from != "folder" else "gray"
            made = []
            for source, shaped in ((each, shaped) for each in chosen for shaped in _sliced(data, domain, each)):
                labels = label_files.get(source.subject) if source.kind == "volume" else None
                keys.append(f"{part}/{domain}/{key_of(source, shaped, shaping, labels)}")
                made.append(
                    prepare(source, shaped, shaping, labels=labels, cache=cache, on_progress=on_progress, cancel=cancel)
                )
            parts[f"{part}/{domain}"] = made
    _refuse_shared_files(gray_sources, color_sources, data)
    train = Pairs(parts.get("train/gray", []), parts.get("train/color", []), data, paired=paired, seed=recipe.seed)
    held = [*parts.get("validate/gray", []), *parts.get("validate/color", [])]
    validate = None
    if held:
        validate = _validation(parts, data, paired, recipe.seed)
    everything = [each for made in parts.values() for each in made]
    skipped = sum(len(each.skipped) for each in everything)
    if skipped:
        notes.append(f"{skipped} unreadable pictures were left out.")
    found = {each.modality for each in parts.get("train/gray", [])}
    modality = data.modality or (found.pop() if len(found) == 1 else "")  # learned from MR and CT: made for any
    facts = {
        **{name: {"sources": len(made), "slices": sum(len(e.positions) for e in made)} for name, made in parts.items()},
        "subjects": len({source.subject for source in [*gray_sources, *color_sources]}),
        "unreadable": skipped,
        "notes": [*notes, *train.notes],
        "fingerprint": hashlib.sha256("\n".join(keys).encode()).hexdigest(),
    }
    return Material(train, validate, facts, modality)


def _sliced(data: DataSettings, domain: str, source: Source) -> list[DataSettings]:
    """The settings under which a source is prepared: once per plane, if it is a gray volume and several are wanted."""
    if domain != "gray" or source.kind != "volume" or not data.gray_planes:
        return [data]
    return [DataSettings(**{**data.to_mapping(), "plane": plane, "gray_planes": ()}) for plane in data.gray_planes]


def _validation(parts: dict[str, list[Prepared]], data: DataSettings, paired: bool, seed: int) -> Pairs | None:
    """Held-out slices; a domain with none held out is left empty rather than filled with training slices."""
    settings = DataSettings(**{**data.to_mapping(), "levels": "none", "least_foreground": data.least_foreground})
    gray, color = parts.get("validate/gray", []), parts.get("validate/color", [])
    try:
        return Pairs(gray, color, settings, paired=paired or not gray or not color, seed=seed)
    except InputError:
        return None


def _sources(
    recipe: Recipe, folders: Folders, paired: bool, segmentation: bool
) -> tuple[list[Source], list[Source], list[str]]:
    data = recipe.data
    notes: list[str] = []
    color: list[Source] = []
    gray: list[Source] = []
    if folders.color is not None and not (segmentation and paired):
        color = select(find_sources(folders.color, data.subject), data.color_include, data.color_exclude)
    elif not segmentation:
        raise UsageError(f"The recipe '{recipe.name}' learns colours: give the folder of colour images with --color.")
    if data.gray_from == "folder" and not paired:
        if folders.gray is None:
            raise UsageError(f"The recipe '{recipe.name}' learns from gray images: give their folder with --gray.")
        gray = select(find_sources(folders.gray, data.subject), data.gray_include, data.gray_exclude)
    elif segmentation:
        if folders.gray is None:
            raise UsageError(f"The recipe '{recipe.name}' learns to segment: give the gray images with --gray.")
        gray = select(find_sources(folders.gray, data.subject), data.gray_include, data.gray_exclude)
    elif data.gray_from == "color" and not paired:
        gray = color
        notes.append("The gray pictures are the luma of the colour pictures, shuffled.")
    elif data.gray_from == "color-half" and not paired:
        gray, color = color[::2], color[1::2]
        if not gray or not color:
            raise UsageError("data.gray_from = 'color-half' needs at least two subjects in the colour folder.")
        notes.append("The gray pictures are the luma of one half of the colour pictures; the other half gives colour.")
    elif paired and folders.gray is not None:
        if folders.gray != folders.color:
            notes.append(
                "The method is trained on pairs: gray is the luma of the colour pictures, --gray only validates."
            )
        gray = select(find_sources(folders.gray, data.subject), data.gray_include, data.gray_exclude)
    return gray, color, notes


def _label_files(folder: Path | None, data: DataSettings, subjects: set[str]) -> dict[str, Path]:
    """The label map of each subject. None missing, none ambiguous: a wrong label map teaches wrong anatomy."""
    if folder is None:
        return {}
    found = [s for s in select(find_sources(folder, data.subject), data.labels_include, ()) if s.subject in subjects]
    out: dict[str, Path] = {}
    for source in found:
        if source.kind != "volume":
            raise InputError(f"{source.name} in {folder}: label maps must be volumes (NIfTI, NRRD).")
        if source.subject in out:
            raise UsageError(
                f"{folder} holds several label maps for {source.subject} ({out[source.subject].name}, "
                f"{source.files[0].name}). Say which with --set 'data.labels_include=[\"*_NAME.nii.gz\"]'."
            )
        out[source.subject] = source.files[0]
    if not out:
        raise InputError(
            f"{folder} holds no label map of any subject that is trained on (names are matched up to the first _)."
        )
    return out


def _refuse_shared_files(gray: Sequence[Source], color: Sequence[Source], data: DataSettings) -> None:
    """A file that is both gray and colour input is a mistake in the folders, not unpaired training."""
    if data.gray_from != "folder":
        return
    both = {file.resolve() for source in gray for file in source.files}
    both &= {file.resolve() for source in color for file in source.files}
    if both:
        raise UsageError(
            f"{sorted(both)[0].name} is found by both --gray and --color. Give different folders, or say that the gray "
            "pictures are made from the colour ones: --set data.gray_from=color."
        )
