"""One call of a tool, however it goes: its breaker, its repeats, and what is asked afterwards.

Law 1: what may act twice is sent once. After that only ``lookup`` is asked.
Law 2: what acts once under its key is repeated under that key alone.
Law 3: nothing is sent after ``by_s``: a pod that was frozen before it sent has lost the right to.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event
from typing import Any, Final

import orjson
import structlog

from kotaemon_node.domain.acting_limits import TOOL_RETRY_S
from kotaemon_node.domain.errors import NodeError
from kotaemon_node.engine.ledger import Outcome, error_of, outcome_of
from kotaemon_node.engine.plugin_tools import plugin_of
from kotaemon_node.ports.breakers import Breakers
from kotaemon_node.ports.last_good import LastGoodResults
from kotaemon_node.ports.runtime import Clock, StopSignal
from kotaemon_node.ports.tools import (
    Caller,
    Found,
    Toolbox,
    ToolFailed,
    ToolOutcomeUnknown,
    ToolSpec,
)

_log = structlog.get_logger(__name__)

LOST: Final = "the pod that called this was lost before the answer came"

_OLD: Final = "the tool does not answer now; this is what it said so many seconds ago: say so"


@dataclass(frozen=True, slots=True)
class Call:
    """What is called, for whom, and until when it may be sent."""

    spec: ToolSpec
    arguments: Mapping[str, Any]
    caller: Caller
    key: str
    by_s: float
    """By ``Clock.monotonic_s`` of this pod; nor is it repeated after this."""
    retried: Callable[[int], None] = field(default=lambda tries: None)
    """Told before each repeat, the how manieth it is."""


class Calling:
    """Makes calls; holds nothing of one. Thread safe."""

    def __init__(
        self,
        toolbox: Toolbox | None,
        *,
        clock: Clock,
        breakers: Breakers | None = None,
        last_good: LastGoodResults | None = None,
        skipped: Callable[[str, str], None] = lambda plugin, told: None,
        took: Callable[[str, float], None] = lambda plugin, duration_s: None,
    ) -> None:
        """``skipped`` counts calls that a breaker kept back, by plugin and what is told instead.

        ``took`` is told how long each call lasted that was sent, by plugin.
        """
        self._took = took
        self._toolbox = toolbox
        self._clock = clock
        self._breakers = breakers
        self._last_good = last_good
        self._count_skipped = skipped

    def made(self, call: Call, *, again: bool, stop: StopSignal) -> Outcome:
        """Make the call and return how it ended; ``again``: it may have been made before."""
        if again and call.spec.looks_up and (outcome := self._looked_up(call, stop)) is not None:
            return outcome
        if again and call.spec.effects == "once":
            return error_of("unknown", LOST)
        if self._breakers is None:
            return self._tried(call, again=again, stop=stop)[0]
        breaker = self._breakers.of(call.caller.tenant, plugin_of(call.spec.name))
        verdict = breaker.ask(call.key)
        if not verdict.admitted:
            return self._skipped(call, again=again)
        healthy: bool | None = None
        try:
            outcome, healthy = self._tried(call, again=again, stop=stop)
        finally:
            if healthy is None:
                breaker.gave_up(call.key)
            elif healthy:
                breaker.succeeded(call.key)
            else:
                breaker.failed(call.key)
        return outcome

    def lookup(self, call: Call, *, stop: StopSignal) -> Found:
        """Ask what became of it; raises as ``Toolbox.lookup``."""
        if self._toolbox is None:
            raise ToolFailed(f"this pod has no tool {call.spec.name}", reached=False, fault=False)
        return self._toolbox.lookup(
            call.spec.name, call.arguments, caller=call.caller, key=call.key, stop=stop
        )

    def _looked_up(self, call: Call, stop: StopSignal) -> Outcome | None:
        """Return the outcome of a call that took effect; None where that is not known."""
        try:
            found = self.lookup(call, stop=stop)
        except (ToolFailed, ToolOutcomeUnknown) as error:
            _log.info("tool_lookup_failed", tool=call.spec.name, error=str(error))
            return None
        return outcome_of("done", found.result) if found.took_effect else None

    def _skipped(self, call: Call, *, again: bool) -> Outcome:
        """Return what is told in place of a result while the breaker is open."""
        name, reads = call.spec.name, call.spec.effects == "read"
        message = f"{name} failed several times in a row and is not asked for a while"
        if again and not reads:
            return error_of("unknown", message)
        if reads and (known := self._kept(call)) is not None:
            self._count_skipped(plugin_of(name), "stale")
            return known
        self._count_skipped(plugin_of(name), "failed")
        return error_of("failed", f"{message}; nothing was done")

    def _kept(self, call: Call) -> Outcome | None:
        if self._last_good is None:
            return None
        try:
            found = self._last_good.find(call.caller, call.spec.name, _asked(call))
        except NodeError as error:  # the store's, or it cannot be opened
            _log.info("last_good_unavailable", reason=str(error))
            return None
        if found is None:
            return None
        value = orjson.loads(found.told)
        if _asks_user(value):
            return None
        marks = {"stale": True, "age_s": round(found.age_s), "note": _OLD}
        told = {**value, **marks} if isinstance(value, dict) else {"result": value, **marks}
        return outcome_of("done", told)

    def _tried(self, call: Call, *, again: bool, stop: StopSignal) -> tuple[Outcome, bool]:
        """Return the outcome, and whether it speaks for a tool that works."""
        spec, tries, doubt = call.spec, 0, again
        retries = 0 if spec.effects == "once" else spec.retries
        while True:
            try:
                value = self._sent(call, stop)
            except ToolFailed as error:
                _log.info("tool_failed", tool=spec.name, error=str(error))
                # A tool that was not reached now, or only said "not now", may have acted before.
                known = error.settles or spec.effects == "read" or not doubt
                outcome = error_of("failed" if known else "unknown", str(error))
                healthy = not error.fault
            except ToolOutcomeUnknown as error:
                _log.warning("tool_outcome_unknown", tool=spec.name, error=str(error))
                outcome = error_of("failed" if spec.effects == "read" else "unknown", str(error))
                healthy, doubt = False, True
            else:
                self._keep(call, value)
                return outcome_of("done", value), True
            pause_s = TOOL_RETRY_S * 2**tries
            over = self._clock.monotonic_s() + pause_s >= call.by_s
            if healthy or tries >= retries or over:
                break
            tries += 1
            self._pause(pause_s, stop)
            call.retried(tries)
        if outcome.state == "unknown" and spec.looks_up:
            outcome = self._looked_up(call, stop) or outcome
        return outcome, healthy

    def _sent(self, call: Call, stop: StopSignal) -> Any:
        if self._toolbox is None:
            raise ToolFailed(f"this pod has no tool {call.spec.name}", reached=False, fault=False)
        if self._clock.monotonic_s() > call.by_s:
            raise ToolFailed("the time to call it was over; nothing was done", reached=False)
        sent_s = self._clock.monotonic_s()
        try:
            return self._toolbox.call(
                call.spec.name,
                call.arguments,
                caller=call.caller,
                key=call.key,
                stop=_InTime(stop, clock=self._clock, by_s=call.by_s),
            )
        finally:
            self._took(plugin_of(call.spec.name), self._clock.monotonic_s() - sent_s)

    def _keep(self, call: Call, value: Any) -> None:
        if self._last_good is None or call.spec.effects != "read":
            return
        kept = outcome_of("done", value)
        if kept.cut or _asks_user(value):
            return
        try:
            self._last_good.keep(call.caller, call.spec.name, _asked(call), kept.told)
        except NodeError as error:
            _log.info("last_good_not_kept", reason=str(error))

    def _pause(self, pause_s: float, stop: StopSignal) -> None:
        woken = Event()
        with stop.breaking_off(woken.set):
            self._clock.wait(woken, pause_s)


class _InTime:
    """A stop signal that lets nothing begin when the time to send is over."""

    def __init__(self, stop: StopSignal, *, clock: Clock, by_s: float) -> None:
        self._stop = stop
        self._clock = clock
        self._by_s = by_s
        self._begun = False

    @contextmanager
    def breaking_off(self, break_off: Callable[[], None]) -> Iterator[None]:
        """See the port."""
        with self._stop.breaking_off(break_off):
            begun, self._begun = self._begun, True
            if not begun and self._clock.monotonic_s() > self._by_s:
                raise ToolOutcomeUnknown("the time to call it was over before it was called")
            yield


def _asked(call: Call) -> str:
    """Return as JSON what the tool goes by: a hook has its order from the slots or the context."""
    caller = call.caller
    asked = [dict(call.arguments), dict(caller.slots), dict(caller.context)]
    return orjson.dumps(asked, option=orjson.OPT_SORT_KEYS).decode()


def _asks_user(value: Any) -> bool:
    """Tell whether a hook proposes or asks something: that is of one moment, and never told old."""
    return isinstance(value, Mapping) and any(
        isinstance(value.get(name), Mapping) for name in ("propose", "ask")
    )
