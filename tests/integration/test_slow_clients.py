"""Fault 19: clients that never read, vanish, send twice or send another body under the same id.

What they cost a pod is bounded and comes back, and nobody else notices.
"""

import contextlib
import json
import socket
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.redis_server import RedisServer
from tests.scripted_pods import ScriptedPod, until

ROUND = 100
ROUNDS_MAX = 6
# An answer of 30,000 tokens: 180 kB of text, and once more in ``done``. The kernels of both sides
# keep less than that for a client that does not read.
LONG = {"pieces": 30_000}
# A third of the answer's text: a pod that kept what a client did not read would show.
LEFT_PER_CLIENT_BYTES = 60_000
# While it is stuck: what was read from the store for it at once, at most the answer. 0.4 MB here.
STUCK_CLIENT_BYTES = 1_000_000
_STREAMS = "kotaemon_streams_active"


@pytest.fixture(scope="module")
def pod(
    redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ScriptedPod]:
    folder: Path = tmp_path_factory.mktemp("clients")
    with ScriptedPod(folder, redis_server.url, stall_s=1.0) as running:
        yield running


class Stuck:
    """A client that asks for a stream and never reads a byte of it."""

    def __init__(self, pod: ScriptedPod, session: str, turn: str) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        self.socket.connect(("127.0.0.1", pod.port))
        path = f"/v1/sessions/{session}/turns/{turn}/stream"
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: pod\r\n\r\n".encode())

    def vanish(self) -> None:
        self.socket.close()

    def received(self) -> bytes:
        """Read at last what there is; what was cut off ends in a reset."""
        got = b""
        self.socket.settimeout(10)
        with contextlib.suppress(ConnectionResetError):
            while piece := self.socket.recv(65_536):
                got += piece
        return got


def fresh() -> str:
    return f"s-{uuid.uuid4().hex[:12]}"


def test_clients_that_never_read_are_cut_off_and_cost_nothing_for_long(
    server: RedisServer, pod: ScriptedPod
) -> None:
    session = fresh()
    assert pod.ask(session, "t1", **LONG).status_code == 200
    held = [pod.rss_bytes()]
    most = 0

    for _ in range(ROUNDS_MAX):
        clients = [Stuck(pod, session, "t1") for _ in range(ROUND)]
        until(lambda: pod.metric(_STREAMS) == ROUND, what="all streams are open")
        while pod.metric(_STREAMS) > 0:  # until all of them are cut off
            most = max(most, pod.rss_bytes())
        for client in clients:
            client.vanish()
        held.append(pod.rss_bytes())
        if held[-1] - held[-2] < ROUND * LEFT_PER_CLIENT_BYTES:
            break
    else:
        # The allocator takes its share in a round or two; what is kept for clients grows in each.
        pytest.fail(f"each round left something: {held}")
    assert most - held[0] < ROUND * STUCK_CLIENT_BYTES, f"{held[0]} → {most}"


def test_the_streams_of_others_go_on_beside_stuck_clients(
    server: RedisServer, pod: ScriptedPod
) -> None:
    session, other = fresh(), fresh()
    assert pod.ask(session, "t1", **LONG).status_code == 200
    clients = [Stuck(pod, session, "t1") for _ in range(ROUND)]
    until(lambda: pod.metric(_STREAMS) == ROUND, what="all streams are open")

    answer = pod.ask(other, "t1", pieces=100, pause_ms=5)

    assert answer.json()["state"] == "done"
    # It took longer than a stuck client is kept: the cuts came while it was answered.
    until(lambda: pod.metric(_STREAMS) == 0, what="all of them are cut off")
    for client in clients:
        client.vanish()


def test_who_was_cut_off_resumes_without_a_gap(server: RedisServer, pod: ScriptedPod) -> None:
    session = fresh()
    whole = pod.ask(session, "t1", **LONG).json()["answer"]
    client = Stuck(pod, session, "t1")
    until(lambda: pod.metric(_STREAMS) == 1, what="its stream is open")
    until(lambda: pod.metric(_STREAMS) == 0, what="it is cut off")

    got = client.received()
    events = [block for block in got.split(b"\n\n")[:-1] if b"id: " in block]
    last = events[-1].split(b"id: ")[1].split(b"\n")[0].decode() if events else "t1:0"
    rest = requests.get(
        f"{pod.url}/v1/sessions/{session}/turns/t1/stream",
        headers={"Last-Event-ID": last},
        timeout=30,
    )

    assert b"event: done" not in got
    shown = [json.loads(data) for data in _data(got, cut=True) + _data(rest.content, cut=False)]
    text = "".join(frame["content"] for frame in shown if frame["type"] == "text")
    assert text == whole
    assert shown[-1]["type"] == "done"


def _data(stream: bytes, *, cut: bool) -> list[bytes]:
    """Return the data of each whole event."""
    blocks = stream.split(b"\n\n")
    whole = blocks[:-1] if cut else blocks
    return [block.partition(b"data: ")[2] for block in whole if b"data: " in block]


def unchunked(body: bytes) -> bytes:
    """Return what a body in chunks holds (RFC 9112, 7.1)."""
    whole = b""
    while size := int((head := body.partition(b"\r\n"))[0], 16):
        whole += head[2][:size]
        body = head[2][size + 2 :]
    return whole


def test_a_client_that_reads_slowly_is_not_cut_off(server: RedisServer, pod: ScriptedPod) -> None:
    session = fresh()
    whole = pod.ask(session, "t1", **LONG).json()["answer"]
    got = b""
    client = Stuck(pod, session, "t1")
    pause = threading.Event()

    # 16 kB each 50 ms: far slower than the pod writes, and more than a piece within each second.
    while piece := client.socket.recv(16_384):
        got += piece
        pause.wait(0.05)
        if b"event: done" in got and got.endswith(b"0\r\n\r\n"):
            break

    assert json.dumps(whole)[1:-1].encode()[-600:] in unchunked(got.partition(b"\r\n\r\n")[2])
    client.vanish()


def test_who_vanishes_frees_the_stream_while_the_turn_goes_on(
    server: RedisServer, pod: ScriptedPod
) -> None:
    session = fresh()
    asking = threading.Thread(target=lambda: pod.ask(session, "t1", pieces=60, pause_ms=50))
    asking.start()
    address = f"{pod.url}/v1/sessions/{session}/turns/t1"
    until(lambda: requests.get(address, timeout=30).ok, what="the turn is accepted")
    clients = [Stuck(pod, session, "t1") for _ in range(ROUND)]
    until(lambda: pod.metric(_STREAMS) == ROUND, what="all streams are open")

    for client in clients:
        client.vanish()

    until(lambda: pod.metric(_STREAMS) == 0, what="all streams are free again")
    asking.join(60)
    assert requests.get(address, timeout=30).json()["state"] == "done"


def test_double_sends_are_one_execution_and_another_body_is_refused(
    server: RedisServer, pod: ScriptedPod
) -> None:
    session = fresh()
    answers: list[requests.Response] = []
    senders = [
        threading.Thread(
            target=lambda: answers.append(pod.ask(session, "t1", pieces=20, pause_ms=10))
        )
        for _ in range(20)
    ]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join(60)

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    history = pod.session(session)["turns"]
    assert [(turn["turn_id"], turn["attempts"]) for turn in history] == [("t1", 1)]
    other = pod.ask(session, "t1", pieces=21)
    assert other.status_code == 409
    assert other.json()["error"]["code"] == "turn_conflict"
    assert len(pod.session(session)["turns"]) == 1
