"""How the objective of Zeng 2020 is minimised: L-BFGS as published, or faster to the same value.

Published: from noise, content, colour and TV for 1000 iterations; from there the whole objective for 1000 more, on
R, G and B. Fast: from the reference's ranked chroma, the whole objective only, on Y, U and V with Y stretched, in units
of the first step's length, to a plateau. The Y-loss is some hundred times stiffer than the rest, which makes L-BFGS
crawl along its valley; stretching Y by the root of that makes the valley round. L-BFGS-B tries a first step of length
one, whatever the unit: of a code in one pixel of thousands, that takes four evaluations to grow. (Half size first was
tried: chroma from there has detail that the whole picture must unlearn, and begins higher than the ranked chroma.)
Where and how each ends is in `Outcome`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..imaging.colorspaces import rgb_to_yuv
from ..progress import CancelToken, OnProgress, Progress
from .zeng_objective import Objective, Stage

_STIFFNESS = 1e3
"""Weights of the Y-loss up to this are no stiffer than the other terms."""
_FIRST_STEP = 0.3
"""Root mean square, in codes, of the first step that is tried."""


@dataclass
class Outcome:
    """What a minimisation gave, and the way there."""

    picture: Tensor
    """(1, 3, H, W) RGB in 0..255, not clipped."""
    iterations: int
    evaluations: int
    seconds: float
    """Of this process's processor time, so that other programs don't count."""
    trace: list[tuple[int, float]] = field(default_factory=list)
    """(evaluations, value) after each iteration."""


@dataclass(frozen=True)
class Coordinates:
    """The variables of the optimiser: RGB (scale None), or Y, U, V with Y stretched by `scale`, all over `unit`."""

    scale: float | None = None
    unit: float = 1.0
    """Codes that one stands for: the norm of the first step that is tried."""

    @classmethod
    def of_weight(cls, lambda_y: float, pixels: int) -> Coordinates:
        """For a weight of the Y-loss and a picture of so many pixels."""
        stretch = float(np.sqrt(max(1.0, lambda_y / _STIFFNESS)))
        return cls(stretch, _FIRST_STEP * float(np.sqrt(3 * pixels)))

    def _matrices(self, like: Tensor) -> tuple[Tensor, Tensor]:
        forward = rgb_to_yuv(np.eye(3)).T
        forward[0] *= self.scale or 1.0
        forward /= self.unit
        as_tensor = [torch.as_tensor(matrix, dtype=like.dtype) for matrix in (forward, np.linalg.inv(forward))]
        return as_tensor[0], as_tensor[1]

    def of(self, picture: Tensor) -> Tensor:
        """The variables of a picture."""
        return picture if self.scale is None else torch.einsum("dc,bchw->bdhw", self._matrices(picture)[0], picture)

    def picture(self, variables: Tensor) -> Tensor:
        """The picture of variables."""
        if self.scale is None:
            return variables
        return torch.einsum("dc,bchw->bdhw", self._matrices(variables)[1], variables)

    def gradient(self, by_pixel: Tensor) -> Tensor:
        """The gradient by the variables, given that by R, G and B."""
        return by_pixel if self.scale is None else torch.einsum("dc,bdhw->bchw", self._matrices(by_pixel)[1], by_pixel)


def minimise(
    objective: Objective,
    start: Tensor,
    *,
    stage: Stage = "full",
    iterations: int = 1000,
    coordinates: Coordinates = Coordinates(),
    plateau: float = 0.0,
    patience: int = 10,
    title: str = "",
    on_progress: OnProgress | None = None,
    cancel: CancelToken | None = None,
    after_iteration: Callable[[], None] | None = None,
) -> Outcome:
    """L-BFGS-B (scipy, as published) from `start`.

    `plateau`: it ends when the last `patience` iterations gained less than this share of the value; 0: never, apart
    from scipy's own test of convergence.
    """
    from scipy.optimize import minimize as scipy_minimize

    began, before = time.process_time(), objective.evaluations
    shape = start.shape
    trace: list[tuple[int, float]] = []
    latest = [0.0]

    def evaluate(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        if cancel:
            cancel.check()
        variables = torch.from_numpy(flat.astype(np.float32)).view(shape)
        value, gradient = objective.value_and_gradient(coordinates.picture(variables), stage)
        latest[0] = value
        return value, coordinates.gradient(gradient).numpy().ravel().astype(np.float64)

    def each(_: NDArray[np.float64]) -> None:
        trace.append((objective.evaluations - before, latest[0]))
        if on_progress:
            on_progress(Progress("optimise", len(trace), iterations, title, {"objective": latest[0]}))
        if after_iteration:
            after_iteration()
        if plateau and len(trace) > patience:
            old = trace[-1 - patience][1]
            if old - latest[0] < plateau * abs(old):
                raise StopIteration

    found = scipy_minimize(
        evaluate,
        coordinates.of(start).numpy().ravel().astype(np.float64),
        jac=True,
        method="L-BFGS-B",
        callback=each,
        options={"maxiter": iterations, "maxfun": 15 * iterations},
    )
    picture = coordinates.picture(torch.from_numpy(found.x.astype(np.float32)).view(shape))
    spent = time.process_time() - began
    return Outcome(picture, len(trace), objective.evaluations - before, spent, trace)


def published(
    objective: Objective,
    start: Tensor,
    iterations: int = 1000,
    on_progress: OnProgress | None = None,
    cancel: CancelToken | None = None,
    after_iteration: Callable[[], None] | None = None,
) -> tuple[Outcome, Outcome]:
    """Both stages as published: the style start, then the whole objective."""
    common = {"iterations": iterations, "on_progress": on_progress, "cancel": cancel}
    first = minimise(
        objective,
        start,
        stage="style",
        title="style start",
        after_iteration=after_iteration,
        **common,  # type: ignore[arg-type]
    )
    second = minimise(
        objective,
        first.picture,
        title="full objective",
        after_iteration=after_iteration,
        **common,  # type: ignore[arg-type]
    )
    return first, second
