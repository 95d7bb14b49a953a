"""The users of a soak against a cluster that errs on purpose: each error is seen and counted."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from load.soak.plan import Plan, Row
from load.soak.users import Crowd

ANSWER = ("Lamps ", "last. [1]")


def frames(turn_id: str) -> list[dict[str, Any]]:
    """Return the frames of a right answer."""
    first, second = ANSWER
    said: list[dict[str, Any]] = [
        {"type": "source", "docs": [{"n": 1}]},
        {"type": "text", "content": first, "offset": 0},
        {"type": "text", "content": second, "offset": len(first)},
        {"type": "done", "state": "done", "answer": first + second},
    ]
    return [{**one, "seq": seq, "turn_id": turn_id} for seq, one in enumerate(said, 1)]


class Erring:
    """What the cluster does wrong, and what it was asked."""

    def __init__(self, fault: str) -> None:
        self.fault = fault
        self.lock = threading.Condition()
        self.turns: dict[str, list[str]] = {}
        self.asked: list[str] = []
        self.came_back: list[str] = []
        self.over = False

    def once(self, fault: str) -> bool:
        """Tell whether to err so now; the next time not."""
        with self.lock:
            now = self.fault == fault
            self.fault = "" if now else self.fault
            return now


class Cluster(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    erring: Erring

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/v1/sessions":
            with self.erring.lock:
                number = len(self.erring.turns)
                self.erring.turns[f"s{number}"] = []
            self._json(201, {"session_id": f"s{number}"})
            return
        session, turn_id = self.path.split("/")[3], body["turn_id"]
        if self.erring.once("refuse"):
            self._json(503, {"error": {"code": "unavailable"}})
            return
        with self.erring.lock:
            self.erring.asked.append(body["message"])
            self.erring.turns[session].append(turn_id)
            self.erring.lock.notify_all()
        self._stream()
        self._tell(self._spoiled(frames(turn_id)), session)

    def do_GET(self) -> None:
        parts = self.path.partition("?")[0].split("/")
        after = self.headers.get("Last-Event-ID", "")
        self.erring.came_back += [after] if after else []
        self._stream()
        if len(parts) == 7:  # a turn's own stream
            turn_id, _, last = after.partition(":")
            self._tell(frames(turn_id)[int(last) :], parts[3])
            return
        seen = self.erring.turns[parts[3]].index(after.partition(":")[0]) + 1 if after else 0
        with suppress(OSError):
            self._follow(parts[3], seen)

    def _follow(self, session: str, seen: int) -> None:
        turns = self.erring.turns[session]
        while True:
            with self.erring.lock:
                self._wait(turns, seen)
            if self.erring.over:
                return
            turn_id = turns[seen]
            seen += 1
            if self.erring.once("untold"):
                continue
            told = frames(turn_id)
            if self.erring.once("other text"):
                told[2]["content"], told[3]["answer"] = "burn. [1]", "Lamps burn. [1]"
            if self.erring.once("double on the session's stream"):
                told.insert(2, told[1])
            for frame in told:
                self._event(frame)
            if self.erring.once("cut the session's stream"):
                self.close_connection = True
                return

    def _wait(self, turns: list[str], seen: int) -> None:
        self.erring.lock.wait_for(lambda: len(turns) > seen or self.erring.over, 60)

    def _spoiled(self, told: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if self.erring.once("missing"):
            return [told[0], *told[2:]]
        if self.erring.once("double"):
            return [told[0], told[1], *told[1:]]
        if self.erring.once("shifted"):
            told[2]["offset"] += 1
        if self.erring.once("cut"):
            return told[:2]
        return told

    def _tell(self, told: list[dict[str, Any]], session: str) -> None:
        with suppress(OSError):
            for frame in told:
                self._event(frame)
            if told[-1]["type"] == "done":
                self.wfile.write(b"0\r\n\r\n")
        self.close_connection = True

    def _event(self, frame: dict[str, Any]) -> None:
        told = (
            f"id: {frame['turn_id']}:{frame['seq']}\nevent: {frame['type']}\n"
            f"data: {json.dumps(frame)}\n\n"
        ).encode()
        self.wfile.write(f"{len(told):x}\r\n".encode() + told + b"\r\n")

    def _stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _json(self, status: int, said: dict[str, Any]) -> None:
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients hang up as they like."""


@contextmanager
def erring(fault: str) -> Iterator[tuple[int, Erring]]:
    state = Erring(fault)
    server = Server(("127.0.0.1", 0), type("C", (Cluster,), {"erring": state}))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server.server_port, state
    finally:
        with state.lock:
            state.over = True
            state.lock.notify_all()
        server.shutdown()
        server.server_close()
        thread.join()


