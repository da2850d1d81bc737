"""The running app, as the routes see it."""

import json
from typing import Any

from monailabel.interfaces.utils.app import app_instance

from headct_molre.errors import InvalidRequest


def headct_app() -> Any:
    """The HeadCTApp of this process (see main.py), which MONAI Label makes once at start."""
    return app_instance()


def json_object(text: str, field: str) -> dict[str, Any]:
    """A JSON object from a form field, {} from an empty one. Raises InvalidRequest `invalid_json`."""
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        raise InvalidRequest("invalid_json", f"{field} is not valid JSON.", field=field) from None
    if not isinstance(value, dict):
        raise InvalidRequest("invalid_json", f"{field} must be a JSON object.", field=field)
    return value
