"""Frames of turns in Redis Streams, whose ids are the frames' numbers: Redis refuses a repeat."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kotaemon_node.adapters.redis import keys
from kotaemon_node.adapters.redis.connection import Call, RedisStore, Signal
from kotaemon_node.adapters.redis.keys import SessionKeys
from kotaemon_node.adapters.redis.records import frame_of, frame_row, sealed_step
from kotaemon_node.adapters.redis.session_seals import SessionSeals
from kotaemon_node.adapters.redis.signals import signals_of
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import (
    Fenced,
    Gone,
    Invalid,
    Overloaded,
    Sealed,
    SequenceGap,
    StoreUnavailable,
)
from kotaemon_node.domain.session import SessionKey, TurnKey
from kotaemon_node.ports.cipher import FieldCipher
from kotaemon_node.ports.frame_log import FrameBatch, StoredFrames
from kotaemon_node.ports.runtime import Clock, Tasks

_APPEND_ERRORS: Mapping[str, Callable[[], Exception]] = {
    "gone": lambda: Gone("the session was deleted"),
    "fenced": lambda: Fenced("another pod owns the turn"),
    "gap": lambda: SequenceGap("a frame before this one is missing"),
    "full": lambda: Overloaded("the answer has too many frames"),
}


class RedisFrameLog:
    """``ports.frame_log.FrameLog``. One subscription connection serves all watches of the pod."""

    def __init__(
        self,
        store: RedisStore,
        *,
        clock: Clock,
        tasks: Tasks,
        waiting: RedisStore | None = None,
        writing: RedisStore | None = None,
    ) -> None:
        """``waiting``: a connection of it is held for the pod's subscriptions.

        ``writing``: connections for frames, which must not wait behind new requests.
        """
        self._store = store
        self._writing = writing or store
        self._signals = signals_of(waiting or store, clock=clock, tasks=tasks)

    def append(self, batches: Sequence[FrameBatch]) -> Sequence[Exception | None]:
        """See the port."""
        calls: list[Call] = []
        signals: list[Signal] = []
        results: list[Exception | None] = []
        for batch in batches:
            try:
                calls.append(_append_call(batch, self._store.cipher))
                signals.append(_signal(batch))
                results.append(None)
            except (TypeError, ValueError) as error:
                # What cannot be written is its own turn's fault, never that of its neighbours.
                results.append(Invalid(f"a frame cannot be stored: {error}"))
            except (StoreUnavailable, Sealed) as error:
                results.append(error)  # the keys of its tenant cannot be had now
        replies = iter(self._writing.run_many("append", calls, signals=signals) if calls else ())
        return [error or _append_error(next(replies)) for error in results]

    def read(self, key: TurnKey, *, after: int, limit: int, trace_id: str) -> StoredFrames:
        """See the port."""
        names = SessionKeys.of(key.session)
        stream = names.frames(key.turn_id)

        def fill(pipe: Any) -> None:
            pipe.xrange(stream, min=f"{after + 1}-0", count=limit)
            pipe.xrevrange(stream, count=1)

        entries, newest = self._store.pipelined(fill, confirmed=True)
        seals = SessionSeals(self._store.cipher, key.session)
        frames = tuple(
            frame_of(entry_id, fields, seals, turn_id=key.turn_id, trace_id=trace_id)
            for entry_id, fields in entries
        )
        last = int(newest[0][0].split(b"-")[0]) if newest else 0
        return StoredFrames(frames=frames, last=last, kept=bool(newest))

    def watch(self, key: SessionKey, wake: Callable[[str, int], None]) -> Callable[[], None]:
        """See the port."""

        def hear(text: str) -> None:
            turn_id, seq = text.split(" ") if text else ("", "0")
            wake(turn_id, int(seq))

        return self._signals.watch(SessionKeys.of(key).signal, hear)

    def watch_losses(
        self, owner: str, lost: Callable[[TurnKey | None], None]
    ) -> Callable[[], None]:
        """See the port."""

        def hear(text: str) -> None:
            lost(keys.running_member(text) if text else None)

        return self._signals.watch(keys.losses(owner), hear)


def _append_call(batch: FrameBatch, cipher: FieldCipher) -> Call:
    lease = batch.lease
    seals = SessionSeals(cipher, lease.key.session)
    names = SessionKeys.of(lease.key.session)
    turn_id = lease.key.turn_id
    arguments: list[Any] = [
        lease.epoch,
        lease.fence,
        lease.owner,
        batch.first_seq,
        # Longer than any turn, so that a takeover always finds what was shown.
        int(limits.TURN_TIMEOUT_S) + limits.FRAME_RETENTION_S,
        limits.FRAMES_PER_TURN_MAX,
        int(limits.PROGRESS_NOTED_S * 1000),
        len(batch.journal),
    ]
    for step, value in batch.journal:
        arguments += [step, sealed_step(step, value, seals, turn_id)]
    for seq, body in enumerate(batch.bodies, batch.first_seq):
        arguments += frame_row(body, seals, turn_id=turn_id, seq=seq)
    return [names.meta, names.turn(turn_id), names.frames(turn_id)], arguments


def _signal(batch: FrameBatch) -> Signal:
    key = batch.lease.key
    last = batch.first_seq + len(batch.bodies) - 1
    return SessionKeys.of(key.session).signal, f"{key.turn_id} {last}"


def _append_error(reply: Any) -> Exception | None:
    if reply == b"ok":
        return None
    if isinstance(reply, Exception):
        # What keeps one batch from being stored, such as the death of its node, is not the others'.
        return reply
    return _APPEND_ERRORS[reply.decode()]()
