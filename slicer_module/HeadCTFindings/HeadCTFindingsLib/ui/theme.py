"""The colours of the widgets, for a light and a dark theme.

States are told apart by shape and place first and by colour second. The colours are those of Okabe and Ito (Color Universal Design, 2008),
lightened on dark ground, so that readers with a colour vision deficiency can tell orange (for) from blue (against) too.
"""

from __future__ import annotations

from dataclasses import dataclass

import qt


@dataclass(frozen=True)
class Theme:
    """Colours by meaning; `selection` is a tint of the base that keeps every other colour readable on it."""

    dark: bool
    base: qt.QColor
    text: qt.QColor
    muted: qt.QColor
    line: qt.QColor
    track: qt.QColor
    group: qt.QColor
    selection: qt.QColor
    present: qt.QColor
    uncertain: qt.QColor
    absent: qt.QColor
    on_call: qt.QColor
    above: qt.QColor
    below: qt.QColor
    attention: qt.QColor
    warning: qt.QColor
    demo: qt.QColor

    @property
    def evidence_for(self) -> qt.QColor:
        """What raises the finding's logit has the colour of a finding above its threshold."""
        return self.above

    @property
    def evidence_against(self) -> qt.QColor:
        """What lowers the finding's logit."""
        return self.absent


def theme_now() -> Theme:
    """The theme for the application's palette of this moment."""
    return theme_of(qt.QApplication.palette())


def theme_of(palette: qt.QPalette) -> Theme:
    """The theme for a palette; dark if its base is darker than its text."""
    base, text = palette.color(qt.QPalette.Base), palette.color(qt.QPalette.Text)
    dark = base.lightness() < text.lightness()
    pick = _DARK if dark else _LIGHT
    return Theme(
        dark=dark,
        base=base,
        text=text,
        muted=mixed(text, base, 0.38),
        line=mixed(text, base, 0.78),
        track=mixed(text, base, 0.86),
        group=mixed(text, base, 0.94),
        selection=mixed(palette.color(qt.QPalette.Highlight), base, 0.70),
        **{name: qt.QColor(value) for name, value in pick.items()},
    )


def mixed(colour: qt.QColor, other: qt.QColor, share: float) -> qt.QColor:
    """`colour` with `share` (0 to 1) of `other` in it."""
    keep = 1.0 - share
    return qt.QColor(
        round(keep * colour.red() + share * other.red()),
        round(keep * colour.green() + share * other.green()),
        round(keep * colour.blue() + share * other.blue()),
    )


_LIGHT = {
    "present": "#d55e00",
    "uncertain": "#b8860b",
    "absent": "#0072b2",
    "on_call": "#ffffff",
    "above": "#d55e00",
    "below": "#8a9bad",
    "attention": "#007a5a",
    "warning": "#8a5a00",
    "demo": "#7b3294",
}
_DARK = {
    "present": "#ff9248",
    "uncertain": "#f0c34a",
    "absent": "#56b4e9",
    "on_call": "#14181c",
    "above": "#ff9248",
    "below": "#7d8fa1",
    "attention": "#35d0a0",
    "warning": "#f0c34a",
    "demo": "#d8a6ee",
}
