"""The documents and widgets that the tests of the module's widgets share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from harness.session import start
from made_documents import findings_document, prediction_document

start()  # the widgets import slicer.i18n

import qt  # noqa: E402

from harness import events  # noqa: E402
from HeadCTFindingsLib.core.calls import Calls  # noqa: E402
from HeadCTFindingsLib.core.catalogue import Catalogue  # noqa: E402
from HeadCTFindingsLib.core.prediction import PredictionView  # noqa: E402
from HeadCTFindingsLib.ui.findings_panel import FindingsPanel  # noqa: E402


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    """The 75 findings."""
    return Catalogue.from_json(findings_document())


@pytest.fixture
def view() -> PredictionView:
    """A demo model's prediction: 38 slices, 6 experts, subdural hematoma above its threshold."""
    return PredictionView.from_json(prediction_document())


@pytest.fixture
def calls(catalogue: Catalogue) -> Calls:
    """No call yet."""
    return Calls(catalogue.keys)


@pytest.fixture
def panel(catalogue: Catalogue, view: PredictionView, calls: Calls) -> FindingsPanel:
    """The findings of the prediction on the screen, so high that every row is."""
    made = FindingsPanel()
    made.set_catalogue(catalogue)
    made.show_study(calls, view)
    return events.show(made, (480, 2200))


@pytest.fixture
def dark_theme() -> Iterator[None]:
    """A dark palette of the application, taken back afterwards."""
    light, dark = qt.QApplication.palette(), qt.QPalette()
    for role, colour in (
        ("Window", "#2b2b2b"),
        ("Base", "#1e1e1e"),
        ("Text", "#e6e6e6"),
        ("WindowText", "#e6e6e6"),
        ("Highlight", "#2a82da"),
    ):
        dark.setColor(getattr(qt.QPalette, role), qt.QColor(colour))
    qt.QApplication.setPalette(dark)
    yield
    qt.QApplication.setPalette(light)


@pytest.fixture
def heard() -> Any:
    """`heard(signal)` is the list of what the signal says from then on."""

    def listen(signal: Any) -> list[Any]:
        said: list[Any] = []
        signal.connect(lambda *values: said.append(values[0] if len(values) == 1 else values))
        return said

    return listen
