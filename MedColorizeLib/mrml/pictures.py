"""Pictures and turntables of a coloured volume in 3D.

One door: `Scenery` sets a private scene up as Slicer would have it and draws it from any side. Not for slice planes
(`planes.py`) and not for saving scenes (`scene.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..imaging.volume import ColorVolume
from ..progress import CancelToken, OnProgress, track
from . import host
from .cuts import cut_open
from .marks import mark_picture
from .nodes import volume_node
from .offscreen import Stage
from .opacity import with_alpha
from .presets import choose_preset
from .rendering import Look, show, visible_voxels
from .views import View, aim, letters, view_named, view_nodes


@dataclass(frozen=True)
class Style:
    """How a 3D picture looks."""

    size: tuple[int, int] = (1000, 1000)
    background: str = "light"
    look: Look | None = None
    """None: the preset that suits the volume."""
    cut: str | None = None
    cut_at: float = 0.5
    marks: bool = True
    """Letters that say which side of the patient is where."""
    notice: bool = True
    """The line that says that the colour is synthetic."""

    def __post_init__(self) -> None:
        if not all(16 <= side <= 8192 for side in self.size):
            raise UsageError(f"A picture has 16 to 8192 pixels a side, not {self.size[0]}x{self.size[1]}.")


class Scenery:
    """A coloured volume set up for pictures. Used as a context manager."""

    def __init__(self, color: ColorVolume, style: Style | None = None, cut_from: str = "three-quarter") -> None:
        self.style = style or Style()
        rgba = with_alpha(color)
        # Chosen before the cut: half a head is still a head.
        look = self.style.look or Look(choose_preset(rgba).name)
        if self.style.cut:
            rgba = cut_open(rgba, self.style.cut, view_named(cut_from), self.style.cut_at)
        self.look = look
        self.scene = host.new_scene()
        view_node, self._camera = view_nodes(self.scene, self.style.background)
        view_node.SetOrientationMarkerType(view_node.OrientationMarkerTypeNone)
        node = volume_node(self.scene, rgba)
        show(self.scene, node, rgba, look)
        self._points = visible_voxels(node)
        self._stage = Stage(self.scene, view_node, self.style.size)

    def picture(
        self, view: View | str = "three-quarter", frame: NDArray[np.float64] | None = None
    ) -> NDArray[np.uint8]:
        """The volume from one side, `(height, width, 3)`; `frame`: points to frame instead of the volume's own."""
        if isinstance(view, str):
            view = view_named(view)
        width, height = self.style.size
        aim(self._camera, self._points if frame is None else frame, view, width / height)
        picture = self._stage.picture()
        return mark_picture(
            picture, letters(view) if self.style.marks else {}, notice=self.style.notice, dark=self._dark
        )

    def turntable(
        self,
        frames: int = 48,
        view: View | str = "three-quarter",
        on_progress: OnProgress | None = None,
        cancel: CancelToken | None = None,
    ) -> Iterator[NDArray[np.uint8]]:
        """Pictures once around the patient's long axis."""
        if isinstance(view, str):
            view = view_named(view)
        # One frame for the whole turn, or the volume would breathe.
        centre = (self._points.min(axis=0) + self._points.max(axis=0)) / 2
        around = np.concatenate([(self._points - centre) @ _turn(angle).T + centre for angle in range(0, 360, 15)])
        for n in track(range(frames), "render", frames, on_progress, cancel):
            yield self.picture(view.turned(360 * n / frames), around)

    @property
    def _dark(self) -> bool:
        return self.style.background in ("dark", "black")

    def close(self) -> None:
        """Free the scene and its buffers."""
        self._stage.close()
        host.close_scene(self.scene)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def picture(color: ColorVolume, view: str = "three-quarter", style: Style | None = None) -> NDArray[np.uint8]:
    """One picture of a coloured volume from a named side."""
    with Scenery(color, style, cut_from=view) as scenery:
        return scenery.picture(view)


def _turn(degrees: float) -> NDArray[np.float64]:
    angle = np.deg2rad(degrees)
    return np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
