"""Which system calls a plugin's process keeps: a seccomp filter, written as a small program.

It runs in the kernel before each call: the accumulator takes a word of (number, architecture,
instruction, six arguments), compares it, and returns what is to happen. A filter cannot be taken
off, and threads inherit it.
"""

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Sequence
from typing import Final

from kotaemon_node.plugins.child.resources import Unconfinable
from kotaemon_node.plugins.child.syscalls import ALLOWED, BY_ARGUMENTS

Instruction = tuple[int, int, int, int]
"""(code, jump if true, jump if false, operand) of the classic packet filter."""

_LOAD: Final = 0x20
_EQUAL: Final = 0x15
_AT_LEAST: Final = 0x35
_ANY_BIT: Final = 0x45
_AND: Final = 0x54
_RETURN: Final = 0x06

_ALLOW: Final = 0x7FFF0000
_REFUSE: Final = 0x00050000
_KILL: Final = 0x80000000

_NUMBER_AT: Final = 0
_ARCHITECTURE_AT: Final = 4
_ARGUMENTS_AT: Final = 16

_SET_FILTER: Final = 1
_ALL_THREADS: Final = 1
# machine: (column of the tables, AUDIT_ARCH, number of the system call seccomp)
_MACHINES: Final = {"x86_64": (0, 0xC000003E, 317), "aarch64": (1, 0xC00000B7, 277)}
_X32: Final = 0x40000000
_NEW_CALLS_FROM: Final = 424
"""The C library tries calls from here on and falls back where they are not there (``ENOSYS``)."""

_CLONE_THREAD: Final = 0x00010000
_CLONE_NAMESPACES: Final = 0x7E020000
_O_ACCMODE: Final = 0o3
_O_TRUNC: Final = 0o1000
_FCNTL: Final = (0, 1, 2, 3, 4, 5, 6, 7, 1030, 1032)
"""Duplicating, flags and locks; not F_SETOWN nor F_SETSIG, which send signals to others."""
_IOCTL: Final = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
"""TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX."""
_PRCTL: Final = (15, 16, 0x53564D41)
"""Names of threads and of memory."""
_AF_UNIX: Final = 1
_SOCK_STREAM: Final = 1
_MSG_FASTOPEN: Final = 0x20000000


def filter_calls(pid: int) -> None:
    """Refuse every call that is not in the tables, for good. Raises ``Unconfinable``."""
    machine = _MACHINES.get(platform.machine())
    if machine is None:
        raise Unconfinable(f"there is no list of system calls for {platform.machine()}")
    install(program_for(*machine[:2], pid=pid), call=machine[2])


def install(program: Sequence[Instruction], *, call: int) -> None:
    """Have the kernel run ``program`` before every system call. Raises ``Unconfinable``."""
    raw = b"".join(struct.pack("=HBBI", *it) for it in program)
    buffer = ctypes.create_string_buffer(raw, len(raw))
    told = struct.pack("@HP", len(program), ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(call, _SET_FILTER, _ALL_THREADS, told):
        reason = os.strerror(ctypes.get_errno())
        raise Unconfinable(f"a seccomp filter is refused: {reason}")


def program_for(column: int, architecture: int, *, pid: int) -> Sequence[Instruction]:
    """Return the filter of a machine for the process ``pid``."""
    program: list[Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_EQUAL, 1, 0, architecture),
        _give(_KILL),
        (_LOAD, 0, 0, _NUMBER_AT),
        (_AT_LEAST, 0, 1, _X32),
        _refuse(errno.ENOSYS),
    ]
    for name, numbers in BY_ARGUMENTS.items():
        if (number := numbers[column]) is not None:
            program += _block(number, _checks(pid)[name])
    for numbers in ALLOWED.values():
        if (number := numbers[column]) is not None:
            program += _block(number, [_give(_ALLOW)])
    program += [
        (_AT_LEAST, 0, 1, _NEW_CALLS_FROM),
        _refuse(errno.ENOSYS),
        _refuse(errno.EPERM),
    ]
    return program


def _checks(pid: int) -> dict[str, list[Instruction]]:
    """Return what decides over a call by its arguments; each part ends with a decision."""
    own_process = [*_one_of(0, (pid,)), _refuse(errno.EPERM)]
    own_limits = [*_one_of(0, (0, pid)), _refuse(errno.EPERM)]
    no_fast_open = [(_ANY_BIT, 0, 1, _MSG_FASTOPEN), _refuse(errno.EPERM), _give(_ALLOW)]
    return {
        "open": _reading(1),
        "openat": _reading(2),
        "fcntl": [*_one_of(1, _FCNTL), _refuse(errno.EPERM)],
        "ioctl": [*_one_of(1, _IOCTL), _refuse(errno.ENOTTY)],
        "clone": [
            _load(0),
            (_ANY_BIT, 0, 1, _CLONE_NAMESPACES),
            _refuse(errno.EPERM),
            (_ANY_BIT, 0, 1, _CLONE_THREAD),
            _give(_ALLOW),
            _refuse(errno.EPERM),
        ],
        "kill": own_process,
        "tgkill": own_process,
        "prctl": [*_one_of(0, _PRCTL), _refuse(errno.EPERM)],
        "prlimit64": own_limits,
        "socketpair": [
            _load(0),
            (_EQUAL, 1, 0, _AF_UNIX),
            _refuse(errno.EACCES),
            _load(1),
            (_AND, 0, 0, 0xF),
            (_EQUAL, 1, 0, _SOCK_STREAM),
            _refuse(errno.EACCES),
            _give(_ALLOW),
        ],
        # An address would reach somebody else: on a connection there is none.
        "sendto": [
            _load(4),
            (_EQUAL, 1, 0, 0),
            _refuse(errno.EPERM),
            _load(4, high=True),
            (_EQUAL, 1, 0, 0),
            _refuse(errno.EPERM),
            _load(3),
            *no_fast_open,
        ],
        "sendmsg": [_load(2), *no_fast_open],
        "sendmmsg": [_load(3), *no_fast_open],
    }


def _reading(argument: int) -> list[Instruction]:
    """Landlock says which files; its first versions let O_TRUNC empty what is opened to be read."""
    return [
        _load(argument),
        (_ANY_BIT, 0, 3, _O_TRUNC),
        (_AND, 0, 0, _O_ACCMODE),
        (_EQUAL, 0, 1, 0),
        _refuse(errno.EACCES),
        _give(_ALLOW),
    ]


def _block(number: int, body: list[Instruction]) -> list[Instruction]:
    """Return ``body``, for the call of this number only."""
    return [(_EQUAL, 0, len(body), number), *body]


def _one_of(argument: int, values: Sequence[int]) -> list[Instruction]:
    """Allow where the low word of an argument is one of ``values``, else go on."""
    tests = [it for value in values for it in ((_EQUAL, 0, 1, value), _give(_ALLOW))]
    return [_load(argument), *tests]


def _load(argument: int, *, high: bool = False) -> Instruction:
    """Take one word of an argument; both machines store the low one first."""
    return (_LOAD, 0, 0, _ARGUMENTS_AT + 8 * argument + (4 if high else 0))


def _refuse(number: int) -> Instruction:
    return _give(_REFUSE | number)


def _give(what: int) -> Instruction:
    return (_RETURN, 0, 0, what)
