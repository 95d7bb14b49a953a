"""WebSocket connections of a real pod: what slow, stuck, silent and leaving ends cost, and get."""

import json
import os
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from kotaemon_node.domain import door_limits
from tests.raw_websocket import PING, TEXT, RawSocket, frame
from tests.redis_server import RedisServer
from tests.scripted_pods import ScriptedPod, until
from tests.socket_talk import hear, hear_turn, say, text_of

ROUND = 50
ROUNDS_MAX = 6
LONG = {"pieces": 30_000}  # 180 kB of text: more than the kernels keep
LEFT_PER_CLIENT_BYTES = 60_000
STUCK_CLIENT_BYTES = 1_000_000
_STREAMS = "kotaemon_streams_active"


@pytest.fixture(scope="module")
def pod(
    redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ScriptedPod]:
    folder: Path = tmp_path_factory.mktemp("sockets")
    settings = {"WS_CHARS_PER_S": "1000000"}
    with ScriptedPod(folder, redis_server.url, stall_s=1.0, settings=settings) as running:
        yield running


def fresh() -> str:
    return f"s-{uuid.uuid4().hex[:12]}"


def address(pod: ScriptedPod, query: str = "") -> str:
    return f"ws://127.0.0.1:{pod.port}/ws/chat{query}"


def scripted(**script: int) -> str:
    return json.dumps(script)


def test_frames_come_while_the_answer_is_made(pod: ScriptedPod) -> None:
    with connect(address(pod)) as client:
        said_s = time.monotonic()
        say(client, "message", session_id=fresh(), text=scripted(pieces=40, pause_ms=50))
        turn, *_ = frames = hear_turn(client)
        took_s = time.monotonic() - said_s

    assert turn["type"] == "turn"
    assert text_of(frames) == frames[-1]["answer"]
    assert sum(one["type"] == "text" for one in frames) > 5
    assert took_s > 1.9  # and yet nobody waited for the end
    assert json.loads(json.dumps(frames[-1]))["state"] == "done"


def test_two_sessions_speak_at_the_same_time_on_one_connection(pod: ScriptedPod) -> None:
    sessions = {fresh(): "a", fresh(): "b"}
    with connect(address(pod)) as client:
        for session, turn in sessions.items():
            script = scripted(pieces=40, pause_ms=25)
            say(client, "message", session_id=session, turn_id=turn, text=script)
        told = []
        while sum(one["type"] == "done" for one in told) < 2:
            told.append(hear(client))

    for turn in sessions.values():
        frames = [one for one in told if one["turn_id"] == turn]
        assert text_of(frames) == frames[-1]["answer"]
    first_end = next(place for place, one in enumerate(told) if one["type"] == "done")
    assert {one["turn_id"] for one in told[:first_end]} == {"a", "b"}


def test_cancelling_ends_the_turn_for_all(pod: ScriptedPod) -> None:
    with connect(address(pod)) as client:
        say(client, "message", session_id=fresh(), text=scripted(pieces=2_000, pause_ms=20))
        while hear(client)["type"] != "text":
            pass
        say(client, "cancel")
        assert hear_turn(client)[-1]["state"] == "cancelled"


@pytest.mark.long
def test_clients_that_never_read_are_cut_off_and_cost_nothing_for_long(
    server: RedisServer, pod: ScriptedPod
) -> None:
    session = fresh()
    assert pod.ask(session, "t1", **LONG).status_code == 200
    resume = json.dumps({"type": "resume", "session_id": session, "turn_id": "t1"}).encode()
    held = [pod.rss_bytes()]
    most = 0

    for _ in range(ROUNDS_MAX):
        clients = [RawSocket(pod.port, "/ws/chat", receive_buffer=4_096) for _ in range(ROUND)]
        for client in clients:
            client.send(frame(TEXT, resume))
        until(lambda: pod.metric(_STREAMS) == ROUND, what="all of them are open")
        while pod.metric(_STREAMS) > 0:  # until all of them are cut off
            most = max(most, pod.rss_bytes())
        for client in clients:
            client.close()
        held.append(pod.rss_bytes())
        if held[-1] - held[-2] < ROUND * LEFT_PER_CLIENT_BYTES:
            break
    else:
        pytest.fail(f"each round left something: {held}")
    print(f"a stuck client: {(most - held[0]) / ROUND / 1000:.0f} kB at most; left: {held}")
    assert most - held[0] < ROUND * STUCK_CLIENT_BYTES, f"{held[0]} → {most}"


