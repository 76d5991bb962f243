"""Frechet distance between two sets of pictures."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Features(Protocol):
    """A feature space: what turns a batch of RGB pictures into vectors. Networks come in through here."""

    @property
    def name(self) -> str:
        """What to call the space in a report, e.g. `Inception-v3 pool3` or `SqueezeNet 1.1 fire9 mean`."""
        ...

    def __call__(self, pictures: NDArray[np.uint8]) -> NDArray[Any]:
        """(n, H, W, 3) codes to (n, dimensions)."""
        ...
