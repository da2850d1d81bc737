"""Earlier submissions: the newest first, each with its reader, its calls and what the model had shown."""

from __future__ import annotations

import pytest

from harness import events
from HeadCTFindingsLib.core.catalogue import Catalogue
from HeadCTFindingsLib.ui.history_view import HistoryView
from made_documents import submission_document


@pytest.fixture
def history(catalogue: Catalogue) -> HistoryView:
    made = HistoryView()
    made.set_catalogue(catalogue)
    made.show_submissions(
        [
            submission_document(
                "ada", {"subdural_hematoma": "present", "epidural_hematoma": "absent"}, received="2026-08-01T10:00:00+00:00"
            ),
            submission_document("ben", {"subdural_hematoma": "uncertain"}, "thin along the falx", received="2026-08-02T10:00:00+00:00"),
        ]
    )
    return events.show(made, (480, 300))


def cells(history: HistoryView, *path: int) -> list[str]:
    model, index = history.submissions, None
    for row in path:
        index = model.index(row, 0) if index is None else model.index(row, 0, index)
    return [index.sibling(index.row(), column).data() for column in range(3)]


def test_the_newest_comes_first_with_its_calls_in_numbers(history: HistoryView) -> None:
    assert cells(history, 0)[0].startswith("ben, 2026-08-02 ")
    assert cells(history, 0)[1:] == ["1 uncertain", "demo 2.0"]
    assert cells(history, 1)[1:] == ["1 present, 1 absent", "demo 2.0"]


def test_calls_stand_below_with_what_the_model_showed(history: HistoryView) -> None:
    assert cells(history, 1, 0) == ["Subdural hematoma", "present", "25 %"]
    assert cells(history, 1, 1) == ["Epidural hematoma", "absent", "25 %"]


def test_a_comment_is_shown(history: HistoryView) -> None:
    assert cells(history, 0, 1) == ["Comment", "thin along the falx", ""]


def test_the_next_study_takes_the_place_of_the_last(history: HistoryView) -> None:
    record = submission_document("cleo", {"unheard_of": "not_assessed"}, received="yesterday")
    record["submission"]["model"], record["shown_probabilities"] = None, None
    history.show_submissions([record])
    assert history.submissions.rowCount() == 1
    assert cells(history, 0) == ["cleo, yesterday", "none", ""]
    assert cells(history, 0, 0) == ["unheard_of", "not assessed", ""]
