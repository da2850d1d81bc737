"""What happens around a reading: volumes of the scene, consent, refusals, turned views, leaving, and a crash."""

from __future__ import annotations

import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import qt

from harness import events
from harness.event_loop import process
from walk.radiologist import Radiologist
from walk.server import StoryServer


def scene_volume(reader: Radiologist, voxels: np.ndarray, matrix: np.ndarray, name: str) -> Any:
    """A volume in the scene, as if it had been loaded from a disk, chosen in the panel."""
    from HeadCTFindingsLib.scene import views

    node = reader.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    reader.slicer.util.updateVolumeFromArray(node, voxels)
    node.SetIJKToRASMatrix(views.to_matrix(matrix))
    node.CreateDefaultDisplayNodes()
    reader.bench.ui.volumeSelector.setCurrentNode(node)
    return node


def phantom(reader: Radiologist) -> tuple[np.ndarray, np.ndarray]:
    """Voxels and geometry of a study of the server."""
    from HeadCTFindingsLib.scene import views

    reader.open("read-02-1")
    node = reader.bench.volume
    matrix = views.to_matrix(np.eye(4))
    node.GetIJKToRASMatrix(matrix)
    return reader.slicer.util.arrayFromVolume(node).copy(), views.to_array(matrix)


def studies(server: StoryServer) -> set[str]:
    return {each["study"] for each in server.ask("GET", "/headct/studies")["studies"]}


def test_a_volume_of_the_scene_is_sent_once_and_only_after_consent(reader: Radiologist, server: StoryServer) -> None:
    before, (voxels, matrix) = studies(server), phantom(reader)
    opened = reader.bench.volume
    node = scene_volume(reader, voxels + np.int16(1), matrix, "Doe^John 1970")
    reader.press(reader.panels.study.volume_button)
    assert reader.panels.study.consent.widget.isVisible()
    assert "127.0.0.1" in reader.panels.study.consent.text
    process(0.3)
    assert studies(server) == before
    reader.look_at(reader.panels.study.consent.widget)
    reader.picture("consent")
    reader.press(reader.panels.study.refuse_button)
    process(0.3)
    assert studies(server) == before
    assert reader.state.note == "Nothing was sent."

    reader.press(reader.panels.study.volume_button)
    reader.press(reader.panels.study.allow_button)
    reader.wait(lambda: reader.bench.volume is node and reader.state.prediction is not None, "the prediction of the volume")
    (new,) = studies(server) - before
    assert reader.state.study == new
    assert new.startswith("slicer-"), "no name of a file or person becomes an id"
    assert opened is not node

    reader.open("read-02-1")
    reader.bench.ui.volumeSelector.setCurrentNode(node)
    reader.press(reader.panels.study.volume_button)
    assert not reader.panels.study.consent.widget.isVisible(), "asked once for each server"
    reader.wait(lambda: reader.state.study == new and reader.state.prediction is not None, "the same volume again")
    assert studies(server) - before == {new}


def test_what_the_gate_refuses_shows_its_reason_in_place_of_results(reader: Radiologist) -> None:
    noise = np.random.default_rng(1).integers(-1000, 1000, (30, 64, 64)).astype(np.int16)
    scene_volume(reader, noise, np.diag([3.0, 3.0, 5.0, 1.0]), "noise")
    reader.press(reader.panels.study.volume_button)
    if reader.panels.study.consent.widget.isVisible():
        reader.press(reader.panels.study.allow_button)
    reader.wait(lambda: reader.state.refusal is not None, "the refusal")
    assert reader.state.refusal.by_gate
    assert "No results" in reader.panels.study.banner.text
    assert reader.state.prediction is None
    assert reader.bench.map.shown is None
    assert not reader.bench.overlay.shown
    reader.picture("refused")


def test_without_a_volume_the_panel_says_so(reader: Radiologist) -> None:
    reader.bench.ui.volumeSelector.setCurrentNode(None)
    reader.press(reader.panels.study.volume_button)
    assert "Choose a volume" in reader.panels.study.banner.text


def test_an_unknown_study_is_named(reader: Radiologist) -> None:
    reader.type(reader.panels.study.study_id, "nobody")
    reader.press(reader.panels.study.open_button)
    reader.wait(lambda: reader.state.refusal is not None, "the answer")
    assert not reader.state.refusal.by_gate
    assert "study" in reader.panels.study.banner.text


