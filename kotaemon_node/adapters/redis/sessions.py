"""Sessions and turns in Redis. The rules are the Lua scripts beside this file."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from kotaemon_node.adapters.redis import keys
from kotaemon_node.adapters.redis.connection import RedisStore, store_errors
from kotaemon_node.adapters.redis.keys import SessionKeys
from kotaemon_node.adapters.redis.records import (
    open_turn,
    session_of,
    turn_json,
    turn_of,
    work_of,
)
from kotaemon_node.adapters.redis.running import RunningTurns
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import (
    Conflict,
    Fenced,
    Gone,
    NodeError,
    Overloaded,
    SequenceGap,
    SessionBusy,
    SessionNotFound,
    TurnConflict,
    TurnNotFound,
    Unavailable,
)
from kotaemon_node.domain.session import (
    Principal,
    SessionKey,
    SessionRow,
    SessionView,
    Turn,
    TurnKey,
)
from kotaemon_node.ports.sessions import (
    Claim,
    ClaimOutcome,
    ClaimRequest,
    Committed,
    Ending,
    Lease,
    Orphan,
    Work,
)

_TITLE_CHARS = 80
_READS_MAX = 3

_CLAIM_ERRORS: Mapping[str, NodeError] = {
    "late": Unavailable("the turn was accepted too slowly; send it again"),
    "no_session": SessionNotFound("no such session"),
    "conflict": TurnConflict("this turn_id was used with another message"),
    "busy": SessionBusy("a turn of this session is running"),
    "full": Overloaded(f"{limits.QUEUED_TURNS_MAX} turns of this session wait already"),
}
_WRITE_ERRORS: Mapping[str, type[NodeError]] = {
    "gone": Gone,
    "fenced": Fenced,
    "gap": SequenceGap,
    "full": Overloaded,
}


class RedisSessionStore:
    """``ports.sessions.SessionStore``."""

    def __init__(self, store: RedisStore, *, ttl_s: int, idle_s: int) -> None:
        self._store = store
        self._ttl_s = ttl_s
        self._idle_ms = idle_s * 1000
        self._running = RunningTurns(store)

    def create(
        self, key: SessionKey, principal: Principal, *, epoch: str, fields: Mapping[str, Any]
    ) -> SessionView:
        """See the port."""
        arguments = [
            epoch,
            key.tenant,
            principal.subject,
            fields.get("user_id") or "",
            fields.get("channel") or "",
            orjson.dumps(fields.get("context") or {}),
            self._ttl_s,
        ]
        if self._store.run("create", [SessionKeys.of(key).meta], arguments) != b"ok":
            raise Conflict("a session of this id exists")
        self._list_session(key, principal.subject)
        return self.load(key, principal, after_version=0, limit=0)

    def load(
        self, key: SessionKey, principal: Principal, *, after_version: int, limit: int
    ) -> SessionView:
        """See the port."""
        names = SessionKeys.of(key)

        def fill(pipe: Any) -> None:
            pipe.hgetall(names.meta)
            if limit:
                pipe.lrange(names.turns, after_version, after_version + limit - 1)

        meta, *rows = self._store.pipelined(fill)
        head = {name.decode(): value.decode() for name, value in meta.items()}
        self._admit(head, principal)
        turns = rows[0] if rows else []
        return session_of(key.session_id, head, turns, first_version=after_version + 1)

    def list(self, principal: Principal, *, offset: int, limit: int) -> Sequence[SessionRow]:
        """See the port."""
        index = keys.sessions_of(principal.tenant, principal.subject)
        rows, gone = self._listed(index, principal, offset=offset, limit=limit)
        while gone:
            # What expired leaves the list, and what stood behind it moves up into the page.
            with store_errors():
                self._store.client.zrem(index, *gone)
            rows, gone = self._listed(index, principal, offset=offset, limit=limit)
        return rows

    def _listed(
        self, index: str, principal: Principal, *, offset: int, limit: int
    ) -> tuple[Sequence[SessionRow], Sequence[str]]:
        """Return a page of the list and the ids in it whose sessions are gone."""
        with store_errors():
            ids = self._store.client.zrevrange(index, offset, offset + limit - 1)
        found = [identifier.decode() for identifier in ids]

        def fill(pipe: Any) -> None:
            for session_id in found:
                names = SessionKeys.of(SessionKey(principal.tenant, session_id))
                pipe.hmget(names.meta, "created_ms", "active_ms", "version", "title")

        heads = self._store.pipelined(fill) if found else []
        gone = [sid for sid, head in zip(found, heads, strict=True) if head[0] is None]
        rows = [
            SessionRow(
                session_id=session_id,
                created_at=int(head[0]) / 1000,
                active_at=int(head[1]) / 1000,
                version=int(head[2]),
                title=(head[3] or b"").decode(),
            )
            for session_id, head in zip(found, heads, strict=True)
            if head[0] is not None
        ]
        return rows, gone

    def delete(self, key: SessionKey, principal: Principal) -> None:
        """See the port."""
        self.load(key, principal, after_version=0, limit=0)
        names = SessionKeys.of(key)
        self._store.run("delete", names.head(), [names.prefix, names.signal])
        with store_errors():
            index = keys.sessions_of(key.tenant, principal.subject)
            self._store.client.zrem(index, key.session_id)

    def turn(self, key: TurnKey, principal: Principal) -> Turn:
        """See the port."""
        return self.turn_and_last_seq(key, principal)[0]

    def turn_and_last_seq(self, key: TurnKey, principal: Principal) -> tuple[Turn, int]:
        """See the port."""
        names = SessionKeys.of(key.session)

        def fill(pipe: Any) -> None:
            pipe.hmget(names.meta, "principal", "epoch")
            pipe.hget(names.seen, key.turn_id)
            pipe.hgetall(names.turn(key.turn_id))

        for _ in range(_READS_MAX):
            (owner, epoch), seen, row = self._store.pipelined(fill)
            if seen is None or row or b":" in seen:
                break
            # It was finished between the commands of the pipeline: read again.
        head = {"epoch": epoch.decode(), "principal": owner.decode()} if epoch else {}
        self._admit(head, principal)
        if seen is None:
            raise TurnNotFound("the session has no such turn")
        version = [*seen.decode().split(":"), ""][1]
        if not version and not row:
            raise TurnNotFound("the turn was lost by the store")
        if not version:
            texts = {name.decode(): value.decode() for name, value in row.items()}
            return open_turn(key.turn_id, texts), 0
        with store_errors():
            raw = self._store.client.lindex(names.turns, int(version) - 1)
        if raw is None:
            raise TurnNotFound("the session has no such turn")
        return turn_of(raw, version=int(version))

    def claim(self, request: ClaimRequest) -> Claim:
        """See the port."""
        key = request.key
        names = SessionKeys.of(key.session)
        entered_ms = self._running.enter(key)
        reply = self._store.run(
            "claim",
            [*names.head(), names.turn(key.turn_id), names.frames(key.turn_id)],
            [
                key.turn_id,
                request.digest,
                request.owner,
                self._subject(request.principal),
                entered_ms,
                int(limits.CLAIM_ENTRY_AGE_MAX_S * 1000),
                int(request.create_session),
                request.new_epoch,
                request.on_busy,
                limits.QUEUED_TURNS_MAX,
                limits.MAX_HISTORY_TURNS,
                self._ttl_s,
                self._idle_ms,
                request.message,
                orjson.dumps(dict(request.options)),
                request.trace_id,
                key.session.tenant,
                request.message[:_TITLE_CHARS],
                names.signal,
            ],
        )
        outcome = reply[0].decode()
        if outcome in _CLAIM_ERRORS:
            error = _CLAIM_ERRORS[outcome]
            raise type(error)(str(error))
        # Entries of turns that need none any more are left to the sweep: whether the events of a
        # finished turn are out is not known here.
        work = work_of(key, reply[1]) if outcome == "owned" else None
        return Claim(outcome=ClaimOutcome(outcome), work=work)

    def commit(self, lease: Lease, ending: Ending, *, take_next: bool) -> Committed:
        """See the port."""
        key = lease.key
        names = SessionKeys.of(key.session)
        reply = self._store.run(
            "commit",
            [*names.head(), names.turn(key.turn_id), names.frames(key.turn_id)],
            [
                lease.epoch,
                lease.fence,
                lease.owner,
                key.turn_id,
                ending.seq,
                ending.terminal.type,
                orjson.dumps(dict(ending.terminal.fields)),
                turn_json(ending.turn, last_seq=ending.seq),
                orjson.dumps(dict(ending.generations)) if ending.generations else "",
                int(take_next),
                self._ttl_s,
                limits.FRAME_RETENTION_S,
                names.signal,
                names.prefix,
                limits.MAX_HISTORY_TURNS,
            ],
        )
        outcome = reply[0].decode()
        if outcome != "ok":
            raise _WRITE_ERRORS[outcome](f"turn {key.turn_id}: {outcome}")
        following = reply[3].decode()
        next_key = TurnKey(session=key.session, turn_id=following)
        work = work_of(next_key, reply[4]) if following else None
        return Committed(version=int(reply[1]), hash=reply[2].decode(), next=work)

    def settle(self, key: TurnKey) -> None:
        """See the port."""
        names = SessionKeys.of(key.session)
        with store_errors():
            subject = self._store.client.hget(names.meta, "principal")
        if subject is not None:
            self._list_session(key.session, subject.decode())
        self._running.leave(key)

    def forget(self, key: TurnKey, *, older_than_s: float) -> None:
        """See the port."""
        self._running.forget(key, older_than_s=older_than_s)

    def seize(self, key: TurnKey, owner: str, *, from_owner: str | None) -> Work | None:
        """See the port."""
        names = SessionKeys.of(key.session)
        reply = self._store.run(
            "seize",
            [*names.head(), names.turn(key.turn_id), names.frames(key.turn_id)],
            [
                key.turn_id,
                owner,
                "*" if from_owner is None else from_owner,
                int(from_owner is not None),
                limits.MAX_HISTORY_TURNS,
            ],
        )
        return work_of(key, reply[1]) if reply[0] == b"owned" else None

    def orphans(self, *, limit: int) -> Sequence[Orphan]:
        """See the port."""
        return self._running.orphans(limit=limit)

    def _admit(self, head: Mapping[str, str], principal: Principal) -> None:
        """Raise ``SessionNotFound`` unless the session is there and the principal may see it."""
        subject = self._subject(principal)
        if "epoch" not in head or (subject and head["principal"] != subject):
            raise SessionNotFound("no such session")

    def _subject(self, principal: Principal) -> str:
        """Return whose sessions the principal sees; "" for all of the tenant."""
        return "" if principal.role in {"admin", "agent"} else principal.subject

    def _list_session(self, key: SessionKey, subject: str) -> None:
        index = keys.sessions_of(key.tenant, subject)

        def fill(pipe: Any) -> None:
            pipe.hget(SessionKeys.of(key).meta, "active_ms")
            pipe.zremrangebyrank(index, 0, -limits.SESSIONS_INDEX_MAX - 1)

        active_ms = self._store.pipelined(fill)[0]
        if active_ms is not None:
            with store_errors():
                self._store.client.zadd(index, {key.session_id: int(active_ms)})
                self._store.client.expire(index, self._ttl_s)
