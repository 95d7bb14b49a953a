"""What a pod remembers of hot sessions: their last turns, so that a claim fetches only newer ones.

Law 1: the store is the truth. What is remembered is used only where its hash, carried on over the
       turns that came with the claim, is the hash that the store has now.
Law 2: turns of two epochs never meet.
Law 3: an event only marks an entry. If every event is lost, every history is still right.
Law 4: a store that is behind what is remembered, or was heard of, has lost something: that is told,
       see ``store_losses``. What is older than a session lives proves nothing.
"""

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from kotaemon_node.domain import limits
from kotaemon_node.domain.acting_limits import HISTORY_READ_TURNS
from kotaemon_node.domain.session import SessionKey

CacheResult = Literal["hit", "partial", "miss", "stale", "rolled_back"]
"""What an entry was good for when its session was claimed.

``hit``: nothing was fetched. ``partial``: only newer turns were. ``stale``: the same, and an event
had said so before. ``miss``: no entry, or none of its turns is in the context any more.
``rolled_back``: the store has another history than the one remembered.
"""

# Key, tuple, hash and epoch of an entry; the turns are counted beside it.
_ENTRY_BYTES = 1_000
# The store's clock and ours need not go alike, and an entry is made a moment after its session's
# life was prolonged: well before its end nothing that is remembered proves a loss any more.
_PROVES_FOR = 0.9
_UNHEARD_MAX = 16  # more than one only where calls for one session fail side by side


@dataclass(frozen=True, slots=True)
class Remembered:
    """The last turns of a session as they stood in the history at ``version``, oldest first."""

    epoch: str
    version: int
    hash: str
    rows: tuple[bytes, ...]
    principal: str = ""
    """Whose session it is."""
    heard: int = 0
    """The highest version that an event told of; 0 for none."""
    stale: bool = False
    at_s: float = 0.0
    """When it was put here, by the cache's clock."""
    unheard: tuple[str, ...] = ()
    """Calls that may have been noted as telling of a loss; their replies did not come."""

    @property
    def first(self) -> int:
        """The version before the oldest turn."""
        return self.version - len(self.rows)

    @property
    def size_bytes(self) -> int:
        """What it counts for."""
        return _ENTRY_BYTES + sum(map(len, self.rows))


@dataclass(frozen=True, slots=True)
class Head:
    """What the store says of a session now; ``first`` is the version before its context."""

    epoch: str
    version: int
    hash: str
    first: int
    principal: str

    @classmethod
    def of(cls, meta: Mapping[str, str]) -> "Head":
        """Read the fields of a session's meta hash."""
        version = int(meta["version"])
        context_from = int(meta.get("context_from", 0))
        first = max(context_from, version - HISTORY_READ_TURNS)
        return cls(meta["epoch"], version, meta["hash"], first, meta["principal"])


