"""The file of limits, read anew when it changes: so they change without a restart."""

import threading
from pathlib import Path
from typing import Final

import structlog
import yaml

from kotaemon_node.domain.quotas import QuotaTable, Row, read_table
from kotaemon_node.ports.runtime import Clock

_log = structlog.get_logger(__name__)

_BYTES_MAX: Final = 1024 * 1024
_LOOK_S: Final = 1.0
"""A change counts after this time, at the latest."""


class LimitsFile:
    """The table that counts now. Thread safe."""

    def __init__(self, path: Path | None, *, fixed: Row, clock: Clock) -> None:
        """``fixed``: what each principal may, where the file leaves it open.

        Raises ``ValueError``, which says what is wrong where, for a file that cannot be used now.
        """
        self._path = path
        self._fixed = fixed
        self._clock = clock
        self._lock = threading.Lock()
        self._looked_s = clock.monotonic_s()
        self._seen: tuple[int, ...] = ()
        self._table = QuotaTable(principal=fixed)
        if path is not None:
            try:
                self._seen, self._table = _mark(path), self._read(path)
            except OSError as error:
                raise ValueError(f"{path} cannot be read: {error.strerror or error}") from error

    def table(self) -> QuotaTable:
        """Return the table. Where the file became unusable, that before; the log says so."""
        if self._path is not None and self._clock.monotonic_s() - self._looked_s >= _LOOK_S:
            with self._lock:
                self._look(self._path)
        return self._table

    def _look(self, path: Path) -> None:
        self._looked_s = self._clock.monotonic_s()
        try:
            mark = _mark(path)
            if mark == self._seen:
                return
            self._seen = mark
            self._table = self._read(path)
            _log.info("limits_changed", path=str(path))
        except (OSError, ValueError) as error:
            _log.error("limits_unusable", path=str(path), reason=str(error))

    def _read(self, path: Path) -> QuotaTable:
        return read_limits(path).behind(self._fixed)


def read_limits(path: Path) -> QuotaTable:
    """Return what the YAML or JSON file says; raises ``ValueError`` and ``OSError``."""
    with path.open("rb") as file:
        content = file.read(_BYTES_MAX + 1)
    if len(content) > _BYTES_MAX:
        raise ValueError(f"{path} is larger than {_BYTES_MAX} bytes")
    try:
        said = yaml.safe_load(content)  # JSON is YAML, too
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is neither YAML nor JSON: {error}") from error
    try:
        return read_table(said)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _mark(path: Path) -> tuple[int, ...]:
    """Return what differs once the file, or the link that it is, was changed."""
    status = path.stat()
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size
