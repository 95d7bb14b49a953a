"""A pod on a real Redis that dies, hangs and comes back: questions go on, turns are refused."""

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from kotaemon_node.domain.limits import REDIS_TIMEOUT_S
from tests.fakes.knowledge_base import SENTENCE
from tests.redis_server import RedisServer
from tests.scripted_pods import ScriptedPod, until

pytestmark = pytest.mark.long

QUESTION = json.dumps({"pieces": 1})  # the pod's turns are scripted by their message


@pytest.fixture
def server() -> Iterator[RedisServer]:
    server = RedisServer()
    server.start()
    yield server
    server.remove()


@pytest.fixture
def pod(server: RedisServer, tmp_path: Path) -> Iterator[ScriptedPod]:
    with ScriptedPod(tmp_path, server.url) as running:
        yield running


def ask(pod: ScriptedPod) -> requests.Response:
    return requests.get(f"{pod.url}/ask", params={"q": QUESTION}, timeout=60)


def in_a_turn(pod: ScriptedPod) -> bool:
    return bool(ask(pod).json()["degraded"] is None)


def goes_on_without_the_store(pod: ScriptedPod) -> None:
    answer = ask(pod)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["degraded"] == "session_store_unavailable"
    assert told["answer"] == f"{SENTENCE} [1]"
    found = requests.get(f"{pod.url}/v1/search", params={"q": "returns"}, timeout=60)
    assert found.status_code == 200
    assert requests.get(f"{pod.url}/readyz", timeout=60).status_code == 200


def test_questions_go_on_while_the_store_is_dead(pod: ScriptedPod, server: RedisServer) -> None:
    assert in_a_turn(pod)

    server.kill()
    for _ in range(3):
        goes_on_without_the_store(pod)
    refused = requests.post(f"{pod.url}/chat", json={"message": QUESTION}, timeout=60)
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "store_unavailable")
    assert pod.metric("kotaemon_direct_answers_total") >= 3

    server.start()
    until(lambda: in_a_turn(pod), what="turns are taken again", told=pod.log)


def test_nobody_but_one_waits_for_a_store_that_is_silent(
    pod: ScriptedPod, server: RedisServer
) -> None:
    server.send(signal.SIGSTOP)
    try:
        goes_on_without_the_store(pod)  # the first one waits for it
        began_s = time.monotonic()
        goes_on_without_the_store(pod)
        assert time.monotonic() - began_s < REDIS_TIMEOUT_S
    finally:
        server.send(signal.SIGCONT)
    until(lambda: in_a_turn(pod), what="turns are taken again", told=pod.log)
