"""Starts the process of a plugin, without forking the pod: ``posix_spawn`` copies nothing of it."""

import fcntl
import os
import signal
import socket
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_ROOT: Final = str(Path(__file__).parents[3])
# Isolated (-I): no environment, no folder of anybody on the path. Ours is there for its imports.
_PROGRAM: Final = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from kotaemon_node.plugins.child.main import main; sys.path.remove(sys.argv[1]); main()"
)
_LINE: Final = 3
_ABOVE: Final = 10
_ENVIRONMENT: Final[Mapping[str, str]] = {
    "LANG": "C.UTF-8",
    "HOME": "/nonexistent",
    "MALLOC_ARENA_MAX": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


@dataclass(slots=True)
class Launched:
    """A process that was started."""

    pid: int
    handle: int
    """A descriptor that means this process and never another one that got its number."""
    line: socket.socket
    output: int
    """What it writes to standard output and errors; never blocks."""

    def kill(self) -> None:
        """Kill it, whatever it does. It has no children: it cannot make any."""
        self._signal(signal.SIGKILL)

    def freeze(self) -> None:
        """Stop it where it is: nothing of it runs until ``thaw``, whatever threads it has."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it run."""
        self._signal(signal.SIGCONT)

    def status(self) -> int | None:
        """Return how it ended (negative: by which signal), None while it lives.

        0 where somebody else has asked before: gevent's loop does for every child.
        """
        try:
            ended = os.waitid(os.P_PIDFD, self.handle, os.WEXITED | os.WNOHANG)
        except ChildProcessError:
            return 0
        if ended is None:
            return None
        return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status

    def close(self) -> None:
        """Let go of the descriptors."""
        self.line.close()
        # First of no use, then closed: a late signal must not meet who gets the number next.
        descriptors = (self.output, self.handle)
        self.output = self.handle = -1
        for descriptor in descriptors:
            with suppress(OSError):
                os.close(descriptor)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(OSError):  # it has ended
            signal.pidfd_send_signal(self.handle, number)


class Launcher:
    """Starts processes from one thread that lasts: a child dies with the thread that started it."""

    def __init__(self) -> None:
        self._thread: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()

    def launch(self) -> Launched:
        """Start a process that waits for its first order. Raises ``OSError``."""
        with self._lock:  # two executors would be two threads, and the loser's ends
            if self._thread is None:
                self._thread = ThreadPoolExecutor(1, thread_name_prefix="plugin-launcher")
        return self._thread.submit(_launch).result()


def _launch() -> Launched:
    ours, theirs = socket.socketpair()
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    spares: list[int] = []
    try:
        with theirs:
            os.set_blocking(theirs.fileno(), True)  # a socket of gevent never does
            # Above the numbers that they get there, so that no one of them covers another.
            for descriptor in (theirs.fileno(), writing):
                spares.append(fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _ABOVE))
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-I", "-c", _PROGRAM, _ROOT],
            _ENVIRONMENT,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, spares[1], 1),
                (os.POSIX_SPAWN_DUP2, spares[1], 2),
                (os.POSIX_SPAWN_DUP2, spares[0], _LINE),
            ],
            # A group of its own, not a session: one call lowers the priority of all its threads,
            # and in a session of its own Linux would weigh it against all of us.
            setpgroup=0,
            setsigmask=[],
            setsigdef=[signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGCHLD],
        )
        return Launched(pid, os.pidfd_open(pid), ours, reading)
    except OSError:
        ours.close()
        os.close(reading)
        raise
    finally:
        for descriptor in (writing, *spares):
            os.close(descriptor)
