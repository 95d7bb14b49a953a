"""Reading a JSON body that may be anything: bounded first, then decoded, then checked.

400: cannot be read (UTF-8, JSON, depth, not an object, an id with forbidden characters).
413: over a limit, before the rest of it is read. 415: said to be something else.
422: can be read, but a field is missing, of a wrong type or out of range.
"""

from collections.abc import Sequence
from typing import Any, Final, TypeVar

import orjson
import structlog
from flask import request
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from werkzeug.exceptions import HTTPException

from kotaemon_node.api.arrival import arrival
from kotaemon_node.api.errors import UnsupportedMediaType
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import DeadlineExceeded, Invalid, Malformed, NodeError, TooLarge
from kotaemon_node.domain.limits import JSON_DEPTH_MAX, JSON_VALUES_MAX
from kotaemon_node.domain.nesting import deeper_than

_log = structlog.get_logger(__name__)

Model = TypeVar("Model", bound=BaseModel)

_JSON_TYPES: Final = frozenset({"", "application/json"})
_TOO_LONG: Final = frozenset({"string_too_long", "too_long", "bytes_too_long"})
_PROBLEMS_SHOWN: Final = 3
_LATE: Final = f"the body did not arrive within {limits.BODY_TIMEOUT_S:.0f} s"


def read_body(model: type[Model]) -> Model:
    """Return the request's JSON object as a ``model``; no body reads as ``{}``.

    Raises ``Malformed``, ``TooLarge``, ``UnsupportedMediaType`` or ``Invalid`` (names the field).
    """
    return checked(model, read_object())


def read_object() -> dict[str, Any]:
    """Return the request's JSON object; errors as ``read_body``, but for those of fields."""
    raw = read_bytes()
    if raw and request.mimetype not in _JSON_TYPES:
        raise UnsupportedMediaType(f"the body must be application/json, not {request.mimetype}")
    return parse_object(raw) if raw else {}


def parse_object(raw: bytes) -> dict[str, Any]:
    """Return the JSON object in ``raw``; raises ``Malformed`` or ``TooLarge``."""
    # Each value costs a comma or a bracket, and some 100 bytes and a microsecond once parsed: ten
    # million of them would stop the pod for a second. Counting the bytes costs almost nothing.
    if raw.count(b",") + raw.count(b"[") + raw.count(b"{") > JSON_VALUES_MAX:
        raise TooLarge(f"the body has more than {JSON_VALUES_MAX} values")
    try:
        # Strict UTF-8, strict JSON, refuses lone surrogates and more than 1024 levels.
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"the body is not JSON: {error.msg} (byte {error.pos})") from None
    if deeper_than(value, JSON_DEPTH_MAX):
        raise Malformed(f"the body is nested more than {JSON_DEPTH_MAX} levels deep")
    if not isinstance(value, dict):
        raise Malformed("the body must be a JSON object")
    return value


def checked(model: type[Model], fields: object, *, missing: type[NodeError] = Invalid) -> Model:
    """Return ``fields`` as a ``model``, else raise ``TooLarge``, ``missing`` or ``Invalid``."""
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        raise _kind(problems, missing)(_told(problems)) from None


def read_bytes() -> bytes:
    """Return the request's body as it came.

    Raises ``Malformed`` for one that breaks off, ``DeadlineExceeded`` for one that takes longer
    than ``BODY_TIMEOUT_S`` to arrive.
    """
    with arrival(request, timeout_s=limits.BODY_TIMEOUT_S) as arriving:
        try:
            # An announced length above MAX_CONTENT_LENGTH is refused before the first byte is read.
            # A chunked body is silently cut there: only the read behind its end says that there is
            # more.
            raw = request.get_data(cache=False, parse_form_data=False)
            request.stream.read(1)
        except Exception as error:
            if arriving.late:
                raise DeadlineExceeded(_LATE) from None
            if isinstance(error, HTTPException):
                raise
            # Servers' errors for broken chunks share no base.
            _log.info("body_broken", error=repr(error))
            raise Malformed(f"the body is broken: {type(error).__name__}") from None
    return raw


def _kind(problems: Sequence[ErrorDetails], missing: type[NodeError]) -> type[NodeError]:
    kinds = {problem["type"] for problem in problems}
    if kinds & _TOO_LONG:
        return TooLarge
    return missing if kinds == {"missing"} else Invalid


def _told(problems: Sequence[ErrorDetails]) -> str:
    lines = [
        f"{'.'.join(str(step) for step in problem['loc'])}: {problem['msg']}"
        for problem in problems[:_PROBLEMS_SHOWN]
    ]
    more = len(problems) - _PROBLEMS_SHOWN
    return "; ".join(lines) + (f"; and {more} more" if more > 0 else "")
