"""What happens around every request: its trace id, its caller, its count, its log line."""

from typing import Final

import structlog
from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from kotaemon_node.api import tracing
from kotaemon_node.api.context import services
from kotaemon_node.api.credential_guard import shown_by
from kotaemon_node.api.errors import error_answer
from kotaemon_node.api.limited import count_refused, count_request, tell, trying
from kotaemon_node.api.openai.errors import openai_error_answer, speaks_openai
from kotaemon_node.api.permissions import check, is_public
from kotaemon_node.api.principal import principal_of
from kotaemon_node.api.query import require_utf8_path
from kotaemon_node.api.refused import tell_refused
from kotaemon_node.api.sse import EVENT_STREAM
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import (
    LimitReached,
    NodeError,
    Overloaded,
    StoreBusy,
    StoreUnavailable,
)

_log = structlog.get_logger(__name__)

ACTIVE: Final = "kotaemon.requests_active"
"""Where in a request's environment ``server.requests`` tells how many are being answered."""

# Asked several times a second by machines: they would drown what people did.
_QUIET: Final = frozenset({"health.healthz", "health.readyz", "health.balancer", "health.metrics"})
# A label takes only values that we know; a client may send any word as its method.
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def observe(app: Flask) -> None:
    """Put the same beginning and the same end around every request of ``app``."""
    app.before_request(_begin)
    app.after_request(_end)
    app.register_error_handler(Exception, _fail)


def _begin() -> None:
    clock = services().clock
    g.started_s = clock.monotonic_s()
    quiet = request.endpoint in _QUIET
    g.trace_id = tracing.begin(_method(), _route(), quiet=quiet)
    # A kept-alive connection serves its requests one after the other in one context.
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(trace_id=g.trace_id)
    require_utf8_path(request.environ.get("PATH_INFO", ""))
    endpoint = request.endpoint
    if _active() > limits.REQUESTS_PER_POD_MAX and endpoint not in _QUIET:
        raise Overloaded("this pod answers as many requests as it can")
    # Without an endpoint the router refuses next, as 404 or 405.
    if endpoint is not None and not is_public(endpoint):
        with trying(shown_by(request)):
            g.principal = principal_of(
                request, auth_mode=services().auth_mode, authority=services().authority
            )
        check(endpoint, g.principal)
        count_request(endpoint)


def _active() -> int:
    """Return how many requests are being answered; 0 where nobody counts them."""
    return int(request.environ.get(ACTIVE, 0))


def _end(answer: Response) -> Response:
    try:
        count_refused(request.endpoint or "", answer.status_code)
    except (LimitReached, StoreBusy) as error:
        answer = _fail(error)
    answer.headers[tracing.TRACE_HEADER] = g.trace_id
    tell(answer)
    answer.headers["X-Content-Type-Options"] = "nosniff"
    answer.headers["Referrer-Policy"] = "no-referrer"
    route, method = _route(), _method()
    duration_s = services().clock.monotonic_s() - g.started_s
    services().metrics.http_request(
        route, method=method, status=answer.status_code, duration_s=duration_s
    )
    log = _log.debug if request.endpoint in _QUIET else _log.info
    log(
        "request",
        route=route,
        method=method,
        status=answer.status_code,
        duration_s=round(duration_s, 6),
    )
    tracing.end(answer, streams=answer.mimetype == EVENT_STREAM)
    return answer


def _route() -> str:
    """Return the pattern of the path; what a client may write into a path is nowhere kept."""
    return request.url_rule.rule if request.url_rule is not None else "unmatched"


def _method() -> str:
    return request.method if request.method in _METHODS else "OTHER"


def _fail(error: Exception) -> Response:
    tell_refused(error)
    if isinstance(error, StoreUnavailable):
        services().metrics.store_refused(error.refusal)
    if not isinstance(error, HTTPException):  # those stand in the requests, by status
        code = error.code if isinstance(error, NodeError) else NodeError.code
        services().metrics.error_answered(code)
    answer = openai_error_answer if speaks_openai(request.path) else error_answer
    return answer(error, trace_id=g.trace_id)
