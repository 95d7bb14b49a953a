"""Messages to those who listen now: frames were stored, a turn was taken away. Hints only."""

import threading
from collections.abc import Callable
from typing import Any

import structlog

from kotaemon_node.adapters.redis.connection import RedisStore
from kotaemon_node.ports.runtime import Clock, Tasks

_log = structlog.get_logger(__name__)

_RECONNECT_S = 0.5
_LISTEN_S = 0.05  # how late a new watch may be subscribed; followers look again by themselves

Hear = Callable[[str], None]


class Signals:
    """Subscribes to the channels that somebody on this pod watches, on one connection.

    Only the listening task touches that connection: two tasks that reconnect one socket at once
    break it for both. Watches change a dict, and the listener follows it at its next look.
    """

    def __init__(self, store: RedisStore, *, clock: Clock, tasks: Tasks) -> None:
        self._store = store
        self._clock = clock
        self._tasks = tasks
        self._lock = threading.Lock()
        self._watches: dict[str, list[Hear]] = {}
        self._listening = False

    def watch(self, channel: str, hear: Hear) -> Callable[[], None]:
        """Call ``hear`` with each message, and with "" after a gap in which some may be lost."""
        with self._lock:
            self._watches.setdefault(channel, []).append(hear)
            start, self._listening = not self._listening, True
        if start:
            self._tasks.spawn("frame-signals", self._listen)

        def end() -> None:
            with self._lock:
                hearers = self._watches.get(channel, [])
                if hear in hearers:
                    hearers.remove(hear)
                if not hearers:
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
                self._tell(wanted, "")
            subscribed = wanted
            if not subscribed:
                self._clock.sleep(_LISTEN_S)
                continue
            message = pubsub.get_message(timeout=_LISTEN_S)
            if message is not None and message["type"] == "message":
                self._tell({message["channel"].decode()}, message["data"].decode())

    def _tell(self, channels: set[str], text: str) -> None:
        with self._lock:
            told = [hear for channel in channels for hear in self._watches.get(channel, ())]
        for hear in told:
            hear(text)
