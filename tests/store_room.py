"""How much memory a Redis of a test has left."""

import contextlib

import redis

from tests.redis_server import RedisServer

KILOBYTE = b"x" * 1024


class Room:
    """How much memory a Redis has: none, as before, or so many bytes more than it uses."""

    def __init__(self, server: RedisServer) -> None:
        self.client = redis.Redis(port=server.port)

    def take(self) -> None:
        """Fill it up, as somebody else's keys would; nothing fits any more."""
        self.leave(256 * 1024)
        place = 0
        with contextlib.suppress(redis.exceptions.OutOfMemoryError):
            while True:
                self.client.set(f"ballast:{place}", KILOBYTE)
                place += 1
        # The last kilobyte, or a buffer of a client that has gone, must not let a short write
        # through now and then.
        self.leave(-int(self.client.info("memory")["used_memory"]) // 2)

    def leave(self, more_bytes: int) -> None:
        used = int(self.client.info("memory")["used_memory"])
        self.client.config_set("maxmemory", used + more_bytes)

    def give_back(self) -> None:
        """Take somebody else's keys away."""
        for name in self.client.scan_iter("ballast:*", count=1_000):
            self.client.delete(name)
        self.client.config_set("maxmemory", 0)
