"""Intensity windows: from the scanner's numbers to the 8-bit codes whose luma the output keeps.

`codes` is the one definition of "the 8-bit windowed input" that the luminance lock, the report and the tests share:
`round(255 (x - low) / (high - low))`, held to 0..255, in double precision. What is not finite was not measured: 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from .volume import Volume

CT_PRESETS: dict[str, tuple[float, float]] = {
    "abdomen": (-160.0, 240.0),
    "angio": (-100.0, 500.0),
    "bone": (-500.0, 1300.0),
    "brain": (0.0, 80.0),
    "liver": (-20.0, 180.0),
    "lung": (-1350.0, 150.0),
    "mediastinum": (-125.0, 225.0),
    "soft-tissue": (-200.0, 300.0),
    "whole": (-1024.0, 1024.0),
}
"""Low and high HU of the windows that radiologists name."""

_SAMPLES = 1_000_000
"""Voxels looked at when statistics are enough: percentiles move by less than a code."""


@dataclass(frozen=True)
class Window:
    """The interval of scanner units that becomes codes 0 to 255."""

    low: float
    high: float
    name: str = ""
    invented: str = ""
    """Why this is not a real window of the data (constant volume), or empty."""

    def __post_init__(self) -> None:
        if not (np.isfinite(self.low) and np.isfinite(self.high)) or self.low >= self.high:
            raise UsageError(
                f"The window {self.low:g} to {self.high:g} is empty. "
                "Give a low value below the high one, e.g. --window -160 240."
            )


def sample(array: NDArray[Any], limit: int = _SAMPLES) -> NDArray[Any]:
    """An evenly strided view of at most about `limit` voxels."""
    step = max(1, int(np.ceil((array.size / limit) ** (1 / 3))))
    return array[tuple(slice(None, None, step if n > step else 1) for n in array.shape)]


def modality_of(volume: Volume) -> str:
    """The stated modality; else `CT` if the numbers are unmistakably Hounsfield units; else empty."""
    if volume.modality:
        return volume.modality
    some = sample(volume.array, 500_000)
    finite = _measured(some)
    if finite.size == 0:
        return ""
    low, high = float(finite.min()), float(finite.max())
    tissue = np.count_nonzero((finite > -150) & (finite < 250)) / finite.size
    return "CT" if -3100 <= low <= -800 and 150 < high < 32768 and tissue > 0.02 else ""


def auto_window(volume: Volume) -> Window:
    """The window a person would most likely choose: by modality, from robust percentiles inside the foreground."""
    some = sample(volume.array)
    values = _measured(some)
    if values.size == 0:
        return Window(0.0, 1.0, "auto", invented="the volume holds no finite value")
    least, most = float(values.min()), float(values.max())
    if least == most:
        reach = max(1.0, abs(least) * 1e-6)  # or the two bounds of a huge value would be one and the same double
        return Window(least - reach, least + reach, "auto", invented=f"every voxel is {least:g}")
    if modality_of(volume) == "CT":
        body = values[values > -200]
        if body.size > 1000:
            # Low enough that the colour of fat can be seen, high enough that only dense bone is white.
            return Window(-350.0, float(np.clip(np.percentile(body, 98), 250, 600)), "auto CT")
    inside = values[values > _split(values)]
    low, bright = float(np.percentile(values, 0.5)), float(np.percentile(inside if inside.size else values, 95))
    if low >= bright:
        low, bright = least, most
    # White can hold no colour, so bright tissue stays a tenth below it; what is brighter still (fat) has that room.
    return Window(low, low + (bright - low) / 0.9, "auto")


def _measured(some: NDArray[Any]) -> NDArray[Any]:
    """The values without what is not finite and without padding.

    Padding (-2000, -3024, -32768, ...) is one value below air in HU, apart from all others; nothing measured is.
    """
    values = some[np.isfinite(some)] if some.dtype.kind == "f" else some.reshape(-1)
    if values.dtype.kind == "b":
        values = values.view(np.uint8)
    if values.size == 0 or (least := float(values.min())) >= -1100:
        return values
    rest = values[values > least]
    if rest.size == 0:
        return values
    lowest, highest = float(rest.min()), float(rest.max())
    return rest if lowest < highest and lowest - least > 0.2 * (highest - lowest) else values


def _split(values: NDArray[Any]) -> float:
    """Otsu's threshold between background and foreground."""
    least, most = np.percentile(values, (0.1, 99.9))
    if least >= most:
        return float(least)
    counts, edges = np.histogram(values, bins=256, range=(float(least), float(most)))
    return float(edges[otsu(counts) + 1])


