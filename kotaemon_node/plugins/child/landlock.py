"""Which files a plugin's process may read: Landlock, a wall that needs no privilege.

It reads Python, the libraries, its own folder, certificates and time zones. It writes nothing, and
``/proc`` is not there for it. What Landlock does not know (changing modes, times, owners) no system
call is left for (``seccomp``).
"""

import ctypes
import os
import struct
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from kotaemon_node.plugins.child.resources import Unconfinable

_CREATE_RULESET: Final = 444  # the same number on every architecture, as the next two
_ADD_RULE: Final = 445
_RESTRICT_SELF: Final = 446
_VERSION: Final = 1
_PATH_BENEATH: Final = 1

_WRITE_FILE: Final = 1 << 1
_READ_FILE: Final = 1 << 2
_READ_DIR: Final = 1 << 3
# Rights that a version of the interface knows; each is forbidden unless a rule gives it back.
_RIGHTS: Final[Sequence[tuple[int, int]]] = (
    (1, (1 << 13) - 1),
    (2, 1 << 13),  # moving between folders
    (3, 1 << 14),  # truncating
    (5, 1 << 15),  # ioctl of devices
)
_NETWORK_SINCE: Final = 4
_NETWORK: Final = 0b11  # binding and connecting
_SCOPES_SINCE: Final = 6
_SCOPES: Final = 0b11  # abstract sockets and signals outside

_SYSTEM: Final = (
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/etc/ld.so.cache",
    "/etc/ssl",
    "/etc/pki",
    "/etc/ca-certificates",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
    "/usr/share/zoneinfo",
    "/etc/localtime",
    "/dev/zero",
    "/dev/urandom",
    "/sys/devices/system/cpu",
)


def readable(folder: Path, others: Iterable[str]) -> Sequence[str]:
    """Return what a plugin in ``folder`` may read, ``others`` among it."""
    libraries = [
        path
        for path in sys.path
        if path.startswith((sys.prefix + "/", sys.base_prefix + "/"))
        or Path(path).name in {"site-packages", "dist-packages"}
    ]
    ours = Path(__file__).parents[1]
    python = [f"{prefix}/lib" for prefix in (sys.prefix, sys.base_prefix)]
    return [*_SYSTEM, *python, *libraries, str(ours), str(folder), *others]


def restrict_files(paths: Iterable[str]) -> None:
    """Take every right to files from this process but reading ``paths``. Raises ``Unconfinable``.

    Paths that are not there are left out.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE_RULESET, None, 0, _VERSION)
    if version < 1:
        raise Unconfinable(f"the kernel has no Landlock: {_reason()}")
    rules = _ruleset(libc, version)
    try:
        for path in paths:
            _allow(libc, rules, path)
        _allow(libc, rules, os.devnull, _WRITE_FILE)
        if libc.syscall(_RESTRICT_SELF, rules, 0):
            raise Unconfinable(f"Landlock is refused: {_reason()}")
    finally:
        os.close(rules)


def _ruleset(libc: ctypes.CDLL, version: int) -> int:
    files = 0
    for since, rights in _RIGHTS:
        if version >= since:
            files |= rights
    attributes = struct.pack("=Q", files)
    if version >= _NETWORK_SINCE:
        attributes += struct.pack("=Q", _NETWORK)
    if version >= _SCOPES_SINCE:
        attributes += struct.pack("=Q", _SCOPES)
    rules: int = libc.syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    if rules < 0:
        raise Unconfinable(f"Landlock is refused: {_reason()}")
    return rules


def _allow(libc: ctypes.CDLL, rules: int, path: str, more: int = 0) -> None:
    with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            rights = _READ_FILE | _READ_DIR if Path(path).is_dir() else _READ_FILE
            rule = struct.pack("=Qi", rights | more, place)
            if libc.syscall(_ADD_RULE, rules, _PATH_BENEATH, rule, 0):
                raise Unconfinable(f"Landlock refuses a rule for {path}: {_reason()}")
        finally:
            os.close(place)


def _reason() -> str:
    return os.strerror(ctypes.get_errno())