def told(
    fault: str,
    monkeypatch: pytest.MonkeyPatch,
    *,
    told_s: float = 60.0,
    cuts: float = 0.0,
    turns: int = 1_000,
) -> tuple[Row, Erring]:
    """Let three users ask until both streams told twelve answers; return what was counted.

    ``told_s``: for how long one stream waits for what the other told.
    """
    monkeypatch.setattr("load.soak.user.TOLD_S", told_s)
    monkeypatch.setattr("load.soak.users.TOLD_S", told_s)
    monkeypatch.setattr("load.soak.users._LOOK_S", 0.02)
    monkeypatch.setattr("load.soak.question._AGAIN_S", (0.0, 0.02))
    monkeypatch.setattr("load.soak.user._LEFT_S", (0.0, 0.02))
    monkeypatch.setattr("load.soak.user._BACK_S", (0.0, 0.02))
    rows: list[Row] = []
    with erring(fault) as (port, state):
        plan = Plan(
            port=port, users=3, seconds=60.0, every_s=0.05, row_s=0.02, documents=20, known=30,
            cuts_per_hour=cuts, turns=turns,
        )  # fmt: skip

        def take(row: Row) -> None:
            rows.append(row)
            # What is told or missing of the error is counted when several more answers came.
            crowd.stopped = crowd.stopped or sum(it.told for it in rows) >= 12

        crowd = Crowd(plan, told=take)
        crowd.run()
    total = Row()
    for row in rows:
        for name in ("asked", "answered", "told", "cut_off", "reconnects", "cuts", "sessions"):
            setattr(total, name, getattr(total, name) + getattr(row, name))
        for name in ("errors", "refused", "whole_ms", "first_ms"):
            counted = getattr(total, name)
            for what, count in getattr(row, name).items():
                counted[what] = counted.get(what, 0) + count
    return total, state


def test_users_ask_and_both_streams_tell_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    total, state = told("", monkeypatch)
    assert total.errors == total.refused == {}
    assert total.asked == total.answered == total.told == len(state.asked) >= 12
    assert sum(total.whole_ms.values()) == sum(total.first_ms.values()) == total.answered
    assert total.cut_off == total.reconnects == 0


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("missing", "an answer: frames are missing"),
        ("double", "an answer: a frame came twice"),
        ("shifted", "an answer: a text does not go on at the next character"),
        ("untold", "only one of the two streams told a turn"),
        ("other text", "the two streams told different answers"),
        ("double on the session's stream", "the session's stream: a frame came twice"),
    ],
)
def test_what_is_wrong_is_counted_as_what_it_is(
    monkeypatch: pytest.MonkeyPatch, fault: str, error: str
) -> None:
    # Where one stream lacks a turn, the run ends when that was waited for; a comparison may wait.
    total, _ = told(fault, monkeypatch, told_s=60.0 if fault == "other text" else 0.4)
    assert total.errors.pop(error) >= 1
    # The other stream told what this one did not.
    assert set(total.errors) <= {"only one of the two streams told a turn"}
    assert total.told >= 12


def test_who_is_cut_off_goes_on_behind_the_last_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    total, state = told("cut", monkeypatch)
    assert total.errors == {}
    assert (total.cut_off, total.reconnects) == (1, 1)
    assert [one.partition(":")[2] for one in state.came_back] == ["2"]
    assert total.answered == total.asked == total.told


def test_who_is_refused_asks_the_same_turn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    total, state = told("refuse", monkeypatch)
    assert total.refused == {"503 unavailable": 1}
    assert total.errors == {}
    assert total.answered == total.asked == len(state.asked)


def test_a_session_s_stream_that_is_cut_is_followed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    total, state = told("cut the session's stream", monkeypatch)
    assert total.errors == {}
    assert total.cut_off == 1
    assert [one.partition(":")[2] for one in state.came_back] == ["4"]
    assert total.told == total.asked


def test_users_hang_up_themselves_and_lack_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    total, state = told("", monkeypatch, cuts=72_000.0)
    assert total.cuts > 0
    assert state.came_back
    assert total.errors == {}
    assert total.cut_off == 0
    assert total.told == total.asked


def test_a_session_of_enough_turns_is_followed_by_another(monkeypatch: pytest.MonkeyPatch) -> None:
    total, state = told("", monkeypatch, turns=2)
    assert total.errors == {}
    assert total.told == total.asked == len(state.asked)
    assert total.sessions == len(state.turns) > 3
    assert max(len(turns) for turns in state.turns.values()) == 2
    assert total.reconnects == total.cut_off == 0


def test_a_cluster_that_lets_nobody_in_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("load.soak.users._OPEN_WITHIN_S", 0.3)
    with erring("") as (port, _):
        pass
    crowd = Crowd(Plan(port=port, users=2, seconds=1.0), told=lambda row: None)
    began_s = time.monotonic()
    with pytest.raises(TimeoutError, match="2 of 2 users did not connect"):
        crowd.run()
    assert time.monotonic() - began_s < 30
