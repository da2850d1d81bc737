"""The calls of the open study inside the scene, so that saving the scene saves them, and a reopened scene has them."""

from __future__ import annotations

import json
from typing import Any

from ..core.errors import NotReadable


class SceneState:
    """One JSON document for each study in the parameters of the module's vtkMRMLScriptedModuleNode; `open_study` names the last one."""

    def __init__(self, node: Any) -> None:
        self._node = node

    def save(self, study: str, document: dict[str, Any]) -> None:
        """Keeps a study's calls; a moment's work, so at every change."""
        self._node.SetParameter(f"calls.{study}", json.dumps(document, sort_keys=True))
        self._node.SetParameter("open_study", study)

    def calls(self, study: str) -> dict[str, Any] | None:
        """A study's calls as they were saved. Raises NotReadable where the scene holds something else."""
        text = self._node.GetParameter(f"calls.{study}")
        if not text:
            return None
        try:
            return dict(json.loads(text))
        except (ValueError, TypeError):
            raise NotReadable("The calls in this scene cannot be read; those in the journal of this computer are used.") from None

    @property
    def open_study(self) -> str:
        """The study that was open when the scene was saved, empty where none was."""
        return str(self._node.GetParameter("open_study") or "")

    def keep_volume(self, study: str, node_id: str) -> None:
        """Remembers which volume of the scene shows a study."""
        self._node.SetNodeReferenceID(f"volume.{study}", node_id)

    def volume(self, study: str) -> Any | None:
        """The volume that shows a study, None where it is not in the scene."""
        return self._node.GetNodeReference(f"volume.{study}")
