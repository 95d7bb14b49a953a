"""Spans as values: cheap to make, kept only when they have ended and their trace is recorded.

Nothing of OpenTelemetry is needed here: ``telemetry.otlp`` turns ended spans into its form, in a
task of its own.
"""

import hashlib
from collections.abc import Callable
from contextvars import Token
from types import TracebackType
from typing import Any, Final, Self

from kotaemon_node.domain.errors import NodeError
from kotaemon_node.domain.limits import (
    SPAN_EVENTS_MAX,
    SPAN_FACTS_MAX,
    SPAN_TEXT_CHARS_MAX,
)
from kotaemon_node.domain.trace_context import TraceContext, new_span_id
from kotaemon_node.ports.runtime import Clock
from kotaemon_node.ports.traces import NO_SPAN, Facts, Kind, Span, pop, push

_SECOND_NS: Final = 1_000_000_000


class PassedOn:
    """Work of a trace that is not recorded: others still learn that they need not record it."""

    __slots__ = ("_tokens", "traceparent")
    above = span_id = ""
    age_s = 0.0

    def __init__(self, traceparent: str) -> None:
        self.traceparent = traceparent
        self._tokens: list[Token[Span]] = []

    def begin(self, name: str, facts: Facts | None = None, *, kind: Kind = "internal") -> Span:
        """See the port; parts need no ids of their own."""
        return PassedOn(self.traceparent)

    def past(
        self, name: str, took_s: float, facts: Facts | None = None, *, ago_s: float = 0.0
    ) -> None:
        """See the port."""

    def tell(self, facts: Facts) -> None:
        """See the port."""

    def event(self, name: str, facts: Facts | None = None) -> None:
        """See the port."""

    def fail(self, code: str) -> None:
        """See the port."""

    def end(self) -> None:
        """See the port."""

    def __enter__(self) -> Self:
        self._tokens.append(push(self))
        return self

    def __exit__(self, *_: object) -> None:
        pop(self._tokens.pop())


class Recorded:
    """``ports.traces.Span`` of a trace that is recorded."""

    __slots__ = (
        "_begun_mono_s",
        "_clock",
        "_keep",
        "_lasting",
        "_parent",
        "_tokens",
        "_wanted",
        "begun_ns",
        "context",
        "ended_ns",
        "events",
        "facts",
        "failure",
        "kind",
        "name",
        "service",
    )

    def __init__(
        self,
        name: str,
        context: TraceContext,
        *,
        parent: TraceContext | None,
        keep: Callable[["Recorded"], None],
        clock: Clock,
        kind: Kind = "internal",
        ago_s: float = 0.0,
        lasting: bool = False,
        with_parts: bool = False,
        service: str = "",
    ) -> None:
        """``keep`` gets the span when it has ended; ``lasting``: its block does not end it.

        ``with_parts``: without any it is not kept. ``service``: another program did the work.
        """
        self.name = name[:SPAN_TEXT_CHARS_MAX]
        self.context = context
        self.kind: Kind = kind
        self.service = service
        self.facts: dict[str, str | int | float | bool] = {}
        self.events: list[tuple[str, int, Facts]] = []
        self.failure = ""
        self.begun_ns = int((clock.now_s() - ago_s) * _SECOND_NS)
        self.ended_ns = 0
        self._begun_mono_s = clock.monotonic_s() - ago_s
        self._parent = parent
        self._keep = keep
        self._clock = clock
        self._lasting = lasting
        self._wanted = not with_parts
        self._tokens: list[Token[Span]] = []

    @property
    def parent(self) -> TraceContext | None:
        """The span around it."""
        return self._parent

    @property
    def traceparent(self) -> str:
        """See the port."""
        return self.context.header

    @property
    def above(self) -> str:
        """See the port."""
        return self._parent.header if self._parent else ""

    @property
    def span_id(self) -> str:
        """See the port."""
        return self.context.span_id

    @property
    def age_s(self) -> float:
        """See the port."""
        return self._clock.monotonic_s() - self._begun_mono_s

    def begin(self, name: str, facts: Facts | None = None, *, kind: Kind = "internal") -> Span:
        """See the port."""
        return self._part(name, facts, kind=kind)

    def past(
        self, name: str, took_s: float, facts: Facts | None = None, *, ago_s: float = 0.0
    ) -> None:
        """See the port."""
        part = self._part(name, facts, ago_s=max(0.0, took_s) + ago_s)
        part.end(ago_s=ago_s)

    def _part(
        self, name: str, facts: Facts | None, *, kind: Kind = "internal", ago_s: float = 0.0
    ) -> "Recorded":
        self._wanted = True
        context = TraceContext(self.context.trace_id, new_span_id(), sampled=True)
        part = Recorded(
            name, context, parent=self.context, keep=self._keep, clock=self._clock, kind=kind,
            ago_s=ago_s,
        )  # fmt: skip
        if facts:
            part.tell(facts)
        return part

    def tell(self, facts: Facts) -> None:
        """See the port."""
        if self.ended_ns:  # whoever sends it reads it meanwhile
            return
        for name, value in facts.items():
            if len(self.facts) < SPAN_FACTS_MAX or name in self.facts:
                self.facts[name] = value[:SPAN_TEXT_CHARS_MAX] if isinstance(value, str) else value

    def event(self, name: str, facts: Facts | None = None) -> None:
        """See the port."""
        if len(self.events) < SPAN_EVENTS_MAX and not self.ended_ns:
            at_ns = self.begun_ns + int(self.age_s * _SECOND_NS)
            self.events.append((name, at_ns, dict(facts or {})))

    def fail(self, code: str) -> None:
        """See the port."""
        if not self.ended_ns:
            self.failure = code[:SPAN_TEXT_CHARS_MAX]

    def end(self, *, ago_s: float = 0.0) -> None:
        """See the port."""
        if self._wanted and not self.ended_ns:
            self.ended_ns = self.begun_ns + int(max(0.0, self.age_s - ago_s) * _SECOND_NS)
            self._keep(self)

    def __enter__(self) -> Self:
        self._tokens.append(push(self))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pop(self._tokens.pop())
        if self._lasting:
            return
        # Who closes a generator early does nothing wrong.
        if error is not None and not isinstance(error, GeneratorExit):
            self.fail(error.code if isinstance(error, NodeError) else type(error).__name__)
        self.end()


