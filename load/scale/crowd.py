"""Many pods' loops in one process on one real Redis, in a time of their own.

The model foretells what they cost; it was not made from them.

Heartbeats, looks at the others, sweeps and polls for delayed jobs are the product's own code. Time
moves from one thing that is due to the next, so a machine that is busy changes no count: what Redis
computed is divided by the seconds that the crowd lived through.
"""

import heapq
import itertools
import random
import statistics
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from kotaemon_node.adapters.redis import RedisPresence, RedisSessionStore, connect
from kotaemon_node.adapters.redis.later import RedisLater
from kotaemon_node.adapters.system import RandomIds
from kotaemon_node.domain import limits
from kotaemon_node.engine.later import LaterWorker
from kotaemon_node.engine.owners import Owners
from kotaemon_node.engine.pod import Identity, Pod
from kotaemon_node.engine.recovery import Recovery
from kotaemon_node.ports.knowledge import PodReport, Presence
from kotaemon_node.telemetry.metrics import Metrics
from load.scale.measure_store import POLLED, put_running, report_of
from load.scale.seen import Usage, client_of
from tests.redis_server import RedisServer

_TTL_S = 3_600.0
"""Of heartbeats: this process may live through a second in less than one, or in more."""


class Time:
    """``ports.runtime.Clock`` of the crowd."""

    def __init__(self) -> None:
        self.at_s = 1_000.0

    def now_s(self) -> float:
        return 1_700_000_000.0 + self.at_s

    def monotonic_s(self) -> float:
        return self.at_s

    def sleep(self, duration_s: float) -> None:
        raise NotImplementedError("nothing that is measured sleeps")

    def wait(self, event: Any, timeout_s: float) -> bool:
        raise NotImplementedError("nothing that is measured waits")


class Crowd:
    """``pods`` pods; ``running`` turns are in the index, spread over them."""

    def __init__(self, server: RedisServer, *, pods: int, running: int) -> None:
        self._store = connect(server.url)
        self._client = client_of(server.url)
        self._time = Time()
        self._dice = random.Random(pods)
        self._due: list[tuple[float, int, Callable[[], float]]] = []
        self._order = itertools.count()
        self.asked = 0
        for number in range(running):
            put_running(self._client, number, owner=f"pod-{number % pods}")
        for number in range(pods):
            self._join(f"pod-{number}")

    def live(self, duration_s: float, *, rounds: int) -> dict[str, float]:
        """Return what each second cost Redis in the cheapest round: others on its core only add.

        ``asked``: how many addresses were asked.
        """
        self._run(limits.BEHIND_LOOK_S)  # all have beaten, and looked once
        found = []
        for _ in range(rounds):
            asked, before = self.asked, Usage.of(self._client)
            self._run(duration_s)
            used = (Usage.of(self._client) - before).per(duration_s)
            found.append({**used, "asked": (self.asked - asked) / duration_s})
        means = {name: statistics.mean(it[name] for it in found) for name in found[0]}
        return {**means, "cpu_us": min(it["cpu_us"] for it in found)}

    def _run(self, duration_s: float) -> None:
        until_s = self._time.at_s + duration_s
        while self._due[0][0] < until_s:
            at_s, _, act = heapq.heappop(self._due)
            self._time.at_s = at_s
            self._put(at_s + act(), act)
        self._time.at_s = until_s

    def _put(self, at_s: float, act: Callable[[], float]) -> None:
        heapq.heappush(self._due, (at_s, next(self._order), act))

    def incarnation_at(self, address: str) -> str:
        """See ``ports.peers.Peers``: all live, at an address of their name."""
        self.asked += 1
        return address

    def store_answers_at(self, address: str) -> bool:
        """See the port."""
        raise NotImplementedError("the store was away while it was measured")

    def _join(self, name: str) -> None:
        """Start the loops of one pod, somewhere in their periods."""
        presence: Presence = _Longer(RedisPresence(self._store, clock=self._time), name)
        pod = Pod(
            Identity(name, name, name, 1, "0.1.0"),
            served=dict,
            loaded=lambda: True,
            refused=dict,
            presence=presence,
            peers=self,
            clock=self._time,
            metrics=_METRICS,
        )
        owners = Owners(mine=name, presence=presence, peers=self, clock=self._time)
        nothing: Any = None
        worker = LaterWorker(
            RedisLater(self._store),
            handlers=dict.fromkeys(POLLED, nothing),
            clock=self._time,
            ids=RandomIds(),
            tasks=nothing,
            draining=lambda: False,
            jitter=self._dice.random,
            pods=lambda: owners.pods,
        )
        engine: Any = SimpleNamespace(executes=lambda key: True, resend=lambda unsent: None)
        recovery = Recovery(
            owner=name,
            sessions=RedisSessionStore(self._store, ttl_s=3600, idle_s=1800),
            owners=owners,
            engine=engine,
            draining=lambda: False,
        )

        def beat() -> float:
            pod.beat(owners)
            return limits.POD_HEARTBEAT_S

        def sweep() -> float:
            recovery.sweep(chance=self._dice.random)
            return limits.SWEEP_S * (0.5 + self._dice.random())

        def poll() -> float:
            worker.step()
            return worker.period_s * (0.5 + self._dice.random())

        for act, period_s in ((beat, 0.5), (sweep, 1.0), (poll, 0.5)):
            self._put(self._time.at_s + self._dice.random() * period_s, act)


class _Longer:
    """A pod's way to the table of pods, with a row of the usual size that lives on."""

    def __init__(self, presence: RedisPresence, name: str) -> None:
        self._presence = presence
        self._row = PodReport({**report_of(name), "address": name})

    def beat(self, pod: PodReport, *, ttl_s: float) -> None:
        self._presence.beat(self._row, ttl_s=_TTL_S)

    def leave(self, incarnation: str) -> None:
        self._presence.leave(incarnation)

    def pods(self) -> Any:
        return self._presence.pods()

    def pod(self, incarnation: str) -> PodReport | None:
        return self._presence.pod(incarnation)


def lived(*, pods: int, running: int, duration_s: float, rounds: int = 3) -> dict[str, float]:
    """Have so many pods live for so long on a Redis of their own."""
    server = RedisServer(options=())
    server.start()
    try:
        return Crowd(server, pods=pods, running=running).live(duration_s, rounds=rounds)
    finally:
        server.remove()


_METRICS = Metrics()
