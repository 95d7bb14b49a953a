"""Waiting for calls of tools that are under way: beside each other, with patience, never for ever.

Only the task that executes the turn writes to it; the tasks that call tell it what they learned.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import structlog

from kotaemon_node.domain.acting_limits import TOOL_PATIENCE_S, TOOL_PLEASE_WAIT_S
from kotaemon_node.domain.errors import Invalid, Overloaded
from kotaemon_node.domain.limits import PROGRESS_NOTED_S
from kotaemon_node.engine.calling import Call, Calling
from kotaemon_node.engine.ledger import Outcome, error_of, outcome_of
from kotaemon_node.engine.slow_calls import Behind
from kotaemon_node.engine.tool_calls import Begun
from kotaemon_node.engine.traced import hashed
from kotaemon_node.engine.writing import FrameWriter
from kotaemon_node.ports.runtime import Clock, Tasks
from kotaemon_node.ports.traces import Facts, Span, current

WAITED: Final = "waited:"
"""Step: what was said of a round whose calls took longer."""
_LATER: Final = outcome_of("unknown", None, later=True)


class _Running:
    """A call under way in a task of its own; guarded by ``lock``."""

    def __init__(self, one: Begun) -> None:
        self.one = one
        self.lock = threading.Lock()
        self.ended: Outcome | BaseException | None = None
        self.left = False
        """The turn does not wait for it any more."""


class _News:
    """What tasks that call tell the one that executes the turn."""

    def __init__(self) -> None:
        self.woken = threading.Event()
        self._told: deque[tuple[_Running, int | None]] = deque()

    def tell(self, it: _Running, tries: int | None) -> None:
        """Say that a call is repeated for the ``tries``-th time, or, None, that it ended."""
        self._told.append((it, tries))
        self.woken.set()

    def taken(self) -> Iterator[tuple[_Running, int | None]]:
        """Yield what was told and not yet taken."""
        while self._told:
            yield self._told.popleft()


class Awaiting:
    """Makes the calls of a group and yields each as it ends. Thread safe."""

    def __init__(
        self, calling: Calling, *, clock: Clock, tasks: Tasks | None, behind: Behind | None
    ) -> None:
        """``tasks``, ``behind``: as ``ToolSteps``."""
        self._calling = calling
        self._clock = clock
        self._tasks = tasks
        self._behind = behind

    def outcomes(
        self, begun: Sequence[Begun], out: FrameWriter, *, waiting: Callable[[str], str]
    ) -> Iterator[tuple[Begun, Outcome]]:
        """Yield every call with its outcome; ``waiting`` says what is told of a step that lasts."""
        if any(not one.only_looked_up for one in begun):
            # Only who still owns the turn gets through here, and leaves a trace of the calls.
            out.drain()
        now = [one for one in begun if not one.later]
        yield from ((one, self._put_behind(one)) for one in begun if one.later)
        if self._tasks is None:
            for one in now:
                yield one, self._made(one, _spanned(one), out, lambda tries: None)
        elif now:
            yield from self._beside(now, self._tasks, out, waiting=waiting)

    def _put_behind(self, one: Begun) -> Outcome:
        assert self._behind is not None
        try:
            self._behind.put(one)
        except (Overloaded, Invalid) as error:
            return error_of("failed", f"{error}; nothing was done")
        return _LATER

    def _made(
        self, one: Begun, spanned: Span, out: FrameWriter, retried: Callable[[int], None]
    ) -> Outcome:
        call = Call(one.spec, one.arguments, one.caller, one.key, by_s=one.by_s, retried=retried)
        with spanned as calling:
            outcome = self._calling.made(call, again=one.again, stop=out.stop)
            calling.tell({"kotaemon.tool.outcome": outcome.state})
            if outcome.state != "done":
                calling.fail(outcome.state)
        return outcome

    def _beside(
        self,
        begun: Sequence[Begun],
        tasks: Tasks,
        out: FrameWriter,
        *,
        waiting: Callable[[str], str],
    ) -> Iterator[tuple[Begun, Outcome]]:
        news = _News()
        running = [_Running(one) for one in begun]
        for it in running:
            tasks.spawn(f"tool {it.one.spec.name}", self._work(it, out, news))
        since_s, told = self._clock.monotonic_s(), False
        while running:
            self._sleep(out, news.woken, until_s=since_s + (0.0 if told else TOOL_PLEASE_WAIT_S))
            yield from _ended(news, running, out)
            waited_s = self._clock.monotonic_s() - since_s
            if running and not told and waited_s >= TOOL_PLEASE_WAIT_S:
                told = True
                self._say(running[0].one.step, out, waiting, waited_s=waited_s)
            if waited_s >= TOOL_PATIENCE_S:
                yield from self._left(running)

    def _left(self, running: list[_Running]) -> Iterator[tuple[Begun, Outcome]]:
        """Yield calls that go on without the turn."""
        for it in [it for it in running if self._leave(it)]:
            running.remove(it)
            yield it.one, _LATER

    def _work(self, it: _Running, out: FrameWriter, news: "_News") -> Callable[[], None]:
        """Return what makes a call, in a task of its own, and tells how it ended."""
        spanned, names = _spanned(it.one), structlog.contextvars.get_contextvars()

        def work() -> None:
            ended: Outcome | BaseException
            with structlog.contextvars.bound_contextvars(**names):
                try:
                    ended = self._made(it.one, spanned, out, lambda tries: news.tell(it, tries))
                except BaseException as error:  # noqa: BLE001 - raised where the turn is executed
                    ended = error
                with it.lock:
                    it.ended = ended
                if not it.left:
                    news.tell(it, None)
                elif self._behind is not None and isinstance(ended, Outcome):
                    self._behind.tell(it.one, ended)

        return work

    def _leave(self, it: _Running) -> bool:
        """Wait no more for a call; False where it ended just now, or has to be waited for."""
        if self._behind is None or it.one.spec.in_turn or it.one.stays:
            return False
        with it.lock:
            if it.ended is not None:
                return False
            it.left = True
        self._behind.put(it.one, begun=True)
        return True

    def _sleep(self, out: FrameWriter, woken: threading.Event, *, until_s: float) -> None:
        """Wait for news until then, or if that is over for as long as a turn may say nothing."""
        left_s = until_s - self._clock.monotonic_s()
        with out.stop.breaking_off(woken.set):
            self._clock.wait(woken, left_s if left_s > 0 else PROGRESS_NOTED_S)
        woken.clear()
        out.note_progress()

    @staticmethod
    def _say(
        step: str, out: FrameWriter, waiting: Callable[[str], str], *, waited_s: float
    ) -> None:
        out.status("waiting", latency_s=waited_s)
        said = WAITED + step.partition(".")[0]
        if out.decided(said) is None and (sentence := waiting(step)):
            out.decide(said, sentence)
            out.text(sentence)


def _ended(
    news: _News, running: list[_Running], out: FrameWriter
) -> Iterator[tuple[Begun, Outcome]]:
    """Yield the calls that ended, and note the repeats of others."""
    for it, tries in news.taken():
        if tries is not None:
            out.decide(f"tries:{it.one.step}", tries)
        elif it in running:
            running.remove(it)
            yield it.one, _told(it)


def _told(it: _Running) -> Outcome:
    if isinstance(it.ended, BaseException):
        raise it.ended
    assert it.ended is not None
    return it.ended


def _spanned(one: Begun) -> Span:
    facts: Facts = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": one.spec.name,
        "gen_ai.tool.type": "extension",
        "kotaemon.tool.key_hash": hashed(one.key),
        "kotaemon.tool.again": one.again,
    }
    return current().begin(f"execute_tool {one.spec.name}", facts)
