"""A reader reads the table, calls findings with mouse and keys, takes it back, and states what was looked for."""

from __future__ import annotations

from typing import Any

import pytest
import qt

from harness import events
from harness.event_loop import process
from HeadCTFindingsLib.core.calls import Calls
from HeadCTFindingsLib.core.catalogue import Catalogue
from HeadCTFindingsLib.core.prediction import PredictionView
from HeadCTFindingsLib.core.rows import percent
from HeadCTFindingsLib.ui import call_delegate
from HeadCTFindingsLib.ui.bar_delegate import SHORTEST, bar_length
from HeadCTFindingsLib.ui.findings_panel import FindingsPanel
from HeadCTFindingsLib.ui.roles import CALL, KEY_ROLE, NAME, PROBABILITY
from HeadCTFindingsLib.ui.theme import theme_now
from made_documents import prediction_document

SDH, EDH, LIPOMA = "subdural_hematoma", "epidural_hematoma", "intracranial_lipoma"


def shown(panel: FindingsPanel) -> list[str]:
    """Keys of the rows on the screen, from the top."""
    table, found = panel.table, []
    index = table.findings.proxy.index(0, 0)
    while index.isValid():
        if index.data(KEY_ROLE):
            found.append(index.data(KEY_ROLE))
        index = table.indexBelow(index)
    return found


def headings(panel: FindingsPanel) -> list[str]:
    return [index.data() for index in panel.table.findings.headings()]


def cell(panel: FindingsPanel, key: str, column: int) -> Any:
    index = panel.table.findings.index_of(key)
    return panel.table.visualRect(index.sibling(index.row(), column))


def button(panel: FindingsPanel, key: str, number: int) -> tuple[int, int]:
    """A point on the first, second or third button of a finding's row."""
    centre = call_delegate.buttons(cell(panel, key, CALL))[number].center()
    return centre.x(), centre.y()


def click_call(panel: FindingsPanel, key: str, number: int) -> None:
    events.click(panel.table.viewport(), button(panel, key, number))


def colours_of(panel: FindingsPanel, key: str, column: int) -> list[Any]:
    """All pixels of a cell, row by row."""
    box, image = cell(panel, key, column), panel.table.viewport().grab().toImage()
    return [image.pixelColor(x, y) for y in range(box.top(), box.bottom()) for x in range(box.left(), box.right())]


def bar_of(panel: FindingsPanel, key: str) -> list[Any]:
    """The pixels along the middle of a finding's bar: the first 40 of its cell."""
    box, image = cell(panel, key, PROBABILITY), panel.table.viewport().grab().toImage()
    return [image.pixelColor(x, box.center().y()) for x in range(box.left(), box.left() + 40)]


def test_all_75_findings_are_shown_in_six_categories(panel: FindingsPanel, catalogue: Catalogue) -> None:
    assert sorted(shown(panel)) == sorted(catalogue.keys)
    assert sorted(headings(panel)) == sorted(catalogue.categories)


def test_what_is_above_threshold_comes_first(panel: FindingsPanel, view: PredictionView) -> None:
    rows = panel.table.findings.rows
    alarms = [panel.table.findings.group(title).alarms > 0 for title in headings(panel)]  # type: ignore[union-attr]
    assert alarms == sorted(alarms, reverse=True)
    for group in panel.table.findings.groups:
        families = [row for row in group.rows if row.depth == 0]
        family_above = []
        for family in families:
            members = [row for row in group.rows if row.key == family.key or family.key in panel.catalogue.ancestors(row.key)]  # type: ignore[union-attr]
            family_above.append(any(row.positive for row in members))
        assert family_above == sorted(family_above, reverse=True)
    assert rows[SDH].positive


def test_a_child_stands_below_its_parent(panel: FindingsPanel) -> None:
    index = panel.table.findings.index_of("basal_ganglia_hemorrhage")
    assert index is not None
    assert index.parent().data(KEY_ROLE) == "intraparenchymal_hemorrhage"
    assert index.parent().parent().data(qt.Qt.DisplayRole) == "Hemorrhage"


def test_above_threshold_is_bold_and_what_is_not_assessed_is_grey(panel: FindingsPanel) -> None:
    fonts = {key: panel.table.findings.index_of(key).data(qt.Qt.FontRole) for key in (SDH, EDH, LIPOMA)}
    assert [fonts[key].bold() for key in (SDH, EDH, LIPOMA)] == [True, False, False]
    brushes = [panel.table.findings.index_of(key).data(qt.Qt.ForegroundRole).color() for key in (EDH, LIPOMA)]
    assert brushes == [theme_now().text, theme_now().muted]