def otsu(counts: NDArray[Any]) -> int:
    """The histogram bin after which foreground begins, by Otsu's criterion."""
    weights = counts.astype(np.float64)
    below = np.cumsum(weights)
    moment = np.cumsum(weights * np.arange(len(weights)))
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (moment / below - (moment[-1] - moment) / above) ** 2
    return int(np.nanargmax(np.where(np.isfinite(between), between, -1.0)))


def choose_window(volume: Volume, request: str | tuple[float, float] | Window | None = None) -> Window:
    """The window asked for: explicit bounds, a name (`auto`, `header`, a CT preset), or the automatic one."""
    if isinstance(request, Window):
        return request
    if request is None or request == "auto":
        return auto_window(volume)
    if isinstance(request, tuple):
        return Window(float(request[0]), float(request[1]), "explicit")
    if request == "header":
        if "window" not in volume.facts:
            raise UsageError("The file states no window. Use --window LOW HIGH, or leave --window out.")
        low, high = volume.facts["window"]
        return Window(float(low), float(high), "header")
    if request in CT_PRESETS:
        return Window(*CT_PRESETS[request], request)
    names = ", ".join(["auto", "header", *CT_PRESETS])
    raise UsageError(f"There is no window called '{request}'. Names: {names}; or two numbers: --window LOW HIGH.")


def codes(array: NDArray[Any], window: Window) -> NDArray[np.uint8]:
    """The 8-bit windowed input (see the module's text for the definition)."""
    if array.dtype.kind in "iub" and array.dtype.itemsize <= 2:
        return np.take(code_table(array.dtype, window), patterns(array), mode="clip")
    return scale(array, window.low, window.high)


def patterns(array: NDArray[Any]) -> NDArray[np.unsignedinteger[Any]]:
    """A small-integer array as unsigned bit patterns, the index into the tables by dtype."""
    if array.dtype.kind == "b":
        return array.view(np.uint8)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return array.view(np.uint8 if array.dtype.itemsize == 1 else np.uint16)


def values_of(dtype: np.dtype[Any]) -> NDArray[Any]:
    """Every value of a small integer type, in the order of its bit patterns."""
    if dtype.kind == "b":
        return np.array([0, 1], dtype=np.uint8)
    unsigned = np.uint8 if dtype.itemsize == 1 else np.uint16
    return np.arange(2 ** (8 * dtype.itemsize), dtype=unsigned).view(dtype.newbyteorder("="))


def code_table(dtype: np.dtype[Any], window: Window) -> NDArray[np.uint8]:
    """The code of every value of a small integer type."""
    return scale(values_of(dtype), window.low, window.high)


def scale(array: NDArray[Any], low: float, high: float, top: int = 255) -> NDArray[Any]:
    """`round(top (x - low) / (high - low))` held to 0..top, what is not finite as 0, computed in double precision."""
    out = np.subtract(array, low, dtype=np.float64)
    out *= top / (high - low)
    with np.errstate(invalid="ignore"):
        np.rint(out, out=out)
        np.clip(out, 0, top, out=out)
    if array.dtype.kind == "f":
        out[~np.isfinite(array)] = 0
    return out.astype(np.uint8 if top < 256 else np.uint16)


def count_non_finite(array: NDArray[Any]) -> tuple[int, int]:
    """How many voxels are NaN and how many infinite."""
    if array.dtype.kind != "f":
        return 0, 0
    nans = infinities = 0
    for plane in array:
        nans += int(np.count_nonzero(np.isnan(plane)))
        infinities += int(np.count_nonzero(np.isinf(plane)))
    return nans, infinities
