"""The router map shows what the experts did and takes the reader to a slice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import qt

from harness import events
from harness.event_loop import process
from HeadCTFindingsLib.core.catalogue import Catalogue
from HeadCTFindingsLib.core.prediction import PredictionView
from HeadCTFindingsLib.core.router_map import colours, top
from HeadCTFindingsLib.ui.map_picture import SHORT_NOTE
from HeadCTFindingsLib.ui.router_map import RouterMap
from HeadCTFindingsLib.ui.theme import theme_now
from made_documents import prediction_document


@pytest.fixture(params=[True, False], ids=["upright", "lying"])
def made(request: Any, catalogue: Catalogue, view: PredictionView) -> RouterMap:
    widget = RouterMap(request.param)
    widget.catalogue = catalogue
    widget.show_prediction(view)
    widget.show_finding("subdural_hematoma")
    return events.show(widget, (230, 700) if request.param else (520, 300))


def lane_point(widget: RouterMap, index: int, lane: str = "heat") -> tuple[int, int]:
    """A pixel in the middle of a slice's band of a lane."""
    plan = widget._laid_out()
    band = plan.band(getattr(plan, lane), index)
    return band.left + band.width // 2, band.top + band.height // 2


def pixel(widget: RouterMap, x: int, y: int) -> tuple[int, int, int]:
    colour = widget.grab().toImage().pixelColor(x, y)
    return colour.red(), colour.green(), colour.blue()


def test_each_cell_has_the_colour_of_its_router_weight(made: RouterMap, view: PredictionView) -> None:
    plan = made._laid_out()
    image = made.grab().toImage()
    for index in (0, 7, 20, 37):
        for expert in range(6):
            band = plan.band(plan.heat, index)
            if made.upright:
                x, y = round(plan.heat.left + (expert + 0.5) * plan.heat.width / 6), band.top + band.height // 2
            else:
                x, y = band.left + band.width // 2, round(plan.heat.top + (expert + 0.5) * plan.heat.height / 6)
            seen = image.pixelColor(x, y)
            wanted = colours(view.router[index, expert] / top(view))
            assert (seen.red(), seen.green(), seen.blue()) == tuple(wanted[:3])


