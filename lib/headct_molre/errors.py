"""The errors that a user may see: each has a stable code, a sentence with the remedy, and an HTTP status."""

from __future__ import annotations

from functools import partial


class HeadCTError(Exception):
    """Base class; `code` is stable and machine readable, `message` is for a person."""

    status = 400

    def __init__(self, code: str, message: str, *, field: str | None = None, status: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field
        if status is not None:
            self.status = status

    def __reduce__(self) -> tuple[partial[HeadCTError], tuple[str, str]]:
        """How an error crosses from a worker process: with its code, and not with the message alone."""
        return partial(type(self), field=self.field, status=self.status), (self.code, self.message)

    def to_json(self) -> dict[str, str]:
        """The body of an HTTP error and of a command line refusal: {code, message} and the field where one is to blame."""
        body = {"code": self.code, "message": self.message}
        if self.field is not None:
            body["field"] = self.field
        return body


class InvalidRequest(HeadCTError):
    """A parameter, id or document of the caller is malformed; `field` names it."""

    status = 422


class NotFound(HeadCTError):
    """A study, finding, model, version or file that does not exist."""

    status = 404


class StudyRefused(HeadCTError):
    """The gate or the reader refuses the images: not a CT of a head, contradictory geometry, not Hounsfield units..."""

    status = 422


class ModelUnavailable(HeadCTError):
    """A known model cannot be served: its weights are missing, damaged or do not match their recorded hash."""

    status = 409