@pytest.mark.long
def test_who_was_cut_off_resumes_without_a_gap(server: RedisServer, pod: ScriptedPod) -> None:
    session = fresh()
    whole = pod.ask(session, "t1", **LONG).json()["answer"]
    client = RawSocket(pod.port, "/ws/chat", receive_buffer=4_096)
    resume = {"type": "resume", "session_id": session, "turn_id": "t1"}
    client.send(frame(TEXT, json.dumps(resume).encode()))
    until(lambda: pod.metric(_STREAMS) == 1, what="it is open")
    until(lambda: pod.metric(_STREAMS) == 0, what="it is cut off")

    frames = [json.loads(got.payload) for got in client.rest() if got.opcode == TEXT]
    assert "done" not in {one["type"] for one in frames}
    with connect(address(pod), max_size=None) as again:
        say(
            again,
            "resume",
            session_id=session,
            turn_id="t1",
            after=frames[-1]["seq"] if frames else 0,
        )
        frames += hear_turn(again)

    assert text_of(frames) == whole == frames[-1]["answer"]


def test_who_does_not_acknowledge_is_sent_a_window_and_no_more(
    server: RedisServer, pod: ScriptedPod
) -> None:
    session, window = fresh(), door_limits.SOCKET_WINDOW_FRAMES
    pod.ask(session, "t1", pieces=40, pause_ms=20)
    with connect(address(pod, "?ack=true")) as client:
        told = []
        while len(told) < window:  # the same frames again and again
            if not told or told[-1]["type"] == "done":
                say(client, "resume", session_id=session, turn_id="t1")
            told.append(hear(client))
        if told[-1]["type"] == "done":
            say(client, "resume", session_id=session, turn_id="t1")
        # Longer than the pod holds on to what waits: it has let go of the turn by then.
        with pytest.raises(TimeoutError):
            hear(client, 2 * door_limits.SOCKET_HOLDS_S)
        say(client, "ping")
        assert hear(client)["type"] == "pong"
        say(client, "ack", seq=told[-1]["seq"])
        while told[-1]["type"] != "done" or len(told) <= window:
            told.append(hear(client))

    ends = [place for place, one in enumerate(told) if one["type"] == "done"]
    last = told[ends[-2] + 1 :]
    assert [one["seq"] for one in last] == list(range(1, len(last) + 1))
    assert text_of(last) == last[-1]["answer"]


@pytest.mark.long
def test_a_peer_that_answers_no_pings_is_cut_off(pod: ScriptedPod) -> None:
    client = RawSocket(pod.port, "/ws/chat")
    said = {"type": "message", "text": scripted(pieces=400, pause_ms=50)}
    client.send(frame(TEXT, json.dumps(said).encode()))

    got = client.rest()

    assert sum(one.opcode == PING for one in got) == door_limits.SOCKET_PINGS_UNANSWERED_MAX


@pytest.mark.long
def test_a_pod_that_leaves_sends_idle_clients_away_at_once_and_ends_its_answers(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    ended: list[int | None] = []
    with ScriptedPod(tmp_path, redis_server.url, name="leaving") as pod:
        with connect(address(pod)) as idle, connect(address(pod)) as busy:
            say(idle, "ping")
            hear(idle)
            say(busy, "message", session_id=fresh(), text=scripted(pieces=60, pause_ms=50))
            while hear(busy)["type"] != "text":
                pass
            os.kill(pod.pid, signal.SIGTERM)

            def close_of(client: object) -> None:
                try:
                    while True:
                        hear(client)  # type: ignore[arg-type]
                except ConnectionClosed as closed:
                    ended.append(closed.rcvd.code if closed.rcvd else None)

            assert hear(idle)["type"] == "reconnect"
            waiting = threading.Thread(target=close_of, args=(idle,))
            waiting.start()
            frames = hear_turn(busy)
            close_of(busy)
            waiting.join(60)
        status = pod.wait_ended()

    assert (
        frames[-1]["type"] == "done"
    )  # three seconds of it, within the eight of a pod that leaves
    assert ended == [1012, 1012]
    assert status == 0
