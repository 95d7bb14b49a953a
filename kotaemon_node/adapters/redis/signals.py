"""Messages to those who listen now: frames were stored, a turn was taken away. Hints only."""

import threading
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any

import structlog
from redis.exceptions import ConnectionError as RedisConnectionError

from kotaemon_node.adapters.redis.cluster import ClusterClient
from kotaemon_node.adapters.redis.connection import RedisStore
from kotaemon_node.adapters.redis.slots import Node
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
        self._changes = 0
        self._listening = False

    def watch(self, channel: str, hear: Hear) -> Callable[[], None]:
        """Call ``hear`` with each message, and with "" after a gap in which some may be lost."""
        with self._lock:
            self._watches.setdefault(channel, []).append(hear)
            self._changes += 1
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
                self._changes += 1

        return end

    def _listen(self) -> None:
        """Listen for ever; whatever breaks the connection, a new one is made."""
        while True:
            pubsub = self._store.client.pubsub()
            try:
                self._listen_on(pubsub)
            except Exception as error:  # noqa: BLE001 - without this task every follower would poll
                _log.warning("signals_unreachable", error=str(error))
                self._clock.sleep(_RECONNECT_S)
            finally:
                pubsub.close()

    def _listen_on(self, pubsub: Any) -> None:
        subscribed: set[str] = set()
        seen = -1
        while True:
            if seen != self._changes:  # thousands are watched: not all are compared each time
                seen = self._changes
                subscribed = self._subscribe(pubsub, subscribed)
            if not subscribed:
                self._clock.sleep(_LISTEN_S)
                continue
            message = pubsub.get_message(timeout=_LISTEN_S)
            if message is None:
                continue
            if message["type"] == "message":
                self._tell({message["channel"].decode()}, message["data"].decode())
            elif message["type"] == "subscribe":
                # Now, or again after the connection was made anew: what was said before is lost.
                self._tell({message["channel"].decode()}, "")

    def _subscribe(self, pubsub: Any, subscribed: set[str]) -> set[str]:
        """Subscribe to what is watched and to nothing else; return it."""
        wanted = self._wanted()
        if added := wanted - subscribed:
            pubsub.subscribe(*added)
        if left := subscribed - wanted:
            pubsub.unsubscribe(*left)
        return wanted

    def _wanted(self) -> set[str]:
        with self._lock:
            return set(self._watches)

    def _tell(self, channels: set[str], text: str) -> None:
        with self._lock:
            told = [hear for channel in channels for hear in self._watches.get(channel, ())]
        for hear in told:
            hear(text)


class ShardedSignals(Signals):
    """The same on a Cluster: a task and a connection at each node with a watched channel.

    A node forgets the subscriptions of a slot that leaves it, and says so.
    """

    def __init__(self, cluster: ClusterClient, store: RedisStore, *, clock: Clock, tasks: Tasks):
        super().__init__(store, clock=clock, tasks=tasks)
        self._slots = cluster.slots
        self._places: dict[Node, set[str]] = {}
        self._listened: set[Node] = set()

    def _listen(self) -> None:
        """See to it that each channel is listened to where its slot is, for ever."""
        known: tuple[set[str], int] = (set(), -1)
        while True:
            try:
                state = (self._wanted(), self._slots.version)
                if state != known:
                    self._place(state[0])
                    known = state
            except Exception as error:  # noqa: BLE001 - without this task every follower would poll
                _log.warning("signals_unreachable", error=str(error))
                self._clock.sleep(_RECONNECT_S)
            self._clock.sleep(_LISTEN_S)

    def _place(self, channels: set[str]) -> None:
        places: dict[Node, set[str]] = defaultdict(set)
        for channel in channels:
            places[self._slots.node_of(channel)].add(channel)
        with self._lock:
            self._places = dict(places)
            begun = places.keys() - self._listened
            self._listened |= begun
        for node in begun:
            self._tasks.spawn("frame-signals", partial(self._listen_at, node))

    def _channels_at(self, node: Node) -> set[str]:
        """Return what to listen to at a node; nothing: its listener ends, and is begun anew."""
        with self._lock:
            channels = self._places.get(node, set())
            if not channels:
                self._listened.discard(node)
            return channels

    def _listen_at(self, node: Node) -> None:
        while self._channels_at(node):
            pubsub = node.client.pubsub()
            try:
                self._listen_sharded(pubsub, node)
            except Exception as error:  # noqa: BLE001 - as above
                _log.warning("signals_unreachable", node=node.address, error=str(error))
                self._clock.sleep(_RECONNECT_S)
                self._read_slots()
            else:
                return
            finally:
                pubsub.close()

    def _listen_sharded(self, pubsub: Any, node: Node) -> None:
        """Listen until nothing is watched at the node; raises whatever breaks the connection."""
        subscribed: set[str] = set()
        while wanted := self._channels_at(node):
            # One by one: a command must not name channels of two slots.
            for channel in wanted - subscribed:
                pubsub.ssubscribe(channel)
            for channel in subscribed - wanted:
                pubsub.sunsubscribe(channel)
            subscribed = set(wanted)
            message = pubsub.get_message(timeout=_LISTEN_S)
            if message is None or message["channel"] is None:
                continue
            channel = message["channel"].decode()
            match message["type"]:
                case "smessage":
                    self._tell({channel}, message["data"].decode())
                case "ssubscribe":
                    # What was said before is lost: whoever watches the channel looks.
                    self._tell({channel}, "")
                case "sunsubscribe" if channel in subscribed:
                    subscribed.discard(channel)
                    self._read_slots()

    def _read_slots(self) -> None:
        try:
            self._slots.read()
        except RedisConnectionError as error:
            _log.warning("signals_unreachable", error=str(error))


def signals_of(store: RedisStore, *, clock: Clock, tasks: Tasks) -> Signals:
    """Return the signals of a store, sharded on a Cluster."""
    if isinstance(store.client, ClusterClient):
        return ShardedSignals(store.client, store, clock=clock, tasks=tasks)
    return Signals(store, clock=clock, tasks=tasks)
