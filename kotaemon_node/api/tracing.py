"""The trace of a request: which one it belongs to, and the request's own span in it.

The id is one for everything that is seen of a request: its answer, its turn and the turn's frames,
its log lines, its spans.
"""

import hashlib
from typing import Final

from flask import Response, request

from kotaemon_node.api.context import services
from kotaemon_node.domain.limits import BALANCED_MAX_S
from kotaemon_node.domain.trace_context import TraceContext, is_trace_id
from kotaemon_node.ports.traces import NO_SPAN, NO_TRACES, current, enter

TRACE_HEADER: Final = "X-Trace-ID"
_FROM_BALANCER: Final = "X-Turn-Default"
"""Its id of the request is the trace's where nobody named one: the same for each of its tries."""
_BALANCER_START: Final = "X-Balancer-Start"
_CLOCKS_APART_S: Final = 1.0
"""By so much the balancer's clock may be ahead of ours."""


def begin(method: str, route: str, *, quiet: bool) -> str:
    """Begin the span of this request and return its trace id; of ``quiet`` ones nothing is kept."""
    above = TraceContext.read(request.headers.get("traceparent"))
    trace_id = above.trace_id if above is not None else _named_id()
    traces = services().traces
    enter(NO_SPAN)  # a kept-alive connection serves its requests in one context
    if quiet or traces is NO_TRACES:
        return trace_id
    header = above.header if above is not None else ""
    balanced_s = _balanced_s()
    if balanced_s is not None:
        header = traces.foreign("haproxy", "balance", balanced_s, trace_id=trace_id, above=header)
    span = traces.begin(f"{method} {route}", trace_id=trace_id, above=header, kind="server")
    span.tell({"http.request.method": method, "http.route": route})
    enter(span)
    return trace_id


def end(answer: Response, *, streams: bool) -> None:
    """Have the span of this request end when its answer was sent, or its client has left."""
    span = current()
    if span is NO_SPAN:
        return
    span.tell({"http.response.status_code": answer.status_code})
    if answer.status_code >= 500:
        span.fail(str(answer.status_code))
    if streams:
        span.event("stream_begins")

    def sent() -> None:
        span.end()
        enter(NO_SPAN)

    answer.call_on_close(sent)


def _named_id() -> str:
    """Return the id that the caller or the balancer gave this request; else a fresh one."""
    for header in (TRACE_HEADER, _FROM_BALANCER):
        named = request.headers.get(header)
        if named is not None and is_trace_id(named):
            return named
    return hashlib.sha256(services().ids.new_id().encode()).hexdigest()[:32]


def _balanced_s() -> float | None:
    """Return since when the balancer has had this request; None where it does not say.

    Behind a balancer nobody else can say it. Who comes to a pod directly can; what cannot be true
    is not believed.
    """
    start_us = request.headers.get(_BALANCER_START, "")
    if not (start_us.isascii() and start_us.isdigit() and len(start_us) <= 18):
        return None
    passed_s = services().clock.now_s() - int(start_us) / 1_000_000
    if -_CLOCKS_APART_S <= passed_s <= BALANCED_MAX_S:
        return max(0.0, passed_s)
    return None
