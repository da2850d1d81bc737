"""The colours are those of the theme, and can be told apart and read."""

from __future__ import annotations

from typing import Any

import pytest
import qt

from HeadCTFindingsLib.ui.theme import mixed, theme_now

STATES = ("present", "uncertain", "absent")


def luminance(colour: Any) -> float:
    """WCAG 2 relative luminance of a colour."""
    parts = [value / 255 for value in (colour.red(), colour.green(), colour.blue())]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: Any, other: Any) -> float:
    """WCAG 2 contrast ratio, 1 to 21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def check_readable() -> None:
    theme = theme_now()
    for name in ("text", "muted", "attention", "warning", "demo"):
        assert contrast(getattr(theme, name), theme.base) >= 4.5, name
    for name in ("above", "below", *STATES):
        assert contrast(getattr(theme, name), theme.base) >= 2.7, f"{name} is drawn as an area and in large text"
    for state in STATES:
        assert contrast(theme.on_call, getattr(theme, state)) >= 3, f"the sign on {state}"
    assert contrast(theme.text, theme.selection) >= 4.5


def test_text_and_signs_are_readable_in_the_light_theme() -> None:
    assert not theme_now().dark
    check_readable()


@pytest.mark.usefixtures("dark_theme")
def test_text_and_signs_are_readable_in_the_dark_theme() -> None:
    assert theme_now().dark
    check_readable()


def test_evidence_for_and_against_differ_in_blue_which_every_common_deficiency_keeps() -> None:
    theme = theme_now()
    assert abs(theme.evidence_for.blue() - theme.evidence_against.blue()) > 100


def test_mixing() -> None:
    black, white = qt.QColor(0, 0, 0), qt.QColor(255, 255, 255)
    assert mixed(black, white, 0.0) == black
    assert mixed(black, white, 1.0) == white
    assert mixed(black, white, 0.2).red() == 51
