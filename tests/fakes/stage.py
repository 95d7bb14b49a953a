"""A stage for turns: a clock set by hand, and tasks that run one at a time, always in one order.

A task runs until it waits; then the next one that can run does. Time moves only when nobody can,
to the next moment for which somebody waits. So a story comes out the same on every machine.
"""

import threading
from collections.abc import Callable
from typing import Any

from kotaemon_node.adapters.system.tasks import guarded


class _CurtainError(BaseException):
    """Ends a task that waits, past every handler of errors."""


class _Task:
    """A thread that runs while it has the word."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.word = threading.Semaphore(0)
        self.until_s = 0.0
        self.event: threading.Event | None = None


class Stage:
    """``ports.runtime.Clock`` and ``ports.runtime.Tasks``; the test calls ``play``."""

    def __init__(self) -> None:
        self._now_s = 0.0
        self._tasks: list[_Task] = []
        self._mine = threading.local()
        self._back = threading.Semaphore(0)
        self._over = False

    def now_s(self) -> float:
        return 1_800_000_000.0 + self._now_s

    def monotonic_s(self) -> float:
        return self._now_s

    def sleep(self, duration_s: float) -> None:
        self.wait(threading.Event(), duration_s)

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        task: _Task | None = getattr(self._mine, "task", None)
        assert task is not None, "the test itself must not wait"
        task.event, task.until_s = event, self._now_s + timeout_s
        self._give_the_word_back(task)
        return event.is_set()

    def spawn(self, name: str, work: Callable[[], None]) -> None:
        task = _Task(name)
        task.until_s = self._now_s

        def run() -> None:
            self._mine.task = task
            task.word.acquire()
            try:
                if not self._over:
                    guarded(name, work)()
            except _CurtainError:
                pass
            finally:
                self._tasks.remove(task)
                self._back.release()

        self._tasks.append(task)
        threading.Thread(target=run, name=name, daemon=True).start()

    def compute(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return work(*arguments)

    def event(self) -> threading.Event:
        """Return an event whose waiting the stage sees."""
        return _StageEvent(self)

    def play(self, until_s: float, *, look: Callable[[], None] = lambda: None) -> None:
        """Let everything happen that happens until then; ``look`` is called when time moves."""
        while True:
            if (task := self._ready()) is not None:
                task.word.release()
                assert self._back.acquire(timeout=60), f"{task.name} waits for something unseen"
                continue
            look()
            moments = [task.until_s for task in self._tasks if task.until_s <= until_s]
            if not moments:
                self._now_s = until_s
                return
            self._now_s = max(self._now_s, min(moments))

    def close(self) -> None:
        """End the tasks that still wait, where they stand."""
        self._over = True
        for task in list(self._tasks):
            task.word.release()
            assert self._back.acquire(timeout=60)

    def _ready(self) -> _Task | None:
        for task in self._tasks:
            if task.until_s <= self._now_s or (task.event is not None and task.event.is_set()):
                return task
        return None

    def _give_the_word_back(self, task: _Task) -> None:
        self._back.release()
        task.word.acquire()
        if self._over:
            raise _CurtainError


class _StageEvent(threading.Event):
    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self._stage = stage

    def wait(self, timeout: float | None = None) -> bool:
        return self._stage.wait(self, float("inf") if timeout is None else timeout)