def test_the_bar_is_as_long_as_the_probability_and_the_tick_stands_at_the_operating_point(panel: FindingsPanel) -> None:
    theme, box = theme_now(), cell(panel, EDH, PROBABILITY)
    image = panel.table.viewport().grab().toImage()
    row = panel.table.findings.rows[EDH]
    middle = [image.pixelColor(x, box.center().y()) for x in range(box.left(), box.right())]
    filled, track = middle.count(theme.below), middle.count(theme.track)
    assert filled / (filled + track + 2) == pytest.approx(row.probability, abs=0.03)
    bar_left = middle.index(theme.below)
    over = [image.pixelColor(x, box.center().y() - box.height() // 5 - 2) for x in range(box.left(), box.right())]
    length = filled + track + 2
    assert (over.index(theme.text) - bar_left) / length == pytest.approx(row.threshold, abs=0.03)
    assert bar_of(panel, SDH).count(theme.above) > 20
    assert theme.below not in bar_of(panel, SDH)


def test_the_next_prediction_is_drawn_in_place_of_the_last(panel: FindingsPanel, calls: Calls) -> None:
    before = bar_of(panel, EDH).count(theme_now().below)
    document = prediction_document()
    next(each for each in document["findings"] if each["key"] == EDH).update(probability=0.35)
    panel.show_study(calls, PredictionView.from_json(document))
    assert bar_of(panel, EDH).count(theme_now().below) > 2 * before


def test_a_selected_row_stands_on_the_colour_of_the_selection(panel: FindingsPanel) -> None:
    theme = theme_now()
    for column in (NAME, PROBABILITY, CALL):
        assert theme.selection not in colours_of(panel, SDH, column)
    panel.select(SDH)
    for column in (NAME, PROBABILITY, CALL):
        assert colours_of(panel, SDH, column).count(theme.selection) > 100
    panel.select(EDH)
    for column in (NAME, PROBABILITY, CALL):
        assert theme.selection not in colours_of(panel, SDH, column)


def test_a_finding_that_is_not_assessed_has_no_bar(panel: FindingsPanel) -> None:
    box, image = cell(panel, LIPOMA, PROBABILITY), panel.table.viewport().grab().toImage()
    foot = {image.pixelColor(x, box.center().y() + box.height() // 5).name() for x in range(box.left(), box.left() + 40)}
    bar = {
        image.pixelColor(x, cell(panel, EDH, PROBABILITY).center().y() + box.height() // 5).name()
        for x in range(box.left(), box.left() + 40)
    }
    assert theme_now().track.name() in bar
    assert theme_now().track.name() not in foot


def test_tooltips_give_definition_synonyms_and_exact_values(panel: FindingsPanel, catalogue: Catalogue) -> None:
    tip = panel.table.findings.index_of(SDH).data(qt.Qt.ToolTipRole)
    row = panel.table.findings.rows[SDH]
    for part in (catalogue[SDH].definition, "Also: SDH", row.percent, "threshold 40 %", "Acuity: critical"):
        assert part in tip
    assert "Not detected, not ruled out" in panel.table.findings.index_of(EDH).data(qt.Qt.ToolTipRole)
    assert "Not assessed by this model" in panel.table.findings.index_of(LIPOMA).data(qt.Qt.ToolTipRole)


def test_a_demo_model_and_the_research_use_are_always_said(panel: FindingsPanel, catalogue: Catalogue, calls: Calls) -> None:
    assert "DEMO MODEL" in panel.notes.text
    assert "Research use, not a device" in panel.notes.text
    assert panel.table.findings.proxy.headerData(PROBABILITY, qt.Qt.Horizontal) == "DEMO probability"
    panel.show_study(calls, PredictionView.from_json(prediction_document(demo=False)))
    assert "DEMO" not in panel.notes.text
    assert "Research use, not a device" in panel.notes.text
    assert panel.table.findings.proxy.headerData(PROBABILITY, qt.Qt.Horizontal) == "Probability"


def test_a_click_calls_a_finding_and_the_same_click_takes_it_back(panel: FindingsPanel, calls: Calls, heard: Any) -> None:
    changed = heard(panel.changed)
    for number, state in enumerate(("present", "uncertain", "absent")):
        click_call(panel, SDH, number)
        assert calls.called == {SDH: state}
    click_call(panel, SDH, 2)
    assert calls.called == {}
    assert [changes[0].after for changes in changed] == ["present", "uncertain", "absent", "not_assessed"]


def test_a_double_click_is_two_clicks(panel: FindingsPanel, calls: Calls) -> None:
    events.double_click(panel.table.viewport(), button(panel, EDH, 0))
    assert calls.called == {}


def test_a_click_beside_the_buttons_or_on_a_heading_calls_nothing(panel: FindingsPanel, calls: Calls) -> None:
    box = cell(panel, SDH, CALL)
    events.click(panel.table.viewport(), (box.right() - 1, box.center().y()))
    events.click(panel.table.viewport(), (cell(panel, SDH, NAME).center().x(), box.center().y()))
    heading = panel.table.findings.headings()[0]
    where = panel.table.visualRect(heading.sibling(heading.row(), CALL)).center()
    events.click(panel.table.viewport(), (where.x(), where.y()))
    assert calls.called == {}


def test_the_chosen_button_has_the_colour_of_its_state_and_a_dot_says_that_it_is_not_submitted(panel: FindingsPanel, calls: Calls) -> None:
    theme = theme_now()
    click_call(panel, SDH, 1)
    assert theme.uncertain in colours_of(panel, SDH, CALL)
    assert theme.warning in colours_of(panel, SDH, CALL)
    calls.mark_submitted()
    panel.refresh()
    assert theme.uncertain in colours_of(panel, SDH, CALL)
    assert theme.warning not in colours_of(panel, SDH, CALL)


@pytest.mark.parametrize(("key", "state"), [("1", "present"), ("2", "uncertain"), ("3", "absent")])
def test_keys_call_the_selected_finding_and_0_takes_it_back(panel: FindingsPanel, calls: Calls, key: str, state: str) -> None:
    panel.select(SDH)
    events.key(panel.table, key)
    events.key(panel.table, key)
    assert calls.called == {SDH: state}
    events.key(panel.table, "0")
    assert calls.called == {}


def test_arrows_move_through_the_findings_and_tell_each(panel: FindingsPanel, heard: Any) -> None:
    selected = heard(panel.selected)
    panel.select(SDH)
    order = shown(panel)
    events.key(panel.table, "Down")
    events.key(panel.table, "Up")
    assert selected == [SDH, order[order.index(SDH) + 1], SDH]


def test_keys_on_a_heading_or_without_a_study_call_nothing(panel: FindingsPanel, calls: Calls, view: PredictionView) -> None:
    panel.table.setCurrentIndex(panel.table.findings.headings()[0])
    events.key(panel.table, "1")
    panel.show_study(None, view)
    panel.select(SDH)
    events.key(panel.table, "1")
    click_call(panel, SDH, 0)
    assert calls.called == {}


def test_undo_and_redo_by_keys_inside_the_panel(panel: FindingsPanel, calls: Calls, heard: Any) -> None:
    changed = heard(panel.changed)
    click_call(panel, SDH, 0)
    click_call(panel, EDH, 2)
    events.key(panel.table, "Ctrl+Z")
    assert calls.called == {SDH: "present"}
    events.key(panel.table, "Ctrl+Z")
    events.key(panel.table, "Ctrl+Z")
    assert calls.called == {}
    events.key(panel.table, "Ctrl+Shift+Z")
    events.key(panel.table, "Ctrl+Y")
    assert calls.called == {SDH: "present", EDH: "absent"}
    assert len(changed) == 6


def test_the_undo_button_says_what_it_takes_back(panel: FindingsPanel, calls: Calls) -> None:
    assert not panel.bar.undo_button.enabled
    click_call(panel, SDH, 0)
    assert panel.bar.undo_button.toolTip == "Undo Subdural hematoma: present (Ctrl+Z)"
    events.click(panel.bar.undo_button)
    assert panel.bar.redo_button.toolTip == "Redo Subdural hematoma: present (Ctrl+Shift+Z)"
    events.click(panel.bar.redo_button)
    assert calls.called == {SDH: "present"}


def test_the_rest_is_marked_only_after_a_confirmation_that_counts(panel: FindingsPanel, calls: Calls, heard: Any) -> None:
    changed = heard(panel.changed)
    click_call(panel, "basal_ganglia_hemorrhage", 0)
    events.click(panel.bar.rest_button)
    assert panel.bar.asking.isVisible()
    assert "Mark 73 findings as reviewed and absent?" in panel.bar.question.text
    assert "above the model's threshold" in panel.bar.question.text
    assert "1 stays not assessed" in panel.bar.question.text
    assert len(calls.called) == 1
    events.click(panel.bar.yes_button)
    assert not panel.bar.asking.isVisible()
    assert calls.counts == {"present": 1, "uncertain": 0, "absent": 73, "not_assessed": 1}
    assert len(changed[-1]) == 73
    events.key(panel.table, "Ctrl+Z")
    assert calls.called == {"basal_ganglia_hemorrhage": "present"}


def test_no_leaves_the_rest_alone_and_another_call_withdraws_the_question(panel: FindingsPanel, calls: Calls) -> None:
    events.click(panel.bar.rest_button)
    events.click(panel.bar.no_button)
    assert (panel.bar.asking.isVisible(), calls.called) == (False, {})
    events.click(panel.bar.rest_button)
    click_call(panel, SDH, 0)
    assert not panel.bar.asking.isVisible(), "its count would be wrong now"


def test_with_every_finding_called_there_is_nothing_to_confirm(panel: FindingsPanel, calls: Calls) -> None:
    calls.mark_rest_absent(calls.rest())
    panel.refresh()
    events.click(panel.bar.rest_button)
    assert "nothing left to mark" in panel.bar.question.text
    assert not panel.bar.yes_button.isVisible()


def test_what_is_not_submitted_is_counted(panel: FindingsPanel, calls: Calls) -> None:
    assert panel.bar.status.text == "No calls yet"
    click_call(panel, SDH, 0)
    click_call(panel, EDH, 2)
    assert panel.bar.status.text.endswith("2 calls, 2 not submitted")
    calls.mark_submitted()
    panel.refresh()
    assert panel.bar.status.text == "2 calls, all submitted"
    click_call(panel, SDH, 0)
    assert panel.bar.status.text.endswith("1 call, 1 not submitted"), "a call taken back is a change, too"


def test_calls_against_each_other_are_pointed_out(panel: FindingsPanel) -> None:
    click_call(panel, "basal_ganglia_hemorrhage", 0)
    assert not panel.bar.remark.isVisible()
    click_call(panel, "intraparenchymal_hemorrhage", 2)
    assert "Basal ganglia hemorrhage is present, but Intraparenchymal hemorrhage" in panel.bar.remark.text


@pytest.mark.parametrize(
    ("text", "found"),
    [("sdh", SDH), ("SDH acute", SDH), ("ganglionic", "basal_ganglia_hemorrhage"), ("epidural hem", EDH), ("critical subd", SDH)],
)
def test_the_filter_finds_names_and_synonyms(panel: FindingsPanel, text: str, found: str) -> None:
    events.type_text(panel.toolbar.box, text)
    keys = shown(panel)
    assert found in keys
    assert len(keys) < 30


def test_a_found_child_keeps_its_parent_and_an_empty_box_shows_all(panel: FindingsPanel) -> None:
    events.type_text(panel.toolbar.box, "putaminal")
    assert shown(panel) == ["intraparenchymal_hemorrhage", "basal_ganglia_hemorrhage"]
    events.key(panel.toolbar.box, "Escape")
    assert len(shown(panel)) == 75


def test_a_filter_that_hides_the_selected_finding_selects_no_other(panel: FindingsPanel, calls: Calls, heard: Any) -> None:
    panel.select(SDH)
    selected = heard(panel.selected)
    events.type_text(panel.toolbar.box, "lipoma")
    assert panel.table.selected_key() == ""
    events.key(panel.table, "1")
    assert (selected, calls.called) == ([], {})
    panel.toolbar.box.clear()
    assert panel.table.selected_key() == SDH
    assert selected == []


def test_letters_that_mean_something_in_a_pattern_are_letters(panel: FindingsPanel) -> None:
    events.type_text(panel.toolbar.box, "(skull)")
    assert shown(panel) == ["bone_lesion"]
    panel.toolbar.box.setText("[*")
    assert shown(panel) == []


def test_by_acuity(panel: FindingsPanel) -> None:
    panel.toolbar.grouping.setCurrentIndex(1)
    assert headings(panel) == ["Critical", "Urgent", "Routine"]
    assert len(shown(panel)) == 75


@pytest.mark.parametrize("number", range(5))
def test_which_findings_are_listed(panel: FindingsPanel, view: PredictionView, calls: Calls, number: int) -> None:
    calls.set(SDH, "present")
    panel.toolbar.choice.setCurrentIndex(number)
    wanted = {
        0: set(view.keys),
        1: {key for key, positive in zip(view.keys, view.positive, strict=True) if positive},
        2: {key for key, estimable in zip(view.keys, view.estimable, strict=True) if estimable},
        3: set(view.keys) - {SDH},
        4: {SDH},
    }
    assert set(shown(panel)) == wanted[number]


def test_a_new_prediction_keeps_the_selection_without_telling_it_again(panel: FindingsPanel, calls: Calls, heard: Any) -> None:
    panel.select(SDH)
    selected = heard(panel.selected)
    panel.show_study(calls, PredictionView.from_json(prediction_document(7)))
    assert panel.table.selected_key() == SDH
    assert selected == []


def test_a_closed_category_stays_closed(panel: FindingsPanel, calls: Calls) -> None:
    where = headings(panel).index("Trauma")
    panel.table.collapse(panel.table.findings.headings()[where])
    assert "skull_fracture" not in shown(panel)
    panel.show_study(calls, PredictionView.from_json(prediction_document(7)))
    assert "skull_fracture" not in shown(panel)
    panel.table.expand(panel.table.findings.headings()[headings(panel).index("Trauma")])
    panel.show_study(calls, PredictionView.from_json(prediction_document(8)))
    assert "skull_fracture" in shown(panel)


def test_after_retraining_the_table_says_what_changed(panel: FindingsPanel, calls: Calls, view: PredictionView) -> None:
    document = prediction_document(0, version="2.0-c12")
    now = next(each for each in document["findings"] if each["key"] == EDH)
    now.update(probability=0.9, positive=True)
    after = PredictionView.from_json(document)
    panel.show_study(calls, after, before=view)
    panel.toolbar.choice.setCurrentIndex(panel.toolbar.choice.findText("Changed"))
    assert shown(panel) == [EDH]
    assert panel.table.before == {EDH: pytest.approx(view.probability[view.index(EDH)])}
    earlier = percent(view.probability[view.index(EDH)])
    assert f"An earlier version gave {earlier}" in panel.table.findings.index_of(EDH).data(qt.Qt.ToolTipRole)
    panel.show_study(calls, after)
    assert panel.toolbar.choice.findText("Changed") < 0
    assert len(shown(panel)) == 75


def test_before_the_first_prediction_findings_can_be_called(panel: FindingsPanel, calls: Calls) -> None:
    panel.show_study(calls)
    assert panel.table.findings.rows[SDH].statement == "no prediction yet"
    click_call(panel, SDH, 0)
    assert calls.called == {SDH: "present"}
    assert not panel.notes.isVisible()


@pytest.mark.usefixtures("dark_theme")
def test_everything_is_drawn_in_the_dark_theme_too(panel: FindingsPanel) -> None:
    theme = theme_now()
    click_call(panel, SDH, 0)
    assert theme.dark
    assert theme.present in colours_of(panel, SDH, CALL)
    assert theme.above in colours_of(panel, SDH, PROBABILITY)
    assert panel.table.findings.index_of(EDH).data(qt.Qt.ForegroundRole).color() == theme.text


def test_a_change_of_theme_while_the_panel_is_open_recolours_it(panel: FindingsPanel, request: pytest.FixtureRequest) -> None:
    light = theme_now()
    request.getfixturevalue("dark_theme")
    process(0.02)
    assert theme_now().below != light.below
    assert theme_now().below in colours_of(panel, EDH, PROBABILITY)
    assert light.below not in colours_of(panel, EDH, PROBABILITY)
    assert theme_now().demo.name() in panel.notes.text


def test_a_narrow_panel_still_says_not_ruled_out(panel: FindingsPanel) -> None:
    assert panel.minimumSizeHint.width() <= 440, "Slicer's panel is about 450 px wide"
    metrics = panel.table.fontMetrics()
    panel.resize(440, 800)
    process(0.01)
    words, figure = metrics.horizontalAdvance(SHORTEST), metrics.horizontalAdvance("> 99 %  ")
    room = panel.table.columnWidth(PROBABILITY) - figure
    assert room - bar_length(room, words) - 12 >= words
