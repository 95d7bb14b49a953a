"""``ports.plugins.Plugin`` over processes: what came of a call, told as the port wants it."""

from collections.abc import Mapping
from typing import Any, Final, Protocol

import orjson
import structlog

from kotaemon_node.adapters.sandbox.pool import NoProcess, Pool
from kotaemon_node.adapters.sandbox.process import Broken, Cause, Process
from kotaemon_node.domain.arguments import problem_of
from kotaemon_node.domain.limits import TOOL_ANSWER_BYTES_MAX
from kotaemon_node.plugins.schema import GIVEN
from kotaemon_node.ports.plugins import PluginCall, PluginDescription
from kotaemon_node.ports.runtime import Clock, StopSignal
from kotaemon_node.ports.tools import ToolFailed, ToolOutcomeUnknown

_log = structlog.get_logger(__name__)

_WHY: Final[Mapping[Cause, str]] = {
    "time": "did not answer in time",
    "computing": "computed for too long",
    "threads": "started too many threads",
    "output": "wrote too much",
    "nonsense": "gave an answer that cannot be read",
    "services": "asked for too much",
    "died": "ended in the middle of the call",
    "stopped": "was stopped",
}


class SandboxMetrics(Protocol):
    """What is counted of processes."""

    def plugin_process_ended(self, plugin: str, cause: str) -> None:
        """A process was ended, or ended itself, in a call."""
        ...


class _Cut:
    """Lets another task break a call off, before and while a process has it."""

    def __init__(self) -> None:
        self.wanted = False
        self.process: Process | None = None

    def now(self) -> None:
        """Break off."""
        self.wanted = True
        if self.process is not None:
            self.process.kill()


class SandboxedPlugin:
    """One version of one plugin. Thread safe."""

    def __init__(
        self,
        description: PluginDescription,
        pool: Pool,
        *,
        clock: Clock,
        metrics: SandboxMetrics | None,
    ) -> None:
        self._description = description
        self._pool = pool
        self._clock = clock
        self._metrics = metrics

    @property
    def description(self) -> PluginDescription:
        """See the port."""
        return self._description

    def retire(self) -> None:
        """End its processes when the running calls have ended; returns at once, may be repeated.

        A turn that still holds it may call it: then a process is started for that call.
        """
        self._pool.retire()

    def call(self, call: PluginCall, *, stop: StopSignal) -> Any:
        """See the port."""
        self._check(call)
        cut = _Cut()
        with stop.breaking_off(cut.now):
            return self._called(call, cut)

    def _check(self, call: PluginCall) -> None:
        about = self._description
        problem = None
        match call.entry:
            case "run":
                problem = problem_of(call.arguments, about.parameters) if about.runs else "no run"
            case "lookup":
                problem = None if about.looks_up else "no lookup"
            case "hook":
                known = any(it.method == call.method for it in about.hooks)
                problem = None if known else "no such hook"
        if taken := GIVEN.intersection(call.arguments):
            problem = f"{min(taken)} is no argument: it comes with the call"
        if problem:
            raise ToolFailed(f"{about.name}: {problem}", reached=False, fault=False)

    def _called(self, call: PluginCall, cut: _Cut) -> Any:
        about = self._description
        timeout_s = min(call.timeout_s or about.timeout_s, about.timeout_s)
        until_s = self._clock.monotonic_s() + timeout_s
        try:
            process = self._pool.take(until_s, lambda: cut.wanted)
        except NoProcess as error:
            raise ToolFailed(f"{about.name} cannot be called now: {error}", reached=False) from None
        usable = False
        cut.process = process
        if cut.wanted:  # it may have been stopped before there was a process to kill
            process.kill()
        try:
            left_s = until_s - self._clock.monotonic_s()
            answer = process.call(_order(call, about, left_s), call.caller, timeout_s=left_s)
            usable = not process.worn
        except Broken as broken:
            raise self._failure(call, process, broken) from None
        finally:
            cut.process = None
            self._pool.give(process, usable=usable)
        return self._value(call, process, answer)

    def _failure(self, call: PluginCall, process: Process, broken: Broken) -> Exception:
        name = self._description.name
        _log.warning("plugin_call_broke", plugin=name, cause=broken.cause, detail=broken.detail)
        if self._metrics is not None:
            self._metrics.plugin_process_ended(name, broken.cause)
        return self._failed(call, process, _WHY[broken.cause])

    def _failed(self, call: PluginCall, process: Process, why: str) -> Exception:
        """Return the error: unknown is what may have had an effect."""
        message = f"{self._description.name} {why}"
        reads = self._description.effects == "read" or call.entry != "run"
        if reads or not process.reached_out:
            return ToolFailed(message, reached=True, fault=True)
        return ToolOutcomeUnknown(message)

    def _value(self, call: PluginCall, process: Process, answer: Mapping[str, Any]) -> Any:
        if "raised" in answer:
            raised, text = f"{answer['raised']!s:.80}", f"{answer.get('log', '')!s:.4000}"
            name = self._description.name
            _log.warning("plugin_raised", plugin=name, error=raised, traceback=text)
            # Not the message of the error: that may hold anything, and anybody may see ours.
            raise self._failed(call, process, f"failed ({raised})")
        if "value" not in answer:
            raise self._failed(call, process, "gave an answer that is no JSON value")
        value = answer["value"]
        if len(orjson.dumps(value)) > TOOL_ANSWER_BYTES_MAX:
            why = f"gave an answer of more than {TOOL_ANSWER_BYTES_MAX} bytes"
            raise self._failed(call, process, why)
        return value


def _order(call: PluginCall, about: PluginDescription, left_s: float) -> dict[str, Any]:
    caller = call.caller
    return {
        "entry": call.entry,
        "method": call.method,
        "arguments": dict(call.arguments),
        "user_input": call.user_input,
        "session_id": caller.session_id,
        "user_id": caller.user_id,
        "context": dict(caller.context),
        "slots": dict(caller.slots),
        "idempotency_key": call.key,
        "repeatable": about.effects == "idempotent",
        "left_s": left_s,
    }
