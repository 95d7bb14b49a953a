"""One child, seen from its parent: it is asked, watched, and killed when it costs too much."""

import os
import resource
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import orjson

from coordinator.reading.bounds import Bounds, Cause
from coordinator.reading.frames import PREFIX_BYTES, frame, lengths, taken_apart
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import Unavailable
from kotaemon_node.ports.runtime import Clock
from kotaemon_node.settings import environment_value

PROGRAM: Final = (sys.executable, "-s", "-P", "-B", "-m", "coordinator.reading.child")
_ROOT: Final = Path(__file__).parents[2]
_TICK_MS: Final = 100
_PIECE_BYTES: Final = 1024 * 1024
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
# A process that died close to its memory's limit died of it: native code aborts where it gets none.
_NEARLY: Final = 0.8
_DEATH_S: Final = 5.0


class GivenUp(Exception):
    """The child was ended over a document. ``cause`` says what was wrong with it."""

    def __init__(self, cause: Cause, detail: str = "", *, killed: bool = False) -> None:
        super().__init__(f"{cause} {detail}".strip())
        self.cause: Cause = cause
        self.killed = killed
        """Somebody else killed or stopped it, perhaps for no fault of the document."""


class Child:
    """A process that reads documents. Used by one thread, which has to outlive it."""

    def __init__(self, bounds: Bounds, *, clock: Clock, program: Sequence[str] = PROGRAM) -> None:
        """Start it. Raises ``OSError``."""
        self._bounds = bounds
        self._clock = clock
        told = orjson.dumps({"memory_bytes": bounds.memory_bytes, "parent": os.getpid()})
        # The program is executed at once (vfork), so no lock of our threads is copied. A group of
        # its own, not a session: in a session of its own Linux would weigh it against all of us.
        self._process = subprocess.Popen(
            [*program, told.decode()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=_environment(),
            cwd="/",
            process_group=0,
            bufsize=0,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._tasks = self._process.stdin.fileno()
        self._answers = self._process.stdout.fileno()
        os.set_blocking(self._tasks, False)
        os.set_blocking(self._answers, False)
        self._begun_bytes: int | None = None
        # Linux counts what the process had before it became our program: that is our own memory.
        self._foreign_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        self._seen_bytes = 0
        self._ending = threading.Lock()
        self.read = 0
        """Documents that it has read."""

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def await_ready(self, check: Callable[[], None]) -> None:
        """Return when it waits for a document. Raises ``Unavailable``, and what ``check`` does."""
        try:
            self._exchange(b"", wall_s=limits.READING_START_S, check=check)
        except GivenUp as error:
            raise Unavailable(f"the process that reads documents does not start: {error}") from None
        self._begun_bytes = self._resident_bytes()

    def ask(
        self, document: str, content: bytes, check: Callable[[], None]
    ) -> tuple[Mapping[str, Any], bytes]:
        """Return head and body of its answer, nothing of which is to be believed.

        Raises ``GivenUp`` where it is to blame, and what ``check``, called often, raises. It is
        then dead or dying; ``end`` has to be called in any case.
        """
        size = len(content)
        head = {"document": document, "computing_s": self._bounds.computing_s_for(size)}
        task = frame(head, content)
        wall_s = self._bounds.wall_s_for(size)
        answer = self._exchange(task, wall_s=wall_s, check=check)
        self.read += 1
        return answer

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return ended is None

    @property
    def worn(self) -> bool:
        """Whether a fresh one should go on."""
        grown = self._resident_bytes() - (self._begun_bytes or 0)
        return (
            self.read >= limits.READING_CHILD_DOCUMENTS_MAX
            or grown > limits.READING_CHILD_GROWTH_BYTES_MAX
        )

    def kill(self) -> None:
        """Kill it and what it started. Any thread may; ``end`` is still to be called."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def end(self) -> tuple[int, int]:
        """Kill it; return its status (negative: a signal) and the most memory it had, in bytes.

        Any thread may, and two may at once: whoever has it, and whoever closes all of them.
        """
        with self._ending:
            return self._ended()

    def _ended(self) -> tuple[int, int]:
        if self._process.returncode is None:
            self.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        if self._process.returncode is not None:
            return self._process.returncode, 0
        _, status, usage = os.wait4(self.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        peak_bytes = usage.ru_maxrss * 1024
        known = peak_bytes > self._foreign_bytes
        return self._process.returncode, peak_bytes if known else self._seen_bytes

    def _exchange(
        self, task: bytes, *, wall_s: float, check: Callable[[], None]
    ) -> tuple[dict[str, Any], bytes]:
        """Write ``task`` and read one message, in whatever order the child likes."""
        until_s = self._clock.monotonic_s() + wall_s
        left, got = memoryview(task), bytearray()
        poll = select.poll()
        poll.register(self._answers, select.POLLIN)
        if left:
            poll.register(self._tasks, select.POLLOUT)
        while True:
            ready = {descriptor for descriptor, _ in poll.poll(_TICK_MS)}
            if self._tasks in ready:
                left = left[self._written(left) :]
                if not left:
                    poll.unregister(self._tasks)
            if self._answers in ready:
                self._take(got)
                if (whole := self._whole(got)) is not None:
                    return whole
            check()
            self._watch(until_s)

    def _watch(self, until_s: float) -> None:
        if self._clock.monotonic_s() > until_s:
            raise GivenUp("time", killed=self._stopped)
        self._seen_bytes = max(self._seen_bytes, self._resident_bytes())
        if self._seen_bytes > self._bounds.memory_bytes:
            raise GivenUp("memory")

    def _written(self, left: memoryview) -> int:
        try:
            return os.write(self._tasks, left[:_PIECE_BYTES])
        except BlockingIOError:
            return 0
        except BrokenPipeError:
            raise self._death() from None

    def _take(self, got: bytearray) -> None:
        try:
            piece = os.read(self._answers, _PIECE_BYTES)
        except BlockingIOError:
            return
        if not piece:
            raise self._death()
        got += piece

    def _whole(self, got: bytearray) -> tuple[dict[str, Any], bytes] | None:
        if len(got) < PREFIX_BYTES:
            return None
        try:
            said = PREFIX_BYTES + sum(lengths(bytes(got[:PREFIX_BYTES])))
            if said > self._bounds.answer_bytes or len(got) > said:
                raise GivenUp("nonsense", f"an answer of {said} bytes")
            return taken_apart(got) if len(got) == said else None
        except ValueError as error:
            raise GivenUp("nonsense", str(error)) from error

    def _death(self) -> GivenUp:
        """Return why it has died by itself."""
        # Its pipes break a moment before it can be told how it ended.
        until_s = self._clock.monotonic_s() + _DEATH_S
        while self.alive and self._clock.monotonic_s() < until_s:
            self._clock.sleep(0.005)
        status, peak_bytes = self.end()
        if status == -signal.SIGXCPU:
            return GivenUp("computing")
        if peak_bytes > _NEARLY * self._bounds.memory_bytes:
            return GivenUp("memory", f"status {status}")
        if status == -signal.SIGKILL:
            return GivenUp("killed", killed=True)
        return GivenUp("crash", f"status {status}")

    @property
    def _stopped(self) -> bool:
        """Whether a signal has stopped it, so that it cannot be blamed for its time."""
        try:
            # Behind the name, which is in brackets and may hold anything.
            said = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2]
        except OSError:
            return False
        return said.split()[0] in "Tt"

    def _resident_bytes(self) -> int:
        try:
            fields = Path(f"/proc/{self.pid}/statm").read_text().split()
        except OSError:
            return 0
        return int(fields[1]) * _PAGE_BYTES


def _environment() -> dict[str, str]:
    """Return what the child sees: no secret, and nothing that makes libraries start threads."""
    told = {
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(_ROOT),
        "MALLOC_ARENA_MAX": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    libraries = environment_value("LD_LIBRARY_PATH")
    return {**told, "LD_LIBRARY_PATH": libraries} if libraries else told
