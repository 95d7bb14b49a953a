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
    _lower(resource.RLIMIT_AS, memory_bytes)
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_FSIZE, 0)
    _lower(resource.RLIMIT_NOFILE, _FILES_MAX)
    # Not ``nice``, which adds: the thread that started us may have stepped back already.
    os.setpriority(os.PRIO_PROCESS, 0, max(_NICENESS, os.getpriority(os.PRIO_PROCESS, 0)))


def allow_computing(seconds: int) -> None:
    """Let this process compute for so long from now; then SIGXCPU ends it."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    until_s = int(used.ru_utime + used.ru_stime) + 1 + seconds
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (_within(until_s, hard), hard))


def _lower(which: int, most: int) -> None:
    """Bound a resource for good; a container may have bounded it lower already."""
    least = _within(most, resource.getrlimit(which)[1])
    resource.setrlimit(which, (least, least))


def _within(wanted: int, hard: int) -> int:
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
