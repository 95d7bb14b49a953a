"""A primary and its replica whose link can be cut, behind an address that can move."""

import redis

from tests.redis_server import RedisServer
from tests.redis_sets import until
from tests.relay import Relay

_IN_MEMORY = ("--appendonly", "no", "--repl-diskless-sync-delay", "0")


class RedisPair:
    """Pods reach "the primary" at ``url``; replication goes through ``link``."""

    def __init__(self) -> None:
        self.removed = False
        self.primary = RedisServer(options=_IN_MEMORY)
        self.replica = RedisServer(options=_IN_MEMORY)
        self._servers = [self.primary, self.replica]
        self.link = Relay(self.primary.port)
        """Between the replica and its primary."""
        self.address = Relay(self.primary.port)
        """Between pods and whoever is the primary: a virtual address."""
        self.url = self.address.url

    def start(self) -> None:
        """Start both and return when the replica has caught up."""
        for server in self._servers:
            server.start()
        self._replicate()

    def _replicate(self) -> None:
        client = redis.Redis(port=self.replica.port, socket_timeout=5)
        client.replicaof("127.0.0.1", self.link.port)
        until(lambda: client.info("replication")["master_link_status"] == "up")  # type: ignore[index]
        client.close()

    def lose_primary(self) -> None:
        """Kill the primary, promote the replica as it stands, and move the address to it."""
        self.primary.kill()
        promoted = redis.Redis(port=self.replica.port, socket_timeout=5)
        promoted.replicaof("NO", "ONE")
        promoted.close()
        self.primary = self.replica
        self.address.switch(self.primary.port)

    def add_replica(self) -> None:
        """Give the primary a new replica, over a link that is well."""
        self.replica = RedisServer(options=_IN_MEMORY)
        self._servers.append(self.replica)
        self.replica.start()
        self.link.switch(self.primary.port)
        self._replicate()

    def wipe(self) -> None:
        """Forget everything."""
        redis.Redis(port=self.primary.port).flushall()

    def remove(self) -> None:
        """End all."""
        self.removed = True
        for relay in (self.link, self.address):
            relay.remove()
        for server in self._servers:
            server.remove()
