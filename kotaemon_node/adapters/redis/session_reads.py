"""Reading sessions and turns: only what the caller may see, and not what the store has lost."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from kotaemon_node.adapters.redis.connection import RedisStore
from kotaemon_node.adapters.redis.keys import SessionKeys
from kotaemon_node.adapters.redis.records import activity_of, open_turn, session_of, turn_of
from kotaemon_node.adapters.redis.restoring import Restoring
from kotaemon_node.adapters.redis.session_seals import SessionSeals
from kotaemon_node.adapters.redis.store_errors import store_errors
from kotaemon_node.adapters.redis.store_losses import StoreLosses
from kotaemon_node.adapters.redis.stored_text import texts_of
from kotaemon_node.domain.errors import Gone, Sealed, SessionNotFound, TurnNotFound
from kotaemon_node.domain.session import Principal, SessionKey, SessionView, Turn, TurnKey
from kotaemon_node.ports.sessions import Activity, SessionHead

OTHER_EPOCH: Final = (
    "the session that you know is no more; read it again without its epoch, and go on from there"
)
_READS_MAX = 3


class SessionReads:
    """The reading half of ``RedisSessionStore``."""

    def __init__(self, store: RedisStore, losses: StoreLosses, restoring: Restoring) -> None:
        self._store = store
        self._losses = losses
        self._restoring = restoring

    def load(
        self,
        key: SessionKey,
        principal: Principal,
        *,
        after_version: int,
        limit: int,
        epoch: str = "",
    ) -> SessionView:
        """See the port."""
        # Remembered before it is read: what the store says later can't be older, unless it lost it.
        subject = self.subject(principal)
        known = self._losses.known(key, subject)
        head, turns = self.read_head(key, after_version=after_version, limit=limit)
        if not head:
            somebody_knows = bool(known or epoch or after_version)
            if self._restoring.back(key, subject, known=somebody_knows):
                head, turns = self.read_head(key, after_version=after_version, limit=limit)
        if head:
            self.admit(head, principal)
        self._losses.check(key, known, head, turns, first=after_version)
        if epoch and epoch != head.get("epoch"):
            raise Gone(OTHER_EPOCH)
        self.admit(head, principal)
        if after_version > int(head["version"]):
            raise Gone("the session has fewer turns than you have seen; read it again")
        return session_of(self.seals(key), head, turns, first_version=after_version + 1)

    def read_head(
        self, key: SessionKey, *, after_version: int, limit: int
    ) -> tuple[dict[str, str], Sequence[bytes]]:
        """Return the head of a session, empty where there is none, and turns of it, as stored."""
        names = SessionKeys.of(key)

        def fill(pipe: Any) -> None:
            pipe.hgetall(names.meta)
            if limit:
                pipe.lrange(names.turns, after_version, after_version + limit - 1)

        meta, *rows = self._store.pipelined(fill, confirmed=True)
        return texts_of(meta), rows[0] if rows else []

    def head(self, key: SessionKey) -> SessionHead | None:
        """See the port."""

        def fill(pipe: Any) -> None:
            pipe.hmget(SessionKeys.of(key).meta, "epoch", "version", "hash")

        # Other pods take what they hear of for what the store must have from then on.
        [fields] = self._store.pipelined(fill, confirmed=True)
        epoch, version, hash_ = (field.decode() if field else "" for field in fields)
        return SessionHead(epoch, int(version), hash_) if epoch else None

    def activity(
        self, key: SessionKey, principal: Principal, *, after_version: int, limit: int
    ) -> Activity:
        """See the port."""

        def look() -> tuple[Mapping[str, str], Activity]:
            reply = self._store.run("look", SessionKeys.of(key).head(), [after_version, limit])
            return activity_of(reply, self.seals(key), after_version=after_version)

        head, activity = look()
        if not head and self._restoring.back(key, self.subject(principal), known=False):
            head, activity = look()
        self.admit(head, principal)
        return activity

    def turn(self, key: TurnKey, principal: Principal) -> Turn:
        """See the port."""
        return self.turn_and_last_seq(key, principal)[0]

    def turn_and_last_seq(self, key: TurnKey, principal: Principal) -> tuple[Turn, int]:
        """See the port."""
        (owner, epoch), seen, row = self._turn_rows(key)
        if not epoch and self._restoring.back(key.session, self.subject(principal), known=False):
            (owner, epoch), seen, row = self._turn_rows(key)
        head = {"epoch": epoch.decode(), "principal": owner.decode()} if epoch else {}
        self.admit(head, principal)
        if seen is None or seen == b"gone":
            raise TurnNotFound("the session has no such turn")
        if seen == b"sealed":
            raise Sealed("this turn cannot be opened any more: its key was destroyed")
        version = [*seen.decode().split(":"), ""][1]
        if not version and not row:
            raise TurnNotFound("the turn was lost by the store")
        if not version:
            return open_turn(key.turn_id, texts_of(row), self.seals(key.session)), 0
        with store_errors():
            raw = self._store.client.lindex(SessionKeys.of(key.session).turns, int(version) - 1)
        if raw is None:
            raise TurnNotFound("the session has no such turn")
        return turn_of(raw, self.seals(key.session), version=int(version))

    def _turn_rows(self, key: TurnKey) -> list[Any]:
        """Return principal and epoch of the session, and what is kept of the turn."""
        names = SessionKeys.of(key.session)

        def fill(pipe: Any) -> None:
            pipe.hmget(names.meta, "principal", "epoch")
            pipe.hget(names.seen, key.turn_id)
            pipe.hgetall(names.turn(key.turn_id))

        for _ in range(_READS_MAX):
            rows = self._store.pipelined(fill, confirmed=True)
            _, seen, row = rows
            if seen is None or row or b":" in seen:
                break
            # It was finished between the commands of the pipeline: read again.
        return rows

    def seals(self, key: SessionKey) -> SessionSeals:
        """Return what seals and opens what is written of the session."""
        return SessionSeals(self._store.cipher, key)

    def admit(self, head: Mapping[str, str], principal: Principal) -> None:
        """Raise ``SessionNotFound`` unless the session is there and the principal may see it."""
        subject = self.subject(principal)
        if "epoch" not in head or (subject and head["principal"] != subject):
            raise SessionNotFound("no such session")

    def subject(self, principal: Principal) -> str:
        """Return whose sessions the principal sees; "" for all of the tenant."""
        return "" if principal.sees_all else principal.subject
