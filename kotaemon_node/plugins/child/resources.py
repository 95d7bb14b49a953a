"""Limits of a plugin's process that the kernel keeps: memory, files, descriptors, privileges."""

import ctypes
import os
import resource
import signal
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

_PR_SET_PDEATHSIG: Final = 1
_PR_CAPBSET_DROP: Final = 24
_PR_SET_NO_NEW_PRIVS: Final = 38
_CAPABILITIES_MAX: Final = 64
_CAPABILITY_VERSION: Final = 0x20080522
_OUR_DESCRIPTORS: Final = 4  # input, output, errors, the pod's line


class Unconfinable(Exception):
    """The system refuses a wall that a plugin needs: it is not started."""


def end_with(parent: int) -> None:
    """Die with the process that started us; ``SystemExit`` where it has ended already."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        raise SystemExit(0)


def bound_resources(limits: dict[str, Any]) -> None:
    """Take the limits, for good, and close whatever was left open by the parent."""
    _close_inherited()
    os.chdir("/")
    os.umask(0o077)
    # Where memory runs out, the plugin goes before the pod.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    _lower(resource.RLIMIT_AS, limits["memory_bytes"])
    _lower(resource.RLIMIT_NOFILE, limits["files"])
    _lower(resource.RLIMIT_FSIZE, 0)
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_MEMLOCK, 0)
    _lower(resource.RLIMIT_MSGQUEUE, 0)


def _close_inherited() -> None:
    """Close every descriptor but ours, whatever its number."""
    try:
        there = [int(it) for it in os.listdir("/proc/self/fd")]
    except OSError:  # no /proc: all that there can be
        os.closerange(_OUR_DESCRIPTORS, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        return
    for descriptor in there:
        if descriptor >= _OUR_DESCRIPTORS:
            with suppress(OSError):  # that of the listing itself
                os.close(descriptor)


def drop_privileges() -> None:
    """Give up every capability and the way to new ones. Raises ``Unconfinable``."""
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in range(_CAPABILITIES_MAX):
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)  # refused to who has none to drop
    header = struct.pack("<Ii", _CAPABILITY_VERSION, 0)
    if libc.capset(header, bytes(24)):
        raise Unconfinable(f"capabilities cannot be dropped: {os.strerror(ctypes.get_errno())}")
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise Unconfinable(f"no_new_privs is refused: {os.strerror(ctypes.get_errno())}")


def allow_computing(seconds: int) -> None:
    """Let this process compute for so long from now; then SIGXCPU ends it."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    until_s = int(used.ru_utime + used.ru_stime) + 1 + seconds
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (_within(until_s, hard), hard))


def _lower(which: int, most: int) -> None:
    least = _within(most, resource.getrlimit(which)[1])
    resource.setrlimit(which, (least, least))


def _within(wanted: int, hard: int) -> int:
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
