"""Pods that cannot come to newer knowledge, on a running cluster: what they and their users do."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from kotaemon_node.adapters.system.peers import HttpPeers
from kotaemon_node.domain import limits
from kotaemon_node.local import cluster as clusters
from kotaemon_node.local.folder import DataFolder
from tests.cluster import Cluster
from tests.relay import Relay

KB = "default"
TOKEN = "the word of this test"
QUESTION = "How much does the Borealis teapot cost?"
# Read by the interpreter of every process before anything else: two workers get an address of the
# artifacts that a test can cut, and a folder of copies that nobody else fills.
HELD_BACK = """
import os
if os.environ.get("POD_NAME") in {names!r}:
    os.environ["ARTIFACT_URL"] = {url!r}
    os.environ["ARTIFACT_CACHE_DIR"] = {folder!r} + os.environ["POD_NAME"]
"""


def write(knowledge: Path, price: int) -> None:
    (knowledge / "teapots.md").write_text(f"The Borealis teapot costs {price} dollars.\n", "utf-8")


@contextmanager
def held_back(root: Path, *names: str, workers: int) -> Iterator[tuple[Cluster, Relay, Path]]:
    """Run a cluster of which ``names`` reach the artifacts through the relay."""
    knowledge, data, startup = root / "knowledge", DataFolder(root / "data"), root / "startup"
    knowledge.mkdir()
    startup.mkdir()
    write(knowledge, 49)
    data.prepare()
    kept = clusters.settle(data, port=0, host="127.0.0.1", workers=workers, redis_url="")
    clusters.save(data, kept)
    relay = Relay(kept.coordinator_port)
    address = "http://127.0.0.1:{}/artifacts"
    (startup / "sitecustomize.py").write_text(
        HELD_BACK.format(names=names, url=address.format(relay.port), folder=f"{root}/copies-")
    )
    environment = {
        "ARTIFACT_URL": address.format(kept.coordinator_port),
        "ARTIFACT_TOKEN": TOKEN,
        "PYTHONPATH": f"{startup}:{Path(__file__).parents[2]}",
    }
    running = Cluster(root / "data", workers=workers, knowledge=knowledge, environment=environment)
    with running:
        yield running, relay, knowledge


@dataclass
class Chat:
    """Somebody who asks in one session through the balancer until the block ends."""

    url: str
    session: str
    generations: list[int] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> "Chat":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._ended.wait(0.2):
            try:
                answer = turn(self.url, self.session)
                self.generations.append(int(answer.json()["generation"][KB]))
            except (requests.RequestException, KeyError, ValueError, TypeError) as error:
                self.errors.append(repr(error))


def turn(url: str, session: str, **asked: Any) -> requests.Response:
    body = {"message": QUESTION, **asked}
    return requests.post(f"{url}/v1/sessions/{session}/turns", json=body, timeout=60)


def shown(cluster: Cluster) -> dict[str, Any]:
    answer: dict[str, Any] = requests.get(f"{cluster.url}/v1/cluster", timeout=30).json()
    return answer


def served(cluster: Cluster) -> dict[str, int]:
    return {pod["name"]: pod["generations"][KB]["generation"] for pod in shown(cluster)["pods"]}


def unready(cluster: Cluster) -> dict[str, list[str]]:
    return {pod["name"]: pod["reasons"] for pod in shown(cluster)["pods"] if not pod["ready"]}


@pytest.mark.long
def test_who_needs_newer_knowledge_gets_it_from_another_pod(tmp_path: Path) -> None:
    # Given two pods, one of which cannot come to the newest generation
    with held_back(tmp_path, "worker-1", workers=2) as (cluster, relay, knowledge):
        old = max(served(cluster).values())
        relay.cut()
        write(knowledge, 55)
        cluster.wait_until(
            lambda: served(cluster) == {"worker-0": old + 1, "worker-1": old},
            what="one pod is ahead",
        )
        state = shown(cluster)
        assert (state["converged"], state["knowledge"][0]["behind"]) == (False, ["worker-1"])
        assert unready(cluster) == {}  # behind, and able to serve
        url = cluster.pod_url("worker-1")
        cluster.wait_until(
            lambda: requests.get(f"{url}/readyz", timeout=30).json()["behind"] == {KB: old + 1},
            what="it says so itself",
        )
        assert HttpPeers().store_answers_at(url.removeprefix("http://"))

        # A demand of the newer one: refused by the pod itself, answered through the balancer
        behind = f"{url}/v1/search"
        query: dict[str, Any] = {"q": QUESTION, "min_generation": old + 1}
        refused = requests.get(behind, params=query, timeout=30)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "behind")
        assert refused.elapsed.total_seconds() >= limits.BEHIND_WAIT_S * 0.9
        posted = turn(url, "direct", min_generation=old + 1)
        assert (posted.status_code, posted.json()["error"]["code"]) == (503, "behind")
        sessions = [f"s{number}" for number in range(6)]  # some of each pod's
        homes = set()
        for session in sessions:
            homes.add(turn(cluster.url, session).headers["X-Served-By"])
            answer = turn(cluster.url, session, min_generation=old + 1)
            assert answer.status_code == 200, answer.text
            assert answer.json()["generation"][KB] == old + 1
            assert answer.headers["X-Served-By"] == "worker-0"
        assert homes == {"worker-0", "worker-1"}

        # A session that has seen it never goes back, whatever pod is its own
        for session in sessions:
            answer = turn(cluster.url, session)
            assert answer.json()["generation"][KB] == old + 1
            assert "55" in answer.json()["answer"]
        own = turn(url, sessions[0])
        assert (own.status_code, own.json()["error"]["code"]) == (503, "behind")

        # And one that meets the pod while that catches up waits for it
        relay.resume()
        cluster.wait_until(
            lambda: turn(url, sessions[0]).status_code == 200,
            what="the pod has caught up",
        )
        cluster.wait_until(lambda: shown(cluster)["converged"], what="the heartbeats say so")
        assert shown(cluster)["since"] > state["since"]


@pytest.mark.long
def test_at_most_half_of_the_pods_stand_aside_and_nobody_notices(tmp_path: Path) -> None:
    # Given four pods, three of which cannot come to the newest generation
    names = ("worker-0", "worker-1", "worker-2")
    with held_back(tmp_path, *names, workers=4) as (cluster, relay, knowledge):
        old = max(served(cluster).values())
        with Chat(cluster.url, "a") as first, Chat(cluster.url, "b") as second:
            relay.cut()
            write(knowledge, 55)
            cluster.wait_until(
                lambda: max(served(cluster).values()) == old + 1, what="one pod is ahead"
            )
            assert unready(cluster) == {}
            cluster.wait_until(
                lambda: len(unready(cluster)) == 2 and cluster.in_use() == {"worker-2", "worker-3"},
                what="two have left",
                timeout_s=2 * limits.BEHIND_LEAVES_S,
            )
            # Twice as long as it takes: no other follows them
            with pytest.raises(AssertionError, match="not within"):
                cluster.wait_until(
                    lambda: set(unready(cluster)) != {"worker-0", "worker-1"},
                    what="others leave",
                    timeout_s=limits.BEHIND_LEAVES_S,
                )
            assert all("others have served" in why[0] for why in unready(cluster).values())
            relay.resume()
            cluster.wait_until(
                lambda: cluster.in_use() == {*names, "worker-3"},
                what="all are back",
                timeout_s=2 * limits.RECONCILE_S,
            )
        for chat in (first, second):
            assert chat.errors == []
            assert chat.generations == sorted(chat.generations)
            assert chat.generations
