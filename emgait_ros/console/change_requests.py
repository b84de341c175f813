"""What may be asked for by POST: the changes, their fields, and what is refused before anybody is asked."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

LARGEST_REQUEST = 4096  # bytes; a name has at most 64 characters
LONGEST_TEXT = 512  # bytes
ACTIONS: dict[str, dict[str, type]] = {  # change: the fields of its request, all needed
    "enroll": {"name": str, "track_id": int, "tracker_id": str, "seconds": float, "confirm": bool},
    "rename": {"old_name": str, "new_name": str, "confirm": bool},
    "merge": {"old_name": str, "new_name": str},
    "disable": {"name": str, "disabled": bool},
    "remove": {"name": str},
    "undo": {},
}
LIMITS = {"track_id": (-1, 2**32 - 1), "seconds": (0, 60)}


async def json_of(request: web.Request) -> Any:
    """The content of a request.

    Raises:
        web.HTTPException: it is not sent as JSON, or is none.
    """
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="send JSON (Content-Type: application/json)")
    try:
        return json.loads(await request.read())
    except (ValueError, RecursionError) as error:
        raise web.HTTPBadRequest(text=f"this is no JSON: {error}") from error


def checked(given: Any, fields: dict[str, type]) -> dict[str, Any]:
    """The fields of a request, with the right types and in their limits; none may be missing, and no other may be there.

    Raises:
        web.HTTPBadRequest: says what was expected.
    """
    if not isinstance(given, dict) or set(given) != set(fields):
        raise web.HTTPBadRequest(text=f"expected an object with {', '.join(fields) or 'nothing in it'}")
    for name, kind in fields.items():
        value = given[name]
        number = kind in (int, float) and isinstance(value, (int, kind)) and not isinstance(value, bool)
        low, high = LIMITS.get(name, (float("-inf"), float("inf")))
        fits = number and low <= value <= high if kind in (int, float) else isinstance(value, kind)
        if not fits or (kind is str and not _is_text(value)):
            raise web.HTTPBadRequest(text=f"'{name}' is {json.dumps(value)}: expected {kind.__name__} in its limits")
    return {name: float(given[name]) if kind is float else given[name] for name, kind in fields.items()}


def _is_text(value: str) -> bool:
    """What a ROS string can hold: no half characters, no end in the middle."""
    try:
        return "\0" not in value and len(value.encode()) <= LONGEST_TEXT
    except UnicodeEncodeError:
        return False
