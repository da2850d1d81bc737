"""The versions of a model and which of them is served: list, promote, roll back, compare."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import FiniteFloat, ValidationError

from ..errors import InvalidRequest, ModelUnavailable, NotFound
from ..hashing import file_sha256
from ..schema import Contract, ModelCard
from .aliases import VERSION, Aliases, locked, read_aliases, write_aliases
from .backbones import backbone_names, backbone_spec
from .checkpoint import CARD, WEIGHTS, champion_folder, read_card, version_folder
from .history import Event, append, champions, new_event, read_history, settled
from .locations import SHIPPED, backbone_path, home, model_folders
from .version_diff import VersionDiff, diff_cards
from .weights import weight_files, weights_sha256

GateOutcome = Literal["promote", "hold", "reject", "not_judged"]


class VersionEntry(Contract):
    """One version of a model; `gate` is what the gate said of it against the version that is served now."""

    version: str
    champion: bool
    candidate: bool
    created: str
    adapter: str
    demo: bool
    parent: str | None
    mean_auc: FiniteFloat | None
    weights_sha256: str
    shipped: bool
    gate: GateOutcome


def list_versions(model: str) -> list[VersionEntry]:
    """All versions, the newest first. Raises NotFound for an unknown model, ModelUnavailable for a damaged card."""
    _check_model(model)
    champion, candidate = served_version(model), _aliases(model).candidate
    entries = {}
    for folder in model_folders(model):
        for path in sorted(folder.iterdir()):
            if VERSION.fullmatch(path.name) and (path / CARD).is_file() and path.name not in entries:
                card = card_of(path)
                entries[path.name] = VersionEntry(
                    version=path.name,
                    champion=path.name == champion,
                    candidate=path.name == candidate,
                    created=card.created,
                    adapter=card.adapter,
                    demo=card.demo,
                    parent=card.parent,
                    mean_auc=card.mean_auc,
                    weights_sha256=card.weights_sha256,
                    shipped=folder.parent == SHIPPED,
                    gate=gate_outcome(model, path.name),
                )
    return sorted(entries.values(), key=lambda entry: (entry.created, entry.version), reverse=True)


def promote(model: str, who: str, version: str | None = None, reason: str = "", against: str | None = None) -> Event:
    """Serve a version, the candidate if not told, from the next request on; the present one is remembered.

    `against` is the version that is believed to be served: where it no longer is, nothing is done. Raises NotFound, InvalidRequest where
    `reason` is empty and the gate did not say "promote" against the version that is served, and ModelUnavailable for a version that could
    not be served: damaged, or without its backbone.
    """
    _check_model(model)
    _check_who(who)
    folder = home() / "models" / model
    with locked(folder):
        served, aliases = served_version(model), read_aliases(folder)
        version = version or aliases.candidate
        if version is None:
            raise NotFound("no_candidate", f"{model} has no candidate. Name the version to promote.", field="version")
        if against is not None and against != served:
            message = f"{model} is now served as {served}, not as {against}. Look at the versions again."
            raise InvalidRequest("champion_changed", message, field="against", status=409)
        if version == served:
            raise InvalidRequest("already_champion", f"{model} is served as {version} already.", field="version", status=409)
        _check_servable(model, version)
        gate = gate_outcome(model, version)
        if gate != "promote" and not reason.strip():
            said = "has not judged it against the version that is served" if gate == "not_judged" else f"says {gate}"
            message = f"The gate {said}: give a reason to promote {version} all the same. It is kept in the history."
            raise InvalidRequest("reason_needed", message, field="reason")
        settled(folder, served)
        event = new_event("promoted", served, version, who, gate, reason)
        append(folder, event)
        write_aliases(folder, Aliases(version, None if version == aliases.candidate else aliases.candidate))
    return event


def rollback(model: str, who: str, reason: str = "") -> Event:
    """Serve the version before the present one, and with the next call the one before that.

    Raises NotFound where there was none, ModelUnavailable where it could not be served any more.
    """
    _check_model(model)
    _check_who(who)
    folder = home() / "models" / model
    with locked(folder):
        served = served_version(model)
        line = champions(settled(folder, served))
        previous = line[-2] if len(line) > 1 else None
        if previous is None:
            raise NotFound("no_previous_version", f"{model} was never served as another version than {served}.", field="model")
        _check_servable(model, previous)
        event = new_event("rolled_back", served, previous, who, reason=reason)
        append(folder, event)
        write_aliases(folder, Aliases(previous, read_aliases(folder).candidate))
    return event


def diff_versions(model: str, before: str, after: str) -> VersionDiff:
    """What differs between two versions of a model. Raises NotFound."""
    return diff_cards(card_of(find_version(model, before)), card_of(find_version(model, after)))


def version_history(model: str) -> list[Event]:
    """Who served which version and when, the oldest first. Raises NotFound for an unknown model."""
    _check_model(model)
    return read_history(home() / "models" / model)


def find_version(model: str, version: str) -> Path:
    """The folder of a version. Raises NotFound for an unknown model or version."""
    _check_model(model)
    folder = version_folder(model, version) if VERSION.fullmatch(version) else None
    if folder is None:
        raise NotFound("unknown_version", f"{model} has no version {version!r}. See: headct-molre models versions {model}", field="version")
    return folder


def served_version(model: str) -> str | None:
    """The version that is served, None where there is none. Raises ModelUnavailable where the alias names one that is not there."""
    try:
        return champion_folder(model).name
    except ModelUnavailable as error:
        if error.code == "no_trained_version":
            return None
        raise


def card_of(folder: Path) -> ModelCard:
    """The card in the folder of a version, whether or not it can be served. Raises ModelUnavailable for a damaged one."""
    try:
        card = ModelCard.model_validate_json((folder / CARD).read_bytes())
    except ValidationError as error:
        raise ModelUnavailable("damaged_model", f"The card {folder / CARD} is not valid: {error.errors()[0]['msg']}.") from None
    if card.version != folder.name:
        raise ModelUnavailable("damaged_model", f"The card {folder / CARD} is of the version {card.version!r}. Restore the version.")
    return card


def gate_folder(model: str, version: str) -> Path:
    """Where the gate's report on a version lies (`gate.json`, `gate.html`), beside the versions, which are never changed."""
    return home() / "models" / model / ".gate" / version


