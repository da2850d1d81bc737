"""The log: one line for each request and event, as JSON or text, without patient data.

Our own loggers write what is known to be harmless. Of every other logger (MONAI Label's, which write whole requests, and those of
libraries, which write file names) a line keeps where it came from, never its text. Of an exception remain its type and place.
"""

import json
import logging
import logging.config
import threading
import traceback
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from headct_molre.server.config import server_config
from headct_molre.server.request_id import REQUEST_ID

OURS = ("headct_molre", "uvicorn.error")
_FIELDS = "fields"  # of a record: what it says beside its message, as a dictionary


def configure_logs() -> None:
    """Sets up logging.json, warnings and threads, so that nothing is printed past the log."""
    logging.config.dictConfig(json.loads((Path(__file__).parents[1] / "logging.json").read_text(encoding="utf-8")))
    logging.captureWarnings(True)
    threading.excepthook = _thread_failed


def formatter() -> logging.Formatter:
    """The formatter that the setting `log` asks for; logging.json names it."""
    return TextLines() if server_config().log == "text" else JsonLines()


def event(logger: logging.Logger, level: int, message: str, **fields: object) -> None:
    """Logs a message with fields; neither may hold an id, a name or a path."""
    logger.log(level, message, extra={_FIELDS: fields})


def failure(logger: logging.Logger, message: str, error: BaseException) -> None:
    """Logs where and what failed first. The text of an exception may hold a file name, and with it the id of a study."""
    while error.__cause__ is not None:
        error = error.__cause__
    event(logger, logging.ERROR, f"{message} with {type(error).__name__}", traceback=_frames(error.__traceback__))


class JsonLines(logging.Formatter):
    """An object a line: time, level, logger, message, request_id, and the fields of the record."""

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(_document(record), default=str)


class TextLines(logging.Formatter):
    """The same for people: time level logger [request] message field=value."""

    def format(self, record: logging.LogRecord) -> str:
        document = _document(record)
        head = " ".join(str(document.pop(key)) for key in ("time", "level", "logger"))
        request, message, frames = document.pop("request_id", None), document.pop("message"), document.pop("traceback", None)
        fields = "".join(f" {key}={value}" for key, value in document.items())
        return f"{head}{f' [{request}]' if request else ''} {message}{fields}" + (f"\n{frames}" if frames else "")


def _document(record: logging.LogRecord) -> dict[str, object]:
    time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    document: dict[str, object] = {"time": time, "level": record.levelname.lower(), "logger": record.name, "message": _message(record)}
    request_id = REQUEST_ID.get()
    if request_id is not None:
        document["request_id"] = request_id
    document |= getattr(record, _FIELDS, {})
    if record.exc_info and record.exc_info[0] is not None:
        kind, _, frames = record.exc_info
        document |= {"error": kind.__name__, "traceback": _frames(frames)}
    return document


def _message(record: logging.LogRecord) -> str:
    if record.name.startswith(OURS):
        return record.getMessage()
    return f"{record.levelname.lower()} in {Path(record.pathname).name}:{record.lineno}, its text is not logged"


def _frames(frames: TracebackType | None) -> str:
    return "".join(traceback.format_tb(frames))


def _thread_failed(ended: threading.ExceptHookArgs) -> None:
    if ended.exc_value is not None:
        failure(logging.getLogger("headct_molre.server"), "a thread ended", ended.exc_value)
