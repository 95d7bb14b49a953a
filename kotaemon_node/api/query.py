"""Reading query parameters and paths strictly: what is not UTF-8 is refused, never guessed at."""

from typing import TypeVar
from urllib.parse import unquote_to_bytes

from flask import request

from kotaemon_node.api.body import checked
from kotaemon_node.api.fields import NUMBER_MAX, Query
from kotaemon_node.domain.errors import Malformed

QueryModel = TypeVar("QueryModel", bound=Query)


def read_query(model: type[QueryModel]) -> QueryModel:
    """Return the query parameters as a ``model``.

    A parameter that is blank counts as absent, of a repeated one the first is taken (the balancer
    hashes that one, too). Raises ``Malformed`` for bytes that are not UTF-8 and for a parameter
    that must be there and is not, ``Invalid`` or ``TooLarge`` for a value that may not be.
    """
    fields: dict[str, str] = {}
    for part in request.query_string.split(b"&"):
        name, _, value = part.partition(b"=")
        text = _text(value)
        if text.strip():
            fields.setdefault(_text(name), text)
    return checked(model, fields, missing=Malformed)


def require_utf8_path(raw_path: str) -> None:
    """Raise ``Malformed`` where the path's bytes (as WSGI hands them over) are not UTF-8."""
    try:
        raw_path.encode("latin-1").decode("utf-8")
    except UnicodeError:
        raise Malformed("the path is not UTF-8") from None


def path_number(name: str, value: str) -> int:
    """Return a whole number in the path; raises ``Malformed``."""
    if not (value.isascii() and value.isdigit() and len(value) <= 16 and int(value) <= NUMBER_MAX):
        raise Malformed(f"{name} must be a whole number")
    return int(value)


def _text(raw: bytes) -> str:
    try:
        return unquote_to_bytes(raw.replace(b"+", b" ")).decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("the query is not UTF-8") from None
