"""Errors of these routes as programs written for OpenAI's interface expect them.

The table of ``api.errors`` stands; here its rows are told in the other form: a request that cannot
be done as it was said is 400, and headers tell a client whether to send it again by itself.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final

import orjson
from flask import Response
from werkzeug.exceptions import HTTPException

from kotaemon_node.api.answers import json_answer
from kotaemon_node.api.errors import ERRORS, error_answer
from kotaemon_node.domain.errors import LimitReached, NodeError

REQUEST_ID_HEADER: Final = "x-request-id"
_PATHS: Final = frozenset({"/v1/chat/completions", "/v1/embeddings", "/v1/models"})

_STATUSES: Final[Mapping[str, int]] = {"invalid": 400, "too_large": 400, "gone": 409}
_CODES: Final[Mapping[str, str | None]] = {
    "invalid": None,
    "unauthenticated": "invalid_api_key",
    "overloaded": "rate_limit_exceeded",
    "rate_limited": "rate_limit_exceeded",
    "too_large": "context_length_exceeded",
}
_FINAL: Final = frozenset({"conflict", "turn_conflict"})
"""Clients send what is 409 once more by themselves; these would be refused again."""


class Refused(NodeError):
    """A request that cannot be done as it was said; names the field."""

    code = "invalid"

    def __init__(self, message: str, *, param: str | None = None, told: str | None = None) -> None:
        """``told``: the code that clients are told."""
        super().__init__(message)
        self.param = param
        self.told = told


class ModelNotFound(Refused):
    """No such model, or it is not the caller's."""

    code = "not_found"

    def __init__(self, model: str) -> None:
        super().__init__(
            f"The model `{model[:200]}` does not exist or you do not have access to it.",
            param="model",
            told="model_not_found",
        )


class StillRunning(NodeError):
    """The turn goes on; the same request again waits for the same turn."""

    code = "deadline_exceeded"


class BegunAnew(NodeError):
    """What was streamed is void, which this form cannot say."""

    told = "answer_restarted"


@dataclass(frozen=True, slots=True)
class OpenAiErrorBody:
    """What an error says."""

    message: str
    type: str
    param: str | None
    code: str | None


@dataclass(frozen=True, slots=True)
class OpenAiError:
    """The form of every error of these routes."""

    error: OpenAiErrorBody


def speaks_openai(path: str) -> bool:
    """Tell whether errors at ``path`` are told in this form."""
    return path in _PATHS or path.startswith(("/v1/models/", "/v1/audio/"))


def status_of(code: str) -> int:
    """Return the status by which these routes tell a code of ``api.errors``."""
    return _STATUSES.get(code, ERRORS[code].status)


def openai_error_answer(error: Exception, *, trace_id: str) -> Response:
    """Return the answer to a request that ended in ``error``; logs what is our own fault."""
    plain = error_answer(error, trace_id=trace_id)
    said = orjson.loads(plain.get_data())["error"]
    code = str(said["code"])
    # Who sent more than any body may hold is told so by the status alone.
    whole = isinstance(error, HTTPException)
    status = plain.status_code if whole else _STATUSES.get(code, plain.status_code)
    body = _body(error, code, str(said["message"]), status=status)
    answer = json_answer(OpenAiError(body), status=status)
    for name in ("Allow", "Retry-After", "WWW-Authenticate"):
        if name in plain.headers:
            answer.headers[name] = plain.headers[name]
    if seconds := plain.headers.get("Retry-After"):
        answer.headers["retry-after-ms"] = str(1_000 * int(seconds))
    if isinstance(error, StillRunning):
        answer.headers["x-should-retry"] = "true"
        answer.headers["retry-after-ms"] = "100"
    elif code in _FINAL or (isinstance(error, LimitReached) and not error.retryable):
        answer.headers["x-should-retry"] = "false"
    answer.headers[REQUEST_ID_HEADER] = trace_id
    return answer


def error_chunk(error: NodeError) -> Mapping[str, object]:
    """Return what a stream says that ends by ``error``; clients raise it."""
    row = ERRORS.get(error.code)
    message = str(error) or (row.meaning if row else "")
    return asdict(OpenAiError(_body(error, error.code, message, status=row.status if row else 500)))


def _body(error: Exception, code: str, message: str, *, status: int) -> OpenAiErrorBody:
    if isinstance(error, Refused):
        return OpenAiErrorBody(message, "invalid_request_error", error.param, error.told)
    told = getattr(error, "told", None) or _CODES.get(code, code)
    if isinstance(error, LimitReached):
        # By these, programs tell a limit that is free again in a minute from a budget that is not.
        spent = "insufficient_quota" if error.limit == "cost" else None
        kind = error.limit if error.limit in {"requests", "tokens"} else "requests"
        return OpenAiErrorBody(message, spent or kind, None, spent or told)
    if status == 429:
        return OpenAiErrorBody(message, "requests", None, told)
    kind = "server_error" if status >= 500 else "invalid_request_error"
    return OpenAiErrorBody(message, kind, None, told)
