"""``ports.handoffs`` in Redis: one script on the session, and an index of who is with a person."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import structlog

from kotaemon_node.adapters.redis import keys
from kotaemon_node.adapters.redis.connection import RedisStore
from kotaemon_node.adapters.redis.keys import SessionKeys
from kotaemon_node.adapters.redis.records import sealed_handoff
from kotaemon_node.adapters.redis.running import RunningTurns
from kotaemon_node.adapters.redis.session_seals import HANDOFF, SessionSeals
from kotaemon_node.domain import limits
from kotaemon_node.domain.acting_limits import HANDOFF_NOTED_S, HANDOFFS_LOOKED_AT, HANDOFFS_MAX
from kotaemon_node.domain.errors import Gone, MasterKeyMissing, Sealed
from kotaemon_node.domain.handoff import BEGUN, ENDED, Handoff
from kotaemon_node.domain.session import SessionKey, TurnKey
from kotaemon_node.ports.handoffs import Handed, HandedSession

_log = structlog.get_logger(__name__)


class RedisHandoffs:
    """``ports.handoffs.Handoffs``."""

    def __init__(self, store: RedisStore, *, ttl_s: int) -> None:
        """``ttl_s``: the life of a session that rests."""
        self._store = store
        self._running = RunningTurns(store)
        self._ttl_s = ttl_s

    def begin(
        self, key: SessionKey, handoff: Handoff, *, epoch: str, event_id: str, trace_id: str
    ) -> Handed:
        """See the port."""
        frame = handoff.frame()
        event = TurnKey(key, event_id)
        return self._step(event, handoff.to_json(), BEGUN, frame, epoch=epoch, trace_id=trace_id)

    def end(
        self,
        key: SessionKey,
        frame: Mapping[str, Any],
        *,
        epoch: str,
        event_id: str,
        trace_id: str,
    ) -> Handed:
        """See the port."""
        event = TurnKey(key, event_id)
        return self._step(event, None, ENDED, frame, epoch=epoch, trace_id=trace_id)

    def _step(
        self,
        event: TurnKey,
        handoff: Mapping[str, Any] | None,
        name: str,
        frame: Mapping[str, Any],
        *,
        epoch: str,
        trace_id: str,
    ) -> Handed:
        key = event.session
        names = SessionKeys.of(key)
        seals = SessionSeals(self._store.cipher, key)
        kept, shown = sealed_handoff(handoff, frame, seals)
        said = orjson.dumps({"said": {"event": name, "frame": dict(frame)}})
        # Before the step, as a claim does: a sweep finds the event though this pod may die.
        self._running.enter(event)
        reply = self._store.run(
            "handoff",
            [*names.head(), names.turn(event.turn_id), names.frames(event.turn_id)],
            [
                epoch,
                event.turn_id,
                kept,
                shown,
                seals.sealed(said, "options", turn=event.turn_id),
                trace_id,
                names.prefix,
                names.signal,
                self._ttl_s,
                int(limits.TURN_TIMEOUT_S) + limits.FRAME_RETENTION_S,
            ],
        )
        if reply[0] == b"gone":
            raise Gone("the session was deleted, or the store has lost something of it")
        # The step is done: what was kept before it, and cannot be opened, does not undo that.
        stands = _shown(reply.pop(1), seals, since=float(frame["since"]))
        changed, ended, loser, waits, again = (part.decode() for part in reply)
        if loser:
            turn = TurnKey(key, ended or waits)
            self._store.publish(keys.losses(loser), keys.running(turn)[1])
        return Handed(
            changed=changed == "changed",
            handoff=stands,
            broken_off=TurnKey(key, ended) if ended else None,
            next=TurnKey(key, waits) if waits else None,
            again=again == "1",
        )

    def note(self, key: SessionKey, at: float | None) -> None:
        """See the port."""
        member = f"{key.tenant}/{key.session_id}"

        def write(pipe: Any) -> None:
            if at is None:
                pipe.zrem(keys.HANDOFFS, member)
                return
            pipe.zadd(keys.HANDOFFS, {member: int(at)})
            # What was forgotten: of sessions that were deleted, or rested for good.
            pipe.zremrangebyscore(keys.HANDOFFS, "-inf", int(at) - HANDOFF_NOTED_S)
            pipe.zremrangebyrank(keys.HANDOFFS, 0, -HANDOFFS_MAX - 1)

        self._store.pipelined(write)

    def waiting(self, tenant: str, *, limit: int) -> Sequence[HandedSession]:
        """See the port."""
        [newest] = self._store.pipelined(
            lambda pipe: pipe.zrevrange(keys.HANDOFFS, 0, HANDOFFS_LOOKED_AT - 1, withscores=True)
        )
        named = [(member.decode().partition("/"), at) for member, at in newest]
        own = [(session_id, at) for (of, _, session_id), at in named if of == tenant][:limit]

        def read(pipe: Any) -> None:
            for session_id, _ in own:
                pipe.hget(SessionKeys.of(SessionKey(tenant, session_id)).meta, "handoff")

        found = []
        for (session_id, at), raw in zip(
            own, self._store.pipelined(read) if own else (), strict=True
        ):
            # One that was handed back just now, or is no more, is left out.
            seals = SessionSeals(self._store.cipher, SessionKey(tenant, session_id))
            handoff = _shown(raw or b"", seals, since=float(at))
            if handoff is not None:
                found.append(HandedSession(session_id, handoff, float(at)))
        return found

    def count(self) -> int:
        """See the port."""
        [count] = self._store.pipelined(lambda pipe: pipe.zcard(keys.HANDOFFS))
        return int(count)


def _shown(stored: bytes, seals: SessionSeals, *, since: float) -> Handoff | None:
    """Return a handoff; one that nobody opens any more is still one, of which less is known.

    Raises ``MasterKeyMissing``: another pod shows it.
    """
    try:
        said = seals.opened(stored, HANDOFF)
    except MasterKeyMissing:
        raise
    except Sealed as error:
        _log.warning("handoff_sealed", session_id=seals.key.session_id, reason=str(error))
        return Handoff(since, "", "agent")
    return Handoff.from_json(orjson.loads(said)) if said else None
