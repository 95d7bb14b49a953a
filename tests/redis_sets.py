"""Real Redis in company: a primary and a replica behind Sentinel, and a Cluster."""

import itertools
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import redis

from kotaemon_node.adapters.redis import RedisStore
from kotaemon_node.adapters.redis.cluster import ClusterClient
from tests.redis_server import RedisServer, free_port

SLOTS = 16_384
_IN_MEMORY = ("--appendonly", "no", "--repl-diskless-sync-delay", "0")


def until(condition: Callable[[], Any], *, timeout_s: float = 60) -> Any:
    """Wait for a condition and return what it says; Redis may be away meanwhile."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            if found := condition():
                return found
        except redis.exceptions.RedisError as error:
            if time.monotonic() > deadline:
                raise AssertionError("Redis did not come back") from error
        assert time.monotonic() < deadline, "the condition never held"
        time.sleep(0.02)


class RedisSentinel:
    """One primary, one replica and three sentinels that are quick to judge."""

    def __init__(self) -> None:
        self.removed = False
        self.data = [RedisServer(options=_IN_MEMORY), RedisServer(options=_IN_MEMORY)]
        self.folder = Path(tempfile.mkdtemp(prefix="kn-sentinel-"))
        self.ports = [free_port() for _ in range(3)]
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        self.url = f"redis+sentinel://{hosts}/kn?db=0"
        self._sentinels: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start all and return when they know each other."""
        for server in self.data:
            server.start()
        self._client(1).replicaof("127.0.0.1", self.data[0].port)
        until(lambda: self._client(1).info("replication")["master_link_status"] == "up")
        for number, port in enumerate(self.ports):
            self._sentinels.append(self._sentinel(number, port))
        for port in self.ports:
            until(lambda port=port: self._sees_all(port))

    def _sentinel(self, number: int, port: int) -> subprocess.Popen[bytes]:
        config = self.folder / f"{number}.conf"
        config.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {self.folder}\nloglevel warning\n"
            f"sentinel monitor kn 127.0.0.1 {self.data[0].port} 2\n"
            "sentinel down-after-milliseconds kn 1000\n"
            "sentinel failover-timeout kn 3000\n"
        )
        command = ["redis-server", str(config), "--sentinel"]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL)

    def _sees_all(self, port: int) -> bool:
        seen = redis.Redis(port=port, protocol=2).sentinel_master("kn")
        return bool(seen["num-other-sentinels"] == 2 and seen["num-slaves"] == 1)

    def _client(self, number: int) -> Any:
        return redis.Redis(port=self.data[number].port, socket_timeout=5)

    def primary(self) -> RedisServer:
        """Return the server that the sentinels name."""
        sentinel: Any = redis.Redis(port=self.ports[0], protocol=2)
        _, port = sentinel.sentinel_get_master_addr_by_name("kn")
        return next(server for server in self.data if server.port == port)

    def fail_over(self) -> None:
        """Make the replica primary while both live; the old one obeys."""
        old = self.primary()
        new = next(server for server in self.data if server is not old)
        sentinels: list[Any] = [redis.Redis(port=port, protocol=2) for port in self.ports]
        # By hand: sentinels let a primary that lives have ten seconds to obey.
        redis.Redis(port=new.port).replicaof("NO", "ONE")
        redis.Redis(port=old.port).replicaof("127.0.0.1", new.port)
        for sentinel in sentinels:
            sentinel.execute_command("SENTINEL REMOVE", "kn")
            sentinel.execute_command("SENTINEL MONITOR", "kn", "127.0.0.1", new.port, 2)

    def wipe(self) -> None:
        """Forget everything."""
        until(lambda: redis.Redis(port=self.primary().port).flushall())

    def remove(self) -> None:
        """End all and remove their folders."""
        self.removed = True
        for sentinel in self._sentinels:
            sentinel.kill()
            sentinel.wait(timeout=30)
        for server in self.data:
            server.remove()
        shutil.rmtree(self.folder, ignore_errors=True)