class RecordedTraces:
    """``ports.traces.Traces`` that gives ended spans to ``keep``."""

    def __init__(
        self, keep: Callable[[Recorded], None], *, clock: Clock, ratio: float = 1.0
    ) -> None:
        """``ratio``: which share of the traces that begin here is recorded, 0 to 1."""
        self._keep = keep
        self._clock = clock
        self._below = int(ratio * 2**64)

    def begin(self, name: str, *, trace_id: str, above: str = "", kind: Kind = "internal") -> Span:
        """See the port."""
        parent = TraceContext.read(above)
        context = self._context(trace_id, parent)
        if not context.sampled:
            return PassedOn(context.header)
        return self._recorded(name, context, parent=parent, kind=kind)

    def foreign(self, service: str, name: str, took_s: float, *, trace_id: str, above: str) -> str:
        """See the port."""
        parent = TraceContext.read(above)
        context = self._context(trace_id, parent)
        if context.sampled:
            self._recorded(
                name, context, parent=parent, kind="server", ago_s=took_s, service=service
            ).end()
        return context.header

    def reserve(self, above: Span) -> str:
        """See the port."""
        around = TraceContext.read(above.above or above.traceparent)
        if around is None:
            return ""
        context = TraceContext(around.trace_id, new_span_id(), around.sampled)
        return f"{context.header} {around.span_id}"

    def begin_known(self, name: str, *, trace_id: str) -> Span:
        """See the port."""
        context = self._known(trace_id)
        if not context.sampled:
            return PassedOn(context.header)
        return self._recorded(name, context, parent=None, with_parts=True)

    def known(self, trace_id: str) -> str:
        """See the port."""
        return self._known(trace_id).header

    def _known(self, trace_id: str) -> TraceContext:
        span_id = hashlib.blake2b(trace_id.encode(), digest_size=8, person=b"known").hexdigest()
        return TraceContext(trace_id, span_id, self._wanted(trace_id))

    def resume(self, name: str, reserved: str, *, age_s: float) -> Span:
        """See the port."""
        header, _, around = reserved.partition(" ")
        context = TraceContext.read(header)
        if context is None:
            return NO_SPAN
        if not context.sampled:
            return PassedOn(header)
        parent = TraceContext(context.trace_id, around, sampled=True) if around else None
        return self._recorded(name, context, parent=parent, ago_s=age_s, lasting=True)

    def _recorded(self, name: str, context: TraceContext, **options: Any) -> Recorded:
        return Recorded(name, context, keep=self._keep, clock=self._clock, **options)

    def _context(self, trace_id: str, parent: TraceContext | None) -> TraceContext:
        if parent is not None:
            return TraceContext(parent.trace_id, new_span_id(), parent.sampled)
        return TraceContext(trace_id, new_span_id(), self._wanted(trace_id))

    def _wanted(self, trace_id: str) -> bool:
        # Not by the id's own digits: some of those in a UUID are always the same.
        digest = hashlib.blake2b(trace_id.encode(), digest_size=8).digest()
        return int.from_bytes(digest) < self._below