def test_evidence_is_drawn_on_its_side_of_the_line(made: RouterMap, view: PredictionView) -> None:
    plan, theme, image = made._laid_out(), theme_now(), made.grab().toImage()
    best = int(np.argmax(view.evidence_of("subdural_hematoma")))
    band = plan.band(plan.evidence, best)
    beside = (plan.evidence.left + plan.evidence.width * 3 // 4, band.top + band.height // 2)
    above = (band.left + band.width // 2, plan.evidence.top + plan.evidence.height // 4)
    assert image.pixelColor(*(beside if made.upright else above)) == theme.evidence_for
    made.show_finding("epidural_hematoma")
    image = made.grab().toImage()
    worst = int(np.argmin(view.evidence_of("epidural_hematoma")))
    band = plan.band(plan.evidence, worst)
    beside = (plan.evidence.left + plan.evidence.width // 4, band.top + band.height // 2)
    below = (band.left + band.width // 2, plan.evidence.bottom - plan.evidence.height // 4)
    assert image.pixelColor(*(beside if made.upright else below)) == theme.evidence_against


def test_attention_reaches_across_its_lane_where_it_is_largest(made: RouterMap, view: PredictionView) -> None:
    plan, image = made._laid_out(), made.grab().toImage()
    band = plan.band(plan.attention, int(view.attention.argmax()))
    far = (plan.attention.right - 2, band.top + band.height // 2) if made.upright else (band.left + band.width // 2, plan.attention.top + 2)
    assert image.pixelColor(*far) == theme_now().attention


def test_a_click_asks_for_its_slice_and_moves_nothing_by_itself(made: RouterMap, heard: Any) -> None:
    asked = heard(made.slice_chosen)
    for lane in ("heat", "attention", "evidence"):
        made.move_cursor(0.0)
        events.click(made, lane_point(made, 12, lane))
        made.move_cursor(1.0)
    assert asked == [12, 12, 12]
    assert made.cursor_position == 1.0


def test_a_click_beside_the_lanes_asks_for_nothing(made: RouterMap, heard: Any) -> None:
    asked = heard(made.slice_chosen)
    events.click(made, (made.width // 2, made.height - 3))
    assert asked == []


def test_a_drag_asks_for_each_slice_once_and_follows_beyond_the_map(made: RouterMap, heard: Any) -> None:
    asked = heard(made.slice_chosen)
    start, end = lane_point(made, 3), lane_point(made, 9)
    events.press(made, start)
    for step in range(41):
        x, y = (start[axis] + (end[axis] - start[axis]) * step // 40 for axis in (0, 1))
        events.move(made, (x, y), qt.Qt.MouseButton.LeftButton)
    assert asked == [3, 4, 5, 6, 7, 8, 9]
    events.move(made, (-50, -50) if made.upright else (5000, -50), qt.Qt.MouseButton.LeftButton)
    assert asked[-1] == 37
    events.release(made, (5, 5))
    events.move(made, lane_point(made, 3))
    assert asked[-1] == 37


def test_the_wheel_goes_one_slice_for_a_notch_and_adds_up_small_turns(made: RouterMap, heard: Any) -> None:
    asked = heard(made.slice_chosen)
    made.move_cursor(10.2)
    events.wheel(made, 1)
    events.wheel(made, 1)
    events.wheel(made, -1)
    assert asked == [11, 12, 11]
    for _ in range(3):
        at = qt.QPointF(20, 20)
        none = (qt.Qt.MouseButton.NoButton, qt.Qt.KeyboardModifier.NoModifier, qt.Qt.ScrollPhase.NoScrollPhase, False)
        qt.QApplication.sendEvent(made, qt.QWheelEvent(at, at, qt.QPoint(), qt.QPoint(0, 40), *none))
    assert asked == [11, 12, 11, 12]


@pytest.mark.parametrize(
    ("key", "slice_"), [("Up", 11), ("Right", 11), ("Down", 9), ("Left", 9), ("PageUp", 15), ("PageDown", 5), ("Home", 0), ("End", 37)]
)
def test_keys_go_to_slices(made: RouterMap, heard: Any, key: str, slice_: int) -> None:
    asked = heard(made.slice_chosen)
    made.move_cursor(10.0)
    events.key(made, key)
    assert asked == [slice_]


def test_keys_stop_at_the_ends_and_other_keys_are_left_alone(made: RouterMap, heard: Any) -> None:
    asked = heard(made.slice_chosen)
    made.move_cursor(37.0)
    events.key(made, "Up")
    events.key(made, "Up")
    assert asked == [37]
    events.key(made, "1")
    assert asked == [37]


def test_the_cursor_line_is_white_between_dark_edges_at_its_slice(made: RouterMap) -> None:
    made.move_cursor(12.0)
    plan = made._laid_out()
    along, across = round(plan.centre(12.0)), plan.heat.left + 4 if made.upright else plan.heat.top + 4
    at = (across, along) if made.upright else (along, across)
    before = (across, along - 1) if made.upright else (along - 1, across)
    assert (pixel(made, *at), pixel(made, *before)) == ((255, 255, 255), (0, 0, 0))


def test_a_cursor_outside_of_what_the_model_saw_stands_at_its_end(made: RouterMap) -> None:
    made.move_cursor(99.0)
    assert made.readout()[0] == ("slice", "38 of 38")
    made.move_cursor(-7.0)
    assert made.readout()[0] == ("slice", "1 of 38")
    process(0.01)


def test_exact_values_are_read_out_for_the_cursor_and_for_what_is_under_the_mouse(made: RouterMap, view: PredictionView) -> None:
    made.move_cursor(4.0)
    strongest = int(view.router[4].argmax())
    evidence = view.evidence_of("subdural_hematoma")
    assert made.readout() == [
        ("slice", "5 of 38"),
        (f"expert {strongest + 1}", f"{view.router[4, strongest]:.3f}"),
        ("attention", f"{100 * view.attention[4]:.1f} %"),
        ("evidence", f"{evidence[4]:+.2f}"),
    ]
    events.move(made, lane_point(made, 20, "evidence"))
    assert made.readout()[0] == ("slice", "21 of 38")
    assert f"Evidence for Subdural hematoma: {evidence[20]:+.3f} logits" in made.toolTip
    assert "An expert is no diagnosis" in made.toolTip
    plan = made._laid_out()
    x, y = lane_point(made, 20)
    second = (plan.heat.left + plan.heat.width // 4, y) if made.upright else (x, plan.heat.top + plan.heat.height // 4)
    events.move(made, second)
    assert made.readout()[1] == ("expert 2", f"{view.router[20, 1]:.3f}")
    qt.QApplication.sendEvent(made, qt.QEvent(qt.QEvent.Type.Leave))
    assert made.readout()[0] == ("slice", "5 of 38")


def test_a_finding_that_the_model_does_not_assess_has_no_curve(made: RouterMap) -> None:
    made.move_cursor(4.0)
    made.show_finding("intracranial_lipoma")
    process(0.01)
    assert made.shown is not None
    assert made.shown.evidence is None
    assert [name for name, _ in made.readout()][-1] == "attention"
    made.show_finding("")
    process(0.01)


def test_nothing_is_asked_for_without_a_prediction(made: RouterMap, heard: Any) -> None:
    asked = heard(made.slice_chosen)
    made.show_prediction(None)
    process(0.01)
    events.click(made)
    events.wheel(made, 1)
    events.key(made, "Up")
    events.move(made, (40, 40))
    assert (asked, made.readout()) == ([], [])


def test_the_finding_stays_chosen_with_the_next_prediction(made: RouterMap) -> None:
    made.show_prediction(PredictionView.from_json(prediction_document(3, slices=50)))
    assert made.shown is not None
    assert (made.shown.key, made.shown.name) == ("subdural_hematoma", "Subdural hematoma")
    assert made.cursor_position is None


@pytest.mark.parametrize(("level", "experts", "why"), [("volume", 6, "reads the volume as a whole"), (None, 0, "no router")])
def test_without_a_router_for_each_slice_a_sentence_says_why(
    made: RouterMap, heard: Any, level: str | None, experts: int, why: str
) -> None:
    asked = heard(made.slice_chosen)
    view = PredictionView.from_json(prediction_document(1, level=level, experts=experts, demo=False))
    made.show_prediction(view)
    made.move_cursor(5.0)
    process(0.01)
    assert made.shown is not None
    assert why in made.shown.sentence
    assert not [name for name, _ in made.readout() if name.startswith("expert")]
    events.click(made, lane_point(made, 9, "attention"))
    assert asked == [9]


def test_a_volume_level_router_is_one_bar_for_each_expert(made: RouterMap) -> None:
    document = prediction_document(1, level="volume")
    for each in document["slices"]:
        each["router"] = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    made.show_prediction(PredictionView.from_json(document))
    plan, theme, image = made._laid_out(), theme_now(), made.grab().toImage()
    room = plan.heat.height / 6
    right = plan.heat.right - 3 if made.upright else plan.heat.right - 5 * made.fontMetrics().height() // 2 - 6
    columns = [image.pixelColor(right, plan.heat.top + y) for y in range(round(room))]
    assert theme.text in columns, "expert 1 has the whole weight"
    assert theme.track in [image.pixelColor(right, plan.heat.top + round(room) + y) for y in range(round(room))]


def test_the_ground_follows_a_change_of_theme_while_it_is_shown(made: RouterMap, request: pytest.FixtureRequest) -> None:
    assert pixel(made, 1, made.height - 1) == (255, 255, 255)
    request.getfixturevalue("dark_theme")
    process(0.02)
    assert pixel(made, 1, made.height - 1) == (0x1E, 0x1E, 0x1E)


def test_the_picture_is_drawn_for_the_pixels_of_the_screen(made: RouterMap, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RouterMap, "devicePixelRatioF", lambda self: 2.0)
    made._forget()
    made._draw()
    assert made._picture is not None
    assert (made._picture.width(), made._picture.height()) == (2 * made.width, 2 * made.height)
    assert made._picture.devicePixelRatio() == 2.0


def test_the_research_use_stands_below_the_map() -> None:
    assert SHORT_NOTE == "Research use, not a device"


def test_a_demo_model_is_marked(made: RouterMap) -> None:
    theme = theme_now()
    footer = made._laid_out().footer

    def marks() -> int:
        image = made.grab().toImage()
        return sum(image.pixelColor(x, y) == theme.demo for x in range(footer.left, footer.right) for y in range(footer.top, footer.bottom))

    assert marks() > 20
    made.show_prediction(PredictionView.from_json(prediction_document(demo=False)))
    assert marks() == 0
