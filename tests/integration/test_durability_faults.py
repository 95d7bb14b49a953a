"""Fault 9: the primary is cut off from its replica, goes on, and dies; the replica is promoted."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import requests

from kotaemon_node.adapters.redis import RedisSessionStore, connect, keys
from kotaemon_node.adapters.redis.durability import Level
from kotaemon_node.adapters.redis.keys import SessionKeys
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import (
    NodeError,
    SessionNotFound,
    StoreUnavailable,
    StoreUnwritable,
)
from kotaemon_node.domain.frames import Frame
from kotaemon_node.domain.session import SessionKey, TurnKey, TurnRequest
from kotaemon_node.ports.sessions import Work
from tests.cluster import Cluster
from tests.engine_pods import ANYBODY, PIECES, Stall, TestPod, key, text_of
from tests.redis_pair import RedisPair
from tests.redis_server import RedisServer, free_port

TALKERS = 4
ROOT = Path(__file__).parents[2]


@pytest.fixture
def pair() -> Iterator[RedisPair]:
    pair = RedisPair()
    try:
        pair.start()
        yield pair
    finally:
        pair.remove()


def at_reading_speed(_work: Work, _place: int) -> None:
    """Let frames of a turn come one after the other."""
    time.sleep(0.01)


class Talker:
    """Sends one turn after the other by one pod, reads on another, and notes what it was told."""

    def __init__(self, number: int, *, writer: TestPod, reader: TestPod) -> None:
        self.session = SessionKey("default", f"s{number}")
        self.writer = writer
        self.reader = reader
        self.shown: dict[str, list[Frame]] = {}
        self.acknowledged: list[str] = []
        """Ids of turns whose end was shown."""
        self.refused: list[NodeError] = []
        self.longest_s = 0.0
        """The longest that a call took to be refused."""
        self.stop = threading.Event()
        self._thread = threading.Thread(target=self._talk)
        self._thread.start()

    def _talk(self) -> None:
        number = 0
        while not self.stop.is_set():
            number += 1
            self._turn(f"t{number}")

    def _turn(self, turn_id: str) -> None:
        seen = self.shown[turn_id] = []
        while not self.stop.is_set():
            began_s = time.monotonic()
            try:
                self.writer.engine.submit(self._request(turn_id))
                after = seen[-1].seq or 0 if seen else 0
                for frame in self.reader.engine.follow(
                    TurnKey(self.session, turn_id), ANYBODY, after=after
                ):
                    began_s = time.monotonic()
                    if frame is not None:
                        seen.append(frame)
                self.acknowledged.append(turn_id)
            except NodeError as error:
                self.longest_s = max(self.longest_s, time.monotonic() - began_s)
                self.refused.append(error)
                self.stop.wait(0.1)
            else:
                return

    def _request(self, turn_id: str) -> TurnRequest:
        return TurnRequest(
            key=TurnKey(self.session, turn_id),
            principal=ANYBODY,
            message="when?",
            options={},
            on_busy="enqueue",
            trace_id=turn_id,
            create_session=True,
        )

    def history(self, url: str) -> list[str]:
        """Return the ids of the turns that the store has, asked by somebody who knows nothing."""
        sessions = RedisSessionStore(connect(url), ttl_s=3600, idle_s=1800)
        deadline_s = time.monotonic() + 60
        while True:
            try:
                view = sessions.load(self.session, ANYBODY, after_version=0, limit=10_000)
            except SessionNotFound:
                return []
            except StoreUnavailable:  # the address has just moved to another server
                assert time.monotonic() < deadline_s, "the store does not answer"
                time.sleep(0.05)
            else:
                return [turn.turn_id for turn in view.turns]

    def end(self) -> None:
        self.stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()


def until(condition: Any, *, timeout_s: float = 60) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, "the condition never held"
        time.sleep(0.01)


def conversation(pair: RedisPair, level: Level) -> list[Talker]:
    """Begin to talk, each on a pod of its own choice, and return when all have had an answer."""
    pods = [TestPod(name, pair, at_reading_speed, durability=level) for name in ("pod-a", "pod-b")]
    talkers = [
        Talker(number, writer=pods[number % 2], reader=pods[number // 2 % 2])
        for number in range(TALKERS)
    ]
    until(lambda: all(len(talker.acknowledged) >= 2 for talker in talkers))
    return talkers


@pytest.mark.long
def test_replica_loses_nothing_that_anybody_was_told(pair: RedisPair) -> None:
    talkers = conversation(pair, "replica")
    try:
        # When the primary cannot reach its replica, callers are told so, and soon
        pair.link.stall()
        until(lambda: all(talker.refused for talker in talkers))
        told = [len(talker.acknowledged) for talker in talkers]
        # and when it dies and the replica takes over, the conversations go on
        pair.lose_primary()
        pair.add_replica()
        until(
            lambda: all(
                len(talker.acknowledged) >= before + 3
                for talker, before in zip(talkers, told, strict=True)
            )
        )
    finally:
        for talker in talkers:
            talker.end()
    for talker in talkers:
        assert {type(error).code for error in talker.refused} <= {"store_unavailable"}
        assert talker.longest_s < 10
        history = talker.history(pair.url)
        assert history[: len(talker.acknowledged)] == talker.acknowledged
        for turn_id in talker.acknowledged:
            turn, last_seq = talker.reader.sessions.turn_and_last_seq(
                TurnKey(talker.session, turn_id), ANYBODY
            )
            shown = talker.shown[turn_id]
            assert [frame.seq for frame in shown] == list(range(1, last_seq + 1))
            assert text_of(shown) == turn.answer == shown[-1].fields["answer"] != ""


def test_local_loses_what_only_the_primary_had(pair: RedisPair) -> None:
    """The same story without the setting: else the one above would show nothing."""
    talkers = conversation(pair, "local")
    try:
        pair.link.stall()
        before = {talker: len(talker.acknowledged) for talker in talkers}
        until(lambda: all(len(talker.acknowledged) > before[talker] + 1 for talker in talkers))
        for talker in talkers:
            talker.stop.set()
    finally:
        for talker in talkers:
            talker.end()
    pair.lose_primary()
    assert all(set(talker.acknowledged) - set(talker.history(pair.url)) for talker in talkers)


def test_a_turn_that_nobody_could_take_for_a_while_was_lost_by_one_pod_only(
    pair: RedisPair,
) -> None:
    """Each try is stored and not confirmed: that is no further pod lost over this turn."""
    stall = Stall(1)
    dead, other = (
        TestPod("pod-a", pair, stall, durability="replica"),
        TestPod("pod-b", pair, durability="replica"),
    )
    other.judges()
    dead.submit("t1")
    assert stall.reached.wait(60)
    shard, member = keys.running(key("t1"))
    other.store.client.zadd(shard, {member: 1})  # it was asked long ago
    pair.link.stall()
    for _ in range(limits.TURN_ATTEMPTS_MAX):
        assert other.recovery.sweep() == 0
    turn = other.store.client.hgetall(SessionKeys.of(key("t1").session).turn("t1"))
    assert turn[b"owner"] == b"pod-b"

    pair.link.resume()
    until(lambda: other.recovery.sweep() == 1)

    assert other.frames("t1")[-1].fields["answer"] == "".join(PIECES)
    stall.go.set()


def test_who_waits_at_a_primary_that_is_demoted_may_try_again(pair: RedisPair) -> None:
    pod = TestPod("pod-a", pair, durability="replica")
    pair.link.stall()
    refused: list[Exception] = []

    def submit() -> None:
        try:
            pod.submit("t1")
        except Exception as error:  # noqa: BLE001 - which it is, is the question
            refused.append(error)

    waiting = threading.Thread(target=submit)
    waiting.start()
    primary = redis.Redis(port=pair.primary.port)
    until(lambda: primary.info("clients")["blocked_clients"])  # type: ignore[index]
    primary.replicaof("127.0.0.1", pair.replica.port)
    waiting.join(60)

    assert [type(error) for error in refused] == [StoreUnwritable]


# What the store can offer, at the start and later.


def refusal(cluster: Cluster, **settings: str) -> str:
    """Return the one line with which ``kotaemon up`` refuses."""
    cluster.environment.update(settings)
    done = cluster.command("up", "--port", str(cluster.port), "--detach")
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    (line,) = done.stderr.splitlines()
    return line


def test_a_start_that_asks_for_what_can_never_be_ends_with_what_to_do(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path / "data")
    assert "REDIS_URL" in refusal(cluster, DURABILITY="replica")
    server = RedisServer()
    server.start()
    try:
        line = refusal(cluster, DURABILITY="fsync", REDIS_URL=server.url)
        assert "appendfsync always" in line
        # And a pod that somebody else starts ends with the same sentence
        pod = f"{sys.executable} -m gunicorn -c python:kotaemon_node.server.gunicorn_conf"
        settings = {
            "POD_ADDRESS": f"127.0.0.1:{free_port()}",
            "ARTIFACT_URL": tmp_path.as_uri(),
            "MODEL_DIR": str(ROOT / ".models"),
        }
        done = subprocess.run(
            [*pod.split(), "kotaemon_node.server.wsgi:app"],
            cwd=tmp_path,
            env={**cluster.environment, **settings},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode != 0
        assert line.removeprefix("kotaemon: ") in done.stderr
    finally:
        server.remove()


@pytest.fixture
def replicated_cluster(pair: RedisPair, tmp_path: Path) -> Iterator[Cluster]:
    settings = {"DURABILITY": "replica", "REDIS_URL": pair.url}
    with Cluster(tmp_path / "data", workers=1, environment=settings) as cluster:
        yield cluster


@pytest.mark.long
def test_a_pod_waits_for_a_replica_and_says_so(
    pair: RedisPair, replicated_cluster: Cluster
) -> None:
    cluster = replicated_cluster

    def chat() -> requests.Response:
        body = {"message": "How long does delivery take?", "session_id": "s1"}
        return requests.post(f"{cluster.url}/chat", json=body, timeout=30)

    assert chat().status_code == 200
    # A replica that is silent: told at once, and over when it answers again
    pair.link.stall()
    answer = chat()
    assert answer.status_code == 503, answer.text
    assert answer.json()["error"]["code"] == "store_unavailable"
    pair.link.resume()
    cluster.wait_until(lambda: chat().status_code == 200, what="answers again")

    # A pod that starts while there is none serves when there is one
    pair.link.cut()
    address = cluster.pod_url("worker-0")
    before = cluster.pid("worker-0")
    os.kill(before, signal.SIGKILL)

    def reasons() -> list[str]:
        with contextlib.suppress(requests.RequestException):
            found: list[str] = requests.get(f"{address}/readyz", timeout=10).json()["reasons"]
            return found
        return []

    cluster.wait_until(
        lambda: any("no replica is connected" in reason for reason in reasons()),
        what="the pod says what it lacks",
    )
    pair.link.resume()
    cluster.wait_until(lambda: chat().status_code == 200, what="the pod serves")
