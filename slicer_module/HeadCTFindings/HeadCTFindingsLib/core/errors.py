"""What can go wrong between the module and the server, in words for the person at the screen."""

from __future__ import annotations

NOT_OURS = "http_error"  # the code of an answer that is not in our server's words: of a proxy, or of another program


class ServerError(Exception):
    """The server answered and refused: its code, message and the field to blame, as docs/http.md says."""

    def __init__(
        self,
        code: str,
        message: str,
        status: int,
        field: str | None = None,
        retry_after: float | None = None,
        request_id: str = "",
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.field = field
        self.retry_after = retry_after
        self.request_id = request_id

    @property
    def passing(self) -> bool:
        """Whether the same request may be taken later: the server is busy, stopping, full or failed."""
        return self.status in (408, 425, 429) or self.status >= 500


class Unreachable(Exception):
    """No usable answer: `step` is where it ended (see `connection.STEPS`), `remedy` what to do about it."""

    def __init__(self, step: str, message: str, remedy: str) -> None:
        super().__init__(f"{message} {remedy}".strip())
        self.step = step
        self.message = message
        self.remedy = remedy


class Cancelled(Exception):
    """The work was cancelled by the person, or because the module was left."""


class NotReadable(ValueError):
    """A document of the server, or a file of this module, is not what it should be; the message says which part."""


def passing(error: BaseException) -> bool:
    """Whether trying again later can help."""
    if isinstance(error, ServerError):
        return error.passing
    return isinstance(error, Unreachable) and error.step not in ("address", "version", "app")


def sentence(error: BaseException) -> str:
    """An error for the status line: never empty, never a traceback."""
    if isinstance(error, ServerError):
        where = f" ({error.field})" if error.field else ""
        return f"{error.message}{where}"
    return str(error) or type(error).__name__