class RedisCluster:
    """Three primaries, each with a third of the slots, and a replica each where asked for."""

    def __init__(self, *, replicated: bool = False) -> None:
        self.removed = False
        self.shards = [_member() for _ in range(3)]
        self.replicas = [_member() for _ in self.shards if replicated]
        hosts = ",".join(f"127.0.0.1:{shard.port}" for shard in self.shards)
        self.url = f"redis+cluster://{hosts}"

    def start(self) -> None:
        """Start all and return when they agree."""
        bounds = [number * SLOTS // 3 for number in range(4)]
        for number, shard in enumerate(self.shards):
            shard.start()
            client = self.client(shard)
            first, last = bounds[number], bounds[number + 1] - 1
            client.execute_command("CLUSTER ADDSLOTSRANGE", first, last)
            client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
        for one, other in itertools.pairwise(self.shards):
            options = list(other.options)
            bus = options[options.index("--cluster-port") + 1]
            self.client(one).execute_command("CLUSTER MEET", "127.0.0.1", other.port, bus)
        for shard in self.shards:
            until(lambda shard=shard: self._agrees(shard))
        for shard, replica in zip(self.shards, self.replicas, strict=False):
            self._follow(shard, replica)

    def _follow(self, shard: RedisServer, replica: RedisServer) -> None:
        """Make a new member the replica of a shard; return when it has all."""
        replica.start()
        client = self.client(replica)
        options = list(shard.options)
        bus = options[options.index("--cluster-port") + 1]
        client.execute_command("CLUSTER MEET", "127.0.0.1", shard.port, bus)
        name = self.client(shard).execute_command("CLUSTER MYID").decode()
        until(lambda: name in str(client.execute_command("CLUSTER NODES")))
        # Until their handshake is over, the name may be forgotten once more.
        until(lambda: client.execute_command("CLUSTER REPLICATE", name))
        until(lambda: client.info("replication")["master_link_status"] == "up")

    def _agrees(self, shard: RedisServer) -> bool:
        client = self.client(shard)
        rows = client.execute_command("CLUSTER SLOTS")
        known: Any = client.cluster("INFO")
        return len(rows) == 3 and known["cluster_state"] == "ok"

    def client(self, shard: RedisServer) -> Any:
        """Return a client of one shard alone."""
        return redis.Redis(port=shard.port, socket_timeout=5, protocol=2)

    def move(
        self,
        slot: int,
        *,
        first: Sequence[str] = (),
        between: Callable[[], None] = lambda: None,
        arrived: Callable[[], None] = lambda: None,
    ) -> None:
        """Move a slot to another shard, a key at a time, ``first`` before the others.

        ``between`` is called after each key, ``arrived`` after all and before the slot follows.
        """
        source = self.owner(slot)
        target = next(shard for shard in self.shards if shard is not source)
        ids = {
            shard.port: self.client(shard).execute_command("CLUSTER MYID")
            for shard in (source, target)
        }
        giver, taker = self.client(source), self.client(target)
        setslot = "CLUSTER SETSLOT"
        taker.execute_command(setslot, slot, "IMPORTING", ids[source.port])
        giver.execute_command(setslot, slot, "MIGRATING", ids[target.port])
        ahead = list(first)
        while names := ahead or giver.execute_command("CLUSTER GETKEYSINSLOT", slot, 1):
            giver.execute_command("MIGRATE", "127.0.0.1", target.port, names.pop(0), 0, 5_000)
            between()
        arrived()
        for client in (taker, giver, *(self.client(shard) for shard in self.shards)):
            client.execute_command(setslot, slot, "NODE", ids[target.port])

    def owner(self, slot: int) -> RedisServer:
        """Return the shard that has a slot."""
        for first, last, (_, port, *_), *_ in self.client(self.shards[0]).execute_command(
            "CLUSTER SLOTS"
        ):
            if first <= slot <= last:
                return next(shard for shard in self.shards if shard.port == port)
        raise AssertionError(f"nobody has slot {slot}")

    def wipe(self) -> None:
        """Forget everything."""
        for shard in self.shards:
            if shard.running:
                self.client(shard).flushall()

    def remove(self) -> None:
        """End all and remove their folders."""
        self.removed = True
        for member in (*self.shards, *self.replicas):
            member.remove()


def _member() -> RedisServer:
    options = [
        *_IN_MEMORY,
        *("--cluster-enabled", "yes", "--cluster-port", str(free_port())),
        *("--cluster-node-timeout", "2000", "--cluster-require-full-coverage", "no"),
    ]
    return RedisServer(options=options)


KINDS: dict[str, Callable[[], RedisServer | RedisSentinel | RedisCluster]] = {
    "single": RedisServer,
    "sentinel": RedisSentinel,
    "cluster": RedisCluster,
}

SETS_LONG = [
    "single",
    *(pytest.param(kind, marks=pytest.mark.long) for kind in KINDS if kind != "single"),
]
"""The kinds as parameters of tests that the short suite runs on one Redis alone."""


def names_like(store: RedisStore, pattern: str) -> list[bytes]:
    """Return the keys of the whole store that match."""
    client = store.client
    clients = [client]
    if isinstance(client, ClusterClient):
        clients = [node.client for node in client.slots.primaries()]
    return sorted(name for client in clients for name in client.keys(pattern))
