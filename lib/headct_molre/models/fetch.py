"""Gets published backbone weights from the hub, or from a file or folder of the user, checks them whole and installs them."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InvalidRequest, ModelUnavailable
from .locations import backbone_path, home
from .weights import SOURCE, holds_weights, load_backbone, missing_message, weight_files, weights_sha256

if TYPE_CHECKING:
    from .backbones.spec import BackboneSpec


def fetch_backbone(spec: BackboneSpec, source: Path | None = None) -> tuple[Path, str]:
    """Install the weights of a backbone and return their folder and hash; what is there already is checked and kept.

    From the spec's hub id, or copied from `source`, a file or folder. The files are loaded into the network before they are installed, so
    that wrong, partial or truncated ones never are. Raises ModelUnavailable with the reason and the remedy, InvalidRequest for a source
    that does not exist or would replace what is installed.
    """
    installed = backbone_path(spec.name)
    if source is None and holds_weights(installed):
        return installed, load_backbone(spec)[1]
    if source is not None:
        _refuse_in_the_way(spec, source, installed)
    # A source is loaded where it lies, so that it is refused by its own name and before gigabytes are copied.
    sha256 = None if source is None else load_backbone(spec, path=source)[1]
    folder = home() / "backbones" / spec.name
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{spec.name}-", dir=folder.parent))
    try:
        if source is None:
            _download(spec, partial)
            sha256 = load_backbone(spec, path=partial)[1]
        else:
            _copy(spec, source, partial)
            if weights_sha256(weight_files(spec, partial)) != sha256:
                raise ModelUnavailable("damaged_weights", f"{source} was not copied as it is, or changed meanwhile. Try again.")
        record = {"source": spec.hub_id if source is None else source.name, "licence": spec.licence, "sha256": sha256}
        (partial / SOURCE).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        shutil.rmtree(partial / ".cache", ignore_errors=True)  # the hub's notes about the download
        try:
            os.replace(partial, folder)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
            raise InvalidRequest("already_installed", f"{folder} is in the way. Remove it and try again.", field="fetch") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder, sha256


def _refuse_in_the_way(spec: BackboneSpec, source: Path, installed: Path) -> None:
    """Raise InvalidRequest for a source that does not exist, or weights that it would replace."""
    if not source.exists():
        raise InvalidRequest("invalid_argument", f"--from {source} does not exist.", field="from")
    if installed.is_relative_to(home()) and holds_weights(installed):
        raise InvalidRequest("already_installed", f"{spec.title} is installed already. Remove {installed} to replace it.", field="from")


def _download(spec: BackboneSpec, folder: Path) -> None:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError

    if spec.hub_id is None:
        raise ModelUnavailable("backbone_missing", missing_message(spec))
    try:
        for name in spec.hub_files:
            hf_hub_download(spec.hub_id, name, local_dir=folder)
    except GatedRepoError:
        raise ModelUnavailable(
            "licence_not_accepted",
            f"The hub does not give {spec.hub_id} to you yet. Accept the licence at {spec.licence_url}, run `hf auth login` and try again.",
        ) from None
    except Exception as error:  # the errors of a broken connection are those of the hub's HTTP client, which changes with its versions
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise
        if isinstance(error, EntryNotFoundError | RepositoryNotFoundError) and not isinstance(error, LocalEntryNotFoundError):
            raise ModelUnavailable(
                "not_on_hub",
                f"The hub has no {', '.join(spec.hub_files)} in {spec.hub_id}, or shows it only to those who accepted the licence at "
                f"{spec.licence_url} and ran `hf auth login`.",
            ) from None
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ModelUnavailable(
            "hub_unreachable",
            f"{spec.hub_id} could not be fetched ({reason}). Try again, or fetch the files elsewhere and "
            f"run `headct-molre models --fetch {spec.name} --from PATH`.",
        ) from None


def _copy(spec: BackboneSpec, source: Path, folder: Path) -> None:
    files = weight_files(spec, source)
    for file in files:
        # A single file is found in its folder by its suffix, whatever it was called.
        name = file.relative_to(source) if len(files) > 1 else Path("model.safetensors")
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, folder / name)
