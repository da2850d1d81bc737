"""From which version a fine-tune starts."""

from __future__ import annotations

from pathlib import Path

from ...models.checkpoint import champion_folder, version_folder
from ...models.versions import card_of


def base_folder(model: str) -> Path:
    """The released version that the champion goes back to, by its parents: every fine-tune starts there, and never from the one before.

    Raises NotFound for an unknown model, ModelUnavailable where none is served or a card is damaged.
    """
    folder = champion_folder(model)
    seen = {folder.name}
    while (parent := card_of(folder).parent) is not None and parent not in seen:
        before = version_folder(model, parent)
        if before is None:
            break
        seen.add(parent)
        folder = before
    return folder