def test_the_view_turns_to_the_models_planes_and_back(reader: Radiologist) -> None:
    from HeadCTFindingsLib.core.frame import view_normal
    from HeadCTFindingsLib.scene import views

    def normal() -> np.ndarray:
        return view_normal(views.to_array(views.slice_node().GetSliceToRAS()))

    reader.open("head-ct-01")  # its gantry was tilted
    frame = reader.state.prediction.frame
    reader.bench.ui.routerSection.collapsed = False
    box = reader.panels.options.boxes["reformat_to_model"]
    box.click()
    process(0.05)
    assert abs(normal() @ frame.normal) == pytest.approx(1, abs=1e-6)
    for index in (4, 17):
        reader.bench.link.jump(index)
        process(0.05)
        assert reader.bench.link.index == index
    box.click()
    process(0.05)
    np.testing.assert_allclose(np.abs(normal()), [0, 0, 1], atol=1e-6)


def test_window_keys_work_in_the_slice_view_and_are_remembered(reader: Radiologist) -> None:
    reader.open("head-ct-02")
    view = reader.slicer.app.layoutManager().sliceWidget("Red").sliceView()
    events.key(view, "O")
    display = reader.bench.volume.GetDisplayNode()
    assert (display.GetWindow(), display.GetLevel()) == (2800, 600)
    assert reader.bench.preferences["window"] == "bone"
    reader.press(reader.panels.presets.buttons["brain"])
    assert (display.GetWindow(), display.GetLevel()) == (80, 40)


def test_leaving_the_module_leaves_nothing_behind_and_coming_back_brings_it_again(reader: Radiologist) -> None:
    reader.open("head-ct-02")
    manager = reader.slicer.app.layoutManager()
    renderer = manager.sliceWidget("Red").sliceView().renderWindow().GetRenderers().GetFirstRenderer()
    shown = renderer.GetViewProps().GetNumberOfItems()
    layout = manager.layout
    assert reader.bench.layout.shown
    selector = reader.slicer.app.window().moduleSelector()
    selector.selectModule("")
    process(0.5)
    assert renderer.GetViewProps().GetNumberOfItems() == shown - 3
    assert manager.layout != layout
    assert not reader.app.busy
    selector.selectModule("HeadCTFindings")
    process(0.3)
    assert reader.bench.overlay.shown
    assert reader.bench.layout.shown
    assert reader.state.study == "head-ct-02"


def test_closing_the_scene_closes_the_study(reader: Radiologist, server: StoryServer) -> None:
    reader.open("head-ct-02")
    reader.slicer.mrmlScene.Clear()
    process(0.5)
    assert reader.state.study == ""
    assert reader.state.prediction is None
    assert not reader.panels.submit.submit_button.enabled
    assert not reader.bench.overlay.shown


def test_calls_outlive_a_crash(sit_down: Callable[[], Radiologist]) -> None:
    before = sit_down()
    before.open("head-ct-03")
    before.call("sinusitis", "uncertain")
    before.call("hydrocephalus", "absent")
    before.stand_up()
    before.slicer.mrmlScene.Clear()
    after = sit_down()
    after.open("head-ct-03")
    assert after.app.correcting.calls.called == {"hydrocephalus": "absent", "sinusitis": "uncertain"}
    assert after.panels.submit.submit_button.enabled
    after.look_at(after.panels.submit.widget)
    after.picture("restored")


def test_the_failed_step_is_named_with_its_remedy(reader: Radiologist, server: StoryServer) -> None:
    panel = reader.panels.connection
    reader.open("head-ct-02")
    reader.bench.ui.connectionSection.collapsed = False
    panel.address.setText("http://0.0.0.0:9")
    reader.press(panel.test_button)
    reader.wait(lambda: reader.app.connection.state.phase == "failed", "the failure")
    assert reader.app.connection.state.step == "refused"
    assert panel.address.text == "http://127.0.0.1:9"
    assert not reader.panels.study.next_button.enabled
    assert reader.state.study == "", "the study of another server is closed"
    reader.picture("no_connection")
    panel.address.setText(server.address)
    reader.press(panel.test_button)
    reader.wait(lambda: reader.app.connection.state.phase == "connected", "the connection")
    assert reader.panels.study.next_button.enabled
    assert qt.QSettings().value("HeadCTFindings/server") == server.address


def test_the_rest_is_marked_after_a_question_that_counts(reader: Radiologist) -> None:
    reader.open("read-01-1")
    bar = reader.panels.findings.bar
    reader.call("sinusitis", "present")
    reader.press(bar.rest_button)
    assert "74 findings" in bar.question.text
    reader.press(bar.yes_button)
    assert len(reader.app.correcting.calls.called) == 75
    events.key(reader.panels.findings.table, "Ctrl+Z")
    assert reader.app.correcting.calls.called == {"sinusitis": "present"}


