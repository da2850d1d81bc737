"""Which version is served: promoted with a reason, rolled back through the history, whole at any moment."""

import itertools
import json
import multiprocessing
import os
import random
import signal
import threading
import time

import pytest

from headct_molre.errors import HeadCTError, InvalidRequest, ModelUnavailable, NotFound
from headct_molre.models import checkpoint
from headct_molre.models.aliases import Aliases, locked, read_aliases, set_alias
from headct_molre.models.backbones import backbone_spec
from headct_molre.models.history import champions, read_history
from headct_molre.models.install import install_version as install
from headct_molre.models.versions import (
    diff_versions,
    gate_folder,
    gate_outcome,
    list_versions,
    promote,
    rollback,
    served_version,
    version_history,
)
from small_backbones import small_backbones
from trained_versions import install_backbone, install_version


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Versions 1 (champion), 2 (candidate) and 3 of the demo model in a user's own folder."""
    monkeypatch.setenv("HEADCT_MOLRE_HOME", str(tmp_path))
    install_backbone(tmp_path, small_backbones()["demo"])
    classifier, card = install_version(tmp_path, backbone_spec("demo"), "1", mean_auc=0.8)
    folder = tmp_path / "models" / "demo"
    for version in ("2", "3"):
        checkpoint.write_version(folder, card.model_copy(update={"version": version, "parent": "1"}), classifier.trainable_state())
    set_alias(folder, "candidate", "2")
    return folder


def gate_says(outcome, version="2", champion="1", sha256=None):
    weights = checkpoint.read_card(gate_folder("demo", version).parents[1] / version).weights_sha256
    path = gate_folder("demo", version)
    path.mkdir(parents=True, exist_ok=True)
    report = {"outcome": outcome, "candidate": {"weights_sha256": sha256 or weights}, "champion": {"version": champion}}
    (path / "gate.json").write_text(json.dumps(report))


def test_a_candidate_that_the_gate_promotes_is_served_with_the_next_load(folder):
    gate_says("promote")
    event = promote("demo", "dr.a")
    assert (event.action, event.before, event.after, event.who, event.gate) == ("promoted", "1", "2", "dr.a", "promote")
    assert checkpoint.load_card("demo").version == "2"
    assert read_aliases(folder) == Aliases("2", None)


@pytest.mark.parametrize("outcome", ["hold", "reject", None])
def test_what_the_gate_did_not_promote_needs_a_reason_that_is_kept(folder, outcome):
    if outcome:
        gate_says(outcome)
    with pytest.raises(InvalidRequest) as refusal:
        promote("demo", "dr.a", reason="  ")
    assert refusal.value.code == "reason_needed"
    assert served_version("demo") == "1"
    promote("demo", "dr.a", reason="a trial of ours")
    assert [(event.gate, event.reason) for event in version_history("demo")] == [(outcome or "not_judged", "a trial of ours")]


@pytest.mark.parametrize("changed", [{"champion": "0"}, {"sha256": "f" * 64}])
def test_a_judgement_of_other_versions_does_not_count(folder, changed):
    gate_says("promote", **changed)
    assert gate_outcome("demo", "2") == "not_judged"


@pytest.mark.parametrize("content", ["{", "[]", '{"outcome": "promote"}', '{"outcome": ["promote"]}'])
def test_a_damaged_report_promotes_nothing(folder, content):
    gate_folder("demo", "2").mkdir(parents=True)
    (gate_folder("demo", "2") / "gate.json").write_text(content)
    assert gate_outcome("demo", "2") == "not_judged"


def test_rollback_goes_back_again_and_again_through_the_history(folder):
    promote("demo", "a", "2", "first")
    promote("demo", "a", "3", "second")
    promote("demo", "a", "1", "third")
    assert [rollback("demo", "b").after for _ in range(3)] == ["3", "2", "1"]
    with pytest.raises(NotFound) as refusal:
        rollback("demo", "b")
    assert refusal.value.code == "no_previous_version"
    promote("demo", "a", "3", "again")
    assert rollback("demo", "b").after == "1"
    assert [event.action for event in version_history("demo")] == ["promoted"] * 3 + ["rolled_back"] * 3 + ["promoted", "rolled_back"]


