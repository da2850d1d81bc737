"""Loading and saving of volumes and scenes through slicer-core's real storage nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer


class CoreIOManager:
    """The part of qSlicerCoreIOManager that slicer.util's load, save and export functions use."""

    def __init__(self, scene: Any) -> None:
        self._scene = scene

    def fileType(self, filename: str) -> str:
        return "SceneFile" if str(filename).endswith((".mrml", ".mrb")) else "VolumeFile"

    def fileWriterFileType(self, node: Any, *_: Any) -> str:
        return "VolumeFile" if node.IsA("vtkMRMLVolumeNode") else "NoFile"

    def fileWriterExtensions(self, node: Any) -> tuple[str, ...]:
        return ("NRRD (*.nrrd)", "NRRD (*.nhdr)", "NIfTI (*.nii.gz)", "NIfTI (*.nii)") if node.IsA("vtkMRMLVolumeNode") else ()

    def extractKnownExtension(self, filename: str, node: Any) -> str:
        return next((ext for ext in (".nii.gz", ".nrrd", ".nhdr", ".nii") if str(filename).lower().endswith(ext)), Path(filename).suffix)

    def loadNodes(self, filetype: str, properties: dict[str, Any], loaded: Any, messages: Any) -> bool:
        path = properties["fileName"]
        if filetype == "SceneFile":
            self._scene.scene.SetURL(path)
            return bool(self._scene.scene.Connect())
        if filetype != "VolumeFile":
            raise AttributeError(f"the harness loads volumes and scenes, not {filetype}")
        node = slicer.vtkMRMLScalarVolumeNode()
        node.SetName(properties.get("name") or Path(path).name.split(".")[0])
        storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
        storage.SetFileName(path)
        storage.SetSingleFile(bool(properties.get("singleFile", False)))
        node.SetScene(self._scene.scene)
        if not Path(path).exists() or not storage.ReadData(node):
            messages.AddMessage(
                slicer.vtkMRMLMessageCollection.ErrorEvent if hasattr(messages, "ErrorEvent") else 0, f"{path} could not be read"
            )
            return False
        self._scene.scene.AddNode(storage)
        self._scene.scene.AddNode(node)
        node.SetAndObserveStorageNodeID(storage.GetID())
        node.CreateDefaultDisplayNodes()
        loaded.AddItem(node)
        if properties.get("show", True):
            self._scene.logic.GetSelectionNode().SetActiveVolumeID(node.GetID())
            self._scene.propagate(node)
        return True

    def saveNodes(self, filetype: str, properties: dict[str, Any], messages: Any) -> bool:
        if filetype == "SceneFile":
            self._scene.scene.SetURL(properties["fileName"])
            return bool(self._scene.scene.Commit(properties["fileName"]))
        node = self._scene.scene.GetNodeByID(properties["nodeID"])
        storage = node.GetStorageNode()
        if storage is None:
            node.AddDefaultStorageNode()
            storage = node.GetStorageNode()
        return self._write(node, storage, properties["fileName"], properties)

    def exportNodes(self, ids: list[str], names: list[str], properties: dict[str, Any], harden: bool, messages: Any) -> bool:
        written = []
        for node_id, name in zip(ids, names, strict=True):
            node = self._scene.scene.GetNodeByID(node_id)
            written.append(self._write(node, node.CreateDefaultStorageNode(), name, properties))
        return all(written)

    def _write(self, node: Any, storage: Any, path: str, properties: dict[str, Any]) -> bool:
        storage.SetFileName(str(path))
        if "useCompression" in properties:
            storage.SetUseCompression(int(properties["useCompression"]))
        return bool(storage.WriteData(node))
