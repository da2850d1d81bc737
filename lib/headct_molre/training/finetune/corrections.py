"""Corrections: labels derived from what readers submitted up to one moment, with what decides how each may be used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np
from sqlalchemy import select

from ...data.store import StudyStore
from ...data.store.clock import with_zone
from ...data.store.labels import derive_label
from ...data.store.tables import STUDIES, SUBMISSIONS
from ...findings import finding_keys
from ...schema import State, Submission


@dataclass(frozen=True)
class Correction:
    """A study's label and the facts about it.

    `content` is the hash of the images that were shown, None where none were; `patient` a key that is never shown or logged; `random` says
    that the study was first offered with no regard to any score.
    """

    study: str
    content: str | None
    patient: str
    readers: tuple[str, ...]
    random: bool
    label: dict[str, State]

    @property
    def reader(self) -> str:
        """Whose label it is, in a word."""
        return " and ".join(sorted(self.readers))


def read_corrections(store: StudyStore, until: int, rule: str) -> list[Correction]:
    """The corrections up to the submission of sequence `until`, by study; a later submission changes nothing in them.

    The store is append-only, and a study's first offer never changes, so that the same call gives the same answer at any time.
    Raises InvalidRequest `unknown_label_rule`, StoreUnavailable.
    """
    facts = select(
        SUBMISSIONS.c.study, SUBMISSIONS.c.document, SUBMISSIONS.c.received_at, STUDIES.c.content_sha256, STUDIES.c.patient_key
    ).join(STUDIES, STUDIES.c.study == SUBMISSIONS.c.study)
    with store.database.reading() as connection:
        rows = connection.execute(facts.where(SUBMISSIONS.c.sequence <= until).order_by(SUBMISSIONS.c.sequence)).all()
    if not rows:
        return []
    last: datetime = with_zone(rows[-1].received_at)
    drawn = store.readings.random_studies(last)
    submissions: dict[str, list[Submission]] = {}
    for row in rows:
        submissions.setdefault(row.study, []).append(Submission.model_validate_json(row.document))
    of_study = {row.study: row for row in rows}
    return [
        Correction(
            study=study,
            content=of_study[study].content_sha256,
            patient=of_study[study].patient_key or f"study {study}",
            readers=tuple(dict.fromkeys(one.reader for one in said)),
            random=study in drawn,
            label=derive_label(said, rule),
        )
        for study, said in sorted(submissions.items())
    ]


def label_array(corrections: Sequence[Correction], uncertain: Literal["masked", "soft"] = "masked") -> np.ndarray:
    """Labels (N, 75) float32 in taxonomy order: 1 present, 0 absent, NaN for all else; uncertain 0.5 where it is to be a soft target."""
    values = {"present": 1.0, "absent": 0.0, "uncertain": 0.5 if uncertain == "soft" else np.nan}
    rows = [[values.get(one.label.get(key, ""), np.nan) for key in finding_keys()] for one in corrections]
    return np.array(rows, np.float32).reshape(len(corrections), len(finding_keys()))