def test_a_shipped_version_can_be_rolled_back_to(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADCT_MOLRE_HOME", str(tmp_path))
    shipped = served_version("demo")
    assert [entry.shipped for entry in list_versions("demo")] == [True]
    source = checkpoint.version_folder("demo", shipped)
    card = checkpoint.read_card(source).model_copy(update={"version": "mine"})
    made = tmp_path / "made" / "mine"
    made.mkdir(parents=True)
    (made / "model.json").write_text(card.model_dump_json(by_alias=True))
    (made / "weights.safetensors").write_bytes((source / "weights.safetensors").read_bytes())
    with pytest.raises(ModelUnavailable, match=r"source\.safetensors, which the card names, is missing"):
        install(made)
    (made / "source.safetensors").write_bytes((source / "source.safetensors").read_bytes())
    assert install(made) == "candidate"
    promote("demo", "a", reason="trial")
    assert served_version("demo") == "mine"
    assert rollback("demo", "a").after == shipped
    assert checkpoint.load_card("demo").version == shipped


def test_a_champion_that_was_set_by_other_means_is_found(folder):
    promote("demo", "a", "2", "x")
    checkpoint.set_champion(folder, "3")
    assert rollback("demo", "a").after == "2"
    assert [event.action for event in version_history("demo")] == ["promoted", "found", "rolled_back"]
    assert rollback("demo", "a").after == "1"


def test_an_operation_that_was_killed_before_the_alias_moved_is_undone(folder):
    promote("demo", "a", "2", "x")
    promote("demo", "a", "3", "y")
    set_alias(folder, "champion", "2")  # as it was when the line had been written
    assert rollback("demo", "a").after == "1"
    assert [event.action for event in version_history("demo")] == ["promoted", "promoted", "undone", "rolled_back"]


def test_a_line_that_was_cut_off_is_passed_over_and_the_next_one_stands_alone(folder):
    promote("demo", "a", "2", "x")
    with (folder / "history.jsonl").open("ab") as file:
        file.write(b'{"at": "2026')
    assert rollback("demo", "a").after == "1"
    assert [event.action for event in version_history("demo")] == ["promoted", "rolled_back"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"version": "9"}, "unknown_version"),
        ({"version": "../1"}, "unknown_version"),
        ({"version": "1"}, "already_champion"),
        ({"version": "2", "against": "3"}, "champion_changed"),
        ({"version": "2", "who": ""}, "invalid_argument"),
        ({"model": "resnet"}, "unknown_model"),
    ],
)
def test_what_cannot_be_promoted_is_refused_and_nothing_moves(folder, arguments, code):
    with pytest.raises(HeadCTError) as refusal:
        promote(**{"model": "demo", "who": "a", "reason": "x", **arguments})
    assert refusal.value.code == code
    assert served_version("demo") == "1"
    assert version_history("demo") == []


def test_without_a_candidate_the_version_must_be_named(folder):
    set_alias(folder, "candidate", None)
    with pytest.raises(NotFound, match="no candidate"):
        promote("demo", "a", reason="x")


def test_a_version_that_could_not_be_served_is_not_promoted(folder):
    path = folder / "2" / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelUnavailable, match="hash"):
        promote("demo", "a", reason="x")
    install_backbone(folder.parents[1], small_backbones()["demo"], seed=5)
    with pytest.raises(ModelUnavailable, match="other weights"):
        promote("demo", "a", "3", "x")
    assert served_version("demo") == "1"


