"""The load client: follows to the end whatever breaks, and hides nothing that went wrong."""

import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from kotaemon_node.chaos.reader import TurnReader
from kotaemon_node.chaos.reader.events import Event, EventDecoder

SILENCE_S = 0.4
Frame = dict[str, Any]


def frame(kind: str, seq: int | None = None, **fields: Any) -> Frame:
    head = {"type": kind, "turn_id": "t", "trace_id": "x"}
    return {**head, **({} if seq is None else {"seq": seq}), **fields}


def text(seq: int, content: str, offset: int) -> Frame:
    return frame("text", seq, content=content, offset=offset)


def done(seq: int, answer: str) -> Frame:
    return frame("done", seq, state="done", answer=answer)


def sse(*frames: Frame) -> bytes:
    events = []
    for one in frames:
        head = f"id: t:{one['seq']}\n" if "seq" in one else ""
        events.append(f"{head}event: {one['type']}\ndata: {json.dumps(one)}\n\n")
    return "".join(events).encode()


Step = bytes | float
"""Bytes to send, or seconds to wait."""


class Answer:
    """What the scripted service does with one connection."""

    def __init__(self, *steps: Step, status: int = 200, whole: bool = True) -> None:
        self.steps = steps
        self.status = status
        self.whole = whole
        """Whether the body is ended properly."""


HANG_UP = Answer(status=0)


@contextmanager
def service(answers: Sequence[Answer]) -> Iterator[tuple[str, list[str]]]:
    """Answer one connection after the other as scripted; the requests' heads are noted."""
    heads: list[str] = []
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(5)

    def serve() -> None:
        for answer in answers:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            heads.append(head_of(connection))
            # Beside the next one: a client that gave up a silent connection comes back at once.
            threading.Thread(target=play, args=(connection, answer)).start()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", heads
    finally:
        listener.close()
        thread.join(10)


def head_of(connection: socket.socket) -> str:
    """Read one request, with its body: what stays unread when a socket closes resets the reader."""
    with connection.makefile("rb") as stream:
        lines = []
        while (line := stream.readline()).strip():
            lines.append(line)
        lengths = [line.split(b":")[1] for line in lines if line.lower().startswith(b"content-len")]
        stream.read(int(lengths[0]) if lengths else 0)
    return b"".join(lines).decode()


def play(connection: socket.socket, answer: Answer) -> None:
    with connection:
        if answer.status:
            send(connection, answer)


