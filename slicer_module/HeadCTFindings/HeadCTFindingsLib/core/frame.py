"""Model slices in the patient: from an index to a plane in RAS and back, for oblique, tilted and flipped scans alike.

The model's grid stands in the scanner's RAS space in millimetres through `model_to_ras` (slice, row, column, 1). Nothing here assumes
that its slices are axial, that the view is, or that both run the same way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .errors import NotReadable

_LEFT, _BACK, _FRONT, _TOP = np.array([[-1.0, 0, 0], [0, -1, 0], [0, 1, 0], [0, 0, 1]])
_ALONG = 0.2  # cosine: a view within 12 degrees of the line through the slices shows all of them rather than one


@dataclass(frozen=True)
class Frame:
    """The model's grid: `model_to_ras` (4, 4), `shape` (slices, rows, columns)."""

    model_to_ras: np.ndarray
    shape: tuple[int, int, int]

    def __post_init__(self) -> None:
        matrix = np.asarray(self.model_to_ras, dtype=float)
        if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or abs(np.linalg.det(matrix[:3, :3])) < 1e-9:
            raise NotReadable("frame.model_to_ras is not a 4 x 4 matrix that can be inverted")
        object.__setattr__(self, "model_to_ras", matrix)

    @property
    def slices(self) -> int:
        """How many slices the model saw."""
        return self.shape[0]

    def position(self, ras: np.ndarray) -> np.ndarray:
        """Where points (..., 3) in RAS mm lie along the slices, as fractions of an index: 3.5 is between 3 and 4."""
        points = np.asarray(ras, dtype=float)
        inverse = np.linalg.inv(self.model_to_ras)
        return np.asarray(points @ inverse[0, :3] + inverse[0, 3])

    def index_at(self, ras: np.ndarray) -> int | None:
        """The slice through a point (3,) in RAS mm; None above and below what the model saw."""
        position = float(self.position(ras))
        return int(np.floor(position + 0.5)) if -0.5 <= position < self.slices - 0.5 else None

    def centre(self, index: int) -> np.ndarray:
        """RAS position (3,) in mm of the centre of a slice. Raises IndexError beyond the slices."""
        if not 0 <= index < self.slices:
            raise IndexError(f"slice {index} of {self.slices}")
        _, rows, columns = self.shape
        return (self.model_to_ras @ [index, (rows - 1) / 2, (columns - 1) / 2, 1.0])[:3]

    @property
    def normal(self) -> np.ndarray:
        """Unit vector (3,) that is perpendicular to the slices and runs the way that their index grows."""
        steps = self.model_to_ras[:3, :3]
        normal = _unit(np.cross(steps[:, 1], steps[:, 2]))
        return normal if normal @ steps[:, 0] > 0 else -normal

    def offset(self, index: int, view_normal: np.ndarray) -> float:
        """Offset in mm along a view's unit normal (3,) at which the view goes through the centre of a slice.

        3D Slicer's slice offset is the position of the plane along its normal, so that this is what `SetSliceOffset` takes.
        """
        return float(_unit(np.asarray(view_normal, dtype=float)) @ self.centre(index))

    def angle_degrees(self, view_normal: np.ndarray) -> float:
        """How far a view is tilted against the slices, 0 to 90 degrees; a flipped view is not tilted."""
        cosine = abs(float(_unit(np.asarray(view_normal, dtype=float)) @ self.normal))
        return float(np.degrees(np.arccos(min(cosine, 1.0))))

    def index_of_view(self, slice_to_ras: np.ndarray) -> int | None:
        """The slice that a view (4, 4) shows: where its plane crosses the line through the middles of all slices.

        So a view that is moved in its own plane goes on showing the same slice, and `offset` leads to the slice it was asked for, also
        where the view is tilted. A view along that line shows the slice through its middle. None outside of what the model saw.
        """
        step, normal = self.model_to_ras[:3, 0], view_normal(slice_to_ras)
        across = float(normal @ step)
        if abs(across) < _ALONG * float(np.linalg.norm(step)):
            return self.index_at(view_centre(slice_to_ras))
        position = float(normal @ (view_centre(slice_to_ras) - self.centre(0))) / across
        return int(np.floor(position + 0.5)) if -0.5 <= position < self.slices - 0.5 else None

    def slice_to_ras(self, index: int) -> np.ndarray:
        """Slice-to-RAS (4, 4) that shows a slice as radiologists look at it: patient's right on the left, front at the top.

        Axes follow the patient and not the grid, so that a flipped or turned grid is shown upright; slices that stand up have the patient's
        top at the top. Left-handed like 3D Slicer's own axial view.
        """
        normal = self.normal
        up = _FRONT if abs(normal @ _TOP) >= 0.5 else _TOP
        y = _unit(up - (up @ normal) * normal)
        x = np.cross(y, normal)
        x = x if x @ (_LEFT if abs(x @ _LEFT) > 0.5 else _BACK) > 0 else -x
        matrix = np.eye(4)
        matrix[:3] = np.column_stack([x, y, -np.cross(x, y), self.centre(index)])
        return matrix


def view_normal(slice_to_ras: np.ndarray) -> np.ndarray:
    """Unit normal (3,) of a slice view from its slice-to-RAS matrix (4, 4)."""
    return _unit(np.asarray(slice_to_ras, dtype=float)[:3, 2])


def view_centre(slice_to_ras: np.ndarray) -> np.ndarray:
    """RAS position (3,) in mm of the middle of a slice view from its slice-to-RAS matrix (4, 4)."""
    return np.asarray(slice_to_ras, dtype=float)[:3, 3]


def _unit(vector: np.ndarray) -> np.ndarray:
    length = float(np.linalg.norm(vector))
    return vector / length if length else vector