def test_the_list_says_which_is_served_and_which_waits(folder):
    gate_says("hold")
    (folder / ".partial-1-4").mkdir()
    entries = {entry.version: entry for entry in list_versions("demo") if not entry.shipped}
    assert {name: (entry.champion, entry.candidate, entry.gate) for name, entry in entries.items()} == {
        "1": (True, False, "not_judged"),
        "2": (False, True, "hold"),
        "3": (False, False, "not_judged"),
    }


def test_a_difference_names_what_changed_and_nothing_else(folder):
    same = diff_versions("demo", "2", "3")
    assert same.same_weights
    assert not any((same.card, same.hyperparameters, same.cohort, same.metrics, same.findings_gained, same.recalibrated))
    changed = diff_versions("demo", "1", "2")
    assert [(one.name, one.before, one.after) for one in changed.card] == []
    card = checkpoint.read_card(folder / "1")
    other = card.model_copy(update={"version": "4", "hyperparameters": {**card.hyperparameters, "l2_sp": 4.0}, "demo": False})
    (folder / "4").mkdir()
    (folder / "4" / "model.json").write_text(other.model_dump_json(by_alias=True))
    changed = diff_versions("demo", "1", "4")
    assert [(one.name, one.before, one.after) for one in changed.hyperparameters] == [("l2_sp", None, 4.0)]
    assert [(one.name, one.before, one.after) for one in changed.card] == [("demo", True, False)]


def test_two_promoters_at_once_both_get_an_answer_and_the_history_is_in_order(folder):
    refusals = []

    def work(version):
        for _ in range(15):
            try:
                promote("demo", f"reader-{version}", version, "race")
            except InvalidRequest as error:
                refusals.append(error.code)

    threads = [threading.Thread(target=work, args=(version,)) for version in ("2", "3")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events = read_history(folder)
    assert set(refusals) <= {"already_champion"}
    assert [event.action for event in events] == ["promoted"] * (30 - len(refusals))
    assert all(first.after == second.before for first, second in itertools.pairwise(events))
    assert events[-1].after == served_version("demo")


def test_of_two_who_looked_at_the_same_champion_only_the_first_promotes(folder):
    promote("demo", "a", "2", "x", against="1")
    with pytest.raises(InvalidRequest) as refusal:
        promote("demo", "b", "3", "x", against="1")
    assert (refusal.value.code, refusal.value.status) == ("champion_changed", 409)


def test_a_folder_that_is_held_for_long_is_refused(folder, monkeypatch):
    monkeypatch.setattr("headct_molre.models.aliases.LOCK_WAIT_S", 0.05)
    with locked(folder), pytest.raises(ModelUnavailable) as refusal:
        promote("demo", "a", "2", "x")
    assert refusal.value.code == "versions_busy"


def change_for_ever(seed):
    """Promotions and rollbacks until the process is killed."""
    draw = random.Random(seed)
    while True:
        try:
            if draw.random() < 0.6:
                promote("demo", "worker", draw.choice("123"), "load")
            else:
                rollback("demo", "worker")
        except (InvalidRequest, NotFound):
            continue


@pytest.mark.parametrize("kills", [6, pytest.param(50, marks=pytest.mark.slow)])
def test_after_kill_9_at_any_moment_a_version_is_served_and_the_history_agrees(folder, kills):
    context = multiprocessing.get_context("fork")
    draw = random.Random(0)
    for number in range(kills):
        worker = context.Process(target=change_for_ever, args=(number,))
        seen = len(read_history(folder))
        worker.start()
        until = time.monotonic() + 30
        while len(read_history(folder)) < seen + 2 and time.monotonic() < until:
            time.sleep(0.002)
        time.sleep(draw.random() * 0.02)
        os.kill(worker.pid, signal.SIGKILL)
        worker.join()
        served = served_version("demo")
        assert served in ("1", "2", "3")
        assert checkpoint.load_card("demo").version == served
        other = next(version for version in ("2", "3") if version != served)
        promote("demo", "after", other, "check")  # no lock is left behind
        line = champions(version_history("demo"))
        assert line[-2:] == [served, other]
        assert rollback("demo", "after").after == served
