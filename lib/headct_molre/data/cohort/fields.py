"""The cells of a study's own columns: from text to values and back. A parser raises ValueError with the remedy."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ...schema import StudyId
from .cohort import SPLITS

MOST_CHARACTERS, MOST_PATH_CHARACTERS = 256, 4096
SEXES = {"m": "M", "male": "M", "f": "F", "female": "F", "o": "O", "other": "O"}
YES_NO = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
# Surrogates, control, format (zero width, direction) and unassigned characters, separators of lines and paragraphs.
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"})
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?")
_STUDY = TypeAdapter(StudyId)


def parse_field(column: str, text: str) -> Any:
    """The value of a cell that is not empty, spaces around it taken off. Raises ValueError with what is wrong and the remedy."""
    return _PARSERS[column](text)


def field_text(value: object) -> str:
    """The cell that is read back as this value; empty for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return repr(float(value)).removesuffix(".0")
    return str(value)


def is_formula(text: str) -> bool:
    """Whether a spreadsheet would compute this cell (CSV injection); a plain number with a sign is none."""
    return text[:1] in ("=", "@") or (text[:1] in ("+", "-") and not _NUMBER.fullmatch(text))


def _text(text: str, most: int = MOST_CHARACTERS) -> str:
    if len(text) > most:
        raise ValueError(f"has {len(text)} characters; at most {most} are read")
    if not text.isprintable() and any(unicodedata.category(c) in _INVISIBLE for c in text):
        raise ValueError("holds a line break or a character that cannot be seen; delete it")
    if is_formula(text):
        raise ValueError(f"begins with {text[0]}, which a spreadsheet would run as a formula; begin it otherwise (a path with ./)")
    return text


def _name(text: str) -> str:
    # One name in two ways of writing its accents would be two patients, in two splits.
    return unicodedata.normalize("NFC", _text(text))


def _study(text: str) -> str:
    try:
        return str(_STUDY.validate_python(text))
    except ValidationError:
        raise ValueError("is no study id; use up to 128 letters a-z, digits, dots, - and _, a letter or digit first") from None


def _path(text: str) -> Path:
    return Path(_text(text, MOST_PATH_CHARACTERS))


def _one_of(words: dict[str, Any], remedy: str) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        if (word := text.lower()) not in words:
            raise ValueError(f"is not known; {remedy}")
        return words[word]

    return parse


def _number(low: float, high: float, unit: str) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = math.nan if "_" in text else float(text)
        except ValueError:
            value = math.nan
        if math.isnan(value):
            hint = "; write a decimal point, not a comma" if "," in text else "; leave the cell empty where it is not known"
            raise ValueError(f"is not a number of {unit}{hint}")
        if not low <= value <= high:
            raise ValueError(f"is not between {low:g} and {high:g} {unit}; leave the cell empty where it is not known")
        return value

    return parse


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise ValueError(f"is not a whole number from {low} to {high}; leave the cell empty where it is not known")
        return int(text)

    return parse


def _series_uid(text: str) -> str:
    if not re.fullmatch(r"[0-9.]{1,64}", text):
        raise ValueError("is no SeriesInstanceUID; it has up to 64 digits and dots")
    return text


_PARSERS: dict[str, Callable[[str], Any]] = {
    "study": _study,
    "path": _path,
    "patient": _name,
    "split": _one_of({split: split for split in SPLITS}, f"write {', '.join(SPLITS)} or nothing"),
    "site": _name,
    "scanner": _name,
    "sex": _one_of(SEXES, "write M, F, O or nothing"),
    "age_years": _number(0, 130, "years"),
    "slice_thickness_mm": _number(0.05, 100, "mm"),
    "series_uid": _series_uid,
    "readers": _whole(0, 1000),
    "synthetic": _one_of(YES_NO, "write yes, no or nothing"),
}
