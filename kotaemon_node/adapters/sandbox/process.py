"""One process of a plugin, seen from the pod: asked, watched, and ended over what it may not."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import structlog

from kotaemon_node.adapters.sandbox.hiding import Hiding
from kotaemon_node.adapters.sandbox.launch import Launched
from kotaemon_node.adapters.sandbox.line import Ended, Line, Nonsense
from kotaemon_node.adapters.sandbox.services import Services
from kotaemon_node.adapters.sandbox.vitals import step_back, vitals_of
from kotaemon_node.domain import acting_limits as limits
from kotaemon_node.domain.plugin_manifest import ProcessLimits
from kotaemon_node.ports.runtime import Clock
from kotaemon_node.ports.tools import Caller

_log = structlog.get_logger(__name__)

Cause = Literal["time", "computing", "threads", "output", "nonsense", "services", "died", "stopped"]
_DEATH_S: Final = 60.0
_PAUSE_S: Final = 0.005
_OUTPUT_PIECE_BYTES: Final = 256 * 1024
NOBODY: Final = Caller(tenant="", session_id="")


class Broken(Exception):
    """The process cannot be used any more. ``cause`` says why, ``detail`` for the log."""

    def __init__(self, cause: Cause, detail: str = "") -> None:
        super().__init__(f"{cause} {detail}".strip())
        self.cause: Cause = cause
        self.detail = detail


@dataclass(slots=True)
class _Watch:
    """What one call has used so far."""

    until_s: float
    computed_s: float
    starts: bool
    written_bytes: int = 0
    services: int = 0


class Process:
    """Used by one task at a time; ``kill`` by any."""

    def __init__(
        self,
        launched: Launched,
        *,
        name: str,
        bounds: ProcessLimits,
        services: Services,
        clock: Clock,
        hide: Hiding,
    ) -> None:
        self._launched = launched
        self._line = Line(launched.line, clock=clock)
        self._name = name
        self._bounds = bounds
        self._services = services
        self._clock = clock
        self._hide = hide
        self._calls = 0
        self.worn = False
        """It computed long and was given less of the processors: another one is to go on."""
        self.reached_out = False
        """A connection was made for it, or a value changed: what it did may have had an effect."""
        self.idle_since_s = clock.monotonic_s()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._launched.pid

    def begin(self, order: dict[str, Any]) -> Mapping[str, Any]:
        """Have it load the plugin; return what it says of itself, unchecked. Raises ``Broken``."""
        answer = self._exchange(order, NOBODY, limits.PLUGIN_START_S, starts=True)
        self._launched.freeze()
        if isinstance(ready := answer.get("ready"), dict):
            return ready
        if text := answer.get("log"):
            told = self._hide(f"{text!s:.4000}")
            _log.warning("plugin_start_failed", plugin=self._name, traceback=told)
        why = f"{answer.get('failed', 'it says nothing of itself')!s:.600}"
        raise Broken("died", self._hide(why))

    def call(
        self, order: Mapping[str, Any], caller: Caller, *, timeout_s: float
    ) -> Mapping[str, Any]:
        """Return its answer to a call, unchecked but for its number. Raises ``Broken``.

        It runs while the call does, and stands still between calls: threads that a call left behind
        neither compute nor ask for anything.
        """
        self._calls += 1
        self._launched.thaw()
        answer = self._exchange({**order, "id": self._calls}, caller, timeout_s)
        self._launched.freeze()
        if answer.get("id") != self._calls:
            raise Broken("nonsense", "its answer is to another call")
        if "raised" in answer:
            raised, told = f"{answer['raised']!s:.80}", f"{answer.get('log', '')!s:.4000}"
            return {**answer, "raised": self._hide(raised), "log": self._hide(told)}
        return answer

    @property
    def fit(self) -> bool:
        """Whether it waits for a call: it has not ended, and said nothing unasked."""
        return self._line.quiet

    def kill(self) -> None:
        """Kill it."""
        self._launched.kill()

    def end(self, *, gently: bool) -> int | None:
        """End it and return its status (negative: a signal); takes a while where ``gently``."""
        if gently:
            self._let_go()
        self._launched.kill()
        until_s = self._clock.monotonic_s() + _DEATH_S
        while (status := self._launched.status()) is None and self._clock.monotonic_s() < until_s:
            self._clock.sleep(_PAUSE_S)
        self._launched.close()
        return status

    def _let_go(self) -> None:
        until_s = self._clock.monotonic_s() + limits.PLUGIN_TEARDOWN_S

        def watch() -> None:
            self._take_output()  # else it may wait for somebody to read
            if self._clock.monotonic_s() > until_s:
                raise Ended("it takes its time")

        self._launched.thaw()
        try:
            self._line.send({"end": True}, watch)
            self._line.receive(watch)
        except (Ended, Nonsense):
            return

    def _exchange(
        self, order: dict[str, Any], caller: Caller, timeout_s: float, *, starts: bool = False
    ) -> Mapping[str, Any]:
        now = vitals_of(self.pid)
        begun_s = self._clock.monotonic_s()
        watch = _Watch(begun_s + timeout_s, now.computed_s if now else 0.0, starts)
        try:
            self._line.send(order, lambda: self._look(watch))
            while True:
                message = self._line.receive(lambda: self._look(watch))
                if "storage" not in message and "connect" not in message:
                    return message
                self._serve(message, caller, watch)
        except Nonsense as error:
            raise Broken("nonsense", str(error)) from None
        except Ended as error:
            raise Broken("died", str(error)) from None
        finally:
            self._note_output(watch)

    def _serve(self, message: Mapping[str, Any], caller: Caller, watch: _Watch) -> None:
        watch.services += 1
        if watch.services > limits.PLUGIN_SERVICES_MAX:
            raise Broken("services", "it asks for too much")
        left_s = max(0.0, watch.until_s - self._clock.monotonic_s())
        self._services.serve(
            message,
            caller=caller,
            line=self._line,
            left_s=left_s,
            watch=lambda: self._look(watch),
            reach=self._reach_out,
        )
        self._look(watch)

    def _reach_out(self) -> None:
        self.reached_out = True

    def _look(self, watch: _Watch) -> None:
        """End the call where it uses more than it may."""
        if self._clock.monotonic_s() > watch.until_s:
            raise Broken("time")
        now = vitals_of(self.pid)
        if now is not None:
            computed_s = now.computed_s - watch.computed_s
            if computed_s > self._bounds.cpu_s:
                raise Broken("computing")
            if now.threads > limits.PLUGIN_THREADS_MAX:
                raise Broken("threads")
            self._slow_down(computed_s, watch)
        self._note_output(watch)
        if watch.written_bytes > limits.PLUGIN_FLOOD_BYTES_MAX:
            raise Broken("output")

    def _slow_down(self, computed_s: float, watch: _Watch) -> None:
        """Let it step back where it computes long; nothing gives it back what it lost thereby."""
        if watch.starts:
            # Imports take long and end: a process is of use behind them, be it a slow one.
            if computed_s > limits.PLUGIN_START_SPEED_S:
                step_back(self.pid)
        elif computed_s > limits.PLUGIN_FULL_SPEED_S and not self.worn:
            self.worn = True
            step_back(self.pid)

    def _note_output(self, watch: _Watch) -> None:
        """Take what it has written; the beginning goes into the log."""
        if not (taken := self._take_output()):
            return
        left = limits.PLUGIN_OUTPUT_BYTES_MAX - watch.written_bytes
        watch.written_bytes += len(taken)
        if left > 0:
            text = taken[:left].decode("utf-8", "replace")
            _log.info("plugin_output", plugin=self._name, text=self._hide(text))

    def _take_output(self) -> bytes:
        try:
            return os.read(self._launched.output, _OUTPUT_PIECE_BYTES)
        except OSError:
            return b""
