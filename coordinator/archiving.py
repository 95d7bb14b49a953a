"""Moves sessions that rest to the artifact store, and keeps what lies there in order. ADR 0019.

Law 1: a session leaves Redis only after its copy was written, and only if it still is what was
       copied (``ports.archive``). So a crash between any two steps leaves a copy too many at most.
Law 2: a copy is removed only when no session can need it: it ended, a newer copy of the session was
       marked, or the session was deleted.
Law 3: work is bounded: a sweep treats so many sessions, a look into the copies one of 256 buckets.
"""

import random
import threading
from collections.abc import Callable, Sequence

import structlog

from coordinator.archive_metrics import ArchiveMetrics
from kotaemon_node.domain import limits
from kotaemon_node.domain.artifact_names import (
    SESSION_BUCKETS,
    session_bucket_prefix,
    session_copies_prefix,
)
from kotaemon_node.domain.errors import CorruptArtifact, TooLarge, Unavailable
from kotaemon_node.domain.session import SessionKey
from kotaemon_node.domain.session_copy import CopyName, SessionCopy, unpacked
from kotaemon_node.ports.archive import ColdSessions, IdleEntry
from kotaemon_node.ports.artifacts import ArtifactStore
from kotaemon_node.ports.runtime import Clock

_log = structlog.get_logger(__name__)

_ENDED_FOR_S = 3600.0  # clocks differ, and somebody may be reading it
_AGAIN_S = 60.0  # a session that could not be archived is tried again after this


