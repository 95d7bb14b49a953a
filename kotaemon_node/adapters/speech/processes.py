"""Processes of speech, seen from the pod: each lent to one caller, killed when it misbehaves."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import structlog

from kotaemon_node.adapters.speech.launch import Launched, launch
from kotaemon_node.adapters.speech.wire import Reader, WireBroken, packed
from kotaemon_node.domain import speech_limits as limits
from kotaemon_node.domain.errors import Overloaded, SpeechFailed

_log = structlog.get_logger(__name__)


class Process:
    """One process. Used by one task at a time."""

    def __init__(self, launched: Launched) -> None:
        self._launched = launched
        self._reader = Reader(launched.line)
        self._broken = False

    @classmethod
    def started(cls, part: str, *arguments: str) -> "Process":
        """Return a process that is ready. Raises ``SpeechFailed``."""
        try:
            process = cls(launch(part, arguments))
        except OSError as error:
            raise SpeechFailed("no process of speech can be started here") from error
        answer = process.receive(limits.SPEECH_START_S)
        if isinstance(answer, bytes) or "ready" not in answer:
            process.kill()
            why = "" if isinstance(answer, bytes) else str(answer.get("failed", ""))
            _log.error("speech_start_failed", part=part, reason=why)
            raise SpeechFailed("the offline engine of speech does not start; the log says why")
        return process

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._launched.pid

    @property
    def fit(self) -> bool:
        """Whether it may be used again."""
        return not self._broken

    def send(self, message: dict[str, Any] | bytes) -> None:
        """Send; raises ``SpeechFailed`` where it takes nothing."""
        try:
            self._launched.line.settimeout(limits.SPEECH_SILENT_S)
            self._launched.line.sendall(packed(message))
        except OSError as error:
            raise self._failed("it takes nothing") from error

    def receive(self, timeout_s: float = limits.SPEECH_SILENT_S) -> dict[str, Any] | bytes:
        """Return what it says next; raises ``SpeechFailed``."""
        try:
            self._launched.line.settimeout(timeout_s)
            return self._reader.next()
        except (OSError, WireBroken) as error:
            raise self._failed("it fell silent or died") from error

    def kill(self) -> None:
        """End it."""
        self._broken = True
        self._launched.kill()

    def _failed(self, why: str) -> SpeechFailed:
        pid = self.pid
        self.kill()
        _log.warning("speech_process_lost", pid=pid, reason=why)
        return SpeechFailed("the offline engine of speech failed; say it again")


class Processes:
    """A bounded number of processes of one part, started when they are needed. Thread safe."""

    def __init__(self, start: Callable[[], Process], *, most: int) -> None:
        self._start = start
        self._places = threading.Semaphore(most)
        self._lock = threading.Lock()
        self._waiting = 0
        self._idle: list[Process] = []

    @contextmanager
    def lent(self) -> Iterator[Process]:
        """Lend a process; one that is broken or was left in the middle does not come back.

        Raises ``Overloaded`` and ``SpeechFailed``.
        """
        self._wait()
        try:
            process = self._taken() or self._start()
            whole = False
            try:
                yield process
                whole = True
            finally:
                if whole and process.fit:
                    with self._lock:
                        self._idle.append(process)
                else:
                    process.kill()
        finally:
            self._places.release()

    def close(self) -> None:
        """End those that wait for work."""
        with self._lock:
            idle, self._idle = self._idle, []
        for process in idle:
            process.kill()

    def _taken(self) -> Process | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _wait(self) -> None:
        with self._lock:
            if self._waiting >= limits.SPEECH_WAITING_MAX:
                raise Overloaded("too many wait for the engine of speech")
            self._waiting += 1
        try:
            if not self._places.acquire(timeout=limits.SPEECH_WAIT_S):
                raise Overloaded("the engine of speech is busy")
        finally:
            with self._lock:
                self._waiting -= 1
