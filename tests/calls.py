"""What tests of calls share: a writer that notes, a toolbox of functions, a clock that is quick."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kotaemon_node.adapters.system import ThreadTasks
from kotaemon_node.domain.session import SessionKey, SessionView, TurnKey
from kotaemon_node.engine.follow_ups import FollowUps
from kotaemon_node.engine.ledger import Outcome
from kotaemon_node.engine.slow_calls import Behind
from kotaemon_node.engine.stopping import Stop
from kotaemon_node.engine.tool_calls import DecidedCall
from kotaemon_node.engine.tool_steps import ToolSteps, Waiting, silently
from kotaemon_node.ports.language_model import ToolCall
from kotaemon_node.ports.sessions import Lease, Work
from kotaemon_node.ports.tools import Caller, Effects, Found, ToolOutcomeUnknown, ToolSpec
from kotaemon_node.telemetry.metrics import Metrics
from tests.fakes.later import MemoryLater
from tests.fakes.services import FakeClock

SESSION = SessionView("s1", "e", 3, "", 0.0, 0.0, (), user_id="ann")
LEASE = Lease(TurnKey(SessionKey("default", "s1"), "t1"), "e", 1, "a", "trace")
WORK = Work(LEASE, "Where is it?", {}, session=SESSION, attempts=1)
CALLER = Caller("default", "s1", "t1", "ann")

Act = Callable[[Mapping[str, Any], str], Any]
"""Does what a tool does, by its arguments and the key of the call."""


class QuickClock(FakeClock):
    """Hours go by while somebody waits for what does not come."""

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        if event.wait(0.02):
            return True
        self.sleep(timeout_s)
        return event.is_set()


class Writer:
    """Stands where the writer of a turn stands."""

    prefix = ""
    age_s = 0.0

    def __init__(self, journal: Mapping[str, Any] | None = None) -> None:
        self.stop = Stop()
        self.journal = dict(journal or {})
        self.frames: list[Mapping[str, Any]] = []
        self.texts: list[str] = []
        self.phases: list[str] = []

    def decided(self, step: str) -> Any:
        return self.journal.get(step)

    def decide(self, step: str, result: Any) -> None:
        self.journal[step] = result

    def steps(self, prefix: str) -> list[tuple[str, Any]]:
        found = [it for it in self.journal.items() if it[0].startswith(prefix)]
        return [(step.removeprefix(prefix), value) for step, value in found]

    def tool_call(self, fields: Mapping[str, Any]) -> None:
        self.frames.append(fields)

    def status(self, phase: str, *, latency_s: float) -> None:
        self.phases.append(phase)

    def text(self, piece: str) -> None:
        self.texts.append(piece)

    def drain(self) -> None: ...
    def finish(self) -> None: ...
    def note_progress(self) -> None: ...


class Tools:
    """A toolbox of functions; what was called, and under which key, is noted."""

    def __init__(self) -> None:
        self._specs: dict[str, ToolSpec] = {}
        self._acts: dict[str, Act] = {}
        self.called: list[tuple[str, str]] = []
        self.found: Found | None = None
        """What every lookup tells; None: nothing."""

    def add(self, name: str, act: Act, effects: Effects = "read", **options: Any) -> None:
        parameters = options.pop("parameters", {"type": "object"})
        self._specs[name] = ToolSpec(name, f"Does {name}.", parameters, effects, **options)
        self._acts[name] = act

    def specs(self, caller: Caller) -> Sequence[ToolSpec]:
        return tuple(self._specs.values())

    def call(self, name: str, arguments: Mapping[str, Any], *, key: str, **_: Any) -> Any:
        self.called.append((name, key))
        return self._acts[name](arguments, key)

    def lookup(self, name: str, *_: Any, **__: Any) -> Found:
        if self.found is None:
            raise ToolOutcomeUnknown(f"{name} does not tell")
        return self.found


class Calls:
    """Tools, and the steps by which a turn calls them."""

    def __init__(self) -> None:
        self.tools, self.clock = Tools(), QuickClock()
        self.later = MemoryLater(self.clock.monotonic_s)
        self.follow_ups = FollowUps(self.later)
        self.metrics = Metrics()
        self.steps = ToolSteps(
            self.tools,
            clock=self.clock,
            metrics=self.metrics,
            tasks=ThreadTasks(),
            behind=Behind(self.later, self.follow_ups),
        )

    def decided(self, *calls: tuple[str, Mapping[str, Any]]) -> tuple[DecidedCall, ...]:
        asked = [ToolCall(f"c{n}", name, said) for n, (name, said) in enumerate(calls)]
        return self.steps.decided(asked, WORK)

    def run(
        self,
        out: Writer,
        *calls: tuple[str, Mapping[str, Any]],
        waiting: Waiting = silently,
        work: Work = WORK,
    ) -> tuple[Outcome, ...]:
        return self.steps.run(
            self.decided(*calls),
            work,
            out,  # type: ignore[arg-type]
            round_number=1,
            waiting=waiting,
        )

    def jobs(self, kind: str) -> list[Any]:
        """Return the jobs of a kind that were put."""
        return [it.job for it in self.later.kept.values() if it.job.kind == kind]

    def told(self) -> list[str]:
        """Return the English texts of the follow-ups."""
        return [job.fields["text"]["en"] for job in self.jobs("follow_up")]


def until(condition: Callable[[], bool]) -> None:
    """Wait until it holds."""
    pause = threading.Event()
    for _ in range(6_000):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError("it never came to be")
