"""What a turn and an idle pod cost Redis, HAProxy and the pod: a whole cluster, by its counters."""

import itertools
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import requests

from kotaemon_node.adapters.system.peers import HttpPeers
from kotaemon_node.domain import limits
from load.kept import progress
from load.scale.seen import Usage, client_of, families, noted, ports_of
from tests.cluster import Cluster

CLIENTS = 4
_PEERS_ASKED = 300


def measured(*, turns: int, idle_s: float) -> dict[str, Any]:
    """Return ``turn`` and ``idle`` with their ``families``; what HAProxy and the pod computed."""
    environment = {"ANSWER_CACHE_TTL_S": "0"}
    with (
        tempfile.TemporaryDirectory() as folder,
        Cluster(Path(folder) / "data", workers=1, environment=environment) as cluster,
    ):
        client = client_of(f"redis://127.0.0.1:{cluster.row('redis')['port']}")
        talk = Talk(cluster)
        talk.turns(turns // 4)  # connections, scripts, caches
        serving = ports_of(cluster.pid("worker-0"))
        progress("an idle pod")
        idle = _idle(client, idle_s, serving.__contains__)
        progress("turns")
        answered = _turns(client, talk, turns, serving.__contains__, cluster)
        return {**idle, **answered, "peer_asked_cpu_us": _asked(cluster)}


class Talk:
    """Clients that ask new questions without a pause, each in a session of its own."""

    def __init__(self, cluster: Cluster) -> None:
        self._url = cluster.url
        self._numbers = itertools.count()

    def turns(self, count: int) -> None:
        """Return when so many turns were answered; raises for one that was not."""
        with ThreadPoolExecutor(CLIENTS) as pool:
            for one in [pool.submit(self._client, count // CLIENTS) for _ in range(CLIENTS)]:
                one.result()

    def _client(self, count: int) -> None:
        with requests.Session() as session:
            number = next(self._numbers)
            for turn in range(count):
                answer = session.post(
                    f"{self._url}/v1/sessions/scale-{number}/turns",
                    json={"message": f"How long may I return order {number * 1000 + turn}?"},
                    headers={"Accept": "application/json"},
                    timeout=75,
                )
                answer.raise_for_status()
                if answer.json()["state"] != "done":
                    raise RuntimeError(answer.text[:300])


def _idle(client: Any, idle_s: float, of_pod: Callable[[int], bool]) -> dict[str, Any]:
    whole, took_s = _usage(client, lambda: time.sleep(idle_s))
    with noted(client):
        began_s = time.monotonic()
        time.sleep(idle_s)
        noted_s = time.monotonic() - began_s
    found = families(client, of_process=of_pod)
    return {
        "idle_cluster": whole.per(took_s),
        "idle": {"families": _per(found, noted_s), "seconds": noted_s},
    }


def _turns(
    client: Any, talk: Talk, turns: int, of_pod: Callable[[int], bool], cluster: Cluster
) -> dict[str, Any]:
    roles = {name: psutil.Process(cluster.pid(name)) for name in ("worker-0", "haproxy")}
    cpu_before = {name: _cpu_s(it) for name, it in roles.items()}
    with Residing(client) as residing:
        whole, took_s = _usage(client, lambda: talk.turns(turns))
    cpu = {name: (_cpu_s(it) - cpu_before[name]) * 1e6 for name, it in roles.items()}
    with noted(client):
        began_s = time.monotonic()
        talk.turns(turns)
        noted_s = time.monotonic() - began_s
    return {
        "turn": {
            **whole.per(turns),
            "families": _per(families(client, of_process=of_pod), turns),
            "seconds": took_s / turns,
            "noted_seconds": noted_s / turns,
            # Little: entries = turns a second × seconds that each is there.
            "indexed_s": residing.mean * took_s / turns,
        },
        "worker_cpu_us": cpu["worker-0"] / turns,
        "haproxy_cpu_us": cpu["haproxy"] / turns,
    }


class Residing:
    """Looks again and again how many turns the index holds."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._over = threading.Event()
        self._counts: list[int] = []
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> "Residing":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def mean(self) -> float:
        """The mean of the looks."""
        return sum(self._counts) / len(self._counts)

    def _look(self) -> None:
        while not self._over.wait(0.25):
            with self._client.pipeline(transaction=False) as pipe:
                for shard in range(limits.RUNNING_SHARDS):
                    pipe.zcard(f"kn:running:{shard}")
                self._counts.append(sum(pipe.execute()))


def _asked(cluster: Cluster) -> float:
    """Return what it costs a pod to say who it is, as other pods ask it."""
    row = cluster.row("worker-0")
    peers, serving = HttpPeers(), psutil.Process(cluster.pid("worker-0"))
    before_s = _cpu_s(serving)
    for _ in range(_PEERS_ASKED):
        peers.incarnation_at(f"127.0.0.1:{row['port']}")
    return (_cpu_s(serving) - before_s) / _PEERS_ASKED * 1e6


def _usage(client: Any, act: Callable[[], None]) -> tuple[Usage, float]:
    before, began_s = Usage.of(client), time.monotonic()
    act()
    return Usage.of(client) - before, time.monotonic() - began_s


def _per(found: Mapping[str, Mapping[str, float]], number: float) -> dict[str, dict[str, float]]:
    return {
        name: {field: value / number for field, value in row.items()}
        for name, row in sorted(found.items())
    }


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
