"""The affine of a volume node, read and written so that it comes back bit for bit.

A node keeps spacing, directions and origin, and multiplies spacing and directions when asked for the matrix; the naive
way of setting it therefore loses the last bit of a third of all affines. Not for resampling.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from vtkmodules.vtkCommonMath import vtkMatrix4x4

_LAST_PLACES = 64


def matrix(affine: NDArray[np.float64]) -> vtkMatrix4x4:
    """A VTK matrix of a 4x4 array."""
    out = vtkMatrix4x4()
    out.DeepCopy(affine.ravel().tolist())
    return out


def array(vtk_matrix: vtkMatrix4x4) -> NDArray[np.float64]:
    """A 4x4 array of a VTK matrix."""
    return np.array([[vtk_matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def read_affine(node: Any) -> NDArray[np.float64]:
    """The node's own voxel-to-RAS affine, without its parent transform."""
    ijk_to_ras = vtkMatrix4x4()
    node.GetIJKToRASMatrix(ijk_to_ras)
    return array(ijk_to_ras)


def write_affine(node: Any, affine: NDArray[np.float64]) -> None:
    """Set the node's geometry so that `read_affine` gives `affine` again, bit for bit."""
    columns = [_spacing_and_direction(affine[:3, axis]) for axis in range(3)]
    directions = np.stack([direction for _, direction in columns], axis=1)
    # A node ignores changes that it deems too small to matter, so it is first set to something else.
    node.SetSpacing(*(2 * spacing for spacing, _ in columns))
    node.SetSpacing(*(spacing for spacing, _ in columns))
    node.SetIJKToRASDirections(*(directions + 1).ravel().tolist())
    node.SetIJKToRASDirections(*directions.ravel().tolist())
    node.SetOrigin(*(affine[:3, 3] + 1000).tolist())
    node.SetOrigin(*affine[:3, 3].tolist())


def _spacing_and_direction(column: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """A length and a unit vector whose product is `column` exactly, not just nearly.

    Rounding can make that impossible for the nearest length; then one a few units in the last place away does.
    """
    length = float(np.linalg.norm(column))
    up = down = length
    for _ in range(_LAST_PLACES):
        for spacing in (up, down):
            guess = column / spacing
            for candidate in (guess, np.nextafter(guess, np.inf), np.nextafter(guess, -np.inf)):
                guess = np.where(guess * spacing == column, guess, candidate)
            if np.array_equal(guess * spacing, column):
                return spacing, guess
        up, down = float(np.nextafter(up, np.inf)), float(np.nextafter(down, 0))
    return length, column / length


def world_affine(node: Any) -> NDArray[np.float64]:
    """The voxel-to-world affine with the parent transform applied (linear ones only)."""
    own = read_affine(node)
    parent = node.GetParentTransformNode()
    if parent is None or not parent.IsTransformToWorldLinear():
        return own
    to_world = vtkMatrix4x4()
    parent.GetMatrixTransformToWorld(to_world)
    return array(to_world) @ own
