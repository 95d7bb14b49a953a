"""Starts a process of speech without forking the pod: ``posix_spawn`` copies nothing of it."""

import fcntl
import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kotaemon_node.domain.speech_limits import SPEECH_MEMORY_BYTES_MAX

_ROOT: Final = str(Path(__file__).parents[3])
# Isolated (-I): no environment, no folder of anybody on the path. Ours is there for its imports.
_PROGRAM: Final = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); "
    "from kotaemon_node.adapters.speech.child import main; main()"
)
_LINE: Final = 3
_ABOVE: Final = 10
_ENVIRONMENT: Final = {
    "LANG": "C.UTF-8",
    "HOME": "/nonexistent",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


@dataclass(slots=True)
class Launched:
    """A process that was started. It ends by itself when ``line`` is closed."""

    pid: int
    handle: int
    """A descriptor that means this process and never another one that got its number."""
    line: socket.socket

    def kill(self) -> None:
        """Kill it and forget it."""
        with suppress(OSError):
            self.line.close()
        handle, self.handle = self.handle, -1
        if handle < 0:
            return
        with suppress(OSError):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        # Where gevent's loop has not asked for it, nobody else would: it would stay as a zombie.
        with suppress(OSError):
            os.waitid(os.P_PIDFD, handle, os.WEXITED)
        os.close(handle)


def launch(part: str, arguments: Sequence[str]) -> Launched:
    """Start ``hear`` or ``speak``. Raises ``OSError``."""
    ours, theirs = socket.socketpair()
    spare, memory = -1, str(SPEECH_MEMORY_BYTES_MAX)
    try:
        with theirs:
            os.set_blocking(theirs.fileno(), True)  # a socket of gevent never does
            spare = fcntl.fcntl(theirs.fileno(), fcntl.F_DUPFD_CLOEXEC, _ABOVE)
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-I", "-c", _PROGRAM, _ROOT, part, memory, *arguments],
            _ENVIRONMENT,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_DUP2, spare, _LINE),
            ],
            setpgroup=0,
            setsigmask=[],
            setsigdef=[signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGCHLD],
        )
        return Launched(pid, os.pidfd_open(pid), ours)
    except OSError:
        ours.close()
        raise
    finally:
        if spare >= 0:
            os.close(spare)
