"""Streams of a real pod go on in tasks of their own; their connections go on behind them."""

import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from kotaemon_node.api.sse import LastingBody
from kotaemon_node.server.lasting import may_last
from kotaemon_node.server.requests import CountedRequests
from tests.redis_server import RedisServer
from tests.scripted_pods import ScriptedPod, until

ROUTE = "/v1/sessions/{}/turns"


@pytest.fixture(scope="module")
def pod(
    tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer
) -> Iterator[ScriptedPod]:
    folder = tmp_path_factory.mktemp("pod")
    with ScriptedPod(folder, redis_server.url, stall_s=5.0) as running:
        yield running


def asked(session: str, *, pieces: int, pause_ms: int = 0, version: str = "1.1") -> bytes:
    script = json.dumps({"pieces": pieces, "pause_ms": pause_ms})
    body = json.dumps({"message": script, "turn_id": "t1"}).encode()
    head = (
        f"POST {ROUTE.format(session)} HTTP/{version}\r\nHost: pod\r\nAccept: text/event-stream\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def read_all(connection: socket.socket) -> bytes:
    received = b""
    while piece := connection.recv(65_536):
        received += piece
    return received


def open_streams(pod: ScriptedPod) -> float:
    return pod.metric("kotaemon_streams_active")


def test_a_connection_serves_what_comes_behind_a_stream(pod: ScriptedPod) -> None:
    # Given a connection on which a stream came whole
    connection = http.client.HTTPConnection("127.0.0.1", pod.port, timeout=30)
    headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
    sockets = set()
    for number in range(3):
        message = json.dumps({"pieces": 5, "pause_ms": 1})
        body = json.dumps({"message": message, "turn_id": f"t{number}"})
        connection.request("POST", ROUTE.format("kept"), body, headers)
        answer = connection.getresponse()
        frames = answer.read()
        assert (answer.status, frames.count(b"event: done")) == (200, 1)
        sockets.add(connection.sock)
        # When something else is asked on it, then that is answered on the same one
        connection.request("GET", "/healthz")
        assert connection.getresponse().read()
        sockets.add(connection.sock)
    assert len(sockets) == 1
    connection.close()


def test_a_client_of_http_1_0_gets_a_body_that_ends_with_its_connection(pod: ScriptedPod) -> None:
    with socket.create_connection(("127.0.0.1", pod.port), timeout=30) as connection:
        connection.sendall(asked("old", pieces=3, version="1.0"))
        head, _, body = read_all(connection).partition(b"\r\n\r\n")
    assert b"chunked" not in head.lower()
    assert body.startswith(b"id: t1:1\n")
    assert body.endswith(b"\n\n")
    assert b"event: done" in body


def test_a_request_that_was_sent_behind_a_stream_is_answered_behind_it(pod: ScriptedPod) -> None:
    behind = b"GET /healthz HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", pod.port), timeout=30) as connection:
        connection.sendall(asked("pipelined", pieces=3) + behind)
        received = read_all(connection)
    assert received.count(b"HTTP/1.1 200") == 2
    assert received.index(b"event: done") < received.rindex(b"HTTP/1.1 200")


def test_only_the_head_of_a_stream_can_be_asked_for(pod: ScriptedPod) -> None:
    url = f"{pod.url}{ROUTE.format('kept')}/t0/stream"
    answer = requests.head(url, timeout=10)
    assert (answer.status_code, answer.content) == (200, b"")
    until(lambda: open_streams(pod) == 0, what="no stream is open", within_s=30, told=pod.log)


def test_a_reader_that_vanishes_is_forgotten(pod: ScriptedPod) -> None:
    # Given readers of an answer under way
    readers = []
    for number in range(5):
        connection = socket.create_connection(("127.0.0.1", pod.port), timeout=30)
        connection.sendall(asked(f"left-{number}", pieces=400, pause_ms=20))
        assert connection.recv(65_536)
        readers.append(connection)
    assert open_streams(pod) == 5
    # When they vanish, then their slots are free before their answers are whole
    for connection in readers:
        connection.close()
    until(lambda: open_streams(pod) == 0, what="no stream is open", within_s=30, told=pod.log)


def test_a_stream_whose_head_somebody_else_took_is_answered_as_always() -> None:
    """As where a middleware of WSGI stands before the application."""
    lasting: Any = LastingBody(iter([b"data"]), [])  # type: ignore[arg-type]
    around = CountedRequests(lambda environ, begin: lasting)
    body = around({}, lambda status, headers: None)
    assert body.lasts  # type: ignore[attr-defined]
    assert not may_last(body)
