"""The clients of ``make bench`` against servers that answer what is known before."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from load.bench.speed.asking import Asked, Plan, ask
from load.bench.speed.cores import Cores, cores


class Answers(BaseHTTPRequestHandler):
    """Notes what is asked, and answers with a status."""

    protocol_version = "HTTP/1.1"
    bodies: list[dict[str, Any]]
    status = 200
    closes = False

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""

    def do_POST(self) -> None:
        self.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        answer = b'{"response": "yes"}'
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(answer)))
        if self.closes:
            self.send_header("Connection", "close")
        self.end_headers()
        with suppress(ConnectionError):  # the time was over
            self.wfile.write(answer)


@contextmanager
def server(*, status: int = 200, closes: bool = False) -> Iterator[tuple[int, list[Any]]]:
    bodies: list[Any] = []
    handler = type("H", (Answers,), {"bodies": bodies, "status": status, "closes": closes})
    running = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    try:
        yield running.server_port, bodies
    finally:
        running.shutdown()
        running.server_close()
        thread.join()


def plan(port: int, **changed: Any) -> Plan:
    fields = {"questions": [f"q{number}" for number in range(20)], "repeat": True, "warm_s": 0.05}
    return Plan(**{"ports": [port], "connections": 3, "seconds": 0.2, "prefix": "p", **fields,
                   **changed})  # fmt: skip


def asked_some(port: int, bodies: list[Any], **changed: Any) -> Asked:
    """Ask for ever longer, until something was answered: the machine may be busy."""
    seconds = 0.5
    while True:
        bodies.clear()
        found = ask(plan(port, seconds=seconds, **changed))
        if found.answers:
            return found
        seconds *= 2


@pytest.mark.parametrize("closes", [False, True])
def test_each_connection_asks_when_it_was_answered(closes: bool) -> None:
    with server(closes=closes) as (port, bodies):
        asked = asked_some(port, bodies, turns_a_session=2)
    assert asked.answers == len(asked.latencies_ms)
    assert not asked.errors
    assert asked.answers <= len(bodies)
    for client in range(3):
        mine = [body["session_id"] for body in bodies if body["session_id"][2] == str(client)]
        assert mine == [f"p-{client}-{turn // 2}" for turn in range(len(mine))]


def test_sessions_that_are_given_are_used_in_turn() -> None:
    with server() as (port, bodies):
        asked_some(port, bodies, connections=1, sessions=["a", "b", "c"])
    assert [body["session_id"] for body in bodies] == [
        "abc"[turn % 3] for turn in range(len(bodies))
    ]
    assert [body["message"] for body in bodies[:20]] == [
        f"q{turn}" for turn in range(min(20, len(bodies)))
    ]


def test_what_is_refused_is_told_and_no_answer() -> None:
    with server(status=503) as (port, bodies):
        asked = asked_some(port, bodies)
    assert set(asked.errors) == {'503 {"response": "yes"}'}


def test_running_out_of_questions_is_an_error() -> None:
    with server() as (port, _), pytest.raises(RuntimeError, match="plan more"):
        ask(plan(port, questions=["only one"], repeat=False))


def test_clients_share_no_core_with_what_is_measured_where_there_are_two(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 2, 5})
    assert cores() == Cores(frozenset({5}), frozenset({0, 2}))
    assert cores().apart
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {3})
    assert cores() == Cores(frozenset({3}), frozenset({3}))
    assert not cores().apart
    assert "one core for all" in cores().told
