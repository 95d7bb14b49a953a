"""The processes of one plugin: one is kept, more come while calls wait, each has one call."""

import threading
from collections.abc import Callable
from typing import Final

import structlog

from kotaemon_node.adapters.sandbox.process import Process
from kotaemon_node.domain import acting_limits as limits
from kotaemon_node.ports.runtime import Clock, Tasks

_log = structlog.get_logger(__name__)
_WAIT_S: Final = 0.25


class NoProcess(Exception):
    """None was free or could be started in time; its message says why."""


class Pool:
    """Thread safe."""

    def __init__(
        self,
        first: Process,
        *,
        name: str,
        start: Callable[[], Process],
        clock: Clock,
        tasks: Tasks,
    ) -> None:
        """Take over ``first``. ``start`` makes another one, or raises ``Broken``, ``OSError``."""
        self._name = name
        self._start = start
        self._clock = clock
        self._tasks = tasks
        self._changed = threading.Condition()
        self._idle: list[Process] = [first]
        self._count = 1
        self._starting = 0
        self._waiting = 0
        self._failure = ""
        self._retired = False

    def take(self, until_s: float, cut: Callable[[], bool]) -> Process:
        """Return a process for one call; give it back with ``give``. Raises ``NoProcess``.

        ``cut`` tells whether nobody waits any more.
        """
        with self._changed:
            self._failure = ""
            self._waiting += 1
            try:
                return self._taken(until_s, cut)
            finally:
                self._waiting -= 1

    def give(self, process: Process, *, usable: bool) -> None:
        """Take back a process: it is kept, or ended where it is of no use."""
        spare: list[tuple[Process, bool]] = []
        with self._changed:
            if usable and not self._retired:
                process.idle_since_s = self._clock.monotonic_s()
                self._idle.append(process)
                spare += [(it, True) for it in self._unneeded()]
            else:
                spare.append((process, usable))
                self._count -= 1
                if not self._count and not self._retired:
                    self._start_another()
            self._changed.notify_all()
        for it, gently in spare:
            self._end(it, gently)

    def retire(self) -> None:
        """Keep no process any more; running calls go on, later ones start one for themselves."""
        with self._changed:
            self._retired = True
            idle, self._idle = self._idle, []
            self._count -= len(idle)
        for it in idle:
            self._end(it, True)

    def _taken(self, until_s: float, cut: Callable[[], bool]) -> Process:
        while True:
            while self._idle:
                process = self._idle.pop()
                if process.fit:
                    return process
                self._count -= 1  # somebody killed it, or it broke behind its call
                self._end(process, False)
            if self._failure:
                raise NoProcess(self._failure)
            if self._count < limits.PLUGIN_PROCESSES_MAX and self._starting < self._waiting:
                self._start_another()
            left_s = until_s - self._clock.monotonic_s()
            if left_s <= 0 or cut():
                raise NoProcess("all its processes are busy")
            self._changed.wait(min(left_s, _WAIT_S))

    def _unneeded(self) -> list[Process]:
        """Return the processes beyond the first that nobody needed for a while."""
        long_ago_s = self._clock.monotonic_s() - limits.PLUGIN_IDLE_S
        found = [it for it in self._idle if it.idle_since_s < long_ago_s]
        self._idle = [it for it in self._idle if it not in found]
        self._count -= len(found)
        return found

    def _start_another(self) -> None:
        """Start one beside whoever waits: it is kept also where they have given up by then."""
        self._count += 1
        self._starting += 1
        self._tasks.spawn("plugin-start", self._started)

    def _started(self) -> None:
        process: Process | None = None
        failure = ""
        try:
            process = self._start()
        except Exception as error:  # noqa: BLE001 - whoever waits has to be told, whatever it is
            failure = f"it does not start: {error}"
            _log.error("plugin_does_not_start", plugin=self._name, error=str(error))
        unwanted = False
        with self._changed:
            self._starting -= 1
            if process is None:
                self._count -= 1
                self._failure = failure
            elif self._retired and not self._waiting:
                self._count -= 1
                unwanted = True
            else:
                self._idle.append(process)
            self._changed.notify_all()
        if process is not None and unwanted:
            self._end(process, True)

    def _end(self, process: Process, gently: bool) -> None:
        if not gently:
            process.kill()

        def end() -> None:
            status = process.end(gently=gently)
            _log.info("plugin_process_ended", plugin=self._name, pid=process.pid, status=status)

        self._tasks.spawn("plugin-end", end)
