"""Every error that leaves the pod: one table from code to status, one form for all of them.

Whose fault, and may I retry? 4xx is the caller's, 503 is this pod's (another may serve; the
balancer tries one), 429 is overload (the balancer does not: every pod would be as full), other
5xx are ours. Anything that is not a ``NodeError`` is a bug: logged whole, shown as ``internal``.
docs/reference/errors.md lists the same rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import structlog
from flask import Response
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from kotaemon_node.api.answers import json_answer
from kotaemon_node.domain.errors import LimitReached, NodeError

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """How a code is told: its status, what it means, and after how long to come back."""

    status: int
    meaning: str
    retry_after_s: int | None = None


ERRORS: Final[Mapping[str, ErrorRow]] = {
    "malformed": ErrorRow(400, "The request cannot be read."),
    "unauthenticated": ErrorRow(401, "No credential, or one that does not verify."),
    "forbidden": ErrorRow(403, "The caller may not do this."),
    "not_found": ErrorRow(404, "There is no such thing here, or it is not yours."),
    "session_not_found": ErrorRow(404, "No session has this id, or it is not yours."),
    "turn_not_found": ErrorRow(404, "The session has no turn of this id."),
    "method_not_allowed": ErrorRow(405, "This route does not take this method."),
    "conflict": ErrorRow(409, "The request contradicts what was accepted before."),
    "turn_conflict": ErrorRow(409, "This turn id was used before with another body."),
    "session_busy": ErrorRow(409, "A turn is running, and the request asked not to wait."),
    "gone": ErrorRow(410, "The store no longer knows what you have seen."),
    "withdrawn": ErrorRow(410, "The document that was cited was withdrawn."),
    "sealed": ErrorRow(410, "What is stored cannot be opened any more: its key was destroyed."),
    "too_large": ErrorRow(413, "The body or a field is over its limit."),
    "unsupported_media_type": ErrorRow(
        415, "The body has a content type that the route does not take."
    ),
    "invalid": ErrorRow(422, "A field is missing, of a wrong type or out of range."),
    "document_refused": ErrorRow(422, "The document cannot be indexed."),
    "upgrade_required": ErrorRow(426, "The route speaks WebSocket, version 13, only."),
    "overloaded": ErrorRow(429, "A bounded queue is full.", 1),
    "rate_limited": ErrorRow(429, "A limit of the caller, or of its tenant, is reached.", 1),
    "internal": ErrorRow(500, "Something went wrong on our side; the log has it all."),
    "fenced": ErrorRow(500, "Another pod owns the turn now."),
    "sequence_gap": ErrorRow(500, "A frame's number is not the next one."),
    "illegal_transition": ErrorRow(500, "The turn's state does not allow this."),
    "corrupt_artifact": ErrorRow(500, "A stored file does not have its checksum."),
    "turn_crashed": ErrorRow(500, "Three pods were lost while they ran this turn."),
    "language_model_failed": ErrorRow(502, "The language model refused, failed or fell silent."),
    "language_model_unavailable": ErrorRow(
        502, "The language model failed in a row and is not asked for a while."
    ),
    "speech_off": ErrorRow(501, "Speech is not switched on in this cluster."),
    "speech_failed": ErrorRow(502, "What hears or speaks refused, failed or fell silent."),
    "unavailable": ErrorRow(503, "This pod cannot serve the request now.", 1),
    "issuer_unavailable": ErrorRow(
        503, "The issuer of the token cannot be asked for its keys now.", 2
    ),
    "store_unavailable": ErrorRow(503, "The session store does not answer.", 1),
    "store_full": ErrorRow(503, "The session store has no room; what is stored can be read.", 5),
    "master_key_missing": ErrorRow(503, "This pod lacks the master key of what is stored.", 1),
    "behind": ErrorRow(503, "This pod does not serve the generation asked for yet.", 1),
    "draining": ErrorRow(503, "This pod is leaving.", 1),
    "deadline_exceeded": ErrorRow(504, "The turn or the upload ran out of one of its time limits."),
}

# What the HTTP layer below us refuses, in our words. Other 4xx of it read as ``malformed``.
_HTTP_CODES: Final[Mapping[int, str]] = {
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
}


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """The four things that every error says."""

    code: str
    message: str
    retryable: bool
    trace_id: str


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """The form of every error."""

    error: ErrorBody


class TurnFailed(NodeError):
    """A turn ended as failed; told to callers who asked for nothing but its answer."""

    def __init__(self, code: str, *, message: str, retryable: bool) -> None:
        super().__init__(message)
        self.code = code if code in ERRORS else "internal"
        self.retryable = retryable


class UnsupportedMediaType(NodeError):
    """The body is said to be something that the route does not take."""

    code = "unsupported_media_type"


class UpgradeRequired(NodeError):
    """The route speaks WebSocket, and the request asks for none or for another version."""

    code = "upgrade_required"


def error_answer(error: Exception, *, trace_id: str) -> Response:
    """Return the answer to a request that ended in ``error``; logs what is our own fault."""
    if isinstance(error, HTTPException):
        return _http_answer(error, trace_id=trace_id)
    if not isinstance(error, NodeError):
        _log.error("request_failed", exc_info=error)
        return _answer("internal", message="", retryable=False, trace_id=trace_id)
    # A code that nobody gave a row to must not hide the error behind a KeyError.
    code = error.code if error.code in ERRORS else "internal"
    if ERRORS[code].status == 500 and not isinstance(error, TurnFailed):
        _log.error("request_failed", code=code, exc_info=error)
    answer = _answer(code, message=str(error), retryable=error.retryable, trace_id=trace_id)
    if isinstance(error, LimitReached):
        answer.headers["Retry-After"] = str(error.retry_after_s)
    return answer


def _http_answer(error: HTTPException, *, trace_id: str) -> Response:
    status = error.code or 500
    code = _HTTP_CODES.get(status, "malformed" if 400 <= status < 500 else "internal")
    if code == "internal":
        _log.error("request_failed", status=status, exc_info=error)
    answer = _answer(code, message="", retryable=False, trace_id=trace_id)
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        answer.headers["Allow"] = ", ".join(sorted(error.valid_methods))
    return answer


def _answer(code: str, *, message: str, retryable: bool, trace_id: str) -> Response:
    row = ERRORS[code]
    body = ErrorBody(code, message or row.meaning, retryable, trace_id)
    answer = json_answer(ErrorAnswer(body), status=row.status)
    answer.headers["Cache-Control"] = "no-store"
    if row.retry_after_s is not None:
        answer.headers["Retry-After"] = str(row.retry_after_s)
    if row.status == 426:
        answer.headers["Upgrade"] = "websocket"
        answer.headers["Sec-WebSocket-Version"] = "13"
    if row.status == 401:
        answer.headers["WWW-Authenticate"] = "Bearer"
    return answer
