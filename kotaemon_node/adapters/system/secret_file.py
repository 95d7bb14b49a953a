"""Secrets in a file of one a line, read anew when it changes: so they change without a restart."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

_log = structlog.get_logger(__name__)

_BYTES_MAX = 64 * 1024


class SecretLines:
    """``ports.credentials.Lines``: one value that never changes, and those of a file."""

    def __init__(self, path: Path | None, *, check: Callable[[str], str], fixed: str = "") -> None:
        """``check`` says what is wrong with a secret, "" for a good one.

        Raises ``ValueError``, which names no secret, where they cannot be used now.
        """
        self._path = path
        self._check = check
        self._fixed = (self._checked(fixed),) if fixed else ()
        self._seen: tuple[int, ...] | None = None
        self._lines: tuple[str, ...] = ()
        if path is not None:
            try:
                self._seen, self._lines = _mark(path), self._read(path)
            except OSError as error:
                raise ValueError(f"{path} cannot be read: {error.strerror or error}") from error
            if not self._lines:
                raise ValueError(f"{path} holds no secret")

    def lines(self) -> Sequence[str]:
        """See the port. A file that cannot be used any more opens nothing, and the log says so."""
        if self._path is not None:
            self._look(self._path)
        return (*self._lines, *self._fixed)

    def _look(self, path: Path) -> None:
        try:
            mark = _mark(path)
            if mark == self._seen:
                return
            self._seen, self._lines = mark, self._read(path)
            _log.info("secrets_changed", path=str(path), lines=len(self._lines))
        except (OSError, ValueError) as error:
            if self._lines or not isinstance(error, OSError):
                _log.error("secrets_unusable", path=str(path), reason=str(error))
            self._lines = ()

    def _read(self, path: Path) -> tuple[str, ...]:
        with path.open("rb") as file:
            raw = file.read(_BYTES_MAX)
        try:
            words = [line.strip() for line in raw.decode("ascii").splitlines()]
        except UnicodeDecodeError:
            raise ValueError(f"{path} holds something else than ASCII") from None
        return tuple(self._checked(word) for word in words if word)

    def _checked(self, secret: str) -> str:
        if problem := self._check(secret):
            raise ValueError(f"{self._path or 'it'}: {problem}")
        return secret


@dataclass(frozen=True, slots=True)
class FixedLines:
    """``ports.credentials.Lines`` that never change: those of the environment."""

    secrets: tuple[str, ...] = field(repr=False)

    def lines(self) -> Sequence[str]:
        """See the port."""
        return self.secrets


def _mark(path: Path) -> tuple[int, ...]:
    """Return what differs once the file, or the link that it is, was changed."""
    status = path.stat()
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size
