"""D-hash (Zeng 2020, section III-C): 64 bits that say where a small gray picture darkens from left to right.

Not for: recognising pictures whatever was done to them. Turning, cropping and inverting change the hash, which is why
`pictures` crops both sides to what they show, and `turned` gives the hashes of the four ways to hold a slice.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ROWS, COLUMNS = 8, 9
LEVELS = 64
"""Gray levels of the small picture; what differs by less counts as equal."""

TURNS: tuple[tuple[str, tuple[int, int]], ...] = (
    ("as it is", (1, 1)),
    ("upside down", (-1, 1)),
    ("mirrored", (1, -1)),
    ("half turn", (-1, -1)),
)
"""The ways a slice may be stored: name, step along rows, step along columns. Transfers don't mind a mirror."""


def small(gray: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Steps 1 and 2: 9 x 8 pixels of 64 levels (0..63)."""
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(gray)).resize((COLUMNS, ROWS), Image.Resampling.LANCZOS)
    return np.asarray(picture) // np.uint8(256 // LEVELS)


def pack(levels: NDArray[np.uint8]) -> np.uint64:
    """Steps 3 to 5: left minus right in each row, its sign as a bit, 64 bits row by row, the first the highest.

    1 where the left pixel is brighter. (`imagehash.dhash` has 1 where the right one is.)
    """
    left, right = levels[:, :-1].astype(np.int16), levels[:, 1:].astype(np.int16)
    return np.packbits((left - right > 0).reshape(-1)).view(">u8").astype(np.uint64)[0]


def dhash(gray: NDArray[np.uint8]) -> np.uint64:
    """The hash of a gray picture of any size."""
    return pack(small(gray))


def turned(gray: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """The hashes of the picture in each of `TURNS`."""
    levels = small(gray)
    return np.array([pack(levels[::rows, ::columns]) for _, (rows, columns) in TURNS], dtype=np.uint64)


def distances(hashes: NDArray[np.uint64], queries: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """(queries, hashes): the number of differing bits (Hamming distance)."""
    return np.bitwise_count(hashes[None, :] ^ queries[:, None])
