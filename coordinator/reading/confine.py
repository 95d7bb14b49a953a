"""Puts the process that calls it under limits that it cannot lift: for the child, at its start."""

import ctypes
import os
import resource
import signal
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38
_CLONE_NEWUSER: Final = 0x10000000
_CLONE_NEWNET: Final = 0x40000000
# As the coordinator's own work: of the lowest priority it would wait for minutes on a machine whose
# processors others use fully, and a change is to be found within seconds there, too.
_NICENESS: Final = 10
_FILES_MAX: Final = 64


def confine(*, memory_bytes: int, parent: int) -> None:
    """Take the limits. ``SystemExit`` where ``parent``, a process id, has ended already.

    Files can be read but not written; memory is bounded; no core is dumped; there is no network
    where the system lets us leave it. The end of the parent is ours.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        raise SystemExit(0)  # it ended before we had asked to be told
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    # Optional: where it is forbidden (a container's profile) the other limits still hold.
    libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES_MAX, _FILES_MAX))
    os.nice(_NICENESS)


def allow_computing(seconds: int) -> None:
    """Let this process compute for so long from now; then SIGXCPU ends it."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    until_s = int(used.ru_utime + used.ru_stime) + 1 + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (until_s, resource.RLIM_INFINITY))
