"""What a pod's server answers to bytes that are no request: in the form of every other error.

The application never sees them, so nobody else gives them a trace id, a log line or a form.
"""

from http import HTTPStatus
from typing import Final

import structlog
from gunicorn.http import errors

from kotaemon_node.api.answers import to_json
from kotaemon_node.api.errors import ERRORS, ErrorAnswer, ErrorBody
from kotaemon_node.api.tracing import TRACE_HEADER
from kotaemon_node.domain import limits

_log = structlog.get_logger(__name__)

_TOO_LARGE: Final = (errors.LimitRequestLine, errors.LimitRequestHeaders)
# An answer that the application may not send is our fault, though it is a kind of these.
_OURS: Final = (errors.InvalidResponseHeader, errors.InvalidResponseHeaderName)
_TOO_LARGE_TOLD: Final = (
    f"the first line of the request or a header has more than {limits.HEADER_LINE_BYTES_MAX} bytes,"
    f" or there are more than {limits.HEADERS_MAX} headers; a long text belongs into a body"
)
_MALFORMED_TOLD: Final = "the request is not valid HTTP"


def refusal(error: BaseException, *, trace_id: str) -> bytes | None:
    """Return the whole answer to a request whose head or framing cannot be read, else None.

    None: what failed is the application, and its server logs it. The connection ends with it.
    """
    if not isinstance(error, errors.ParseException) or isinstance(error, _OURS):
        return None
    code = "too_large" if isinstance(error, _TOO_LARGE) else "malformed"
    told = _TOO_LARGE_TOLD if code == "too_large" else _MALFORMED_TOLD
    status = ERRORS[code].status
    _log.info("request_unreadable", reason=type(error).__name__, status=status, trace_id=trace_id)
    return _answer(code, told, trace_id=trace_id)


def failure(*, trace_id: str) -> bytes:
    """Return the answer to a request that failed before the application could answer it."""
    return _answer("internal", ERRORS["internal"].meaning, trace_id=trace_id)


def _answer(code: str, message: str, *, trace_id: str) -> bytes:
    row = ERRORS[code]
    body = to_json(ErrorAnswer(ErrorBody(code, message, retryable=False, trace_id=trace_id)))
    head = (
        f"HTTP/1.1 {row.status} {HTTPStatus(row.status).phrase}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        f"{TRACE_HEADER}: {trace_id}",
        "Connection: close",
    )
    return "\r\n".join(head).encode("ascii") + b"\r\n\r\n" + body
