"""The two tables of a recipe that are not the method's own: which data, and how long.

Typed and validated by the machinery of `methods.base`. Not for: TOML files (`recipe`), options of a method.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..errors import UsageError
from ..methods.base import MethodOptions, option


@dataclass(frozen=True)
class DataSettings(MethodOptions):
    """What is shown to the networks. Everything that changes a prepared slice is part of the cache's key."""

    plane: Literal["axial", "coronal", "sagittal"] = option("axial", "anatomical plane of the slices")
    slices: int = option(1, "neighbouring slices the network sees (odd; 1: 2D, more: 2.5D)", least=1, most=15)
    size: int = option(256, "height and width of a training picture in pixels", least=16, most=2048)
    spacing: float = option(1.0, "mm per pixel, for both domains; 0: fit every picture into the size", least=0)
    batch: int = option(1, "slices per step and domain, over all processes", least=1)
    window: str = option("auto", "intensity window of the gray volumes: auto, header, a CT preset or 'LOW HIGH'")
    modality: str = option("", "what the gray volumes are (MR, CT, US, ...), for the model's metadata")
    gray_planes: tuple[str, ...] = option(
        (), "planes in which gray volumes are sliced, for networks that are used in all three; empty: `plane`"
    )
    tissues: Literal["none", "head-mr", "body-ct"] = option(
        "none", "turn label maps into tissues known by rule and label, for methods that are taught tissue colours"
    )
    gray_from: Literal["folder", "color", "color-half"] = option(
        "folder", "gray pictures: a folder of their own, the luma of the colour pictures, or of one half of them"
    )
    gray_background: Literal["foreground", "none"] = option("foreground", "what is blackened around gray slices")
    color_background: Literal["cryosection", "foreground", "none"] = option(
        "cryosection", "what is blackened around colour pictures: gelatine, latex and labels; dark air; nothing"
    )
    gray_include: tuple[str, ...] = option((), "only these subjects, files or number ranges such as 1..250")
    gray_exclude: tuple[str, ...] = option((), "never these subjects, files or number ranges")
    color_include: tuple[str, ...] = option((), "only these subjects, files or number ranges such as 1..250")
    color_exclude: tuple[str, ...] = option((), "never these subjects, files or number ranges")
    labels_include: tuple[str, ...] = option((), "which files of the label folder, if it holds several per patient")
    gray_validate: tuple[str, ...] = option((), "subjects or files kept for validation; empty: a fraction of them")
    color_validate: tuple[str, ...] = option((), "subjects, files or ranges kept for validation; empty: a fraction")
    validation: float = option(0.1, "fraction of the subjects kept for validation", least=0, most=0.9)
    validation_slices: int = option(16, "slices each validation looks at, evenly spread", least=1)
    subject: Literal["auto", "name", "folder"] = option(
        "auto", "how a file tells its patient: its name up to the first _, or the folder it lies in"
    )
    picture_spacing: float = option(0.0, "mm per pixel of picture folders; 0: unknown", least=0)
    picture_step: float = option(1.0, "mm between consecutive pictures of a numbered folder", above=0)
    picture_flip: Literal["none", "rows", "columns", "both"] = option(
        "none", "turn pictures to radiological order (anterior at the top, patient's right at the left)"
    )
    levels: Literal["none", "top", "extent"] = option(
        "top", "how slices of like anatomy meet: by mm below the top, by fraction of the extent, or not at all"
    )
    level_width: float = option(12.0, "width of a level: mm for 'top', hundredths of the extent for 'extent'", above=0)
    gray_top: float = option(0.0, "mm by which the gray foreground begins below the colour one (skull-stripped: 12)")
    least_foreground: float = option(0.02, "slices with less foreground than this are left out", least=0, most=1)
    skip_unreadable: bool = option(False, "leave unreadable files out (counted) instead of refusing to train")
    flip: bool = option(True, "augmentation: mirror left and right")
    rotate: float = option(0.0, "augmentation: up to so many degrees", least=0, most=180)
    zoom: float = option(0.0, "augmentation: scale by up to this fraction", least=0, most=0.9)
    shift: float = option(0.0, "augmentation: move by up to this fraction of the size", least=0, most=0.9)
    gamma: float = option(0.0, "augmentation: exponent of the gray codes within 1 +- this", least=0, most=0.9)

    def check(self) -> None:
        if self.slices % 2 == 0:
            raise UsageError(f"Option 'slices' is {self.slices}; it must be odd, so that one lies in the middle.")
        wrong = [plane for plane in self.gray_planes if plane not in ("axial", "coronal", "sagittal")]
        if wrong:
            raise UsageError(f"Option 'gray_planes' names {wrong[0]!r}; planes are axial, coronal and sagittal.")
        if self.gray_planes and self.levels != "none":
            raise UsageError("Option 'gray_planes' needs levels = 'none': planes that cross have no levels in common.")
        if self.levels == "top" and self.plane != "axial":
            raise UsageError("Option 'levels' is 'top', which only axial slices have. Use 'extent' or 'none'.")


@dataclass(frozen=True)
class Budget(MethodOptions):
    """How long, how often, how exactly."""

    iterations: int = option(10_000, "training steps (of every network)", least=1)
    epoch: int = option(0, "steps between two validations; 0: once through the gray slices", least=0)
    accumulate: int = option(1, "batches whose gradients are summed before a step", least=1)
    precision: Literal["fp32", "bf16"] = option("fp32", "bf16: autocast, on CUDA or on a CPU that has it")
    checkpoint_every: int = option(500, "steps between two checkpoints", least=1)
    samples_every: int = option(0, "steps between two sample sheets; 0: at every validation", least=0)
    log_every: int = option(1, "steps between two lines of log.csv (means over them)", least=1)
    keep: str = option("auto", "the figure by which the best weights are kept (auto: what suits the method)")
    patience: int = option(0, "validations without improvement after which to stop; 0: never", least=0)
