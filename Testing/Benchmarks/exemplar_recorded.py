"""Optimisations that outlive a stop: every evaluation of an objective is kept on disk, and played back when run again.

For benchmarks that take an hour. L-BFGS, given the same values and gradients, takes the same steps, so a run that was
stopped goes on exactly where it was. Each record holds the processor time it took, so the sum is that of an unbroken
run. Not for the library: what a person waits for is kept slice by slice (`exemplar.volume`).
"""

from __future__ import annotations

import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch


class Recorded:
    """An objective whose evaluations are kept in a file; what `zeng_schedule.minimise` needs of one."""

    def __init__(self, objective: Any, path: Path, shape: tuple[int, ...]) -> None:
        self._objective, self._path = objective, path
        self._record = np.dtype(
            [("crc", "u4"), ("seconds", "f8"), ("value", "f8"), ("gradient", "f4", int(np.prod(shape)))]
        )
        self._shape = shape
        whole = path.stat().st_size // self._record.itemsize if path.is_file() else 0
        if whole:
            with path.open("rb+") as file:
                file.truncate(whole * self._record.itemsize)  # the last one may be torn
        self._kept = np.memmap(path, self._record, "r", shape=(whole,)) if whole else np.empty(0, self._record)
        self._stream = path.open("ab")
        self.evaluations, self.played_back = 0, 0
        self.seconds = 0.0
        """Processor time of all evaluations so far, with what the optimiser did between them."""
        self._since = time.process_time()

    def value_and_gradient(self, picture: torch.Tensor, stage: str) -> tuple[float, torch.Tensor]:
        """As `Objective.value_and_gradient`."""
        crc = zlib.crc32(np.ascontiguousarray(picture.detach().numpy()).data)
        number = self.evaluations
        self.evaluations += 1
        if number < len(self._kept):
            record = self._kept[number]
            if int(record["crc"]) != crc:
                raise SystemExit(f"{self._path} belongs to another run (evaluation {number} differs). Remove it.")
            self.played_back += 1
            self.seconds += float(record["seconds"])
            gradient = torch.from_numpy(np.array(record["gradient"])).view(self._shape)
            self._since = time.process_time()
            return float(record["value"]), gradient
        value, gradient = self._objective.value_and_gradient(picture, stage)
        now = time.process_time()
        made = np.zeros(1, self._record)
        made["crc"], made["seconds"], made["value"] = crc, now - self._since, value
        made["gradient"] = gradient.numpy().ravel()
        self._stream.write(made.tobytes())
        self._stream.flush()
        self.seconds += now - self._since
        self._since = now
        return value, gradient

    def discard(self) -> None:
        """Remove the records of a run that is finished."""
        self._stream.close()
        self._kept = np.empty(0, self._record)
        self._path.unlink(missing_ok=True)