def gate_outcome(model: str, version: str) -> GateOutcome:
    """What the gate said of these weights against the version that is served; "not_judged" where it said nothing, or of others."""
    try:
        report = json.loads((gate_folder(model, version) / "gate.json").read_bytes())
        judged = report["candidate"]["weights_sha256"], report["champion"]["version"]
        outcome = report["outcome"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return "not_judged"
    current = card_of(find_version(model, version)).weights_sha256, served_version(model)
    return outcome if judged == current and outcome in ("promote", "hold", "reject") else "not_judged"


def _aliases(model: str) -> Aliases:
    return next((found for folder in model_folders(model) if (found := read_aliases(folder)) != Aliases()), Aliases())


def _check_model(model: str) -> None:
    if model not in backbone_names():
        raise NotFound("unknown_model", f"There is no model {model!r}. Known models: {', '.join(backbone_names())}.", field="model")


def _check_who(who: str) -> None:
    if not 1 <= len(who) <= 128:
        raise InvalidRequest("invalid_argument", "who names the person who decides, in 1 to 128 characters.", field="who")


def _check_servable(model: str, version: str) -> None:
    """Raise where serving this version would fail: a champion that cannot be loaded is worse than none that is new."""
    folder = find_version(model, version)
    card_of(folder)
    card = read_card(folder)
    if file_sha256(folder / WEIGHTS) != card.weights_sha256:
        raise ModelUnavailable("damaged_model", f"The weights of {model} {version} differ from their recorded hash. Restore them.")
    spec = backbone_spec(card.backbone)
    if weights_sha256(weight_files(spec, backbone_path(spec.name))) != card.backbone_sha256:
        message = f"{model} {version} was trained on other weights of {spec.name} than those in {backbone_path(spec.name)}."
        raise ModelUnavailable("backbone_mismatch", message)
