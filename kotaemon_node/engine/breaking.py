"""A breaker before the language model: what failed in a row is not waited for by each turn.

All pods share one breaker in the session store. While that is away a pod judges by what it sees
itself, in memory, by the same rules.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import structlog

from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import (
    LanguageModelError,
    LanguageModelRefusal,
    LanguageModelUnavailable,
    StoreUnavailable,
)
from kotaemon_node.engine.store_away import StoreAway
from kotaemon_node.ports.breakers import Breaker, Verdict
from kotaemon_node.ports.language_model import (
    NO_SAMPLING,
    ChatMessage,
    LanguageModel,
    ToolCall,
    Usage,
)
from kotaemon_node.ports.runtime import Clock, IdSource, StopSignal
from kotaemon_node.ports.tools import ToolSpec

_log = structlog.get_logger(__name__)

T = TypeVar("T")


class MemoryBreaker:
    """``ports.breakers.Breaker`` of one pod alone; never raises."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._until_s: float | None = None
        """Until when it is open; None: it is closed."""
        self._span_s = 0.0
        self._probe, self._probe_until_s, self._last = "", 0.0, ""

    def ask(self, caller: str) -> Verdict:
        """See the port."""
        with self._lock:
            now_s = self._clock.monotonic_s()
            if self._until_s is None:
                return Verdict(True)
            if self._probe == caller:
                return Verdict(True, probe=True)
            if now_s < self._until_s:
                return Verdict(False, self._until_s - now_s)
            if self._probe and now_s < self._probe_until_s:
                return Verdict(False)
            self._probe, self._probe_until_s = caller, now_s + limits.BREAKER_PROBE_S
            return Verdict(True, probe=True)

    def answering(self, caller: str) -> None:
        """See the port."""
        with self._lock:
            if self._until_s is not None and self._probe == caller:
                self._until_s, self._probe = None, ""
                self._failures = limits.BREAKER_FAILURES - 1

    def succeeded(self, caller: str) -> None:
        """See the port."""
        with self._lock:
            if self._until_s is None or self._probe == caller:
                self._failures, self._span_s, self._until_s = 0, 0.0, None
                self._probe, self._last = "", ""

    def failed(self, caller: str) -> None:
        """See the port."""
        with self._lock:
            if self._until_s is not None:
                if self._probe == caller:
                    self._open(caller)
            elif self._last != caller:
                self._failures += 1
                self._last = caller
                if self._failures >= limits.BREAKER_FAILURES:
                    self._open(caller)

    def gave_up(self, caller: str) -> None:
        """See the port."""
        with self._lock:
            if self._probe == caller:
                self._probe = ""

    def open_now(self) -> bool:
        """See the port."""
        return self._until_s is not None

    def close(self) -> None:
        """Admit everybody again, whatever was seen; failures go on being counted."""
        with self._lock:
            self._until_s, self._probe = None, ""

    def _open(self, caller: str) -> None:
        span_s = 2 * self._span_s if self._span_s else limits.BREAKER_OPEN_S
        self._span_s = min(span_s, limits.BREAKER_OPEN_S_MAX)
        self._until_s = self._clock.monotonic_s() + self._span_s
        self._failures, self._probe, self._last = 0, "", caller


class SharedBreaker:
    """``ports.breakers.Breaker``: the shared one, and this pod's own while the store is away."""

    def __init__(
        self, shared: Breaker, *, clock: Clock, show: Callable[[bool], None] = lambda is_open: None
    ) -> None:
        """``show`` is told whether it is open, as far as this pod knows."""
        self._shared = shared
        self._own = MemoryBreaker(clock=clock)
        self._clock = clock
        self._show = show
        self._away = StoreAway(clock=clock)
        show(False)

    def ask(self, caller: str) -> Verdict:
        """See the port; never raises, as no other method here does."""
        verdict = self._either(lambda: self._shared.ask(caller), lambda: self._own.ask(caller))
        if not verdict.admitted:
            self._show(True)
        elif not self._away:
            self._own.close()  # others have found that it answers
        return verdict

    def answering(self, caller: str) -> None:
        """See the port."""
        self._tell(lambda breaker: breaker.answering(caller))

    def succeeded(self, caller: str) -> None:
        """See the port."""
        self._tell(lambda breaker: breaker.succeeded(caller))

    def failed(self, caller: str) -> None:
        """See the port."""
        self._tell(lambda breaker: breaker.failed(caller))
        self.open_now()

    def gave_up(self, caller: str) -> None:
        """See the port."""
        self._tell(lambda breaker: breaker.gave_up(caller))

    def open_now(self) -> bool:
        """See the port; shows it, too."""
        is_open = self._either(self._shared.open_now, self._own.open_now)
        self._show(is_open)
        return is_open

    def _tell(self, say: Callable[[Breaker], None]) -> None:
        # Its own is told everything, so that it knows when it has to judge.
        self._either(lambda: say(self._shared), lambda: None)
        say(self._own)

    def _either(self, shared: Callable[[], T], own: Callable[[], T]) -> T:
        if not self._away.tries():
            return own()
        try:
            found = shared()
        except StoreUnavailable as error:
            self._away.failed()
            _log.info("breaker_alone", reason=str(error))
            return own()
        self._away.answered()
        return found


class GuardedModel:
    """``ports.language_model.LanguageModel`` behind a breaker.

    ``stream`` raises ``LanguageModelUnavailable`` at once where the breaker admits no call.
    """

    def __init__(self, model: LanguageModel, breaker: Breaker, *, ids: IdSource) -> None:
        self._model = model
        self._breaker = breaker
        self._ids = ids

    @property
    def name(self) -> str:
        """See the port."""
        return self._model.name

    @property
    def continues_prefix(self) -> bool:
        """See the port."""
        return self._model.continues_prefix

    def stream(
        self,
        messages: Sequence[ChatMessage],
        *,
        prefix: str,
        usage: Usage,
        stop: StopSignal,
        tools: Sequence[ToolSpec] = (),
        sampling: Mapping[str, float] = NO_SAMPLING,
    ) -> Iterator[str | ToolCall]:
        """See the port."""
        caller = self._ids.new_id()
        verdict = self._breaker.ask(caller)
        if not verdict.admitted:
            raise LanguageModelUnavailable(_told(verdict))
        pieces = self._model.stream(
            messages, prefix=prefix, usage=usage, stop=stop, tools=tools, sampling=sampling
        )
        return self._told_of(caller, pieces, probe=verdict.probe)

    def _told_of(
        self, caller: str, pieces: Iterator[str | ToolCall], *, probe: bool
    ) -> Iterator[str | ToolCall]:
        judged = False
        try:
            for piece in pieces:
                if probe:  # the first text of every other call need not wait for the store
                    probe = False
                    self._breaker.answering(caller)
                yield piece
            judged = True
            self._breaker.succeeded(caller)
        except LanguageModelRefusal:
            raise  # it answered, though not this
        except LanguageModelError:
            judged = True
            self._breaker.failed(caller)
            raise
        finally:
            if not judged:
                self._breaker.gave_up(caller)


def _told(verdict: Verdict) -> str:
    if verdict.open_for_s:
        return (
            "the language model failed in a row and is not asked for"
            f" {verdict.open_for_s:.0f} s more"
        )
    return "the language model failed in a row; one call tries it now"
