"""Which studies are of one patient, without the patient's number: a hash that nobody can look up who has not the store.

Fine-tuning keeps all studies of a patient on one side of a split. A plain hash of a number is found again by hashing all numbers there
are, so that a secret of the store goes into it. Neither the number nor the hash is logged or sent to anybody.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

from sqlalchemy import select

from ...errors import InvalidRequest
from .database import Database, inserting
from .tables import SECRETS

PATIENTS = "patients"
SECRET_BYTES = 32
LONGEST_PATIENT = 256
# What exports write in place of a number when they take it out: not one patient, but any.
_PLACEHOLDERS = {
    "",
    "0",
    "na",
    "n/a",
    "none",
    "null",
    "unknown",
    "anon",
    "anonymous",
    "anonymized",
    "anonymised",
    "removed",
    "deidentified",
}


def patient_digest(patient: str) -> str | None:
    """The first step, before anything is stored: a hash of a patient's number; None where it names nobody."""
    text = patient.strip()
    if text.casefold().strip("^*_- ") in _PLACEHOLDERS:
        return None
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def checked_patient(patient: object) -> str:
    """What a client names a patient. Raises InvalidRequest `invalid_patient`, without repeating it."""
    if isinstance(patient, str) and 0 < len(patient.strip()) <= LONGEST_PATIENT:
        return patient
    raise InvalidRequest("invalid_patient", f"patient is the patient's number, a text of 1 to {LONGEST_PATIENT} letters.", field="patient")


class PatientKeys:
    """Keyed hashes of patients. The secret is made when it is first needed, and the same for all servers of the store."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._secret: bytes | None = None

    def key(self, digest: str | None) -> str | None:
        """The key, 64 hexadecimal digits, of what `patient_digest` gave. Not inside a transaction. Raises StoreUnavailable."""
        if digest is None:
            return None
        if self._secret is None:
            self._secret = self._kept_secret()
        return hmac.new(self._secret, digest.encode(), hashlib.sha256).hexdigest()

    def _kept_secret(self) -> bytes:
        kept = select(SECRETS.c.secret).where(SECRETS.c.name == PATIENTS)
        with self._database.reading() as connection:
            secret = connection.execute(kept).scalar()
        if secret is None:
            with self._database.writing() as connection:
                row = {"name": PATIENTS, "secret": secrets.token_bytes(SECRET_BYTES)}
                connection.execute(inserting(connection, SECRETS).values(row).on_conflict_do_nothing())
                secret = connection.execute(kept).scalar_one()  # of a server that was faster, perhaps
        return bytes(secret)
