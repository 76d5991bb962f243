"""Where the body is in a photograph of a cryosection: without gelatine, latex, rulers, labels and logos.

Works on colour alone, so it needs no knowledge of the donor: the embedding gelatine and the latex in the cavities are
blue, tissue never is. Not for scans, which have a foreground of their own (`imaging.foreground`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_SHRINK = 2
"""The mask is found at half the resolution: frames are video-compressed, so nothing smaller is to be trusted."""
_FOOT = 0.84
"""Below this fraction of the height lie rulers and labels; tissue may hang into it but does not end there."""


def body(rgb: NDArray[np.uint8], logo: tuple[float, float] = (0.86, 0.14)) -> NDArray[np.bool_]:
    """True where a photograph (J, I, 3) shows tissue.

    `logo`: nothing right of the first fraction of the width and above the second of the height counts (the library's
    emblem stands there in the Visible Human frames).
    """
    from scipy import ndimage
    from skimage.morphology import disk, remove_small_objects

    rows, columns = rgb.shape[0] // _SHRINK * _SHRINK, rgb.shape[1] // _SHRINK * _SHRINK
    small = rgb[:rows, :columns].astype(np.float32)
    small = small.reshape(rows // _SHRINK, _SHRINK, columns // _SHRINK, _SHRINK, 3).mean(axis=(1, 3))
    red, green, blue = (ndimage.gaussian_filter(small[..., channel], 1) for channel in range(3))
    # Tissue is warm, from cream to dark red. The black world outside the block is as dark, but has no hue.
    warm = (red > blue + 8) & (red > 35) & (red >= green - 22)
    height, width = warm.shape
    corner = np.zeros_like(warm)
    corner[: int(logo[1] * height), int(logo[0] * width) :] = True
    corner[int(_FOOT * height) :] = _label(red, green, blue)[int(_FOOT * height) :]
    warm &= ~corner
    warm = ndimage.binary_opening(warm, disk(2))
    warm = remove_small_objects(warm, max_size=int(0.0006 * warm.size))
    # Dark lumen, air and bone marrow lie inside the outline; blue inside it is latex or gelatine and stays out.
    filled = ndimage.binary_fill_holes(ndimage.binary_closing(warm, disk(3)))
    is_blue = (blue > red + 12) & (blue > 45)
    mask = ndimage.binary_opening(filled & ~ndimage.binary_dilation(is_blue, disk(1)), disk(1))
    mask = _without_cards(mask, red, green, blue)
    full = np.zeros(rgb.shape[:2], bool)
    full[:rows, :columns] = np.repeat(np.repeat(mask, _SHRINK, axis=0), _SHRINK, axis=1)
    return full


def _label(red: NDArray[np.float32], green: NDArray[np.float32], blue: NDArray[np.float32]) -> NDArray[np.bool_]:
    """The paper labels: a yellow whose green is as strong as its red, which only fat has."""
    return (green > 110) & (green > red - 6) & (green > blue + 70)


def _without_cards(
    mask: NDArray[np.bool_], red: NDArray[np.float32], green: NDArray[np.float32], blue: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """Drop pieces that are gray cards or colour charts: neutral in the main, or straight-edged at the picture's rim."""
    from scipy import ndimage

    pieces, count = ndimage.label(mask)
    if not count:
        return mask
    numbers = np.arange(1, count + 1)
    warmth = ndimage.mean(red - blue, pieces, numbers)
    greenness = ndimage.mean(green - red, pieces, numbers)
    sizes = ndimage.sum_labels(mask, pieces, numbers)
    centers = ndimage.center_of_mass(mask, pieces, numbers)
    largest = sizes.max()
    keep = np.zeros(count + 1, bool)
    for number, warm, greenish, size, (row, column) in zip(numbers, warmth, greenness, sizes, centers, strict=True):
        at_rim = row > _FOOT * mask.shape[0] or column < 0.04 * mask.shape[1] or column > 0.96 * mask.shape[1]
        paper = row > 0.7 * mask.shape[0] and greenish > -10
        small = size < 0.2 * largest
        keep[number] = warm > 14 and greenish < 4 and size > 0.01 * largest and not (small and (at_rim or paper))
    return keep[pieces]
