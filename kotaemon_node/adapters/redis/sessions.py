"""Sessions and turns in Redis. The rules are the Lua scripts beside this file."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from kotaemon_node.adapters.redis import keys
from kotaemon_node.adapters.redis.connection import RedisStore
from kotaemon_node.adapters.redis.idle import IdleSessions
from kotaemon_node.adapters.redis.keys import SessionKeys
from kotaemon_node.adapters.redis.records import turn_json
from kotaemon_node.adapters.redis.restoring import Archive, Restoring
from kotaemon_node.adapters.redis.running import RunningTurns
from kotaemon_node.adapters.redis.session_cache import Remembered, SessionCache, told
from kotaemon_node.adapters.redis.session_list import SessionList
from kotaemon_node.adapters.redis.session_reads import SessionReads
from kotaemon_node.adapters.redis.session_refusals import CLAIM_ERRORS, WRITE_ERRORS, behind
from kotaemon_node.adapters.redis.session_writes import SessionWrites
from kotaemon_node.adapters.redis.store_losses import LossReason, StoreLosses
from kotaemon_node.adapters.redis.work_opening import WorkOpening
from kotaemon_node.domain import limits
from kotaemon_node.domain.acting_limits import HISTORY_READ_TURNS
from kotaemon_node.domain.errors import (
    Conflict,
    CorruptArtifact,
    StoreUnavailable,
    TurnNotFound,
    Unavailable,
)
from kotaemon_node.domain.session import Principal, SessionKey, SessionRow, SessionView, TurnKey
from kotaemon_node.ports.sessions import (
    ALL_SHARDS,
    Claim,
    ClaimOutcome,
    ClaimRequest,
    Committed,
    Ending,
    Lease,
    Orphan,
    Work,
)

_CLAIMS_MAX = 3  # of a session that comes back from the archive before it
_COMMITS_MAX = 5  # each further one is because another turn ended between the two
_UNHEARD_MAX = 1_000  # a repeat of one that is not kept counts as one more loss of its turn


class RedisSessionStore(SessionReads):
    """``ports.sessions.SessionStore``."""

    def __init__(
        self,
        store: RedisStore,
        *,
        ttl_s: int,
        idle_s: int,
        cache: SessionCache | None = None,
        writing: RedisStore | None = None,
        count_loss: Callable[[LossReason], None] = lambda _: None,
        archive: Archive | None = None,
        open_user: str = "",
    ) -> None:
        """``writing``: connections for commits, which must not wait behind new requests.

        ``count_loss`` is told of each loss of the store that is told to somebody. ``archive``:
        from where sessions that rested come back. ``open_user``: see ``records.made_by``.
        """
        self._writing = writing or store
        self._writes = SessionWrites(ttl_s=ttl_s, idle_s=idle_s, open_user=open_user)
        self._cache = SessionCache(ttl_s=ttl_s) if cache is None else cache
        self._opening = WorkOpening(store, self._cache)
        self._ttl_s = ttl_s
        self._running = RunningTurns(store)
        self._idle = IdleSessions(store) if archive and archive.indexed else None
        self._copies_kept_s = int(archive.kept_s if archive else limits.ARCHIVE_KEPT_S_DEFAULT)
        # What is archived stays in the list, also where nothing is archived any more.
        list_ttl_s = self._copies_kept_s if archive else ttl_s
        self._list = SessionList(store, ttl_s=list_ttl_s, idle=self._idle)
        self._unheard: dict[TurnKey, str] = {}
        """Seizures whose replies did not come, by their names."""
        super().__init__(
            store,
            StoreLosses(store, self._cache, self._running, ttl_s=ttl_s, count=count_loss),
            Restoring(store, archive, ttl_s=ttl_s),
        )

    def create(
        self, key: SessionKey, principal: Principal, *, epoch: str, fields: Mapping[str, Any]
    ) -> SessionView:
        """See the port."""
        names = SessionKeys.of(key)
        arguments = self._writes.create(principal, self.seals(key), epoch=epoch, fields=fields)
        if self._store.run("create", [names.meta, names.archived], arguments) != b"ok":
            raise Conflict("a session of this id exists")
        self._list.note(key)
        return self.load(key, principal, after_version=0, limit=0)

    def list(
        self, principal: Principal, *, offset: int, limit: int, everybodys: bool = False
    ) -> Sequence[SessionRow]:
        """See the port."""
        subject = None if everybodys else principal.subject
        return self._list.page(principal.tenant, subject, offset=offset, limit=limit)

    def delete(self, key: SessionKey, principal: Principal) -> None:
        """See the port."""
        head, _ = self.read_head(key, after_version=0, limit=0)
        if not head:
            if self._deleted_in_archive(key, principal):
                return
            head, _ = self.read_head(key, after_version=0, limit=0)
        self.admit(head, principal)
        names = SessionKeys.of(key)
        arguments = [
            names.prefix, names.signal, limits.DELETED_KEPT_S, head["epoch"], self._ttl_s,
            self._copies_kept_s,
        ]  # fmt: skip
        copied, *running = self._store.run("delete", names.head(), arguments)
        if running:
            turn_id, owner = (text.decode() for text in running)
            self._tell_loss(TurnKey(session=key, turn_id=turn_id), owner)
        self._forget_deleted(key, head["principal"], copied=bool(copied) or "copied" in head)

    def _deleted_in_archive(self, key: SessionKey, principal: Principal) -> bool:
        """Delete an archived session, after bringing it back if that can be done now.

        Only a session that is there remembers the ids of its turns.
        """
        subject = self.subject(principal)
        try:
            self._restoring.back(key, subject, known=False)
        except (Unavailable, CorruptArtifact):
            if not self._restoring.bury(key, subject, kept_s=self._copies_kept_s):
                raise
            self._forget_deleted(key, principal.subject, copied=True)
            return True
        return False

    def _forget_deleted(self, key: SessionKey, subject: str, *, copied: bool) -> None:
        self._cache.drop(key)
        self._list.remove(key, subject)
        idle = self._idle or IdleSessions(self._store)
        if copied:
            idle.enter_deleted(key)
        elif self._idle is not None:
            idle.leave(key)

    def claim(self, request: ClaimRequest) -> Claim:
        """See the port."""
        key, subject = request.key.session, self.subject(request.principal)
        looked = False
        for _ in range(_CLAIMS_MAX):
            known = self._losses.known(key, subject)
            reply = self._claimed(request, known, looked=looked)
            outcome = reply[0].decode()
            if outcome != "archived":
                break
            looked = not self._restoring.back(key, subject, known=True)
        else:
            raise Unavailable("the session is being archived; send the turn again")
        if outcome == "conflict":
            # Digests of what was sealed are compared in vain without its key: that is told instead.
            with suppress(TurnNotFound):
                self.turn(request.key, request.principal)
        if outcome == "behind":
            raise behind(request, int(reply[1]))
        if outcome in CLAIM_ERRORS:
            error = CLAIM_ERRORS[outcome]
            raise type(error)(str(error))
        # Entries of turns that need none any more are left to the sweep: whether the events of a
        # finished turn are out is not known here.
        work = self._opening.work(request.key, reply[1], known) if outcome == "owned" else None
        return Claim(outcome=ClaimOutcome(outcome), work=work)

    def _claimed(
        self, request: ClaimRequest, known: Remembered | None, *, looked: bool
    ) -> Sequence[Any]:
        """Return what ``claim.lua`` replies; raises ``Gone`` where the store has lost something."""
        key = request.key
        names = SessionKeys.of(key.session)
        entered_ms = self._running.enter(key)
        with self._losses.asking(key.session, known, request.new_epoch) as callers:
            arguments = self._writes.claim(
                request,
                self.seals(key.session),
                subject=self.subject(request.principal),
                entered_ms=entered_ms,
                known=known,
                callers=callers,
                looked=looked,
            )
            reply: Sequence[Any] = self._store.run(
                "claim",
                [*names.head(), names.turn(key.turn_id), names.frames(key.turn_id)],
                arguments,
            )
            if reply[0] == b"lost":
                self._losses.tell(key.session, reply)
        return reply

    def commit(self, lease: Lease, ending: Ending, *, take_next: bool) -> Committed:
        """See the port."""
        key = lease.key
        known = self._cache.get(key.session)
        row, reply = self._committed(lease, ending, known, take_next=take_next)
        outcome = reply[0].decode()
        if outcome != "ok":
            raise WRITE_ERRORS[outcome](f"turn {key.turn_id}: {outcome}")
        version, hash_, following = int(reply[1]), reply[2].decode(), reply[3].decode()
        self._cache.extend(key.session, row, epoch=lease.epoch, version=version, hash_=hash_)
        next_key = TurnKey(session=key.session, turn_id=following)
        latest = self._cache.get(key.session)
        work = self._opening.following(next_key, reply[4], latest) if following else None
        return Committed(version=version, hash=hash_, next=work)

    def _committed(
        self, lease: Lease, ending: Ending, known: Remembered | None, *, take_next: bool
    ) -> tuple[bytes, Sequence[Any]]:
        """Return the row as it was kept, and what ``commit.lua`` replies.

        A sealed row opens at its own place in the history alone, which the store knows best.
        """
        key, seals = lease.key, self.seals(lease.key.session)
        names = SessionKeys.of(key.session)
        plain = turn_json(ending.turn, last_seq=ending.seq)
        version = known.version + 1 if known and known.epoch == lease.epoch else 1
        for _ in range(_COMMITS_MAX):
            row = seals.sealed_row(plain, version=version)
            arguments = self._writes.commit(
                lease,
                ending,
                seals,
                row=row,
                place=0 if row == plain else version,
                known=known,
                take_next=take_next,
            )
            reply = self._writing.run(
                "commit",
                [*names.head(), names.turn(key.turn_id), names.frames(key.turn_id)],
                arguments,
            )
            if reply[0] != b"place":
                return row, reply
            version = int(reply[1])
        raise Unavailable("turns of this session end all the time; end this one again")

    def relist(self, key: SessionKey) -> None:
        """See the port."""
        self._list.note(key)

    def settle(self, key: TurnKey, *, listed: bool = False) -> None:
        """See the port."""
        if not listed:
            self.relist(key.session)
        self._running.leave(key)

    def set_aside(self, key: TurnKey) -> None:
        """See the port."""
        self._running.set_aside(key)

    def forget(self, key: TurnKey, *, older_than_s: float) -> None:
        """See the port."""
        self._running.forget(key, older_than_s=older_than_s)

    def seize(
        self, key: TurnKey, owner: str, *, from_owner: str | None, ending: str = ""
    ) -> Work | None:
        """See the port."""
        if from_owner is not None and self._opening.left(key):
            return None
        names = SessionKeys.of(key.session)
        known = self._cache.get(key.session)
        call = self._unheard.pop(key, "") or secrets.token_hex(8)
        arguments = [
            key.turn_id,
            owner,
            "*" if from_owner is None else from_owner,
            ending,
            HISTORY_READ_TURNS,
            *told(known),
            call,
        ]
        turn = [names.turn(key.turn_id), names.frames(key.turn_id)]
        try:
            reply = self._store.run("seize", [*names.head(), *turn], arguments)
            if reply[0] != b"owned":
                return None
            before = reply[2].decode()
            if before != owner:
                self._tell_loss(key, before)
            return self._opening.work(key, reply[1], known)
        except StoreUnavailable:
            self._unheard[key] = call
            if len(self._unheard) > _UNHEARD_MAX:
                self._unheard.pop(next(iter(self._unheard)), None)
            raise

    def release(self, lease: Lease) -> None:
        """See the port."""
        self._opening.release(lease)

    def _tell_loss(self, key: TurnKey, loser: str) -> None:
        """Let the pod that executes the turn stop now, not only when its next write is refused."""
        if loser:
            self._store.publish(keys.losses(loser), keys.running(key)[1])

    def orphans(self, *, limit: int, shards: Sequence[int] = ALL_SHARDS) -> Sequence[Orphan]:
        """See the port."""
        return self._running.orphans(limit=limit, shards=shards)
