"""Traces of a program as its settings want them: off, or sent to a collector."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, Self

from kotaemon_node.ports.runtime import Clock, Tasks
from kotaemon_node.ports.traces import NO_TRACES, Traces
from kotaemon_node.telemetry.spans import RecordedTraces

if TYPE_CHECKING:
    from kotaemon_node.telemetry.otlp import Outcome, SpanQueue

_LAST_SPANS_S: Final = 1.5
"""For so long a program that ends waits for the collector."""


class TraceSettings(Protocol):
    """What of the settings is about traces."""

    @property
    def otel_exporter_otlp_endpoint(self) -> str: ...
    @property
    def otel_headers(self) -> Mapping[str, str]: ...
    @property
    def otel_service_name(self) -> str: ...
    @property
    def otel_traces_sample_ratio(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Tracing:
    """The traces of a program and what sends them."""

    traces: Traces = NO_TRACES
    queue: "SpanQueue | None" = None

    @classmethod
    def of(
        cls,
        settings: TraceSettings,
        *,
        instance: str,
        count: "Callable[[Outcome, int], None]",
        clock: Clock,
    ) -> Self:
        """Return what the settings say; connects to nothing yet.

        ``instance`` names the process; ``count`` is told what became of how many spans.
        """
        if not settings.otel_exporter_otlp_endpoint:
            return cls()
        # Not above: who wants no traces should not pay for the libraries.
        from kotaemon_node.telemetry.otlp import SpanQueue  # noqa: PLC0415

        queue = SpanQueue(
            settings.otel_exporter_otlp_endpoint,
            headers=settings.otel_headers,
            service=settings.otel_service_name,
            instance=instance,
            count=count,
            clock=clock,
        )
        ratio = settings.otel_traces_sample_ratio
        return cls(RecordedTraces(queue.put, clock=clock, ratio=ratio), queue)

    def start(self, tasks: Tasks) -> None:
        """Begin to send, in a task."""
        if self.queue is not None:
            self.queue.start(tasks)

    def finish(self, clock: Clock) -> None:
        """Let what waits go out; returns soon, also when the collector is away."""
        if self.queue is None:
            return
        self.queue.stop()
        deadline_s = clock.monotonic_s() + _LAST_SPANS_S
        while not self.queue.empty and clock.monotonic_s() < deadline_s:
            clock.sleep(0.02)