def send(connection: socket.socket, answer: Answer) -> None:
    head = f"HTTP/1.1 {answer.status} X\r\nX-Served-By: worker-1\r\n"
    connection.sendall(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n")
    try:
        for step in answer.steps:
            if isinstance(step, float):
                time.sleep(step)
            else:
                connection.sendall(b"%x\r\n%s\r\n" % (len(step), step))
        if answer.whole:
            connection.sendall(b"0\r\n\r\n")
    except OSError:
        return  # the reader left


def reader(url: str, **options: Any) -> TurnReader:
    options = {"silence_s": SILENCE_S, "tries_max": 3, **options}
    return TurnReader(url, session_id="s", turn_id="t", message="hello", **options)


def test_events_are_read_however_the_bytes_were_cut() -> None:
    whole = b": heartbeat\n\n" + sse(text(1, "配送 é", 0), done(2, "配送 é"))
    for size in (1, 2, 7, len(whole)):
        decoder = EventDecoder()
        events: list[Event] = []
        for at in range(0, len(whole), size):
            events += decoder.feed(whole[at : at + size], at_s=float(at))
        assert [event.frame and event.frame["type"] for event in events] == [None, "text", "done"]
        assert events[1].frame is not None
        assert events[1].frame["content"] == "配送 é"
        assert events[2].id == "t:2"
        assert events[2].at_s == (len(whole) - 1) // size * size


def test_an_undisturbed_turn_is_read_with_the_times_of_its_frames() -> None:
    pause_s = 0.25
    answer = Answer(sse(text(1, "one ", 0)), pause_s, sse(text(2, "two", 4), done(3, "one two")))
    with service([answer]) as (url, heads):
        reading = reader(url).read()
    assert reading.complete
    assert reading.text == "one two"
    assert [one.end for one in reading.tries] == ["ended"]
    assert reading.tries[0].served_by == "worker-1"
    assert not reading.errors
    times = [one.at_s for one in reading.arrivals]
    assert times[1] - times[0] > pause_s / 3
    assert heads[0].startswith("POST /v1/sessions/s/turns HTTP/1.1")
    assert "Accept: text/event-stream" in heads[0]


def test_a_broken_stream_is_resumed_at_once_behind_the_last_frame() -> None:
    answers = [
        Answer(sse(text(1, "one ", 0)), whole=False),
        Answer(sse(text(2, "two", 4), done(3, "one two"))),
    ]
    with service(answers) as (url, heads):
        reading = reader(url).read()
    assert reading.complete
    assert [one.end for one in reading.tries] == ["cut", "ended"]
    assert len(reading.cuts) == 1
    assert not reading.errors
    assert reading.tries[1].began_s - reading.tries[0].ended_s < 0.2
    assert heads[1].startswith("GET /v1/sessions/s/turns/t/stream HTTP/1.1")
    assert "Last-Event-ID: t:1\r\n" in heads[1]


def test_a_leaving_pod_is_left_for_as_long_as_it_says() -> None:
    answers = [
        Answer(sse(text(1, "one", 0), frame("reconnect", retry_ms=300))),
        Answer(sse(done(2, "one"))),
    ]
    with service(answers) as (url, _):
        reading = reader(url).read()
    assert reading.complete
    assert [one.end for one in reading.tries] == ["reconnect", "ended"]
    assert not reading.cuts
    assert reading.tries[1].began_s - reading.tries[0].ended_s >= 0.29


def test_before_the_first_frame_the_same_turn_is_posted_again() -> None:
    busy = Answer(b'{"error": {"code": "unavailable", "retryable": true}}', status=503)
    with service([HANG_UP, busy, Answer(sse(done(1, "")))]) as (url, heads):
        reading = reader(url).read()
    assert reading.complete
    assert [one.end for one in reading.tries] == ["failed", "refused", "ended"]
    assert len(reading.errors) == 2
    assert [head.split()[0] for head in heads] == ["POST", "POST", "POST"]


def test_three_missed_heartbeats_are_a_break_and_heartbeats_are_none() -> None:
    beats: list[Step] = [SILENCE_S * 0.6, b": heartbeat\n\n"] * 3
    answers = [
        Answer(sse(text(1, "one", 0)), *beats, SILENCE_S * 3, sse(done(2, "late"))),
        Answer(sse(done(2, "one"))),
    ]
    with service(answers) as (url, _):
        reading = reader(url).read()
    assert reading.complete
    assert [one.end for one in reading.tries] == ["silent", "ended"]
    assert reading.tries[0].heartbeats == 3
    assert len(reading.heartbeats_s) == 3


def test_a_restart_voids_the_text_and_a_snapshot_stands_for_the_frames_before_it() -> None:
    restarted = [text(1, "one", 0), frame("restart", 2), text(3, "two", 0), done(4, "two")]
    with service([Answer(sse(*restarted))]) as (url, _):
        reading = reader(url).read()
    assert reading.complete
    assert reading.restarts == 1
    assert reading.text == "two"

    snapshot = frame("snapshot", content="one two", last=7)
    with service([Answer(sse(snapshot, done(8, "one two")))]) as (url, _):
        reading = reader(url).read()
    assert reading.complete
    assert reading.snapshots == 1


@pytest.mark.parametrize(
    ("frames", "problem"),
    [
        ([text(1, "a", 0), text(3, "b", 1), done(4, "ab")], "a gap"),
        ([text(1, "a", 0), text(1, "a", 1), done(2, "aa")], "a repeat"),
        ([text(1, "a", 0), text(2, "b", 0), done(3, "ab")], "has offset 0, not 1"),
        ([text(1, "a", 0), done(2, "b")], "not the text of its frames"),
        ([done(1, ""), text(2, "a", 0)], "came after the end"),
    ],
)
def test_wrong_frames_are_noted(frames: list[Frame], problem: str) -> None:
    with service([Answer(sse(*frames))]) as (url, _):
        reading = reader(url).read()
    assert not reading.complete
    assert problem in " ".join(reading.problems)


def test_what_is_gone_is_not_asked_for_again() -> None:
    gone = frame("error", code="gone", message="deleted", retryable=False)
    with service([Answer(sse(text(1, "a", 0), gone))]) as (url, _):
        reading = reader(url).read()
    assert reading.refusal is not None
    assert reading.refusal["code"] == "gone"
    assert [one.end for one in reading.tries] == ["told"]

    body = b'{"error": {"code": "turn_conflict", "retryable": false}}'
    with service([Answer(body, status=409)]) as (url, _):
        reading = reader(url).read()
    assert reading.refusal is not None
    assert reading.refusal["status"] == 409
    assert len(reading.errors) == 1


def test_a_service_that_never_answers_is_given_up() -> None:
    with service([HANG_UP] * 10) as (url, _):
        reading = reader(url).read()
    assert len(reading.errors) == 4
    assert "gave up" in reading.problems[0]
    assert not reading.complete


def test_a_turn_without_end_is_given_up_in_time() -> None:
    beats: list[Step] = [0.1, b": heartbeat\n\n"] * 40
    with service([Answer(sse(text(1, "a", 0)), *beats)]) as (url, _):
        begun_s = time.monotonic()
        reading = reader(url).read(timeout_s=0.5)
    assert time.monotonic() - begun_s < 5
    assert not reading.over
    assert "gave up" in reading.problems[0]


def test_whoever_leaves_and_finds_the_end_among_what_had_come_was_not_cut() -> None:
    with service([Answer(sse(text(1, "a", 0), done(2, "a")), 2.0)]) as (url, _):
        leaving = reader(url, silence_s=5.0, on_frame=lambda _: leaving.leave())
        reading = leaving.read()
    assert reading.complete
    assert not reading.left
    assert [one.end for one in reading.tries] == ["ended"]


def test_a_client_may_leave() -> None:
    with service([Answer(sse(text(1, "a", 0)), 20.0, sse(done(2, "a")))]) as (url, _):
        leaving = reader(url, silence_s=30.0)
        thread = threading.Thread(target=leaving.read)
        thread.start()
        while not leaving.reading.arrivals:
            time.sleep(0.005)
        begun_s = time.monotonic()
        leaving.leave()
        thread.join(15)
        assert time.monotonic() - begun_s < 15
    assert leaving.reading.left
    assert [one.end for one in leaving.reading.tries] == ["left"]