def test_calls_are_in_the_scene_and_come_back_from_it(reader: Radiologist) -> None:
    from HeadCTFindingsLib.scene.scene_state import SceneState

    state = SceneState(reader.module.widget.logic.getParameterNode())
    submitted = {"findings": {}, "comment": ""}
    saved = {"schema": "headct.calls/1", "findings": {"midline_shift": "present"}, "comment": "from a colleague", "submitted": submitted}
    state.save("read-03-1", saved)
    reader.open("read-03-1")
    assert reader.app.correcting.calls.called == {"midline_shift": "present"}
    assert reader.panels.submit.comment.text == "from a colleague"
    reader.call("midline_shift", "present")
    reader.call("sinusitis", "absent")
    assert state.calls("read-03-1")["findings"] == {"sinusitis": "absent"}
    assert state.open_study == "read-03-1"
    assert state.volume("read-03-1") is reader.bench.volume


def test_a_heat_map_lies_over_the_scan_until_it_is_taken_away(reader: Radiologist, tmp_path: Path) -> None:
    from HeadCTFindingsLib.app.volume_file import VolumeData, to_nrrd
    from HeadCTFindingsLib.scene import views

    reader.open("head-ct-02")
    (tmp_path / "map.nrrd").write_bytes(to_nrrd(VolumeData(np.ones((4, 8, 8), np.float32), np.diag([20.0, 20.0, 30.0, 1.0]))))
    composite = views.slice_logic().GetSliceCompositeNode()
    before = composite.GetBackgroundVolumeID()
    reader.panels.options.asked_heatmap.emit(str(tmp_path / "map.nrrd"))
    layer = reader.slicer.mrmlScene.GetNodeByID(composite.GetForegroundVolumeID())
    assert layer.GetName() == "Where the model looked"
    assert composite.GetForegroundOpacity() == pytest.approx(0.4)
    assert composite.GetBackgroundVolumeID() == before
    reader.panels.options.asked_heatmap.emit("")
    assert composite.GetForegroundVolumeID() is None
    (tmp_path / "text.nii").write_text("no map")
    reader.panels.options.asked_heatmap.emit(str(tmp_path / "text.nii"))
    assert not reader.bench.heatmap.layer.shown


def test_one_click_lays_over_the_scan_where_the_model_looked_for_the_selected_finding(reader: Radiologist) -> None:
    from HeadCTFindingsLib.scene import views

    def layer() -> Any:
        return reader.slicer.mrmlScene.GetNodeByID(views.slice_logic().GetSliceCompositeNode().GetForegroundVolumeID() or "")

    reader.open("head-ct-01")
    reader.bench.ui.routerSection.collapsed = False
    options = reader.panels.options
    process(0.1)
    assert layer() is None, "off until somebody asks"
    reader.press(options.heatmap_button)
    assert "Select a finding" in options.heatmap_text
    assert not options.heatmap_button.checked

    reader.choose_row("subdural_hematoma")
    reader.press(options.heatmap_button)
    assert reader.app.heat_maps.state.working
    assert "Subdural hematoma" in options.heatmap_text
    reader.wait(lambda: layer() is not None, "the map")
    reader.never_waited(50.0, 150.0)
    assert options.heatmap_text.startswith("Where demo 2.0 looked for Subdural hematoma, not a lesion outline")
    assert "DEMO MODEL" in options.heatmap_text
    shown = reader.slicer.util.arrayFromVolume(layer())
    assert shown.shape == reader.slicer.util.arrayFromVolume(reader.bench.volume).shape
    assert shown.max() == pytest.approx(1)
    assert not list(Path(tempfile.gettempdir()).glob("headct-*/map.nrrd")), "nothing stays on the disk"
    reader.look_at(options.widget)
    reader.picture("where_the_model_looked")

    reader.choose_row("sinusitis")
    assert layer() is None, "the map of one finding is not shown for another"
    assert (options.heatmap_button.checked, options.heatmap_text) == (False, "")
    reader.press(options.heatmap_button)
    reader.press(options.heatmap_button)
    assert not reader.app.heat_maps.state.working
    process(1.5)
    assert layer() is None, "what is cancelled never arrives"


def test_where_there_is_no_map_a_sentence_says_why(reader: Radiologist) -> None:
    reader.open("head-ct-02")
    reader.bench.ui.routerSection.collapsed = False
    reader.choose_row("calvarial_thickening")
    reader.press(reader.panels.options.heatmap_button)
    reader.wait(lambda: not reader.app.heat_maps.state.working, "the answer")
    assert "does not assess calvarial_thickening" in reader.panels.options.heatmap_text
    assert not reader.panels.options.heatmap_button.checked


