"""Turning the slice view to the model's own slices, and back."""

from __future__ import annotations

from ..core.frame import Frame, view_normal
from . import views

_TURNED = 1.0  # degrees from which a view shows other planes than the model saw


def to_model(frame: Frame, index: int) -> None:
    """The view shows this model slice exactly, upright as radiologists look at it."""
    node = views.slice_node()
    if node is None:
        return
    node.GetSliceToRAS().DeepCopy(views.to_matrix(frame.slice_to_ras(index)))
    node.UpdateMatrices()


def to_axial() -> None:
    """The view is axial in the patient's space again; the volume in it stays."""
    node = views.slice_node()
    if node is not None:
        node.SetOrientation("Axial")


def advice(frame: Frame) -> str:
    """A line where the view is turned against the model's slices, else nothing."""
    node = views.slice_node()
    if node is None:
        return ""
    angle = frame.angle_degrees(view_normal(views.to_array(node.GetSliceToRAS())))
    return f"The view is turned {angle:.0f} degrees against the model's slices." if angle > _TURNED else ""