class SessionCache:
    """The least recently used go first, by number and by bytes. Thread safe.

    ``count`` is told each result of a claim of a session that has turns.
    """

    def __init__(
        self,
        *,
        count: Callable[[CacheResult], None] = lambda _: None,
        entries_max: int = limits.SESSION_CACHE_ENTRIES_MAX,
        bytes_max: int = limits.SESSION_CACHE_BYTES_MAX,
        ttl_s: float = limits.SESSION_TTL_S_DEFAULT,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """``ttl_s``: for so long a session lives that nobody touches."""
        self._count = count
        self._kept_s = ttl_s * _PROVES_FOR
        self._now_s = now_s
        self._entries_max = entries_max
        self._bytes_max = bytes_max
        self._entries: OrderedDict[SessionKey, Remembered] = OrderedDict()
        self._size_bytes = 0
        self._lock = threading.Lock()

    @property
    def entries(self) -> int:
        """How many sessions are remembered."""
        return len(self._entries)

    @property
    def size_bytes(self) -> int:
        """What all entries count for."""
        return self._size_bytes

    def get(self, key: SessionKey) -> Remembered | None:
        """Return what is remembered; it may be behind the store, or of a session that is gone."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None and self._now_s() - entry.at_s > self._kept_s:
                self._remove(key)
                return None
            return entry

    def lost(self, key: SessionKey) -> None:
        """Forget a session that the store has set back or lost."""
        self._count("rolled_back")
        self.drop(key)

    def take_unheard(self, key: SessionKey) -> tuple[str, ...]:
        """Return what ``note_unheard`` left, to one caller alone."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None or not entry.unheard:
                return ()
            self._entries[key] = replace(entry, unheard=())
            return entry.unheard

    def note_unheard(self, key: SessionKey, epoch: str, calls: tuple[str, ...]) -> None:
        """Keep the names of calls for whoever asks next, as long as this epoch is remembered."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None and entry.epoch == epoch:
                unheard = (*entry.unheard, *calls)[:_UNHEARD_MAX]
                self._entries[key] = replace(entry, unheard=unheard)

    def completed(
        self,
        key: SessionKey,
        known: Remembered | None,
        head: Head,
        rows: Sequence[bytes],
        *,
        fetch: Callable[[int, int], Sequence[bytes]],
    ) -> Sequence[bytes]:
        """Return all turns of the context, and remember them.

        ``known`` is what the store was told, ``rows`` what it replied: the newest turns, back to
        the beginning of the context or to ``known``. ``fetch(first, version)`` reads the turns
        after ``first`` up to ``version``; it is called when what is remembered is of no use.
        """
        past, result = _merged(known, head, rows)
        if past is None:
            past = tuple(fetch(head.first, head.version))
        if head.version or result == "rolled_back":
            self._count(result)
        # Fewer turns than the head promises: the store lost them just now; nothing to keep.
        if result == "rolled_back":
            return past  # what is remembered stays: it is the proof when somebody asks, see Law 4
        if len(past) == head.version - head.first:
            heard = known.heard if known and known.epoch == head.epoch else 0
            self._put(
                key,
                Remembered(head.epoch, head.version, head.hash, past, head.principal, heard),
            )
        else:
            self.drop(key)
        return past

    def extend(self, key: SessionKey, row: bytes, *, epoch: str, version: int, hash_: str) -> None:
        """Add the turn whose commit made ``version`` and ``hash_``, if it fits what is there."""
        entry = self.get(key)
        if entry is None or (entry.epoch, entry.version + 1) != (epoch, version):
            return
        if carried_on(entry.hash, [row]) != hash_:
            # Another history, or a repeated commit that others have followed: the next claim asks.
            return
        rows = (*entry.rows, row)[-HISTORY_READ_TURNS:]
        self._put(key, Remembered(epoch, version, hash_, rows, entry.principal, entry.heard))

    def mark(self, key: SessionKey, *, epoch: str, version: int) -> None:
        """Heed an event: the session is said to have this version now.

        An entry behind it becomes stale: it is the first to go, because the session was served
        elsewhere, but until then its turns need not be fetched again. The same goes for one of
        another epoch: whether that one was deleted or lost, the next claim finds out.
        """
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return
            same = entry.epoch == epoch
            if same and entry.version >= version:
                return
            heard = max(entry.heard, version) if same else entry.heard
            self._entries[key] = replace(entry, stale=True, heard=heard)
            self._entries.move_to_end(key, last=False)

    def drop(self, key: SessionKey) -> None:
        """Forget a session."""
        with self._lock:
            self._remove(key)

    def _put(self, key: SessionKey, entry: Remembered) -> None:
        with self._lock:
            self._remove(key)
            self._entries[key] = replace(entry, at_s=self._now_s())
            self._size_bytes += entry.size_bytes
            while len(self._entries) > self._entries_max or self._size_bytes > self._bytes_max:
                self._remove(next(iter(self._entries)))

    def _remove(self, key: SessionKey) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._size_bytes -= entry.size_bytes


def told(entry: Remembered | None) -> tuple[str, int]:
    """Return known epoch and version, as ``work`` in ``lua/_work.lua`` takes them."""
    return (entry.epoch, entry.version) if entry else ("", 0)


def proof(entry: Remembered | None) -> tuple[str, int, str, int]:
    """Return what ``remembered`` in ``lua/_work.lua`` takes: by this a store is found behind."""
    if entry is None:
        return "", 0, "", 0
    return entry.epoch, entry.version, entry.hash, max(entry.version, entry.heard)


def carried_on(hash_: str, rows: Sequence[bytes]) -> str:
    """Return the hash of a history that goes on with ``rows``, as ``commit.lua`` makes it."""
    for row in rows:
        hash_ = hashlib.sha1(hash_.encode() + row, usedforsecurity=False).hexdigest()
    return hash_


def _merged(
    known: Remembered | None, head: Head, rows: Sequence[bytes]
) -> tuple[tuple[bytes, ...] | None, CacheResult]:
    """Return the turns of the context, None where they must be fetched, and what ``known`` was."""
    start = head.version - len(rows)
    whole = tuple(rows) if start == head.first else None
    if known is None or known.epoch != head.epoch:
        return whole, "miss"
    if known.version > head.version:
        return whole, "rolled_back"  # a version never goes back
    if known.version < start or known.first > head.first:
        return whole, "miss"
    fresh = rows[known.version - start :]
    if carried_on(known.hash, fresh) != head.hash:
        return whole, "rolled_back"
    past = (*known.rows, *fresh)[head.first - known.first :]
    if not fresh:
        return past, "hit"
    return past, "stale" if known.stale else "partial"
