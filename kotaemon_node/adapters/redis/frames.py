"""Frames of turns in Redis Streams, whose ids are the frames' numbers: Redis refuses a repeat."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
import structlog

from kotaemon_node.adapters.redis.connection import Call, RedisStore
from kotaemon_node.adapters.redis.keys import SessionKeys
from kotaemon_node.adapters.redis.records import frame_of
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import Fenced, Gone, Invalid, Overloaded, SequenceGap
from kotaemon_node.domain.session import SessionKey, TurnKey
from kotaemon_node.ports.runtime import Clock, Tasks
from kotaemon_node.ports.sessions import FrameBatch, StoredFrames

_log = structlog.get_logger(__name__)

_RECONNECT_S = 0.5
_LISTEN_S = 0.05  # how late a new watch may be subscribed; followers look again by themselves

Wake = Callable[[str, int], None]

_APPEND_ERRORS: Mapping[str, Callable[[], Exception]] = {
    "gone": lambda: Gone("the session was deleted"),
    "fenced": lambda: Fenced("another pod owns the turn"),
    "gap": lambda: SequenceGap("a frame before this one is missing"),
    "full": lambda: Overloaded("the answer has too many frames"),
}


class RedisFrameLog:
    """``ports.sessions.FrameLog``. One subscription connection serves all watches of the pod."""

    def __init__(
        self, store: RedisStore, *, clock: Clock, tasks: Tasks, waiting: RedisStore | None = None
    ) -> None:
        """``waiting``: a connection of it is held for the pod's subscriptions."""
        self._store = store
        self._signals = _Signals(waiting or store, clock=clock, tasks=tasks)

    def append(self, batches: Sequence[FrameBatch]) -> Sequence[Exception | None]:
        """See the port."""
        calls: list[Call] = []
        results: list[Exception | None] = []
        for batch in batches:
            try:
                calls.append(_append_call(batch))
                results.append(None)
            except (TypeError, ValueError) as error:
                # What cannot be written is its own turn's fault, never that of its neighbours.
                results.append(Invalid(f"a frame cannot be stored: {error}"))
        replies = iter(self._store.run_many("append", calls) if calls else ())
        return [error or _append_error(next(replies)) for error in results]

    def read(self, key: TurnKey, *, after: int, limit: int, trace_id: str) -> StoredFrames:
        """See the port."""
        names = SessionKeys.of(key.session)
        stream = names.frames(key.turn_id)

        def fill(pipe: Any) -> None:
            pipe.xrange(stream, min=f"{after + 1}-0", count=limit)
            pipe.xrevrange(stream, count=1)

        entries, newest = self._store.pipelined(fill)
        frames = tuple(
            frame_of(entry_id, fields, turn_id=key.turn_id, trace_id=trace_id)
            for entry_id, fields in entries
        )
        last = int(newest[0][0].split(b"-")[0]) if newest else 0
        return StoredFrames(frames=frames, last=last, kept=bool(newest))

    def watch(self, key: SessionKey, wake: Wake) -> Callable[[], None]:
        """See the port."""
        return self._signals.watch(SessionKeys.of(key).signal, wake)


class _Signals:
    """Subscribes to the channels that somebody on this pod watches, on one connection.

    Only the listening task touches that connection: two tasks that reconnect one socket at once
    break it for both. Watches change a dict, and the listener follows it at its next look.
    """

    def __init__(self, store: RedisStore, *, clock: Clock, tasks: Tasks) -> None:
        self._store = store
        self._clock = clock
        self._tasks = tasks
        self._lock = threading.Lock()
        self._watches: dict[str, list[Wake]] = {}
        self._listening = False

    def watch(self, channel: str, wake: Wake) -> Callable[[], None]:
        with self._lock:
            self._watches.setdefault(channel, []).append(wake)
            start, self._listening = not self._listening, True
        if start:
            self._tasks.spawn("frame-signals", self._listen)

        def end() -> None:
            with self._lock:
                wakes = self._watches.get(channel, [])
                if wake in wakes:
                    wakes.remove(wake)
                if not wakes:
                    self._watches.pop(channel, None)

        return end

    def _listen(self) -> None:
        """Listen for ever; whatever breaks the connection, a new one is made."""
        while True:
            pubsub = self._store.client.pubsub(ignore_subscribe_messages=True)
            try:
                self._listen_on(pubsub)
            except Exception as error:  # noqa: BLE001 - without this task every follower would poll
                _log.warning("signals_unreachable", error=str(error))
                self._clock.sleep(_RECONNECT_S)
            finally:
                pubsub.close()

    def _listen_on(self, pubsub: Any) -> None:
        subscribed: set[str] = set()
        while True:
            with self._lock:
                wanted = set(self._watches)
            if added := wanted - subscribed:
                pubsub.subscribe(*added)
            if left := subscribed - wanted:
                pubsub.unsubscribe(*left)
            if added and not subscribed:
                # After a gap nobody knows what was missed: everybody looks.
                self._wake(wanted, "", 0)
            subscribed = wanted
            if not subscribed:
                self._clock.sleep(_LISTEN_S)
                continue
            message = pubsub.get_message(timeout=_LISTEN_S)
            if message is not None and message["type"] == "message":
                turn_id, seq = message["data"].decode().split(" ")
                self._wake({message["channel"].decode()}, turn_id, int(seq))

    def _wake(self, channels: set[str], turn_id: str, seq: int) -> None:
        with self._lock:
            wakes = [wake for channel in channels for wake in self._watches.get(channel, ())]
        for wake in wakes:
            wake(turn_id, seq)


def _append_call(batch: FrameBatch) -> tuple[list[str], list[Any]]:
    lease = batch.lease
    names = SessionKeys.of(lease.key.session)
    turn_id = lease.key.turn_id
    arguments: list[Any] = [
        lease.epoch,
        lease.fence,
        lease.owner,
        batch.first_seq,
        turn_id,
        names.signal,
        # Longer than any turn, so that a takeover always finds what was shown.
        int(limits.TURN_TIMEOUT_S) + limits.FRAME_RETENTION_S,
        limits.FRAMES_PER_TURN_MAX,
    ]
    for body in batch.bodies:
        arguments += [body.type, orjson.dumps(dict(body.fields))]
    return [names.meta, names.turn(turn_id), names.frames(turn_id)], arguments


def _append_error(reply: Any) -> Exception | None:
    if reply == b"ok":
        return None
    return _APPEND_ERRORS[reply.decode()]()
