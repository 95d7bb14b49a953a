"""Frames of turns in Redis Streams, whose ids are the frames' numbers: Redis refuses a repeat."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
import structlog
from redis.exceptions import RedisError

from kotaemon_node.adapters.redis.connection import RedisStore
from kotaemon_node.adapters.redis.keys import SessionKeys
from kotaemon_node.adapters.redis.records import frame_of
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import Fenced, Gone, Overloaded, SequenceGap
from kotaemon_node.domain.session import SessionKey, TurnKey
from kotaemon_node.ports.runtime import Clock, Tasks
from kotaemon_node.ports.sessions import FrameBatch, StoredFrames

_log = structlog.get_logger(__name__)

_RECONNECT_S = 0.5
_LISTEN_S = 1.0

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
        calls = [_append_call(batch) for batch in batches]
        replies = self._store.run_many("append", calls)
        return [_append_error(reply) for reply in replies]

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
    """Subscribes to the channels that somebody on this pod watches, on one connection."""

    def __init__(self, store: RedisStore, *, clock: Clock, tasks: Tasks) -> None:
        self._store = store
        self._clock = clock
        self._tasks = tasks
        self._lock = threading.Lock()
        self._watches: dict[str, list[Wake]] = {}
        self._pubsub: Any = None

    def watch(self, channel: str, wake: Wake) -> Callable[[], None]:
        with self._lock:
            first = channel not in self._watches
            self._watches.setdefault(channel, []).append(wake)
            if self._pubsub is None:
                self._start()
            elif first:
                self._tell("subscribe", channel)

        def end() -> None:
            with self._lock:
                wakes = self._watches.get(channel, [])
                if wake in wakes:
                    wakes.remove(wake)
                if not wakes and self._watches.pop(channel, None) is not None:
                    self._tell("unsubscribe", channel)

        return end

    def _start(self) -> None:
        self._pubsub = self._store.client.pubsub(ignore_subscribe_messages=True)
        self._tasks.spawn("frame-signals", self._listen)

    def _tell(self, command: str, channel: str) -> None:
        try:
            getattr(self._pubsub, command)(channel)
        except RedisError as error:
            # The listener subscribes to everything anew when it has a connection again.
            _log.warning("signals_unreachable", error=str(error))

    def _listen(self) -> None:
        connected = False
        while True:
            try:
                if not connected:
                    with self._lock:
                        channels = list(self._watches)
                    # Without any watch there is nothing to subscribe to, and nothing to read.
                    if channels:
                        self._pubsub.subscribe(*channels)
                        connected = True
                        self._wake_all()
                if not connected:
                    self._clock.sleep(_LISTEN_S / 20)
                    continue
                self._deliver(self._pubsub.get_message(timeout=_LISTEN_S))
            except RedisError as error:
                _log.warning("signals_unreachable", error=str(error))
                connected = False
                self._clock.sleep(_RECONNECT_S)

    def _deliver(self, message: Any) -> None:
        if message is None or message["type"] != "message":
            return
        turn_id, seq = message["data"].decode().split(" ")
        with self._lock:
            wakes = list(self._watches.get(message["channel"].decode(), ()))
        for wake in wakes:
            wake(turn_id, int(seq))

    def _wake_all(self) -> None:
        """After a gap nobody knows what was missed: everybody looks."""
        with self._lock:
            wakes = [wake for wakes in self._watches.values() for wake in wakes]
        for wake in wakes:
            wake("", 0)


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
