"""The whole story, as a radiologist would live it, against the real server with the demo model and demo phantoms."""

from __future__ import annotations

from typing import Any

from harness import events
from harness.event_loop import process
from walk.cohort import read_as_colleague
from walk.radiologist import Radiologist
from walk.server import StoryServer

P99_MS, LONGEST_MS = 50.0, 150.0
CLICKS_TO_SUBMIT = 4
SHORT = {"epochs": 4, "choice_epochs": 1, "strengths": [4.0], "replay_studies": 50}
CALLS = (
    ("subdural_hematoma", "present"),
    ("midline_shift", "uncertain"),
    ("sinusitis", "absent"),
    ("epidural_hematoma", "absent"),
    ("hydrocephalus", "uncertain"),
)


def stored(server: StoryServer, study: str) -> list[dict[str, Any]]:
    return list(server.ask("GET", f"/headct/studies/{study}/submissions"))


def test_the_reader_goes_from_the_open_module_to_a_submitted_call_in_four_clicks(reader: Radiologist, server: StoryServer) -> None:
    reader.picture("connected")
    study = reader.read_next()
    reader.picture("study_read")
    reader.call("subdural_hematoma", "present")
    reader.press(reader.panels.submit.submit_button)
    reader.wait(lambda: bool(stored(server, study)), "the submission")
    (record,) = stored(server, study)
    assert record["submission"]["findings"] == {"subdural_hematoma": "present"}
    assert record["submission"]["reader"] == "anna"
    assert record["submission"]["seconds_spent"] > 0
    assert set(record["shown_probabilities"]) >= {"subdural_hematoma"}
    assert (reader.clicks <= CLICKS_TO_SUBMIT, reader.typed) == (True, 0), f"{reader.clicks} clicks"


def test_a_study_is_read_corrected_undone_and_submitted_while_the_server_dies(reader: Radiologist, server: StoryServer) -> None:
    study = reader.read_next()
    view = reader.state.prediction
    assert len(reader.panels.findings.table.findings.rows) == 75
    _scrolling_moves_the_cursor(reader)
    _a_finding_leads_to_its_slice(reader)
    reader.picture("jumped_to_finding")
    for key, state in CALLS:
        reader.call(key, state)
    assert reader.app.correcting.calls.called == dict(CALLS)
    events.key(reader.panels.findings.table, "Ctrl+Z")
    assert reader.app.correcting.calls.called == dict(CALLS[:-1])
    reader.picture("five_calls_one_undone")

    server.kill()
    reader.type(reader.panels.submit.comment, "old films compared")
    reader.press(reader.panels.submit.submit_button)
    reader.wait(lambda: any(letter.attempts for letter in reader.app.correcting.outbox.waiting()), "the first attempt")
    reader.wait(lambda: reader.app.connection.state.lost, "the loss of the server")
    reader.picture("server_gone")
    assert reader.app.correcting.state.waiting == 1
    server.start()
    reader.wait(lambda: reader.app.correcting.state.waiting == 0, "the submission after the restart", seconds=120)
    (record,) = [each for each in stored(server, study) if each["submission"]["reader"] == "anna"]
    assert record["submission"]["findings"] == dict(CALLS[:-1])
    assert record["submission"]["comment"] == "old films compared"
    assert record["submission"]["model"] == {"name": "demo", "version": view.version}
    reader.wait(lambda: bool(reader.app.correcting.state.history), "the history")
    reader.picture("submitted_after_restart")
    reader.never_waited(P99_MS, LONGEST_MS)


def test_retraining_is_judged_promoted_and_shown(reader: Radiologist, server: StoryServer) -> None:
    read_as_colleague(server)
    study = reader.read_next() if server.ask("GET", "/headct/studies?state=open")["total"] else reader.open("head-ct-01")
    before = reader.state.prediction
    learning, panel = reader.app.learning, reader.panels.retrain
    learning.settings = SHORT
    reader.bench.ui.retrainSection.collapsed = False
    learning.refresh()
    reader.wait(lambda: panel.start_button.enabled, "readiness")
    reader.look_at(panel.widget)
    reader.picture("ready_to_retrain")
    reader.press(panel.start_button)
    reader.wait(lambda: learning.state.job is not None and learning.state.job.share > 0.2, "the training", seconds=240)
    reader.look_at(panel.log)
    reader.picture("training")
    reader.wait(lambda: learning.state.gate is not None, "the gate's report", seconds=300)
    assert learning.state.job.state == "succeeded", learning.state
    reader.look_at(panel.promote_button)
    reader.picture("gate_report")
    assert reader.state.prediction is before
    reader.type(panel.reason, "shown in the story")
    reader.press(panel.promote_button)
    reader.wait(lambda: reader.state.prediction is not before, "the new prediction")
    after = reader.state.prediction
    assert (after.study, after.version) == (study, learning.state.gate.candidate)
    assert (after.probability != before.probability).any()
    assert "newly above" in learning.state.changes
    reader.look_at(panel.rollback_button)
    reader.picture("promoted")
    shown = reader.panels.findings
    assert shown.table.before, "no finding changed enough to be marked"
    assert shown.table.before == {key: before.probability[before.index(key)] for key in shown.table.before}
    shown.toolbar.choice.setCurrentIndex(shown.toolbar.choice.findData("changed"))
    assert set(shown.table.findings.rows) == set(shown.table.before)
    reader.look_at(shown)
    reader.picture("changed_table")
    reader.press(panel.rollback_button)
    reader.wait(lambda: reader.state.prediction.version == before.version, "the former version")
    assert (reader.state.prediction.probability == before.probability).all()
    reader.never_waited(P99_MS, LONGEST_MS)


def _scrolling_moves_the_cursor(reader: Radiologist) -> None:
    view, where = reader.slicer.app.layoutManager().sliceWidget("Red").sliceView(), []
    with reader.probe:
        for _notch in range(12):
            events.wheel(view, 1)
            process(0.02)
            where.append(reader.bench.map.cursor_position)
    assert where == sorted(where)
    assert where[-1] > where[0]
    assert f"Slice {int(where[-1]) + 1}/" in reader.bench.overlay.text


def _a_finding_leads_to_its_slice(reader: Radiologist) -> None:
    view = reader.state.prediction
    key = max(view.keys, key=lambda each: view.evidence_of(each).max())
    with reader.probe:
        reader.choose_row(key)
        process(0.05)
    assert reader.bench.link.index == view.best_slice(key)
    reader.panels.map.slice_chosen.emit(3)
    process(0.05)
    assert reader.bench.link.index == 3
    reader.choose_row("subdural_hematoma")
    reader.choose_row(key)
    process(0.05)
    assert reader.bench.link.index == view.best_slice(key)
