"""Training at the panel, in a hospital where the gate promotes: cancelled, cut off by a power failure and resumed, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import qt

from walk.cohort import read_as_colleague
from walk.hospital import CORRECTED, SEEN, token
from walk.radiologist import Radiologist
from walk.server import StoryServer

P99_MS, LONGEST_MS = 50.0, 150.0
ENDLESS = {"epochs": 10_000, "strengths": [0.25], "replay_studies": 400}
SECONDS = {"epochs": 15, "strengths": [0.25], "replay_studies": 400}
RELEASED = "2.0"


@pytest.fixture
def trainer(chair: Callable[..., Radiologist], hospital_server: StoryServer) -> Radiologist:
    """At the module, with a token of that role, and the section of training open."""
    return at_training(chair(hospital_server.address, token(hospital_server, "tina", "trainer")))


def at_training(person: Radiologist) -> Radiologist:
    person.bench.ui.retrainSection.collapsed = False
    person.wait(lambda: person.app.learning.state.versions, "what can be trained")
    return person


def train(person: Radiologist, settings: dict[str, Any], seconds: float = 120) -> None:
    """Starts one, and waits until it learns."""
    learning = person.app.learning
    learning.settings = settings
    person.press(person.panels.retrain.start_button)
    person.wait(lambda: job_of(person) is not None and job_of(person).epoch, "the first epoch", seconds)


def job_of(person: Radiologist) -> Any:
    return person.app.learning.state.job


def versions(server: StoryServer) -> list[str]:
    return [each["version"] for each in server.ask("GET", "/headct/models/demo/versions")]


def leftovers(server: StoryServer) -> list[str]:
    """What a training that was ended may have left among the versions."""
    return [path.name for path in (server.folder / "home" / "models" / "demo").glob("*") if path.name not in (".gate", "history.jsonl")]


def test_a_training_that_is_cancelled_leaves_nothing_and_another_can_be_started(trainer: Radiologist, hospital_server: StoryServer) -> None:
    panel = trainer.panels.retrain
    train(trainer, ENDLESS)
    assert not panel.start_button.enabled
    assert "A training runs" in panel.start_button.toolTip
    trainer.press(panel.cancel_button)
    trainer.wait(lambda: job_of(trainer).state == "cancelled", "the end")
    assert panel.stage.text == "Cancelled; nothing was changed"
    assert not panel.cancel_button.isVisible()
    assert not panel.resume_button.isVisible()
    trainer.wait(lambda: panel.start_button.enabled, "that it can be started again")
    trainer.look_at(panel.widget)
    trainer.picture("training_cancelled")
    assert versions(hospital_server) == [RELEASED]
    assert not leftovers(hospital_server)
    trainer.never_waited(P99_MS, LONGEST_MS)


def test_a_training_outlives_a_power_failure_and_what_it_made_serves_by_itself(
    trainer: Radiologist, chair: Callable[..., Radiologist], hospital_server: StoryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel, learning = trainer.panels.retrain, trainer.app.learning
    trainer.open(SEEN)
    before = trainer.state.prediction
    assert "The gate promotes by itself." in learning.state.readiness.lines
    train(trainer, SECONDS)
    hospital_server.kill()
    trainer.wait(lambda: trainer.app.connection.state.lost, "the loss of the server", seconds=30)
    assert learning.state.problem
    hospital_server.start()
    trainer.wait(lambda: job_of(trainer).state == "interrupted", "the server again", seconds=120)
    assert panel.stage.text == "Interrupted: the server was stopped; it can go on"
    assert versions(hospital_server) == [RELEASED]
    trainer.wait(lambda: not trainer.app.connection.state.lost, "that the panel knows it", seconds=10)
    trainer.wait(lambda: panel.resume_button.isVisible() and not learning.state.problem, "that it can be resumed")
    trainer.look_at(panel.resume_button)
    trainer.picture("training_interrupted")

    trainer.press(panel.resume_button)
    trainer.wait(lambda: trainer.state.prediction is not before, "the new prediction", seconds=240)
    (made,) = set(versions(hospital_server)) - {RELEASED}
    after = trainer.state.prediction
    assert (after.study, after.version, learning.state.served) == (SEEN, made, made)
    assert f"The gate promoted {made}" in learning.state.news
    assert "newly above" in learning.state.changes
    assert trainer.panels.findings.table.before
    trainer.wait(lambda: learning.state.gate is not None, "the gate's report")
    gate = learning.state.gate
    assert (gate.outcome, gate.candidate, gate.champion) == ("promote", made, RELEASED)
    assert gate.low > 0
    assert CORRECTED // 3 < gate.studies < CORRECTED
    assert f"{made} is served. The gate had said: promote." in panel.gate.widget.text
    trainer.look_at(panel.rollback_button)
    trainer.picture("promoted_by_the_gate")

    _the_whole_report_opens_from_a_file(trainer, monkeypatch)
    trainer.press(panel.rollback_button)
    trainer.wait(lambda: trainer.state.prediction.version == RELEASED, "the released version")
    assert (trainer.state.prediction.probability == before.probability).all()
    hospital_server.ask("POST", "/headct/models/demo/promote", {"version": made, "reason": "somebody else decides"})
    learning.refresh()
    trainer.wait(lambda: trainer.state.prediction.version == made, "what somebody else had served")
    assert learning.state.news == f"{made} is served now."
    trainer.never_waited(P99_MS, LONGEST_MS)
    trainer.stand_up()
    _a_reader_may_look_and_not_decide(at_training(chair(hospital_server.address, token(hospital_server, "anna", "reader"))), monkeypatch)


@pytest.mark.slow
def test_full_mode_without_images_is_refused_with_the_way_out(trainer: Radiologist) -> None:
    panel = trainer.panels.retrain
    panel.mode.setCurrentIndex(panel.mode.findData("full"))
    trainer.press(panel.start_button)
    trainer.wait(lambda: job_of(trainer) is not None and job_of(trainer).state == "failed", "the refusal", seconds=120)
    trainer.look_at(panel.widget)
    trainer.picture("full_mode_refused")
    assert "images" in panel.stage.text, "there are features of these studies, and no images"


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_full_mode_runs_on_the_demo_and_says_what_it_cannot_show(reader: Radiologist, server: StoryServer) -> None:
    read_as_colleague(server)
    at_training(reader)
    panel, learning = reader.panels.retrain, reader.app.learning
    panel.mode.setCurrentIndex(panel.mode.findData("full"))
    learning.refresh()
    reader.wait(lambda: panel.start_button.enabled, "readiness")
    train(reader, {"epochs": 1, "strengths": [4.0]}, seconds=900)
    reader.wait(lambda: not job_of(reader).running, "the end", seconds=900)
    assert job_of(reader).state == "succeeded", panel.stage.text
    reader.wait(lambda: learning.state.gate is not None, "the gate's report")
    reader.look_at(panel.rollback_button)
    reader.picture("full_mode")
    (made,) = [row for row in learning.state.versions if row.version == job_of(reader).version]
    assert made.parent == RELEASED
    reader.never_waited(P99_MS, LONGEST_MS)


def _the_whole_report_opens_from_a_file(person: Radiologist, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []
    monkeypatch.setattr(qt.QDesktopServices, "openUrl", staticmethod(lambda url: opened.append(url.toLocalFile()) or len(opened) == 1))
    panel = person.panels.retrain
    person.press(panel.report_button)
    person.wait(lambda: panel.page.text, "the report")
    page = Path(opened[0]).read_text(encoding="utf-8")
    assert "Impact Assessment" in page
    assert person.app.learning.state.gate.candidate in page
    head, policy, _rest = page.partition('<meta http-equiv="Content-Security-Policy" content="default-src &#x27;none&#x27;;')
    assert policy
    assert head.strip().lower() == "<!doctype html>"
    assert opened[0] in panel.page.text
    person.press(panel.report_button)
    person.wait(lambda: len(opened) == 2 and "No browser" in panel.page.text, "the report without a browser")


def _a_reader_may_look_and_not_decide(person: Radiologist, monkeypatch: pytest.MonkeyPatch) -> None:
    panel = person.panels.retrain
    for each in (panel.start_button, panel.promote_button, panel.rollback_button):
        assert each.isVisible()
        assert not each.enabled
        assert "ask for the role trainer" in each.toolTip
    person.look_at(panel.rollback_button)
    person.picture("reader_may_not_promote")
    _the_whole_report_opens_from_a_file(person, monkeypatch)
