"""Sends ended spans to an OpenTelemetry collector: OTLP over HTTP, in batches, beside the work.

Law 1: whoever ends a span waits for nothing. The queue is bounded; what does not fit is dropped and
       counted, and so is a batch that the collector did not take in time.
Law 2: a collector that is away is asked rarely, and said to be away once.

Imported only where traces are on: the libraries take 0.2 s and 10 MB. Their own queue is not used:
it drops without saying how much, and its thread and its hooks for forks do not get along with
gevent.
"""

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal

import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from kotaemon_node import __version__
from kotaemon_node.domain.limits import (
    SPAN_EXPORT_TIMEOUT_S,
    SPANS_PER_EXPORT_MAX,
    SPANS_WAITING_MAX,
)
from kotaemon_node.domain.trace_context import TraceContext
from kotaemon_node.ports.runtime import Clock, Tasks
from kotaemon_node.telemetry.spans import Recorded

_log = structlog.get_logger(__name__)

_EVERY_S: Final = 0.5
_AFTER_FAILURE_S: Final = 5.0
_PATH: Final = "/v1/traces"
_SCOPE: Final = InstrumentationScope("kotaemon_node", __version__)
_KINDS: Final = {
    "internal": SpanKind.INTERNAL,
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
}

Outcome = Literal["exported", "dropped", "failed"]


class SpanQueue:
    """Ended spans on their way to the collector. ``put`` may be called from any thread."""

    def __init__(
        self,
        endpoint: str,
        *,
        headers: Mapping[str, str],
        service: str,
        instance: str,
        count: Callable[[Outcome, int], None],
        clock: Clock,
        timeout_s: float = SPAN_EXPORT_TIMEOUT_S,
        waiting_max: int = SPANS_WAITING_MAX,
    ) -> None:
        """``endpoint``: address of the collector, without ``/v1/traces``.

        ``instance`` names this process; ``count`` is told what became of how many spans.
        """
        # It would log each failure; the state of the collector is told below, when it changes.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        self._exporter = OTLPSpanExporter(
            endpoint.rstrip("/") + _PATH, headers=dict(headers), timeout=timeout_s
        )
        self._service = service
        self._instance = instance
        self._resources: dict[str, Resource] = {}
        self._count = count
        self._clock = clock
        self._waiting: deque[Recorded] = deque()
        self._waiting_max = waiting_max
        self._dropped = self._counted = 0
        self._sending = False
        self._stopped = False
        self._well = True

    @property
    def empty(self) -> bool:
        """Nothing waits and nothing is on its way."""
        return not self._waiting and not self._sending

    def put(self, span: Recorded) -> None:
        """Keep an ended span until it is sent; takes no lock."""
        if len(self._waiting) < self._waiting_max:
            self._waiting.append(span)
        else:
            self._dropped += 1  # two threads may count one; it is no more than a hint

    def start(self, tasks: Tasks) -> None:
        """Send what comes, in a task."""
        tasks.spawn("spans", self.run)

    def stop(self) -> None:
        """Send what waits, once, and then no more."""
        self._stopped = True

    def run(self) -> None:
        """Send what comes until ``stop``."""
        while not self._stopped:
            self._clock.sleep(_EVERY_S if self.flush() else _AFTER_FAILURE_S)
        self.flush()

    def flush(self) -> bool:
        """Send what waits; False when the collector did not take it. Never raises."""
        self._sending = True
        try:
            while self._waiting:
                batch = [
                    self._waiting.popleft()
                    for _ in range(min(len(self._waiting), SPANS_PER_EXPORT_MAX))
                ]
                if not self._send(batch):
                    return False
            return True
        finally:
            self._sending = False
            dropped = self._dropped - self._counted
            self._counted += dropped
            if dropped:
                self._count("dropped", dropped)

    def _send(self, batch: Sequence[Recorded]) -> bool:
        try:
            result = self._exporter.export([self._readable(span) for span in batch])
            taken = result is SpanExportResult.SUCCESS
        except Exception:  # noqa: BLE001 - a task that ends silently sends nothing for ever
            _log.exception("spans_broken")
            taken = False
        self._count("exported" if taken else "failed", len(batch))
        if taken != self._well:
            self._well = taken
            tell = _log.info if taken else _log.warning
            tell("spans_exported_again" if taken else "spans_not_exported", spans=len(batch))
        return taken

    def _readable(self, span: Recorded) -> ReadableSpan:
        failed = bool(span.failure)
        facts = {**span.facts, "error.type": span.failure} if failed else span.facts
        return ReadableSpan(
            span.name,
            context=_context(span.context, remote=False),
            parent=_context(span.parent, remote=True) if span.parent else None,
            resource=self._resource(span.service),
            attributes=facts,
            events=[Event(name, dict(told), at_ns) for name, at_ns, told in span.events],
            kind=_KINDS[span.kind],
            status=Status(StatusCode.ERROR) if failed else Status(StatusCode.UNSET),
            start_time=span.begun_ns,
            end_time=max(span.begun_ns, span.ended_ns),
            instrumentation_scope=_SCOPE,
        )

    def _resource(self, service: str) -> Resource:
        """Return who did the work: this process, or ``service`` as this process saw it."""
        if service not in self._resources:
            facts = {"service.name": service or self._service, "service.version": __version__}
            if service:
                del facts["service.version"]
            else:
                facts["service.instance.id"] = self._instance
            self._resources[service] = Resource(facts)
        return self._resources[service]


def _context(context: TraceContext, *, remote: bool) -> SpanContext:
    return SpanContext(
        int(context.trace_id, 16),
        int(context.span_id, 16),
        is_remote=remote,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )
