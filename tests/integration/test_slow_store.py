"""Fault 10: a Redis that is slow, resets its connections or is silent: bounded answers, no hang."""

import collections
import statistics
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import redis
import requests

from kotaemon_node.domain import limits
from tests.redis_server import RedisServer
from tests.relay import Relay
from tests.scripted_pods import ScriptedPod, until

DELAY_S = (0.1, 0.3)  # each way
# A pod's pools: requests; frames and commits; bus and signals; heartbeats.
CONNECTIONS_MAX = limits.REDIS_POOL_MAX + limits.REDIS_WRITERS_MAX + 8 + 4
REFUSALS = {429: "overloaded", 503: "store_unavailable"}
REFUSED = 'kotaemon_store_refusals_total{{reason="{}"}}'


@dataclass
class Scene:
    """Two pods that reach their Redis through a relay."""

    server: RedisServer
    relay: Relay
    pods: tuple[ScriptedPod, ScriptedPod]
    client: redis.Redis
    connections_most: int = 0
    answers: list[tuple[requests.Response, float]] = field(default_factory=list)

    def ask_at_once(self, requests_: int, *, name: str) -> dict[int, list[float]]:
        """Send so many turns to the first pod at once; return the seconds they took by status."""
        self.answers = []
        senders = [
            threading.Thread(target=self._ask, args=(f"{name}-{place}",))
            for place in range(requests_)
        ]
        for sender in senders:
            sender.start()
        while any(sender.is_alive() for sender in senders):
            self.connections_most = max(self.connections_most, self.connections())
            time.sleep(0.1)
        assert len(self.answers) == requests_, "a request was not answered"
        took: dict[int, list[float]] = collections.defaultdict(list)
        for answer, seconds in self.answers:
            took[answer.status_code].append(seconds)
        return took

    def _ask(self, session: str) -> None:
        began = time.monotonic()
        answer = self.pods[0].ask(session, "t1", timeout_s=100)
        self.answers.append((answer, time.monotonic() - began))

    def assert_honest(self, took: dict[int, list[float]]) -> None:
        """Each was answered or refused in the form of all errors; what was accepted is kept."""
        assert took.keys() <= {200, 202, *REFUSALS}, {code: len(took[code]) for code in took}
        for answer, _ in self.answers:
            if answer.status_code in REFUSALS:
                assert answer.json()["error"]["code"] == REFUSALS[answer.status_code]
                assert answer.json()["error"]["retryable"] is True
                assert answer.headers["Retry-After"] == "1"
            elif answer.status_code == 202:
                address = f"{self.pods[0].url}{answer.headers['Location']}"
                until(
                    lambda address=address: (
                        requests.get(address, timeout=30).json().get("state") == "done"
                    ),
                    what="a turn that was accepted is done",
                )

    def connections(self) -> int:
        return sum(row["name"] == "kotaemon" for row in self.client.client_list())

    def counted(self, name: str) -> float:
        return sum(pod.metric(name) for pod in self.pods)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder: Path = tmp_path_factory.mktemp("slow")
    server = RedisServer()
    server.start()
    relay = Relay(server.port)
    try:
        with (
            ScriptedPod(folder, relay.url) as first,
            ScriptedPod(folder, relay.url, name="p1") as second,
        ):
            yield Scene(server, relay, (first, second), redis.Redis(port=server.port))
    finally:
        relay.remove()
        server.remove()


def new_id() -> str:
    return uuid.uuid4().hex[:12]


def assert_well_again(scene: Scene) -> None:
    """All connections are usable again, and nothing takes longer than it did."""
    scene.relay.slow(None)
    scene.relay.resume()
    until(
        lambda: scene.pods[0].ask("probe", new_id()).status_code == 200,
        what="the pod answers again",
    )
    took = scene.ask_at_once(limits.REDIS_POOL_MAX, name=new_id())
    assert took.keys() == {200}, {code: len(took[code]) for code in took}
    # Six calls, which each turn needs at least, would take longer through the slow relay.
    alone = [scene.ask_at_once(1, name=new_id())[200][0] for _ in range(9)]
    assert statistics.median(alone) < 6 * 2 * DELAY_S[0]
    assert scene.connections_most <= 2 * CONNECTIONS_MAX


def test_a_slow_store_makes_answers_slow_and_moves_no_turn(scene: Scene) -> None:
    long: list[requests.Response] = []
    running = [
        threading.Thread(
            target=lambda pod=pod: long.append(
                pod.ask(f"long-{pod.name}", "t1", pieces=250, pause_ms=20)
            )
        )
        for pod in scene.pods
    ]
    for one in running:
        one.start()
    until(lambda: scene.counted("kotaemon_turns_running") == 2, what="two turns run")
    scene.relay.slow(DELAY_S)

    took = scene.ask_at_once(250, name="slow")

    scene.assert_honest(took)
    # They share a connection, so none waits for one; how many may wait is tests/link_cases.py's.
    assert len(took[200]) > 0
    for one in running:
        one.join(60)
    assert [answer.json()["state"] for answer in long] == ["done", "done"]
    assert [answer.json()["attempts"] for answer in long] == [1, 1]
    assert scene.counted("kotaemon_takeovers_total") == 0
    assert scene.counted("kotaemon_fenced_writes_total") == 0
    assert scene.counted(REFUSED.format("busy")) >= len(took[429])
    assert_well_again(scene)


@pytest.mark.long
def test_connections_that_are_reset_again_and_again_cost_no_turn(scene: Scene) -> None:
    over = threading.Event()

    def reset() -> None:
        for _ in range(3):
            over.wait(2.0)
            scene.relay.reset()
        over.set()

    resetting = threading.Thread(target=reset)
    resetting.start()
    rounds = 0
    while not over.is_set():
        rounds += 1
        scene.assert_honest(scene.ask_at_once(20, name=f"round-{rounds}"))
    resetting.join()

    for place in range(rounds):
        for number in range(20):
            found = requests.get(
                f"{scene.pods[1].url}/v1/sessions/round-{place + 1}-{number}", timeout=30
            )
            turns = found.json()["turns"] if found.ok else []
            assert [turn["turn_id"] for turn in turns] == ["t1"]
    assert scene.counted("kotaemon_takeovers_total") == 0
    assert_well_again(scene)


def test_a_silent_store_is_told_of_within_its_time_out(scene: Scene) -> None:
    scene.ask_at_once(limits.REDIS_POOL_MAX, name="before")  # the pool is open
    scene.relay.stall()

    took = scene.ask_at_once(2 * limits.REDIS_POOL_MAX, name="silent")

    scene.relay.resume()
    scene.assert_honest(took)
    assert took.keys() == {503}
    # One wait for a connection and one for a reply; twice that for a machine that is busy.
    most_s = 2 * (limits.REDIS_POOL_WAIT_S + limits.REDIS_TIMEOUT_S)
    assert max(seconds for code in took for seconds in took[code]) < most_s
    assert scene.counted(REFUSED.format("silent")) >= len(took[503])
    assert scene.counted("kotaemon_takeovers_total") == 0
    assert_well_again(scene)


@pytest.mark.long
def test_a_store_that_is_slow_and_resets_is_answered_for(scene: Scene) -> None:
    scene.relay.slow(DELAY_S)
    over = threading.Event()

    def reset() -> None:
        while not over.wait(2.0):
            scene.relay.reset()

    resetting = threading.Thread(target=reset)
    resetting.start()
    took = scene.ask_at_once(200, name="both")
    over.set()
    resetting.join()
    scene.relay.slow(None)

    scene.assert_honest(took)
    assert scene.counted("kotaemon_takeovers_total") == 0
    assert_well_again(scene)
