"""Bringing an archived session back, because somebody asks for it.

Law 1: what Redis says of the archive, the mark, is believed: who has no mark is not archived, and
       costs no look. A store that forgot a session forgot its mark as well; so where a pod or a
       client knows of the session, the archive itself is looked into.
Law 2: where there is a mark and no copy can be read now, the caller is told so. Nobody begins a new
       session under the id of an archived one.
Law 3: a session comes back as it was: epoch, version and hash. Whether that is all that somebody
       has seen, the rules for losses decide afterwards, as for any store that was set back.
"""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final, Literal

import structlog

from kotaemon_node.adapters.redis.archive_mark import Mark
from kotaemon_node.adapters.redis.connection import RedisStore
from kotaemon_node.adapters.redis.idle import IdleSessions
from kotaemon_node.adapters.redis.keys import SessionKeys
from kotaemon_node.adapters.redis.stored_text import bytes_of
from kotaemon_node.domain.artifact_names import session_copies_prefix
from kotaemon_node.domain.errors import CorruptArtifact, SessionNotFound, Unavailable
from kotaemon_node.domain.session import SessionKey
from kotaemon_node.domain.session_copy import CopyName, SessionCopy, unpacked
from kotaemon_node.ports.artifacts import ArtifactStore

_log = structlog.get_logger(__name__)

Outcome = Literal["restored", "unavailable", "missing", "corrupt"]

_TRIES_MAX: Final = 3  # against another who restores or archives in the same moment


def _here(work: Callable[..., Any], *arguments: Any) -> Any:
    return work(*arguments)


@dataclass(frozen=True, slots=True)
class Archive:
    """Where copies lie, and how this pod takes part."""

    copies: ArtifactStore
    kept_s: float
    indexed: bool = True
    """Whether sessions are archived now; those that were before come back all the same."""
    count: Callable[[Outcome, float], None] = lambda *_: None
    """Is told how each try to bring a session back ended, and how long it took (s)."""
    compute: Callable[..., Any] = _here
    """Runs what unpacks a copy, which may be large, away from the serving loop."""
    reading: Callable[..., Any] = _here
    """Runs what reads ``copies``: a folder that does not answer must not hold up the loop."""


