"""Pictures of a 3D view without a window: Slicer's own displayable managers drawing into an off-screen buffer.

What is drawn is what the scene's nodes say, as in Slicer's 3D view. Not for choosing what to draw (`pictures.py`).
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

import numpy as np
import vtkmodules.vtkRenderingOpenGL2
import vtkmodules.vtkRenderingVolumeOpenGL2  # noqa: F401  (both register the drawing code with VTK)
from numpy.typing import NDArray
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkCommonCore import VTK_UNSIGNED_CHAR, vtkLogger
from vtkmodules.vtkRenderingCore import (
    vtkRenderer,
    vtkRenderWindow,
    vtkWindowToImageFilter,
)
from vtkmodules.vtkRenderingUI import vtkGenericRenderWindowInteractor

from ..errors import ResourceError
from .host import Node, Scene, application_logic, slicer

_MANAGERS = (
    "vtkMRMLCameraDisplayableManager",
    "vtkMRMLViewDisplayableManager",
    "vtkMRMLVolumeRenderingDisplayableManager",
)


class Stage:
    """A 3D view off screen. Used as a context manager; `picture()` draws the scene as it is now."""

    def __init__(self, scene: Scene, view_node: Node, size: tuple[int, int]) -> None:
        self.window = _window()
        self.window.SetOffScreenRendering(1)
        self.window.SetMultiSamples(0)
        self.window.SetSize(*size)
        self.renderer = vtkRenderer()
        self.window.AddRenderer(self.renderer)
        # Displayable managers want an interactor even though nobody interacts.
        self._interactor = vtkGenericRenderWindowInteractor()
        self._interactor.SetRenderWindow(self.window)
        logic = application_logic(scene)
        factory = slicer.vtkMRMLThreeDViewDisplayableManagerFactory.GetInstance()
        if factory.GetMRMLApplicationLogic() is None:
            factory.SetMRMLApplicationLogic(logic)
        self._group = slicer.vtkMRMLDisplayableManagerGroup()
        self._group.SetRenderer(self.renderer)
        for name in _MANAGERS:
            manager = getattr(slicer, name)()
            manager.SetMRMLApplicationLogic(logic)
            self._group.AddDisplayableManager(manager)
        self._group.SetMRMLDisplayableNode(view_node)

    def picture(self) -> NDArray[np.uint8]:
        """The view as `(height, width, 3)`."""
        self.renderer.ResetCameraClippingRange()
        self.window.Render()
        grab = vtkWindowToImageFilter()
        grab.SetInput(self.window)
        grab.ReadFrontBufferOff()
        grab.ShouldRerenderOff()
        grab.SetInputBufferTypeToRGB()
        grab.Update()
        image = grab.GetOutput()
        scalars = image.GetPointData().GetScalars()
        if scalars is None or scalars.GetDataType() != VTK_UNSIGNED_CHAR:
            raise ResourceError(
                "The 3D picture came out empty: OpenGL gave nothing. Install Mesa (libegl1, libosmesa6)."
            )
        width, height, _ = image.GetDimensions()
        return vtk_to_numpy(scalars).reshape(height, width, 3)[::-1].copy()

    def close(self) -> None:
        """Give memory back; managers must let go of the view before it dies."""
        self._group.SetMRMLDisplayableNode(None)
        self.window.Finalize()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _window() -> vtkRenderWindow:
    """A render window; VTK's warning that there is no X server is kept from people who need none."""
    before = vtkLogger.GetCurrentVerbosityCutoff()
    vtkLogger.SetStderrVerbosity(vtkLogger.VERBOSITY_ERROR)
    try:
        return vtkRenderWindow()
    finally:
        vtkLogger.SetStderrVerbosity(before)
