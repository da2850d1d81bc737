"""Published backbone weights from disk: safetensors only, every tensor accounted for, never a pickle, never a partial load."""

from __future__ import annotations

import hashlib
import json
import re
import struct
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ModelUnavailable
from ..hashing import file_sha256
from .locations import backbone_path

if TYPE_CHECKING:
    import torch

    from .backbones.spec import BackboneSpec, KeyFormat, NormalisedBackbone

# Suffixes under which weights are published; what a file is, its first bytes say.
SUFFIXES = ("safetensors", "pt", "pth", "bin")
# How a pickle begins: a zip archive, as torch.save writes one, or the protocol opcode of a bare pickle.
PICKLES = (b"PK\x03\x04", b"\x80")
SHARDS = "*.safetensors.index.json"
# Beside weights that `fetch` installed: where they came from, and their hash.
SOURCE = "source.json"


def load_backbone(spec: BackboneSpec, input_px: tuple[int, int] | None = None, path: Path | None = None) -> tuple[NormalisedBackbone, str]:
    """The backbone with its published weights in float32, and their hash.

    `path` is a file, or a folder with the files of a checkpoint; the installed one if not given. `input_px` is the input size (height,
    width), the spec's own if not given. Raises ModelUnavailable that says what is missing and how to get it.
    """
    from .backbones.spec import NormalisedBackbone

    path = path or backbone_path(spec.name)
    files = weight_files(spec, path)
    sha256 = weights_sha256(files)
    recorded = _recorded_sha256(path)
    if recorded not in (None, sha256):
        raise ModelUnavailable(
            "damaged_weights", f"The weights in {path} differ from those that were fetched. Remove the folder and fetch again."
        )
    keys = _holders(files)
    published = _format(spec, keys, path)
    wanted = {key: file for key, file in keys.items() if re.fullmatch(published.reads, key)}
    backbone = NormalisedBackbone(spec, input_px, **published.options)
    try:
        state = published.convert(_read(wanted), backbone.network)
    except KeyError as missing:
        raise _misfit(path, published, f"Missing: {missing.args[0]}.") from None
    except (RuntimeError, ValueError) as error:  # a tensor of another size cannot be split, joined or resampled
        raise _misfit(path, published, str(error).splitlines()[0]) from None
    refuse_misfit(backbone.network.state_dict(), state, path)
    backbone.network.load_state_dict(state)
    return backbone.eval(), sha256


