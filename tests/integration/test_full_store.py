"""Fault 11: a Redis that is full, or cannot save: clean refusals, reads go on, no restart.

What the scripts leave behind when there is no room is tested in test_full_store_steps.py.
"""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import requests

from tests.redis_server import RedisServer
from tests.scripted_pods import ScriptedPod, until
from tests.store_room import Room

REFUSALS = 'kotaemon_store_refusals_total{{reason="{}"}}'


@pytest.fixture
def room(server: RedisServer) -> Iterator[Room]:
    room = Room(server)
    yield room
    room.give_back()


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    """Run one whose folder can be taken away."""
    options = ("--appendonly", "yes", "--enable-protected-configs", "local")
    server = RedisServer(options=options)
    server.start()
    yield server
    server.remove()


@pytest.fixture(scope="module")
def pod(
    redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ScriptedPod]:
    with ScriptedPod(tmp_path_factory.mktemp("full"), redis_server.url) as running:
        yield running


def refused(answer: requests.Response, code: str, *, retry_after: str) -> None:
    assert answer.status_code == 503, answer.text
    error = answer.json()["error"]
    assert (error["code"], error["retryable"]) == (code, True)
    assert error["trace_id"] == answer.headers["X-Trace-ID"]
    assert answer.headers["Retry-After"] == retry_after


def test_a_full_store_refuses_turns_serves_reads_and_needs_no_restart(
    pod: ScriptedPod, room: Room
) -> None:
    before = pod.ask("s1", "t1").json()
    counted = pod.metric(REFUSALS.format("full"))
    room.take()

    for session, turn in (("s1", "t2"), ("s2", "t1")):
        refused(pod.ask(session, turn), "store_full", retry_after="5")
    chat = requests.post(f"{pod.url}/chat", json={"message": "{}"}, timeout=30)
    refused(chat, "store_full", retry_after="5")
    # A question needs no session to be answered.
    ask = requests.get(f"{pod.url}/ask", params={"q": "Can I return it?"}, timeout=30)
    assert ask.status_code == 200, ask.text
    assert ask.json()["degraded"] == "session_store_unavailable"
    made = requests.post(f"{pod.url}/v1/sessions", json={}, timeout=30)
    refused(made, "store_full", retry_after="5")

    history = pod.session("s1")["turns"]
    assert [turn["turn_id"] for turn in history] == ["t1"]
    base = f"{pod.url}/v1/sessions/s1/turns/t1"
    assert requests.get(base, timeout=30).json()["answer"] == before["answer"]
    shown = requests.get(f"{base}/stream", timeout=30).text
    assert "event: done" in shown
    assert requests.get(f"{pod.url}/v1/sessions", timeout=30).status_code == 200
    assert requests.get(f"{pod.url}/readyz", timeout=30).status_code == 200
    assert pod.metric(REFUSALS.format("full")) >= counted + 4

    room.give_back()

    assert pod.ask("s1", "t2").json()["version"] == 2
    assert pod.ask("s2", "t1").json()["version"] == 1


def test_heartbeats_alone_move_the_metric(pod: ScriptedPod, room: Room) -> None:
    counted = pod.metric(REFUSALS.format("full"))
    room.take()

    until(
        lambda: pod.metric(REFUSALS.format("full")) > counted,
        what="a heartbeat that was refused is counted",
    )


def test_a_full_store_can_be_emptied_through_the_pod(pod: ScriptedPod, room: Room) -> None:
    for turn in range(3):
        pod.ask("emptied", f"t{turn}")
    room.take()

    answer = requests.delete(f"{pod.url}/v1/sessions/emptied", timeout=30)

    assert answer.status_code == 204, answer.text
    assert requests.get(f"{pod.url}/v1/sessions/emptied", timeout=30).status_code == 404


def test_a_turn_that_runs_waits_for_room_and_goes_on(pod: ScriptedPod, room: Room) -> None:
    answers: list[requests.Response] = []
    asking = threading.Thread(
        target=lambda: answers.append(pod.ask("waiting", "t1", pieces=200, pause_ms=10))
    )
    asking.start()
    until(lambda: _has_text(pod, "waiting", "t1"), what="the turn has shown text")
    counted = pod.metric(REFUSALS.format("full"))
    room.take()
    until(
        lambda: pod.metric(REFUSALS.format("full")) > counted + 2,
        what="the store has been full for some heartbeats",
    )
    assert asking.is_alive()
    room.give_back()
    asking.join(60)

    (answer,) = answers
    assert answer.status_code == 200, answer.text
    turn = answer.json()
    assert turn["state"] == "done"
    assert turn["attempts"] == 1
    assert turn["answer"] == "".join(f"{place:05d} " for place in range(200))
    assert [one["turn_id"] for one in pod.session("waiting")["turns"]] == ["t1"]


def _has_text(pod: ScriptedPod, session: str, turn: str) -> bool:
    """Tell whether a text frame of the turn can be seen."""
    address = f"{pod.url}/v1/sessions/{session}/turns/{turn}/stream"
    with requests.get(address, stream=True, timeout=30) as stream:
        return stream.ok and any(line == b"event: text" for line in stream.iter_lines())


def test_a_store_that_cannot_save_is_told_of_and_counted(
    pod: ScriptedPod, server: RedisServer, tmp_path: Path
) -> None:
    pod.ask("unsaved", "t1")
    counted = pod.metric(REFUSALS.format("unwritable"))
    client = redis.Redis(port=server.port)
    gone = tmp_path / "gone"
    gone.mkdir()
    client.config_set("dir", str(gone))
    gone.rmdir()
    client.config_set("save", "3600 1")
    try:
        client.bgsave()
        until(
            lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err",
            what="a save has failed",
        )

        refused(pod.ask("unsaved", "t2"), "store_unavailable", retry_after="1")
        refused(pod.ask("unsaved-2", "t1"), "store_unavailable", retry_after="1")
        assert [turn["turn_id"] for turn in pod.session("unsaved")["turns"]] == ["t1"]
        assert pod.metric(REFUSALS.format("unwritable")) >= counted + 2
    finally:
        client.config_set("dir", str(server.folder))
        client.config_set("save", "")

    assert pod.ask("unsaved", "t2").json()["version"] == 2
