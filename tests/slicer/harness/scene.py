"""The real MRML scene and application logic of slicer-core, with the default colours, orientations and slice logics."""

from __future__ import annotations

from typing import Any

import slicer
import vtk

SLICES = {"Red": "Axial", "Yellow": "Sagittal", "Green": "Coronal"}


class Scene:
    """One MRML scene with its logics. `scene` and the logics live as long as the process, as in Slicer."""

    def __init__(self) -> None:
        self.scene = slicer.vtkMRMLScene()
        self.logic = slicer.vtkSlicerApplicationLogic()
        self.logic.GetColorLogic().SetMRMLScene(self.scene)
        self.logic.SetMRMLScene(self.scene)
        self.logic.GetColorLogic().AddDefaultColorNodes()
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(self.scene)
        self.slice_logics: dict[str, Any] = {}
        self.slice_logic_list = vtk.vtkCollection()
        self.logic.SetSliceLogics(self.slice_logic_list)
        self.layout_logic = slicer.vtkMRMLLayoutLogic()
        for name, orientation in SLICES.items():
            self._add_slice(name, orientation)
        self.layout_logic.SetMRMLScene(self.scene)

    def _add_slice(self, name: str, orientation: str) -> None:
        logic = slicer.vtkMRMLSliceLogic()
        logic.SetMRMLApplicationLogic(self.logic)
        logic.SetMRMLScene(self.scene)
        node = logic.AddSliceNode(name)
        node.SetOrientation(orientation)
        node.SetDimensions(400, 400, 1)
        self.slice_logics[name] = logic
        self.slice_logic_list.AddItem(logic)

    def propagate(self, volume: Any) -> None:
        """Show a volume in all slice views and fit them, as Slicer does after loading one."""
        for logic in self.slice_logics.values():
            logic.GetSliceCompositeNode().SetBackgroundVolumeID(volume.GetID())
            logic.FitSliceToBackground()
            logic.SnapSliceOffsetToIJK()

    def propagate_selection(self) -> None:
        """What vtkSlicerApplicationLogic.PropagateVolumeSelection does: the selection node's active volume into the views."""
        node = self.scene.GetNodeByID(self.logic.GetSelectionNode().GetActiveVolumeID() or "")
        if node is not None:
            self.propagate(node)
