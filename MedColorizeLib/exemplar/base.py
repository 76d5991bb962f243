"""What every colour transfer offers: one gray slice and one colour picture in, one coloured slice out.

A transfer knows no files, no library and no volumes: `library` finds the reference, `volume` paints whole scans.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, UsageError
from ..imaging.clusters import TissueClasses
from ..options import Options as TransferOptions
from ..progress import CancelToken, OnProgress


class Transfer(ABC):
    """One published way of giving a gray slice the colours of a reference. Made with its options, then used often.

    The same slice, reference and options always give the same picture: what is random in a paper is seeded here.
    """

    name: ClassVar[str]
    """As in `registry`."""
    title: ClassVar[str]
    paper: ClassVar[str]
    Options: ClassVar[type[TransferOptions]] = TransferOptions

    def __init__(self, options: TransferOptions | None = None) -> None:
        chosen = self.Options() if options is None else options
        if not isinstance(chosen, self.Options):
            raise UsageError(f"'{self.name}' takes {self.Options.__qualname__}, not {type(chosen).__qualname__}.")
        self.options: Any = chosen

    @abstractmethod
    def transfer(
        self,
        gray: NDArray[np.uint8],
        reference: NDArray[np.uint8],
        cancel: CancelToken | None = None,
        on_progress: OnProgress | None = None,
    ) -> NDArray[np.float32]:
        """The slice (H, W) in colour: RGB (H, W, 3) in 0..255, unrounded; its luma need not be the slice's.

        `reference`: RGB (H', W', 3), any size; what is no tissue in it (gelatine, rulers) is black already.
        """

    def describe(self) -> dict[str, Any]:
        """For the provenance: what coloured this, and how."""
        return {"method": self.name, "method_options": self.options.to_mapping()}

    def notes(self) -> tuple[str, ...]:
        """What a person should know, e.g. that a loss ran on other layers than the paper's."""
        return ()


@runtime_checkable
class WarmTransfer(Protocol):
    """A transfer that optimises, and so gains from a good start: that of the slice beside it."""

    def transfer_from(
        self,
        gray: NDArray[np.uint8],
        reference: NDArray[np.uint8],
        start: NDArray[np.float32] | None = None,
        classes: TissueClasses | None = None,
        cancel: CancelToken | None = None,
        on_progress: OnProgress | None = None,
    ) -> NDArray[np.float32]:
        """As `Transfer.transfer`, from the picture `start` (H, W, 3), with the tissue classes of the whole volume."""
        ...


def checked(gray: NDArray[np.uint8], reference: NDArray[np.uint8]) -> None:
    """Refuse what no transfer can use; every `transfer` begins with it."""
    if gray.ndim != 2 or gray.dtype != np.uint8 or min(gray.shape) < 2:
        raise InputError(f"A transfer colours one 8-bit slice (H, W), not {gray.shape} of {gray.dtype}.")
    if reference.ndim != 3 or reference.shape[2] != 3 or reference.dtype != np.uint8 or min(reference.shape[:2]) < 2:
        raise InputError(
            f"A reference is an 8-bit RGB picture (H, W, 3), not {reference.shape} of {reference.dtype}. Convert it."
        )
