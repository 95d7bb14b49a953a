"""JSON answers: values of the domain and of ``forms`` to bytes."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from flask import Response, request


def to_json(value: Any) -> bytes:
    """Return ``value`` as UTF-8 JSON. Dataclasses become objects, enums their values."""
    return orjson.dumps(value, default=_plain)


def json_answer(value: Any, *, status: int = 200) -> Response:
    """Return an answer that holds ``value`` and may not be kept by anybody on the way."""
    answer = Response(to_json(value), status=status, mimetype="application/json")
    answer.headers["Cache-Control"] = "no-store"
    return answer


def kept(answer: Response, *, cache_control: str) -> Response:
    """Let others keep the answer; whoever has it already gets 304 without the body."""
    answer.headers["Cache-Control"] = cache_control
    answer.set_etag(hashlib.sha256(answer.get_data()).hexdigest()[:32])
    only_if_changed(answer)
    return answer


def only_if_changed(answer: Response) -> None:
    """Make it 304 where whoever asks has it already."""
    ignore_if_match()
    answer.make_conditional(request)


def ignore_if_match() -> None:
    """Let no read be refused for what its reader has: 412 would come with the whole body.

    Nothing here is changed under a condition, which is what the header is for.
    """
    request.environ.pop("HTTP_IF_MATCH", None)


def _plain(value: object) -> Any:
    # Read-only mappings and sequences of the domain; anything else is a bug of ours.
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence):
        return list(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