class Restoring:
    """Brings sessions back; without ``archive`` it only says that it cannot."""

    def __init__(self, store: RedisStore, archive: Archive | None, *, ttl_s: int) -> None:
        self._store = store
        self._archive = archive
        self._ttl_s = ttl_s
        self._idle = IdleSessions(store)

    def back(self, key: SessionKey, subject: str, *, known: bool) -> bool:
        """Bring back a session that is not in Redis; False where there is nothing to bring.

        ``subject`` is who asks, "" where it may see all; ``known``: somebody knows of the session.
        Raises ``SessionNotFound`` for a stranger, ``Unavailable`` where the archive cannot be read
        now, ``CorruptArtifact`` where the copy is damaged.
        """
        began_s = monotonic()
        for _ in range(_TRIES_MAX):
            raw, is_there = self._mark(key)
            if is_there:
                return True  # another was quicker
            mark = Mark.read(raw)
            if mark is None and (raw or not known):
                return False  # it was deleted, or there is nothing to look for
            _admit(subject, mark.principal if mark else subject)
            copy = self._read(key, mark, began_s)
            if copy is None:
                return False
            _admit(subject, copy.meta["principal"])
            reply = self._put(copy, mark)
            if reply == "ok":
                self._count("restored", began_s)
                _log.debug("session_restored", version=copy.name.version)
            if reply != "moved":
                return reply != "told"
            known = False  # a mark came, or went: by it alone the next try goes
        raise Unavailable("the session is being archived; ask again")

    def bury(self, key: SessionKey, subject: str, *, kept_s: float) -> bool:
        """Delete a session as it lies in the archive; False where the subject has none there."""
        mark = Mark.read(self._mark(key)[0])
        if mark is None or subject not in {"", mark.principal}:
            return False
        self._idle.enter_deleted(key)
        arguments = [mark.raw, mark.name.epoch, self._ttl_s, int(kept_s)]
        return bool(self._store.run("bury", SessionKeys.of(key).resting(), arguments) == b"ok")

    def _mark(self, key: SessionKey) -> tuple[bytes | None, bool]:
        """Return the mark, and whether the session is there.

        In this order: one that comes back loses its mark and is there in the same moment.
        """
        names = SessionKeys.of(key)

        def fill(pipe: Any) -> None:
            pipe.get(names.archived)
            pipe.exists(names.meta)

        raw, is_there = self._store.pipelined(fill)
        return raw, bool(is_there)

    def _read(self, key: SessionKey, mark: Mark | None, began_s: float) -> SessionCopy | None:
        """Return the copy that the mark names, or else the newest one; None where there is none."""
        archive = self._archive
        if archive is None:
            if mark is None:
                return None
            raise Unavailable("the session is archived, and this pod has no archive")
        try:
            content = archive.reading(_content, archive.copies, key, mark)
            copy: SessionCopy | None = archive.compute(unpacked, content) if content else None
        except CorruptArtifact:
            self._count("corrupt", began_s)
            raise
        except (Unavailable, OSError) as error:
            self._count("unavailable", began_s)
            raise Unavailable("the archive of sessions cannot be read now; ask again") from error
        if copy is not None and copy.key != key:
            raise CorruptArtifact("an archived session lies under the name of another one")
        if copy is None and mark is not None:
            if self._lapsed(key, mark, archive.kept_s):
                return None
            # A folder that is not mounted looks like one that is empty.
            self._count("missing", began_s)
            _log.error("archived_session_missing", name=mark.artifact(key))
            raise Unavailable("the archive does not have this session now; ask again")
        return copy

    def _lapsed(self, key: SessionKey, mark: Mark, kept_s: float) -> bool:
        """Tell whether the copy's time is over; copies were kept for longer when it was marked."""
        [(seconds, micros)] = self._store.pipelined(lambda pipe: pipe.time())
        now_ms = int(seconds) * 1000 + int(micros) // 1000
        if mark.name.active_ms + kept_s * 1000 > now_ms:
            return False
        self._store.run("lapsed", [SessionKeys.of(key).archived], [mark.raw])
        return True

    def _put(self, copy: SessionCopy, mark: Mark | None) -> str:
        if self._archive is not None and self._archive.indexed:
            self._idle.enter_now(copy.key)  # before: an entry too many costs one look
        mark_raw = mark.raw if mark else b""
        return put_whole(self._store, copy, mark_raw=mark_raw, ttl_s=self._ttl_s)

    def _count(self, outcome: Outcome, began_s: float) -> None:
        if self._archive is not None:
            self._archive.count(outcome, monotonic() - began_s)


def put_whole(
    store: RedisStore, copy: SessionCopy, *, mark_raw: bytes, ttl_s: int, epoch: str = ""
) -> str:
    """Put a session where there is none, whole or not at all; return what ``restore.lua`` replies.

    ``epoch``: a new one for it; "" leaves it that of the copy. Whoever was told that the one of the
    copy is lost finds the session again under a new one, but not under that.
    """
    meta = {**copy.meta, "epoch": epoch or copy.name.epoch}
    parts = [meta, copy.seen, copy.past, copy.feedback]
    fields = [bytes_of(text for pair in part.items() for text in pair) for part in parts]
    arguments = [
        mark_raw,
        copy.name.epoch,
        ttl_s,
        len(meta),
        len(copy.turns),
        len(copy.seen),
        len(copy.past),
        len(copy.feedback),
        int(meta["epoch"] != copy.name.epoch),
        *fields[0],
        *copy.turns,
        *fields[1],
        *fields[2],
        *fields[3],
    ]
    return str(store.run("restore", SessionKeys.of(copy.key).head(), arguments).decode())


def _content(copies: ArtifactStore, key: SessionKey, mark: Mark | None) -> bytes | None:
    """Return the copy that the mark names, or else the newest one."""
    content = copies.get(mark.artifact(key)) if mark else None
    if content is not None:
        return content
    # A store that was set back may name a copy that a newer one has replaced.
    names = map(CopyName.read, copies.list(session_copies_prefix(key.tenant, key.session_id)))
    newest = max((name for name in names if name), default=None)
    return copies.get(newest.of(key)) if newest else None


def _admit(subject: str, principal: str) -> None:
    if subject not in {"", principal}:
        raise SessionNotFound("no such session")
