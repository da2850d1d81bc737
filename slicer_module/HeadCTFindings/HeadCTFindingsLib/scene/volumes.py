"""Volumes between the scene and the server: voxels out of a node, a study of the server into one, windows upon them."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk

from ..app.volume_file import VolumeData
from ..core.errors import NotReadable
from ..core.presets import WindowPreset
from . import views


def volume_of(node: Any) -> VolumeData:
    """The voxels of a volume node, copied, and where they lie in the patient, transforms of the scene included.

    Raises NotReadable where that cannot be said with one matrix.
    """
    if node is None or node.GetImageData() is None:
        raise NotReadable("Choose a volume that has voxels.")
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    parent = node.GetParentTransformNode()
    if parent is not None:
        if not parent.IsTransformToWorldLinear():
            raise NotReadable("This volume is bent by a transform that is not linear. Harden the transform in the Transforms module first.")
        world = vtk.vtkMatrix4x4()
        parent.GetMatrixTransformToWorld(world)
        vtk.vtkMatrix4x4.Multiply4x4(world, matrix, matrix)
    voxels = slicer.util.arrayFromVolume(node)
    if voxels.ndim != 3:
        raise NotReadable("Only a plain CT volume can be sent: this one has several values in each voxel.")
    return VolumeData(np.array(voxels), views.to_array(matrix))


def put_into_scene(volume: VolumeData, name: str, preset: WindowPreset) -> Any:
    """A new scalar volume node with these voxels, which it shares, in a window. A few milliseconds, however large the volume is.

    slicer.util.updateVolumeFromArray would copy the voxels, and default display nodes would take a histogram of them all.
    """
    slices, rows, columns = volume.voxels.shape
    scalars = numpy_to_vtk(volume.voxels.reshape(-1), deep=False)
    image = vtk.vtkImageData()
    image.SetDimensions(columns, rows, slices)
    image.GetPointData().SetScalars(scalars)
    display = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeDisplayNode")
    display.SetDefaultColorMap()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevel(preset.width, preset.level)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    node.SetAndObserveDisplayNodeID(display.GetID())
    node.SetIJKToRASMatrix(views.to_matrix(volume.ijk_to_ras))
    node.SetAndObserveImageData(image)
    return node


def show(node: Any) -> None:
    """The volume alone in the slice views, each at its middle."""
    slicer.util.setSliceViewerLayers(background=node, foreground=None, label=None, fit=True)


def apply_window(node: Any, preset: WindowPreset) -> None:
    """Sets window and level of a volume, for good: Slicer's automatic ones are turned off."""
    display = node.GetDisplayNode() if node is not None else None
    if display is not None:
        display.SetAutoWindowLevel(False)
        display.SetWindowLevel(preset.width, preset.level)


def background() -> Any | None:
    """The volume in the slice view."""
    logic = views.slice_logic()
    return logic.GetBackgroundLayer().GetVolumeNode() if logic is not None else None