class Archiving:
    """The archive's side of the coordinator that leads. ``run`` blocks."""

    def __init__(
        self,
        cold: ColdSessions,
        artifacts: ArtifactStore,
        *,
        leads: Callable[[], bool],
        metrics: ArchiveMetrics,
        clock: Clock,
        tenant: str,
        after_s: float,
        kept_s: float,
    ) -> None:
        """``after_s``: sessions are archived after so much rest; 0 archives none."""
        self._cold = cold
        self._artifacts = artifacts
        self._leads = leads
        self._metrics = metrics
        self._clock = clock
        self._tenant = tenant
        self._after_s = after_s
        self._kept_s = kept_s
        self._stop = threading.Event()
        self._bucket = random.randrange(SESSION_BUCKETS)
        self._to_mark = 0
        """Buckets that are still to be read whole, because the session store forgot something."""
        self._to_ask: list[str] = []
        """Copies of this bucket about which the session store is still to be asked."""

    def run(self) -> None:
        """Sweep while this coordinator leads, until ``stop``."""
        pause_s = limits.ARCHIVE_SWEEP_S
        if self._after_s:
            pause_s = min(pause_s, self._after_s / 4)
        full, tidied_s = False, self._clock.monotonic_s()
        while not self._stop.wait(0 if full else pause_s * (0.5 + random.random())):
            full = False
            if not self._leads():
                continue
            try:
                full = self.sweep() >= limits.ARCHIVED_PER_SWEEP_MAX
                now_s = self._clock.monotonic_s()
                if self._to_mark or now_s - tidied_s >= limits.ARCHIVE_TIDY_S:
                    tidied_s = now_s
                    self.tidy()
                full = full or self._to_mark > 0
            except (Unavailable, OSError) as error:
                full = False
                self._metrics.failed("unavailable")
                _log.warning("archive_unavailable", error=str(error))
            except Exception:  # noqa: BLE001 - whoever archives no more loses all that rests
                full = False
                self._metrics.failed("error")
                _log.exception("archive_broken")

    def stop(self) -> None:
        """Make ``run`` return after the session that it is at."""
        self._stop.set()

    def sweep(self) -> int:
        """Treat the sessions that have rested for longest; return how many were looked at.

        Raises ``Unavailable`` or ``OSError`` where one of the stores is away: the sessions stay
        where they are, until their life ends.
        """
        # With archiving switched off, copies of deleted sessions are removed all the same.
        rested_s = self._after_s or self._kept_s
        entries = self._cold.due(rested_s=rested_s, limit=limits.ARCHIVED_PER_SWEEP_MAX)
        for entry in entries:
            if self._stop.is_set():
                break
            try:
                self._treat(entry, rested_s)
            except (Unavailable, OSError):
                raise
            except Exception as error:  # noqa: BLE001 - one session must not hold up the others
                self._metrics.failed("too_large" if isinstance(error, TooLarge) else "error")
                _log.exception("session_not_archived")
                self._again(entry, rested_s)
        return len(entries)

    def _treat(self, entry: IdleEntry, rested_s: float) -> None:
        look = self._cold.look(entry.key, rested_s=rested_s)
        match look.verdict:
            case "rests" if self._after_s:
                self._archive(entry, copied=look.copied)
            case "rests" | "busy":
                self._cold.settle(entry, again_at_ms=self._cold.now_ms())
            case "active":
                self._cold.settle(entry, again_at_ms=look.since_ms)
            case "deleted":
                self._purge(entry)
            case "expired":
                self._metrics.expired()
                self._cold.settle(entry, again_at_ms=None)
            case "archived" | "ended":
                self._cold.settle(entry, again_at_ms=None)

    def _again(self, entry: IdleEntry, rested_s: float) -> None:
        at_ms = self._cold.now_ms() - int((rested_s - _AGAIN_S) * 1000)
        self._cold.settle(entry, again_at_ms=at_ms)

    def _archive(self, entry: IdleEntry, *, copied: bool) -> None:
        began_s = self._clock.monotonic_s()
        copy = self._cold.copy(entry.key)
        if copy is None:
            return  # its life ended this moment; the next sweep sees it
        name = copy.name.of(entry.key)
        written = self._artifacts.put_if_absent(name, copy.packed())
        match self._cold.archive(copy, rested_s=self._after_s, kept_s=self._kept_s):
            case "ok":
                self._metrics.archived(self._clock.monotonic_s() - began_s)
                self._cold.settle(entry, again_at_ms=None)
                if copied:
                    self._remove_older(copy)
            case "changed":
                # The session lives, and never is again what was copied.
                if written:
                    self._artifacts.delete(name)
            case "gone":
                # Archived by another, deleted, or its life ended: then the copy is all there is.
                self._cold.mark(copy, kept_s=self._kept_s)

    def _remove_older(self, copy: SessionCopy) -> None:
        for name, of in self._copies(copy.key):
            if of < copy.name:
                self._artifacts.delete(name)
                self._metrics.removed("replaced")

    def _purge(self, entry: IdleEntry) -> None:
        for name, _ in self._copies(entry.key):
            self._artifacts.delete(name)
            self._metrics.removed("deleted")
        self._cold.purged(entry.key)
        # A new session of this id may rest already: it is looked at once more.
        self._cold.settle(entry, again_at_ms=self._cold.now_ms())

    def _copies(self, key: SessionKey) -> Sequence[tuple[str, CopyName]]:
        prefix = session_copies_prefix(key.tenant, key.session_id)
        named = ((name, CopyName.read(name)) for name in self._artifacts.list(prefix))
        return [(name, of) for name, of in named if of]

    def tidy(self) -> None:
        """Look into one bucket: remove copies that ended, and ask about some of the others.

        Where the session store knows nothing of a session that has a copy, it forgot: the copy is
        marked again, and all buckets are looked through.
        """
        if not self._to_ask:
            self._bucket = (self._bucket + 1) % SESSION_BUCKETS
            self._to_mark = max(0, self._to_mark - 1)
            names = self._kept_in_bucket()
            random.shuffle(names)
            self._to_ask = names if self._to_mark else names[: limits.ARCHIVE_SAMPLE]
        now, self._to_ask = _parted(self._to_ask, limits.ARCHIVE_TIDIED_MAX)
        marked = sum(map(self._marked, now))
        if marked and not self._to_mark:
            _log.warning("session_store_forgot", bucket=self._bucket)
            self._bucket -= 1  # its others, too
            self._to_mark = SESSION_BUCKETS + 1

    def _kept_in_bucket(self) -> list[str]:
        """Return the newest copy of each session; removes those that ended."""
        ended_ms = int((self._clock.now_s() - self._kept_s - _ENDED_FOR_S) * 1000)
        newest: dict[str, str] = {}
        removed = 0
        for name in list(self._artifacts.list(session_bucket_prefix(self._tenant, self._bucket))):
            of = CopyName.read(name)
            if of is None:
                continue
            if of.active_ms > ended_ms:
                newest[name.rpartition("/")[0]] = name  # names are sorted
            elif removed < limits.ARCHIVE_TIDIED_MAX:
                removed += 1
                self._artifacts.delete(name)
                self._metrics.removed("expired")
        return list(newest.values())

    def _marked(self, name: str) -> bool:
        content = self._artifacts.get(name)
        if content is None:
            return False
        try:
            copy = unpacked(content)
        except CorruptArtifact as error:
            self._metrics.failed("corrupt")
            _log.error("archived_session_corrupt", name=name, error=str(error))
            return False
        found = self._cold.mark(copy, kept_s=self._kept_s)
        if found == "ended":
            self._artifacts.delete(name)
            self._metrics.removed("deleted")
        if found == "marked":
            self._metrics.marked()
        return found == "marked"


def _parted(names: list[str], count: int) -> tuple[list[str], list[str]]:
    return names[:count], names[count:]
