"""WebSocket connections through HAProxy: the same pod as for HTTP, and another one after a loss."""

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.balanced_pods import BalancedPods
from tests.redis_server import RedisServer
from tests.scripted_pods import ScriptedPod
from tests.socket_talk import ResumingTalk, hear, hear_turn, say, text_of
from tests.turn_cluster import new_id

PIECES, PAUSE_MS = 100, 60
TEXTS_BEFORE = 5


class Balanced:
    """Two real pods with scripted answers behind the product's HAProxy."""

    def __init__(self, balancer: BalancedPods, pods: dict[str, ScriptedPod]) -> None:
        self.balancer = balancer
        self.pods = pods
        self.url = balancer.url
        self.socket_url = f"{balancer.url.replace('http', 'ws', 1)}/ws/chat"

    def signal(self, name: str, number: signal.Signals) -> None:
        os.kill(self.pods[name].pid, number)


@pytest.fixture
def balanced(tmp_path: Path, redis_server: RedisServer) -> Iterator[Balanced]:
    balancer = BalancedPods(tmp_path, count=2)
    settings = {"CLUSTER_ID": balancer.cluster.cluster_id}
    with ExitStack() as stack:
        # Ends HAProxy; it starts no pods of its own.
        stack.callback(balancer.__exit__)
        pods = {
            name: ScriptedPod(tmp_path, redis_server.url, name=name, settings=settings, port=port)
            for name, port in zip(
                ("worker-0", "worker-1"), balancer.cluster.worker_ports, strict=False
            )
        }
        for pod in pods.values():
            stack.enter_context(pod)
        balancer.start_balancer(expected=2)
        balancer.wait_used(*pods)
        yield Balanced(balancer, pods)


def closed_with(client: ClientConnection) -> int | None:
    """Hear the rest; return the close code, None where the connection broke."""
    try:
        while True:
            hear(client)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else None


@pytest.mark.long
def test_a_talk_reaches_the_pod_of_its_session_and_strangers_pages_do_not(
    balanced: Balanced,
) -> None:
    for session in (new_id("s") for _ in range(4)):
        with connect(f"{balanced.socket_url}?session_id={session}") as client:
            client.send(json.dumps({"type": "message", "text": '{"pieces": 3}'}))
            turn, *frames = hear_turn(client)
            assert client.ping().wait(60)
            assert client.response is not None
            served_by = client.response.headers["X-Served-By"]
        address = f"{balanced.url}/v1/sessions/{session}"
        assert turn["session_id"] == session
        assert text_of(frames) == frames[-1]["answer"] != ""
        assert requests.get(address, timeout=30).headers["X-Served-By"] == served_by

    with connect(balanced.socket_url, origin=balanced.url) as client:  # type: ignore[arg-type]
        say(client, "ping")
        assert hear(client)["type"] == "pong"
    with pytest.raises(InvalidStatus) as caught:
        connect(balanced.socket_url, origin="https://elsewhere.example")  # type: ignore[arg-type]
    assert caught.value.response.status_code == 403


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGKILL, id="killed"),
        pytest.param(signal.SIGSTOP, id="frozen", marks=pytest.mark.long),
    ],
)
def test_a_pod_that_is_lost_in_the_middle_of_an_answer_costs_no_character(
    balanced: Balanced, number: signal.Signals
) -> None:
    session, turn = new_id("s"), new_id("t")
    script = json.dumps({"pieces": PIECES, "pause_ms": PAUSE_MS})
    talk = ResumingTalk(balanced.url, session_id=session, turn_id=turn, text=script)
    begun = threading.Event()

    def then(_: dict[str, Any]) -> None:
        if sum(one["type"] == "text" for one in talk.frames) == TEXTS_BEFORE:
            begun.set()

    reader = threading.Thread(target=lambda: talk.run(then=then))
    reader.start()
    assert begun.wait(60)
    victim = talk.served_by[-1]
    balanced.signal(victim, number)
    reader.join(120)

    assert not reader.is_alive()
    assert len(talk.served_by) >= 2
    assert talk.served_by[-1] != victim
    address = f"{balanced.url}/v1/sessions/{session}"
    history = requests.get(address, timeout=30).json()["turns"]
    assert [(one["turn_id"], one["state"]) for one in history] == [(turn, "done")]
    assert text_of(talk.frames) == talk.frames[-1]["answer"] == history[0]["answer"] != ""
    assert [one["seq"] for one in talk.frames] == list(range(1, len(talk.frames) + 1))
    print(f"{number.name}: connections {talk.served_by}, ended with {talk.codes}")


@pytest.mark.long
def test_the_balancer_keeps_the_connections_of_a_pod_that_leaves_until_it_closes_them(
    balanced: Balanced,
) -> None:
    session = new_id("s")
    with connect(f"{balanced.socket_url}?session_id={session}") as client:
        assert client.response is not None
        leaving = client.response.headers["X-Served-By"]
        script = json.dumps({"pieces": 60, "pause_ms": 50})
        say(client, "message", session_id=session, turn_id="t", text=script)
        while hear(client)["type"] != "text":
            pass
        balanced.signal(leaving, signal.SIGTERM)
        assert hear_turn(client)[-1]["type"] == "done"
        code = closed_with(client)
    assert code == 1012
    with connect(f"{balanced.socket_url}?session_id={session}") as client:
        assert client.response is not None
        assert client.response.headers["X-Served-By"] != leaving
        say(client, "resume", session_id=session, turn_id="t")
        assert hear_turn(client)[-1]["type"] == "done"
