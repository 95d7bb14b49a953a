"""Moves sessions that rest to the artifact store, and keeps what lies there in order. ADR 0019.

Law 1: a session leaves Redis only after its copy was written, and only if it still is what was
       copied (``ports.archive``). So a crash between any two steps leaves a copy too many at most.
Law 2: a copy is removed only when no session can need it: it ended, a newer copy of the session was
       marked, or the session was deleted.
Law 3: work is bounded: a sweep treats so many sessions, a look into the copies one of 256 buckets
       of so many tenants.
"""

import random
import threading
from collections.abc import Callable, Collection, Sequence

import structlog

from coordinator.archive_metrics import ArchiveMetrics
from coordinator.archive_tenants import ArchiveTenants
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
_FAILURES_MAX = 3  # in a row: then a store is away, and the others would fail as well


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
        known: Callable[[], Collection[str]],
        after_s: float,
        kept_s: float,
        keys_copied: Callable[[str], None] = lambda _: None,
    ) -> None:
        """``after_s``: sessions are archived after so much rest; 0 archives none.

        ``known``: tenants whose copies are looked into though none was noted.
        ``keys_copied`` returns once the keys that open a tenant's sessions lie in the archive.
        """
        self._keys_copied = keys_copied
        self._cold = cold
        self._artifacts = artifacts
        self._leads = leads
        self._metrics = metrics
        self._clock = clock
        self._tenants = ArchiveTenants(artifacts, known=known)
        self._after_s = after_s
        self._kept_s = kept_s
        self._stop = threading.Event()
        self._bucket = random.randrange(SESSION_BUCKETS)
        self._unseen: Sequence[str] = ()
        """Tenants whose copies in this bucket are still to be looked into."""
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
        treated, failures = 0, 0
        for entry in entries:
            if self._stop.is_set():
                break
            try:
                self._treated(entry, rested_s)
                treated, failures = treated + 1, 0
            except (Unavailable, OSError) as error:
                # It may be this session's place alone that cannot be reached.
                self._again(entry, rested_s)
                failures += 1
                if failures == _FAILURES_MAX or (not treated and entry is entries[-1]):
                    raise
                self._metrics.failed("unavailable")
                _log.warning("session_not_archived", error=str(error))
        return len(entries)

    def _treated(self, entry: IdleEntry, rested_s: float) -> None:
        """Treat a session; one that cannot be archived must not hold up the others."""
        try:
            self._treat(entry, rested_s)
        except (Unavailable, OSError):
            raise
        except (TooLarge, CorruptArtifact) as error:
            self._metrics.failed("too_large" if isinstance(error, TooLarge) else "corrupt")
            _log.error("session_not_archived", error=str(error))
            # Trying soon would read all of it again, and find the same.
            self._cold.settle(entry, again_at_ms=self._cold.now_ms())
        except Exception:  # noqa: BLE001 - see above
            self._metrics.failed("error")
            _log.exception("session_not_archived")
            self._again(entry, rested_s)

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
        at_ms = self._cold.now_ms() - int(max(0.0, rested_s - _AGAIN_S) * 1000)
        self._cold.settle(entry, again_at_ms=at_ms)

    def _archive(self, entry: IdleEntry, *, copied: bool) -> None:
        began_s = self._clock.monotonic_s()
        copy = self._cold.copy(entry.key)
        if copy is None:
            return  # its life ended this moment; the next sweep sees it
        if copy.name.active_ms / 1000 + self._kept_s <= self._clock.now_s():
            # It was brought back late, to be read. Its copy would have ended: it lives on here.
            self._cold.settle(entry, again_at_ms=None)
            return
        self._keys_copied(entry.key.tenant)
        self._tenants.note(entry.key.tenant)
        name = copy.name.of(entry.key)
        written = self._written(name, copy)
        match self._cold.archive(copy, rested_s=self._after_s, kept_s=self._kept_s):
            case "ok":
                self._metrics.archived(self._clock.monotonic_s() - began_s)
                self._cold.settle(entry, again_at_ms=None)
                if copied:
                    self._remove_older(copy)
            case "changed" | "awake" as how:
                # What was copied before, or is awake, another may archive as it is, by this name.
                if written and how == "changed":
                    self._artifacts.delete(name)
            case "gone":
                self._keep(name, copy)

    def _keep(self, name: str, copy: SessionCopy) -> None:
        """Mark the copy of a session that ended meanwhile, unless it was deleted."""
        if self._cold.mark(copy, kept_s=self._kept_s) == "ended":
            self._artifacts.delete(name)
            self._metrics.removed("deleted")

    def _written(self, name: str, copy: SessionCopy) -> bool:
        """Write the copy; False where it was there, as it is to be. One that is not is replaced."""
        content = copy.packed()
        if self._artifacts.put_if_absent(name, content):
            return True
        there = self._artifacts.get(name)
        try:
            if there is not None and unpacked(there) == copy:
                return False
        except CorruptArtifact as error:
            self._metrics.failed("corrupt")
            _log.error("archived_session_corrupt", name=name, error=str(error))
        self._artifacts.delete(name)
        if not self._artifacts.put_if_absent(name, content):
            raise Unavailable("another archives this session now")
        return True

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
        marked again. All buckets are looked through unless it is one of several: that one came
        back, and its life ended before it was archived again.
        """
        if not self._to_ask:
            names = self._next_names()
            random.shuffle(names)
            self._to_ask = names if self._to_mark else names[: limits.ARCHIVE_SAMPLE]
        asked, marked = self._asked()
        if not self._to_mark and marked and (marked > 1 or asked == 1):
            _log.warning("session_store_forgot", bucket=self._bucket)
            self._bucket, self._unseen = self._bucket - 1, ()  # its others, too
            self._to_mark = SESSION_BUCKETS + 1

    def _next_names(self) -> list[str]:
        """Return the newest copies in this bucket of more tenants, or in the next one."""
        begins = not self._unseen
        bucket = (self._bucket + 1) % SESSION_BUCKETS if begins else self._bucket
        tenants = self._tenants.all() if begins else self._unseen
        many = limits.ARCHIVE_TENANTS_PER_LOOK
        names = [name for tenant in tenants[:many] for name in self._kept_in_bucket(tenant, bucket)]
        # Only now: what could not be read is looked into again.
        self._bucket, self._unseen = bucket, tenants[many:]
        if begins:
            self._to_mark = max(0, self._to_mark - 1)
        return names

    def _asked(self) -> tuple[int, int]:
        """Ask about copies of this bucket; return of how many, and how many of them were marked."""
        marked, count = 0, min(len(self._to_ask), limits.ARCHIVE_TIDIED_MAX)
        for asked in range(count):
            if self._stop.is_set():
                return asked, marked
            name = self._to_ask.pop()
            try:
                marked += self._marked(name)
            except (Unavailable, OSError):
                if self._to_ask:  # else it may be this one alone that cannot be read
                    self._to_ask.insert(0, name)
                raise
        return count, marked

    def _kept_in_bucket(self, tenant: str, bucket: int) -> list[str]:
        """Return the newest copy of each of the tenant's sessions; removes those that ended."""
        over_ms = int((self._clock.now_s() - self._kept_s) * 1000)
        ended_ms = over_ms - int(_ENDED_FOR_S * 1000)
        newest: dict[str, str] = {}
        removed = 0
        for name in list(self._artifacts.list(session_bucket_prefix(tenant, bucket))):
            of = CopyName.read(name)
            if of is None:
                continue
            if of.active_ms > over_ms:
                newest[name.rpartition("/")[0]] = name  # names are sorted
            elif of.active_ms > ended_ms:
                continue  # its mark has ended already
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
        except (CorruptArtifact, Unavailable) as error:  # damaged, or of a format not known here
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