def weight_files(spec: BackboneSpec, path: Path) -> list[Path]:
    """The files of a checkpoint: `path` itself, or in a folder the published ones, the shards of an index, or all that are there.

    Raises ModelUnavailable `backbone_missing`, or `weights_incomplete` where an index names a shard that is not there.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise ModelUnavailable("backbone_missing", missing_message(spec))
    published = [path / name for name in spec.hub_files]
    if all(file.is_file() for file in published):
        return published
    for index in sorted(path.glob(SHARDS)):
        files = [path / name for name in _shards(index)]
        lost = [file.name for file in files if not file.is_file()]
        if lost:
            raise ModelUnavailable("weights_incomplete", f"{index} names files that are not beside it: {_some(lost)}. Fetch them too.")
        return files
    for suffix in SUFFIXES:
        if files := sorted(path.glob(f"*.{suffix}")):
            return files
    raise ModelUnavailable("backbone_missing", f"{path} holds no weights. {missing_message(spec)}")


def holds_weights(path: Path) -> bool:
    """Whether there is a file, or a folder with files of weights in it; not whether they are whole."""
    return path.is_file() or any(file for suffix in SUFFIXES for file in path.rglob(f"*.{suffix}"))


def tensor_names(path: Path) -> list[str]:
    """Names of the tensors of a safetensors file, whatever its suffix. Raises ModelUnavailable for a pickle or a damaged file."""
    from safetensors import SafetensorError, safe_open

    _refuse_pickle(path)
    try:
        with safe_open(path, "pt") as file:
            return list(file.keys())
    except (SafetensorError, OSError) as error:
        raise _damaged(path, error) from None


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """All tensors of a safetensors file. Raises ModelUnavailable for a pickle or a damaged file."""
    return _read(dict.fromkeys(tensor_names(path), path))


def weights_sha256(files: list[Path]) -> str:
    """The identity of a checkpoint: the hash of its file, or of the hashes of its files in their order."""
    hashes = [file_sha256(file) for file in files]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def refuse_misfit(own: dict[str, torch.Tensor], state: dict[str, torch.Tensor], path: Path) -> None:
    """Raise ModelUnavailable with the keys, unless `state` holds exactly the tensors of `own`."""
    missing, unexpected = sorted(set(own) - set(state)), sorted(set(state) - set(own))
    shapes = [f"{k} {tuple(state[k].shape)} instead of {tuple(own[k].shape)}" for k in own if k in state and state[k].shape != own[k].shape]
    if missing or unexpected or shapes:
        raise ModelUnavailable(
            "weights_do_not_fit",
            f"{path} does not fit the network. Missing: {_some(missing)}. Unexpected: {_some(unexpected)}. Other shape: {_some(shapes)}.",
        )


def missing_message(spec: BackboneSpec) -> str:
    """Why a backbone cannot be used before its weights are there, and what to do: licence page, hub id and command."""
    path = backbone_path(spec.name)
    if spec.hub_id is None:
        return f"The weights of {spec.title} are not published and not installed: put a checkpoint of yours at {path}."
    return (
        f"The weights of {spec.title} are not installed. Accept the licence ({spec.licence}) at {spec.licence_url}, then run "
        f"`headct-molre models --fetch {spec.name}`, which gets {spec.hub_id} from the hub; or put the file, or a folder with the files, "
        f"at {path}."
    )


def _some(names: list[str]) -> str:
    """The first names of a list, for a sentence."""
    return "none" if not names else ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _holders(files: list[Path]) -> dict[str, Path]:
    """The file of each tensor. Raises ModelUnavailable where two files hold a tensor of one name."""
    holders: dict[str, Path] = {}
    for file in files:
        for key in tensor_names(file):
            if key in holders:
                raise ModelUnavailable(
                    "weights_ambiguous", f"{holders[key]} and {file.name} both hold {key}. Keep the files of one checkpoint in a folder."
                )
            holders[key] = file
    return holders


def _format(spec: BackboneSpec, keys: dict[str, Path], path: Path) -> KeyFormat:
    for published in spec.formats:
        if published.fits(set(keys)):
            return published
    known = ", ".join(published.name for published in spec.formats)
    raise ModelUnavailable(
        "unknown_weights_format",
        f"{path} is not a checkpoint of {spec.title} in a known format ({known}). It holds {len(keys)} tensors: {_some(sorted(keys))}.",
    )


def _read(wanted: dict[str, Path]) -> dict[str, torch.Tensor]:
    """The named tensors, floating point ones as float32, whatever type they were published in."""
    from safetensors import SafetensorError, safe_open

    tensors = {}
    for path in dict.fromkeys(wanted.values()):
        try:
            with safe_open(path, "pt") as file:
                for key in (key for key, holder in wanted.items() if holder == path):
                    tensor = file.get_tensor(key)
                    tensors[key] = tensor.float() if tensor.is_floating_point() else tensor
        except SafetensorError as error:
            raise _damaged(path, error) from None
    return tensors


def _recorded_sha256(path: Path) -> str | None:
    """The hash that `fetch` noted of the weights in a folder, if it did."""
    try:
        return str(json.loads((path / SOURCE).read_bytes())["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _refuse_pickle(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(9)
    if not start.startswith(PICKLES) or _safetensors_header(start, path.stat().st_size):
        return
    target = path.with_suffix(".safetensors").name
    raise ModelUnavailable(
        "pickled_weights",
        f"{path} is a pickle. Pickled checkpoints are never loaded here: they can run any code. Convert it where nothing can be harmed, "
        f"in a container without network, by: python -c \"import torch, safetensors.torch as s; d = torch.load('{path.name}', "
        f"map_location='cpu', weights_only=True); d = d.get('model', d); "
        f"s.save_file({{k: v.clone().contiguous() for k, v in d.items()}}, '{target}')\"",
    )


def _safetensors_header(start: bytes, size: int) -> bool:
    """Whether a file starts as safetensors: the length of a header that fits into it, and the header's brace."""
    return len(start) == 9 and struct.unpack("<Q", start[:8])[0] < size and start[8:] == b"{"


def _shards(index: Path) -> list[str]:
    try:
        names = json.loads(index.read_bytes())["weight_map"].values()
        # A name leads into the folder and nowhere else.
        return sorted({str(name) for name in names if Path(str(name)).name == str(name)})
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ModelUnavailable("weights_incomplete", f"{index} is not an index of shards. Remove it and fetch it again.") from None


def _misfit(path: Path, published: KeyFormat, detail: str) -> ModelUnavailable:
    return ModelUnavailable("weights_do_not_fit", f"{path} is not a whole checkpoint in the {published.name} format. {detail}")


def _damaged(path: Path, error: Exception) -> ModelUnavailable:
    return ModelUnavailable("not_safetensors", f"{path} is not a complete safetensors file ({error}). Remove it and fetch it again.")
