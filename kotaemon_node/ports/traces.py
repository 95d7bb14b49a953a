"""Spans: what a trace shows of a piece of work. Off by default; then nothing is kept of them.

Law 1: a span holds names, numbers and codes that are ours: never a text, a word of a user, an id
       by which somebody could take part in a session.
Law 2: no method blocks, takes a lock or raises, so spans may be used on native threads and in the
       path of every turn; what is too much is dropped.
Law 3: which span is under way is known within a task, and no further. Who hands work to another
       task, thread or pod gives it the span, or its ``traceparent``.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar, Token
from functools import wraps
from types import TracebackType
from typing import Final, Literal, ParamSpec, Protocol, Self, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

Kind = Literal["internal", "server", "client"]
Facts = Mapping[str, str | int | float | bool]
"""Attributes: dotted names, OpenTelemetry's own where it has one, else ``kotaemon.…``."""

_NONE: Final[Facts] = {}


class Span(Protocol):
    """A piece of work under way. As a context manager it is the current one, and ends.

    An exception that leaves the block fails the span by its code or class, never by its message.
    """

    @property
    def traceparent(self) -> str:
        """By which others go on with the trace; "" where nothing is traced."""
        ...

    @property
    def above(self) -> str:
        """The ``traceparent`` of the span around it; "" where it is the first of its trace."""
        ...

    @property
    def span_id(self) -> str:
        """16 hex digits; "" where nothing is recorded."""
        ...

    @property
    def age_s(self) -> float:
        """Seconds since it began; 0 where nothing is recorded."""
        ...

    def begin(self, name: str, facts: Facts = _NONE, *, kind: Kind = "internal") -> "Span":
        """Begin a part of this work."""
        ...

    def past(self, name: str, took_s: float, facts: Facts = _NONE, *, ago_s: float = 0.0) -> None:
        """Note a part that took so long and ended ``ago_s`` ago, else now."""
        ...

    def tell(self, facts: Facts) -> None:
        """Add attributes; later ones replace earlier ones of the same name."""
        ...

    def event(self, name: str, facts: Facts = _NONE) -> None:
        """Note that something happened now."""
        ...

    def fail(self, code: str) -> None:
        """Say that the work went wrong, and how in one word."""
        ...

    def end(self) -> None:
        """The work is over; what is said later is dropped."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Traces(Protocol):
    """Begins spans that have no span of this process above them."""

    def begin(self, name: str, *, trace_id: str, above: str = "", kind: Kind = "internal") -> Span:
        """Begin the work of ``trace_id``, as a part of ``above`` where that is a traceparent.

        Whether it is recorded follows from ``above``, else from the id: all pods decide alike.
        """
        ...

    def foreign(self, service: str, name: str, took_s: float, *, trace_id: str, above: str) -> str:
        """Note what another program did until now; return the traceparent of that."""
        ...

    def reserve(self, above: Span) -> str:
        """Return by what a pod, this or another, ends a span that begins now: see ``resume``.

        It is a part of what ``above`` is a part of, if anything, else of ``above``.
        """
        ...

    def begin_known(self, name: str, *, trace_id: str) -> Span:
        """Begin the one span that every program knows by its trace's id; kept if it has parts."""
        ...

    def known(self, trace_id: str) -> str:
        """Return the ``traceparent`` of that."""
        ...

    def resume(self, name: str, reserved: str, *, age_s: float) -> Span:
        """Go on with a reserved span that began ``age_s`` ago; its ``__exit__`` does not end it."""
        ...


class _NoSpan:
    """Work of which nothing is kept."""

    __slots__ = ()
    traceparent = above = span_id = ""
    age_s = 0.0

    def begin(self, name: str, facts: Facts = _NONE, *, kind: Kind = "internal") -> Span:
        return self

    def past(self, name: str, took_s: float, facts: Facts = _NONE, *, ago_s: float = 0.0) -> None:
        pass

    def tell(self, facts: Facts) -> None:
        pass

    def event(self, name: str, facts: Facts = _NONE) -> None:
        pass

    def fail(self, code: str) -> None:
        pass

    def end(self) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


NO_SPAN: Final[Span] = _NoSpan()


class _NoTraces:
    """Traces that are off."""

    def begin(self, name: str, *, trace_id: str, above: str = "", kind: Kind = "internal") -> Span:
        return NO_SPAN

    def foreign(self, service: str, name: str, took_s: float, *, trace_id: str, above: str) -> str:
        return above

    def reserve(self, above: Span) -> str:
        return ""

    def begin_known(self, name: str, *, trace_id: str) -> Span:
        return NO_SPAN

    def known(self, trace_id: str) -> str:
        return ""

    def resume(self, name: str, reserved: str, *, age_s: float) -> Span:
        return NO_SPAN


NO_TRACES: Final[Traces] = _NoTraces()

_current: Final[ContextVar[Span]] = ContextVar("kotaemon_span", default=NO_SPAN)


def current() -> Span:
    """Return the span of what this task does."""
    return _current.get()


def enter(span: Span) -> None:
    """Make ``span`` that of this task from now on."""
    _current.set(span)


def push(span: Span) -> Token[Span]:
    """Make ``span`` that of this task until ``pop`` is given what this returns."""
    return _current.set(span)


def pop(token: Token[Span]) -> None:
    """Go back to the span before."""
    # A generator may be closed by another task than the one that began it, whose span stays.
    with suppress(ValueError):
        _current.reset(token)


def span(name: str, facts: Facts = _NONE, *, kind: Kind = "internal") -> Span:
    """Begin a part of what this task does: ``with span("commit"): …``."""
    return _current.get().begin(name, facts, kind=kind)


def spanned(name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate what is always a part of the work around it."""

    def decorated(work: Callable[P, R]) -> Callable[P, R]:
        @wraps(work)
        def run(*arguments: P.args, **options: P.kwargs) -> R:
            with span(name):
                return work(*arguments, **options)

        return run

    return decorated


def outgoing() -> Mapping[str, str]:
    """Return the headers by which a server goes on with the trace of this task."""
    traceparent = _current.get().traceparent
    return {"traceparent": traceparent} if traceparent else {}
