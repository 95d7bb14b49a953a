"""Writing to the destination: blobs once each, notes of what is done, and one writer at a time."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog

from kotaemon_node.backup.format import (
    IN_USE,
    UNFINISHED,
    Backup,
    BackupRefused,
    blob_name,
    note_name,
    sha256_of,
)
from kotaemon_node.backup.shelf import Shelf, checksum
from kotaemon_node.domain.errors import Unavailable
from kotaemon_node.ports.artifacts import ArtifactStore
from kotaemon_node.ports.runtime import Clock

_log = structlog.get_logger(__name__)

Tell = Callable[[str, int], None]
"""Is told of what kind so many more were done."""

LEASE_S: Final = 120.0
_RENEWALS: Final = 4  # in the time of one lease


@dataclass(slots=True)
class Writer:
    """Puts blobs. ``trusts``: what lies there is taken to be right, as a backup before left it."""

    store: ArtifactStore
    trusts: bool
    written_bytes: int = 0

    def put(self, content: bytes) -> str:
        """Store a content; return its checksum."""
        sha256 = sha256_of(content)
        name = blob_name(sha256)
        if self.store.put_if_absent(name, content):
            self.written_bytes += len(content)
        elif not self.trusts and self.store.get(name) != content:
            self._replaced(name)
            self.store.put_if_absent(name, content)
        return sha256

    def put_file(self, path: Path, sha256: str) -> None:
        """Store a file of this checksum, which stays as it is and must not change meanwhile."""
        name = blob_name(sha256)
        if self.store.put_file_if_absent(name, path):
            self.written_bytes += path.stat().st_size
        elif not self.trusts and checksum(self.store.open_local(name)) != sha256:
            self._replaced(name)
            self.store.put_file_if_absent(name, path)

    def _replaced(self, name: str) -> None:
        _log.warning("backup_blob_replaced", name=name, reason="it was damaged")
        self.store.delete(name)


class Notes:
    """What an unfinished backup has done already; removed when it is whole."""

    def __init__(self, store: ArtifactStore, backup: str) -> None:
        self._store = store
        self.backup = backup

    def read(self, part: str) -> Mapping[str, Any] | None:
        """Return a note, None where that part is not done."""
        raw = self._store.get(note_name(self.backup, part))
        try:
            said = json.loads(raw) if raw is not None else None
        except ValueError:
            return None
        return said if isinstance(said, dict) else None

    def write(self, part: str, said: Mapping[str, Any]) -> None:
        """Note that a part is done."""
        self._store.put_if_absent(note_name(self.backup, part), json.dumps(said).encode())

    def remove(self) -> None:
        """Forget them all, the first one last."""
        for name in sorted(self._store.list(f"{UNFINISHED}{self.backup}/"), reverse=True):
            self._store.delete(name)


def unfinished(store: ArtifactStore) -> list[str]:
    """Return the ids of backups that were begun and are not whole, oldest first."""
    names = store.list(UNFINISHED)
    return sorted({name.removeprefix(UNFINISHED).partition("/")[0] for name in names})


@dataclass(frozen=True, slots=True)
class Onto:
    """Where a part of a backup is copied to, and what it goes on from."""

    writer: Writer
    notes: Notes
    parent: Backup | None
    """The backup before, whose copies are used on; None: everything is copied."""
    shelf: Shelf
    tell: Tell


class Sole:
    """The right to write to a destination, for one at a time; it ends by itself with its holder."""

    def __init__(
        self, store: ArtifactStore, *, holder: str, clock: Clock, lease_s: float = LEASE_S
    ) -> None:
        self._store = store
        self._holder = holder
        self._clock = clock
        self._lease_s = lease_s
        self._name = ""
        self._until = (0.0, 0.0)
        """When the right ends, by the monotonic clock and by that of the wall (s)."""

    @contextmanager
    def held(self) -> Iterator[None]:
        """Have the right in the body; ``BackupRefused`` while another keeps on having it."""
        self._take()
        stop = threading.Event()
        keeper = threading.Thread(target=self._keep, args=(stop,), daemon=True)
        keeper.start()
        try:
            yield
        finally:
            stop.set()
            keeper.join(self._lease_s)
            self._store.delete(self._name)

    def require(self) -> None:
        """Raise ``Unavailable`` where the right was lost: the destination was away for too long."""
        if self._over():
            raise Unavailable(
                "the destination was away, or this program stood still, for so long that another"
                " may write there; run the same command again"
            )

    def _take(self) -> None:
        waited_from_s = self._clock.monotonic_s()
        while True:
            self._until = self._announce()
            others = self._others()
            if not others:
                return
            self._store.delete(self._name)
            if self._clock.monotonic_s() - waited_from_s > self._lease_s * 1.2:
                raise BackupRefused(
                    f"Another backup or prune ({others[0]}) writes to this destination now; try"
                    " again when it has ended."
                )
            self._clock.sleep(min(1.0, self._lease_s / 4))

    def _others(self) -> list[str]:
        now_ms = int(self._clock.now_s() * 1000)
        found: list[str] = []
        for name in list(self._store.list(IN_USE)):
            until, _, holder = name.removeprefix(IN_USE).partition(".")
            if holder == self._holder:
                continue
            if until.isdecimal() and int(until) > now_ms:
                found.append(holder)
            else:
                self._store.delete(name)  # its holder was killed
        return found

    def _announce(self) -> tuple[float, float]:
        """Tell others that it is in use; return until when they believe it."""
        before = self._name
        until_s = self._clock.monotonic_s() + self._lease_s
        until_wall_s = self._clock.now_s() + self._lease_s
        self._name = f"{IN_USE}{int(until_wall_s * 1000):014d}.{self._holder}"
        self._store.put_if_absent(self._name, b"")
        if before and before != self._name:
            self._store.delete(before)
        return until_s, until_wall_s

    def _over(self) -> bool:
        # Others judge by the clock of the wall, which goes on while this machine sleeps.
        until_s, until_wall_s = self._until
        return self._clock.monotonic_s() >= until_s or self._clock.now_s() >= until_wall_s

    def _keep(self, stop: threading.Event) -> None:
        while not self._clock.wait(stop, self._lease_s / _RENEWALS):
            try:
                until = self._announce()
            except (Unavailable, OSError) as error:
                _log.warning("backup_lease_not_renewed", reason=str(error))
                continue
            if self._over():
                # Another may have had the right in between, so it does not come back.
                _log.error("backup_lease_lost", holder=self._holder)
                return
            self._until = until
