"""The stand-in for Slicer: real scene and slices, strict widgets, and a module loaded as Slicer loads it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import qt
import vtk

from harness import dialogs, events
from harness.event_loop import process
from harness.latency import LatencyProbe
from harness.pictures import grab
from harness.session import load_module
from harness.slice_view import image_of

PROBE = Path(__file__).parent / "Probe.py"


def _head(slicer, name="head"):
    """A bright disc whose brightness rises with the slice, 128 x 128 x 20 at 1.5 x 1.5 x 5 mm."""
    z, y, x = np.mgrid[:20, :128, :128]
    voxels = np.where((x - 64) ** 2 + (y - 64) ** 2 < 50**2, 4 * z, -1000).astype(np.int16)
    volume = slicer.util.addVolumeFromArray(voxels, name=name)
    volume.SetSpacing(1.5, 1.5, 5)
    volume.CreateDefaultDisplayNodes()
    volume.GetDisplayNode().AutoWindowLevelOff()
    volume.GetDisplayNode().SetWindowLevel(80, 40)
    slicer.util.setSliceViewerLayers(background=volume, fit=True)
    return volume


@pytest.fixture
def module(slicer):
    loaded = load_module(PROBE)
    yield loaded
    loaded.close()


def test_a_module_is_constructed_set_up_and_entered(slicer, module):
    assert module.module.title == "Probe"
    assert module.widget.said == ["enter"]
    assert slicer.util.modulePath("Probe") == str(PROBE)
    assert slicer.util.getModuleWidget("Probe") is module.widget
    assert module.widget.logic.getParameterNode() is module.widget.logic.getParameterNode()


def test_leaving_and_closing_call_exit_and_cleanup(slicer):
    loaded = load_module(PROBE)
    slicer.mrmlScene.Clear(0)
    loaded.close()
    slicer.mrmlScene.Clear(0)
    assert loaded.widget.said == ["enter", "scene closed", "exit", "cleanup"]


def test_a_ui_file_makes_the_stand_ins_and_its_connections(slicer, module):
    ui = module.widget.ui
    assert (ui.box.text, ui.inputSelector.noneEnabled, ui.inputSelector.nodeTypes) == ("Study", True, ["vtkMRMLScalarVolumeNode"])
    assert ui.inputSelector.mrmlScene() is slicer.mrmlScene


def test_a_node_box_follows_the_scene(slicer, module):
    ui, heard = module.widget.ui, []
    ui.inputSelector.currentNodeChanged.connect(heard.append)
    volume = _head(slicer)
    assert ui.inputSelector.nodeCount() == 1
    ui.inputSelector.setCurrentNode(volume)
    events.click(ui.applyButton)
    slicer.mrmlScene.RemoveNode(volume)
    assert ui.inputSelector.currentNode() is None
    assert heard == [volume, None]
    assert module.widget.said == ["enter", "head"]
    assert slicer.util.mainWindow().statusBar().currentMessage() == "applied"


def test_a_collapsed_box_hides_what_it_holds(slicer, module):
    ui = module.widget.ui
    ui.box.collapsed = True
    assert not ui.applyButton.visible
    ui.box.collapsed = False
    assert ui.applyButton.visible


def test_the_slice_view_shows_the_volume_and_scrolls_a_slice_a_notch(slicer):
    _head(slicer)
    events.show(slicer.app.window())
    red = slicer.app.layoutManager().sliceWidget("Red")
    logic = red.sliceLogic()
    logic.SetSliceOffset(50)
    dark = image_of(logic)[..., 0].max()
    events.wheel(red.sliceView(), 1)
    assert logic.GetSliceOffset() == 55
    assert image_of(logic)[..., 0].max() > dark
    assert (image_of(logic)[..., 3] == 255).all()


def test_text_that_a_module_adds_is_drawn(slicer):
    view = slicer.app.layoutManager().sliceWidget("Red").sliceView()
    events.show(slicer.app.window())
    renderer = view.renderWindow().GetRenderers().GetFirstRenderer()
    before = grab(view)
    text = vtk.vtkTextActor()
    text.SetInput("slice 7")
    text.SetPosition(20, 20)
    renderer.AddViewProp(text)
    view.scheduleRender()
    assert grab(view) != before
    renderer.RemoveViewProp(text)
    assert grab(view) == before


def test_a_shape_in_normalised_coordinates_is_drawn_where_it_is(slicer):
    """A yellow square over the right upper quarter of the view, in the way of an overlay that fits any size."""
    view = slicer.app.layoutManager().sliceWidget("Red").sliceView()
    events.show(slicer.app.window())
    renderer = view.renderWindow().GetRenderers().GetFirstRenderer()
    source, mapper, actor = vtk.vtkPlaneSource(), vtk.vtkPolyDataMapper2D(), vtk.vtkActor2D()
    for place, corner in ((source.SetOrigin, (0.5, 0.5, 0)), (source.SetPoint1, (1, 0.5, 0)), (source.SetPoint2, (0.5, 1, 0))):
        place(*corner)
    coordinate = vtk.vtkCoordinate()
    coordinate.SetCoordinateSystemToNormalizedViewport()
    mapper.SetTransformCoordinate(coordinate)
    mapper.SetInputConnection(source.GetOutputPort())
    actor.SetMapper(mapper)
    actor.GetProperty().SetColor(1, 1, 0)
    renderer.AddViewProp(actor)
    picture = grab(view)
    renderer.RemoveViewProp(actor)
    across, down = view.width, view.height
    colours = [picture.pixelColor(x * across // 4, y * down // 4).name() for x, y in ((3, 1), (1, 1), (3, 3))]
    assert colours == ["#ffff00", "#000000", "#000000"]


def test_a_registered_widget_takes_its_place_in_a_layout(slicer):
    manager = slicer.app.layoutManager()
    factory, label = slicer.qSlicerSingletonViewFactory(), qt.QLabel("router map")
    factory.setTagName("Probe")
    factory.setWidget(label)
    manager.registerViewFactory(factory)
    view = '<item><view class="vtkMRMLSliceNode" singletontag="Red"/></item>'
    manager.layoutLogic().GetLayoutNode().AddLayoutDescription(7001, f'<layout type="horizontal">{view}<item><Probe/></item></layout>')
    manager.setLayout(7001)
    events.show(slicer.app.window())
    assert label.visible
    assert manager.sliceWidget("Red").visible
    assert not manager.sliceWidget("Green").visible
    manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    process(0)
    assert not label.visible
    manager.unregisterViewFactory(factory)


def test_volumes_are_saved_and_loaded_with_their_geometry(slicer, tmp_path):
    volume = _head(slicer)
    for name in ("head.nrrd", "head.nii.gz"):
        assert slicer.util.saveNode(volume, str(tmp_path / name), {"useCompression": 0})
        loaded = slicer.util.loadVolume(str(tmp_path / name))
        assert (slicer.util.arrayFromVolume(loaded) == slicer.util.arrayFromVolume(volume)).all()
        assert loaded.GetSpacing() == pytest.approx(volume.GetSpacing())
    with pytest.raises(RuntimeError, match="Failed to load"):
        slicer.util.loadVolume(str(tmp_path / "absent.nrrd"))


def test_what_slicer_lacks_or_the_harness_does_not_know_raises(slicer):
    import ctk

    for holder, name in ((slicer, "qMRMLPlotWidget"), (ctk, "ctkRangeSlider"), (slicer.modules, "segmentations"), (slicer.app, "freeze")):
        with pytest.raises(AttributeError):
            getattr(holder, name)
    with pytest.raises(AttributeError, match="no property finding"):
        slicer.qMRMLNodeComboBox().finding = "sdh"


def test_dialogs_are_answered_by_the_test_or_fail_it(slicer):
    dialogs.expect(qt.QMessageBox.Yes, qt.QMessageBox.No)
    assert slicer.util.confirmYesNoDisplay("Mark 70 findings absent?")
    assert not slicer.util.confirmYesNoDisplay("Mark 70 findings absent?")
    assert dialogs.take_asked() == ["Mark 70 findings absent?"] * 2
    with pytest.raises(AssertionError, match="modal dialog"):
        slicer.util.errorDisplay("The server refused")


def test_an_exception_in_a_slot_is_collected(app):
    button = qt.QPushButton("x")
    button.clicked.connect(lambda *_: 1 / 0)
    button.click()
    assert "ZeroDivisionError" in app.take_unhandled()[0]


def test_a_warning_of_qt_is_collected(app):
    qt.QPainter(qt.QImage()).drawPoint(0, 0)
    assert any("QPainter" in line for line in app.take_unhandled())


def test_the_latency_probe_sees_a_frozen_window():
    import time

    with LatencyProbe() as quick:
        process(0.3)
    with LatencyProbe() as frozen:
        process(0.1)
        time.sleep(0.15)
        process(0.1)
    assert frozen.percentile(100) >= 130
    assert quick.percentile(50) < 50
    assert "longest" in frozen.report()


def test_pictures_say_where_they_were_made(tmp_path):
    from harness.pictures import screenshot

    label = qt.QLabel("x")
    events.show(label, (120, 40))
    assert screenshot(label, tmp_path / "label.png").read_bytes().startswith(b"\x89PNG")
    assert qt.QImage(str(tmp_path / "label.png")).text("Source") == "test harness"
    assert qt.QImage(str(tmp_path / "label.png")).height() == 40 + 18