def test_a_map_from_a_file_takes_the_place_of_the_servers(reader: Radiologist, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from HeadCTFindingsLib.app.volume_file import VolumeData, to_nrrd

    reader.open("head-ct-02")
    reader.bench.ui.routerSection.collapsed = False
    (tmp_path / "map.nrrd").write_bytes(to_nrrd(VolumeData(np.ones((4, 8, 8), np.float32), np.diag([20.0, 20.0, 30.0, 1.0]))))
    monkeypatch.setattr(qt.QFileDialog, "getOpenFileName", lambda *_: str(tmp_path / "map.nrrd"))
    reader.press(reader.panels.options.file_button)
    assert reader.bench.heatmap.layer.shown
    assert "not a lesion's outline" in reader.panels.options.heatmap_text
    reader.press(reader.panels.options.heatmap_button)
    assert not reader.bench.heatmap.layer.shown


def test_who_waits_is_told_where_in_the_queue(reader: Radiologist, server: StoryServer) -> None:
    """Others ask for many maps at once; a prediction that is not there yet waits behind them."""
    reader.open("head-ct-01")
    tested = [each for each, known in zip(reader.state.prediction.keys, reader.state.prediction.estimable, strict=True) if known]
    paths = [f"{server.address}/headct/studies/head-ct-01/heatmap?finding={finding}" for finding in tested[:8]]
    crowd = [threading.Thread(target=_asked, args=(path,), daemon=True) for path in paths]
    for each in crowd:
        each.start()
    voxels, matrix = (reader.slicer.util.arrayFromVolume(reader.bench.volume), np.diag([1.0, 1.0, 5.0, 1.0]))
    said: list[str] = []
    reader.app.reading.changed.connect(lambda state: said.append(state.stage))
    scene_volume(reader, voxels[::2] + np.int16(2), matrix, "another")
    reader.press(reader.panels.study.volume_button)
    if reader.panels.study.consent.widget.isVisible():
        reader.press(reader.panels.study.allow_button)
    reader.wait(lambda: not reader.state.working, "the answer")
    for each in crowd:
        each.join(60)
    assert any("in the queue" in stage for stage in said), said


def _asked(url: str) -> None:
    with suppress(urllib.error.HTTPError), urllib.request.urlopen(url, timeout=60) as answer:
        answer.read()


def test_the_self_test_walks_against_the_server(reader: Radiologist, server: StoryServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADCT_SERVER", server.address)
    server.ask("PUT", "/headct/readers-required", {"readers": 5, "studies": ["head-ct-01"], "reader": "anna"})
    qt.QSettings().setValue("HeadCTFindings/reader", "selftest")
    reader.module.python.HeadCTFindingsTest().runTest()
    assert [each["submission"]["reader"] for each in server.ask("GET", "/headct/studies/head-ct-01/submissions")][-1] == "selftest"


def test_a_skipped_study_is_closed_and_the_next_one_asked_for(reader: Radiologist, server: StoryServer) -> None:
    reader.open("read-04-1")
    reader.press(reader.panels.study.skip_button)
    reader.press(reader.panels.study.confirm_skip)
    assert reader.state.study == "read-04-1", "a skip without a reason is none"
    reader.type(reader.panels.study.skip_reason, "moved")
    reader.press(reader.panels.study.confirm_skip)
    reader.wait(lambda: reader.state.study != "read-04-1" and not reader.state.working, "the next study")
    assert "moved" in [event["reason"] for event in server.ask("GET", "/headct/studies/read-04-1/history")]


def test_what_is_cancelled_never_arrives(reader: Radiologist) -> None:
    reader.app.reading.open_study("head-ct-02")
    assert reader.state.working
    reader.app.reading.cancel()
    assert not reader.state.working
    process(1.0)
    assert (reader.state.study, reader.state.prediction, reader.bench.volume) == ("", None, None)


def test_an_upload_that_is_cancelled_midway_leaves_nothing_on_the_server(reader: Radiologist, server: StoryServer) -> None:
    before = studies(server)
    noise = np.random.default_rng(2).integers(-1000, 1000, (300, 512, 512), dtype=np.int16)  # 157 MB
    scene_volume(reader, noise, np.diag([0.5, 0.5, 0.5, 1.0]), "large")
    panel = reader.panels.study
    reader.press(panel.volume_button)
    if panel.consent.widget.isVisible():
        reader.press(panel.allow_button)
    reader.wait(lambda: reader.state.share is not None, "the first part")
    assert 0 < reader.state.share < 1
    events.click(panel.cancel_button)
    assert not reader.state.working
    process(1.0)
    assert reader.state.refusal is None
    assert reader.state.study == ""
    assert studies(server) == before
    server.ask("POST", "/headct/studies/scan")
    assert studies(server) == before
    assert not [path.name for path in server.studies.rglob("*") if path.is_file() and path.stat().st_size > noise.nbytes // 20]
    assert panel.volume_button.enabled
    assert panel.next_button.enabled
