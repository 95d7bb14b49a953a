"""Which node of a Redis Cluster has which slot, as far as is known here."""

import threading
import time
from collections.abc import Sequence
from typing import Any

import redis
import structlog
from redis.connection import Connection
from redis.crc import key_slot
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from kotaemon_node.adapters.redis import keys
from kotaemon_node.adapters.redis.address import Address
from kotaemon_node.adapters.redis.patience import at_once

_log = structlog.get_logger(__name__)

# Reading the table must not wait for a node that hangs: another one knows it as well.
_HASTY_TIMEOUT_S = 0.5
_TABLE_YOUNG_S = 0.05  # of many callers that find it wrong at once, one reads it
_REST_S, _REST_MAX_S = 1.0, 8.0
_CONNECTION_OPTIONS = ("username", "password", "credential_provider", "protocol", "client_name")


class Node:
    """A primary and its bounded pool of connections."""

    def __init__(self, address: Address, options: dict[str, Any]) -> None:
        host, port = address
        self.address = address
        # redis-py leaves half of its pools and clients untyped.
        make: Any = redis.BlockingConnectionPool
        self.pool = make(host=host, port=port, retry=at_once(), **options)
        self.client: Any = redis.Redis(connection_pool=self.pool)
        self._options = options
        self._rest_s = 0.0
        self._rests_until_s = 0.0
        self.touched = 0
        """Number of the key by which this node was last asked to confirm, see ``keys.touch``."""

    @property
    def resting(self) -> bool:
        """It hung a moment ago: those who have others to ask leave it out."""
        return time.monotonic() < self._rests_until_s

    def rest(self) -> None:
        """Leave it out for a while, longer each time."""
        self._rest_s = min(_REST_MAX_S, 2 * self._rest_s or _REST_S)
        self._rests_until_s = time.monotonic() + self._rest_s

    def answered(self) -> None:
        """It is well."""
        self._rest_s = 0.0

    def awake(self) -> bool:
        """Tell whether it may be asked by those in a hurry; one that hung shows that it answers."""
        if not self._rest_s:
            return True
        if self.resting:
            return False
        try:
            hasty(self.address, self._options).disconnect()
        except (RedisError, OSError):
            self.rest()
            return False
        return True


class SlotTable:
    """Slot → primary. Thread safe; connects when first asked.

    A table that is out of date does no harm: the node that is asked says who has the slot.
    """

    def __init__(self, seeds: Sequence[Address], options: dict[str, Any]) -> None:
        self._seeds = tuple(seeds)
        self._options = options
        self._nodes: dict[Address, Node] = {}
        self._owners: dict[int, Address] = {}
        self._lock = threading.Lock()
        self._reading = threading.Lock()
        self._read_s = float("-inf")
        self._reads = 0
        self.version = 0
        """Grows with every change."""

    def node_of(self, name: str | bytes) -> Node:
        """Return the primary of a key or sharded channel; raises redis-py's ConnectionError."""
        return self.of_slot(slot_of(name))

    def of_slot(self, slot: int) -> Node:
        """Return the primary of a slot; raises redis-py's ConnectionError."""
        if not self._owners:
            self.read()
        owner = self._owners.get(slot)
        if owner is None:
            raise RedisConnectionError(f"no node has slot {slot}")
        return self.node(owner)

    def primaries(self) -> list[Node]:
        """Return all primaries that have slots, in a fixed order."""
        if not self._owners:
            self.read()
        return [self.node(address) for address in sorted(set(self._owners.values()))]

    def node(self, address: Address) -> Node:
        """Return the node at an address."""
        with self._lock:
            found = self._nodes.get(address)
            if found is None:
                found = self._nodes[address] = Node(address, self._options)
            return found

    def touch(self, node: Node) -> str:
        """Return a key for confirmations in a slot of the node; of any, where it has none."""
        owners = self._owners
        # Nearly always the one of before; to look through all slots costs more than a script does.
        while owners.get(slot_of(keys.touch(node.touched))) != node.address:
            if node.address not in owners.values():
                break
            node.touched += 1
        return keys.touch(node.touched)

    def moved(self, slot: int, address: Address) -> None:
        """Note what a node said."""
        with self._lock:
            if self._owners.get(slot) != address:
                self._owners = {**self._owners, slot: address}
                self.version += 1

    def read(self) -> None:
        """Read the table from whoever answers; raises redis-py's ConnectionError if nobody does."""
        before = self._reads
        with self._reading:
            if self._reads != before or time.monotonic() - self._read_s < _TABLE_YOUNG_S:
                # Another one has read it, or nobody answered it; one such wait is enough.
                if not self._owners:
                    raise RedisConnectionError("no node of the Redis Cluster answers")
                return
            try:
                owners = self._asked()
            finally:
                self._reads += 1
                self._read_s = time.monotonic()
            with self._lock:
                if owners != self._owners:
                    self._owners = owners
                    self.version += 1
                known = {*owners.values()}
                left = [self._nodes.pop(address) for address in {*self._nodes} - known]
        for node in left:
            node.pool.disconnect(inuse_connections=False)

    def _asked(self) -> dict[int, Address]:
        known = sorted(self._nodes.values(), key=lambda node: node.resting)
        for address in dict.fromkeys([*(node.address for node in known), *self._seeds]):
            try:
                owners = self._asked_at(address)
            except (RedisError, OSError) as error:
                _log.debug("cluster_node_unreachable", node=address, error=str(error))
            else:
                if owners:
                    return owners
        raise RedisConnectionError("no node of the Redis Cluster knows its slots")

    def _asked_at(self, address: Address) -> dict[int, Address]:
        connection = hasty(address, self._options)
        try:
            connection.send_command("CLUSTER", "SLOTS")
            rows: Any = connection.read_response()
        finally:
            connection.disconnect()
        owners: dict[int, Address] = {}
        for first, last, (name, at, *_), *_replicas in rows:
            # A node that doesn't know its own name is where it was asked.
            owner = (name.decode() if name else address[0], int(at))
            owners |= dict.fromkeys(range(first, last + 1), owner)
        return owners

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            nodes = list(self._nodes.values())
        for node in nodes:
            node.pool.disconnect()


def hasty(address: Address, options: dict[str, Any]) -> Any:
    """Return an open connection that waits for nothing long; raises redis-py's errors."""
    make: Any = options.get("connection_class", Connection)
    taken = [name for name in options if name in _CONNECTION_OPTIONS or name.startswith("ssl_")]
    connection = make(
        host=address[0],
        port=address[1],
        retry=at_once(),
        socket_timeout=_HASTY_TIMEOUT_S,
        socket_connect_timeout=_HASTY_TIMEOUT_S,
        **{name: options[name] for name in taken},
    )
    connection.connect()
    return connection


def slot_of(name: str | bytes) -> int:
    """Return the slot of a key or channel."""
    slot: int = key_slot(name.encode() if isinstance(name, str) else name)
    return slot
