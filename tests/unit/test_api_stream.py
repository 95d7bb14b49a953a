"""Frames as server-sent events: what a reader sees, and what happens when either side leaves."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from flask.testing import FlaskClient

from kotaemon_node.domain.errors import Gone, SessionNotFound, StoreUnavailable
from tests.fakes.services import ANSWER, FakeCluster

TURNS = "/v1/sessions/s/turns"
SSE = {"Accept": "text/event-stream"}


def events(body: str) -> list[dict[str, str]]:
    """Parse a stream: one dict of fields per event; a comment is ``{"comment": …}``."""
    parsed = []
    for block in body.removesuffix("\n\n").split("\n\n"):
        fields = {}
        for line in block.split("\n"):
            name, _, value = line.partition(":")
            fields[name or "comment"] = value.removeprefix(" ")
        parsed.append(fields)
    return parsed


def asked(cluster: FakeCluster) -> FlaskClient:
    """Return a client of a pod that has answered the turn ``t``."""
    client = cluster.client()
    assert client.post(TURNS, json={"turn_id": "t", "message": "May I?"}).status_code == 200
    return client


def numbers(stream: Iterable[dict[str, str]]) -> list[int]:
    return [json.loads(event["data"])["seq"] for event in stream if "id" in event]


def test_a_turn_streams_numbered_frames_to_its_end() -> None:
    answer = (
        FakeCluster().client().post(TURNS, json={"turn_id": "t", "message": "May I?"}, headers=SSE)
    )

    assert answer.status_code == 200
    assert answer.mimetype == "text/event-stream"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Accel-Buffering"] == "no"
    assert "Content-Length" not in answer.headers
    stream = events(answer.text)
    assert [event["id"] for event in stream] == ["t:1", "t:2", "t:3", "t:4", "t:5"]
    assert [event["event"] for event in stream] == ["status", "source", "text", "text", "done"]
    frames = [json.loads(event["data"]) for event in stream]
    assert [frame["seq"] for frame in frames] == [1, 2, 3, 4, 5]
    assert {frame["turn_id"] for frame in frames} == {"t"}
    assert {frame["trace_id"] for frame in frames} == {answer.headers["X-Trace-ID"]}
    assert [frame["type"] for frame in frames] == [event["event"] for event in stream]
    text = "".join(frame["content"] for frame in frames if frame["type"] == "text")
    assert text == frames[-1]["answer"] == ANSWER


@pytest.mark.parametrize(
    ("headers", "query", "expected"),
    [
        ({}, "", [1, 2, 3, 4, 5]),
        ({"Last-Event-ID": "t:3"}, "", [4, 5]),
        ({"Last-Event-ID": "3"}, "", [4, 5]),
        ({}, "?after=3", [4, 5]),
        # An EventSource repeats its address and adds the header: the header is newer.
        ({"Last-Event-ID": "t:4"}, "?after=1", [5]),
        ({"Last-Event-ID": ""}, "?after=", [1, 2, 3, 4, 5]),
    ],
)
def test_a_reader_resumes_behind_what_it_has(
    headers: dict[str, str], query: str, expected: list[int]
) -> None:
    client = asked(FakeCluster())

    followed = client.get(f"{TURNS}/t/stream{query}", headers=headers)
    repeated = client.post(
        f"{TURNS}{query}", json={"turn_id": "t", "message": "May I?"}, headers={**SSE, **headers}
    )

    assert numbers(events(followed.text)) == expected
    assert numbers(events(repeated.text)) == expected


def test_a_reader_that_has_it_all_gets_an_empty_stream() -> None:
    answer = asked(FakeCluster()).get(f"{TURNS}/t/stream?after=5")

    assert (answer.status_code, answer.text) == (200, "")


def test_beyond_the_last_number_is_gone() -> None:
    answer = asked(FakeCluster()).get(f"{TURNS}/t/stream?after=6")

    assert (answer.status_code, answer.json["error"]["code"]) == (410, "gone")


@pytest.mark.parametrize("last", ["other:3", "t:x", "t:", "-1", "1" * 40, "t:3:4", "٣"])
def test_a_last_event_id_that_is_none_is_malformed(last: str) -> None:
    client = asked(FakeCluster())

    answer = client.get(f"{TURNS}/t/stream", environ_overrides={"HTTP_LAST_EVENT_ID": last})

    assert (answer.status_code, answer.json["error"]["code"]) == (400, "malformed")


@pytest.mark.parametrize(("query", "status"), [("after=x", 422), ("after=-1", 422)])
def test_after_must_be_a_number(query: str, status: int) -> None:
    assert asked(FakeCluster()).get(f"{TURNS}/t/stream?{query}").status_code == status


@pytest.mark.parametrize(
    ("accept", "streams"),
    [
        ("text/event-stream", True),
        ("Text/Event-Stream", True),
        ("application/json, text/event-stream", True),
        ("application/json, text/event-stream;q=0.5", False),
        ("text/event-stream;q=0", False),
        ("*/*", False),
        ("text/*", False),
        ("", False),
        ("nonsense;;q=", False),
    ],
)
def test_a_stream_is_for_those_who_name_it(accept: str, *, streams: bool) -> None:
    answer = FakeCluster().client().post(TURNS, json={"message": "a"}, headers={"Accept": accept})

    assert answer.status_code == 200
    assert (answer.mimetype == "text/event-stream") is streams


def test_silence_is_filled_with_comments() -> None:
    cluster = FakeCluster()
    cluster.turns.pauses = {1: [None], 3: [None, None]}

    stream = events(asked(cluster).get(f"{TURNS}/t/stream").text)

    assert [event.get("id", event.get("comment")) for event in stream] == [
        "heartbeat", "t:1", "t:2", "heartbeat", "heartbeat", "t:3", "t:4", "t:5",
    ]  # fmt: skip


def test_a_store_lost_before_the_first_frame_is_a_status() -> None:
    cluster = FakeCluster()
    cluster.turns.pauses = {1: [StoreUnavailable("Redis does not answer")]}
    client = asked(cluster)

    answer = client.get(f"{TURNS}/t/stream")

    assert (answer.status_code, answer.json["error"]["code"]) == (503, "store_unavailable")


def test_a_store_lost_later_tells_the_reader_to_come_back() -> None:
    cluster = FakeCluster()
    cluster.turns.pauses = {3: [StoreUnavailable("Redis does not answer")]}

    stream = events(asked(cluster).get(f"{TURNS}/t/stream").text)

    assert [event.get("id") for event in stream] == ["t:1", "t:2", None]
    last = json.loads(stream[-1]["data"])
    assert (stream[-1]["event"], last["type"]) == ("reconnect", "reconnect")
    assert last["retry_ms"] > 0
    assert "seq" not in last


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (SessionNotFound("deleted"), "session_not_found"),
        (Gone("rolled back"), "gone"),
        (ZeroDivisionError("secret"), "internal"),
    ],
)
def test_where_coming_back_is_useless_the_stream_ends_with_an_unnumbered_error(
    failure: Exception, code: str
) -> None:
    cluster = FakeCluster()
    cluster.turns.pauses = {2: [failure]}

    body = asked(cluster).get(f"{TURNS}/t/stream").text

    last = events(body)[-1]
    assert "id" not in last
    assert json.loads(last["data"])["code"] == code
    assert "secret" not in body


def test_a_reader_that_leaves_frees_its_slot_and_ends_the_following() -> None:
    # given a pod with one slot, and a reader that is in the middle of a turn
    cluster = FakeCluster()
    client = cluster.client(streams_max=1)
    client.post(TURNS, json={"turn_id": "t", "message": "a"})
    reading = client.get(f"{TURNS}/t/stream", buffered=False)
    next(iter(reading.response))

    # when others come while it reads, and after it left
    while_taken = client.get(f"{TURNS}/t/stream")
    reading.close()
    afterwards = client.get(f"{TURNS}/t/stream", buffered=True)

    # then
    assert (while_taken.status_code, while_taken.json["error"]["code"]) == (429, "overloaded")
    assert while_taken.headers["Retry-After"] == "1"
    assert cluster.turns.closed == 2
    assert numbers(events(afterwards.text)) == [1, 2, 3, 4, 5]
    assert gauge(client) == 0


def test_a_reader_that_leaves_before_the_first_byte_frees_its_slot() -> None:
    cluster = FakeCluster()
    client = cluster.client(streams_max=1)
    client.post(TURNS, json={"turn_id": "t", "message": "a"})

    client.get(f"{TURNS}/t/stream", buffered=False).close()

    assert cluster.turns.closed == 1
    assert gauge(client) == 0


def test_a_refused_stream_takes_no_slot_and_a_full_pod_accepts_no_turn() -> None:
    cluster = FakeCluster()
    client = cluster.client(streams_max=1)
    for _ in range(3):
        assert client.get(f"{TURNS}/t/stream").status_code == 404
    assert gauge(client) == 0

    holder = client.post(TURNS, json={"turn_id": "t", "message": "a"}, headers=SSE, buffered=False)
    refused = client.post(TURNS, json={"turn_id": "u", "message": "b"}, headers=SSE)

    assert refused.status_code == 429
    assert [request.key.turn_id for request in cluster.turns.submitted] == ["t"]
    holder.close()


def gauge(client: Any) -> float:
    """Return how many streams the pod says are open."""
    lines = client.get("/metrics").text.splitlines()
    (value,) = [line.split()[1] for line in lines if line.startswith("kotaemon_streams_active ")]
    return float(value)
