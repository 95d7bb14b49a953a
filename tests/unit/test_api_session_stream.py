"""The stream of a session: where it begins, what it sends, and how it ends."""

import json

import pytest
from flask.testing import FlaskClient

from kotaemon_node.domain.errors import Draining, Gone, StoreUnavailable
from kotaemon_node.domain.frames import Frame
from kotaemon_node.domain.session import SessionPlace
from tests.fakes.services import FakeCluster, frames_of
from tests.unit.test_api_stream import events, gauge

TURNS = "/v1/sessions/s/turns"
STREAM = "/v1/sessions/s/stream"


def talked(cluster: FakeCluster) -> FlaskClient:
    """Return a client of a pod whose session ``s`` has had the turn ``t``."""
    client = cluster.client()
    assert client.post(TURNS, json={"turn_id": "t", "message": "May I?"}).status_code == 200
    return client


def announced(turn_id: str) -> Frame:
    return Frame("turn", {"message": "Why?", "state": "running"}, turn_id, "trace-u", seq=None)


def test_it_begins_at_once_and_tells_each_turn_under_its_own_numbers() -> None:
    cluster = FakeCluster()
    client = talked(cluster)
    (turn,) = cluster.sessions.views[next(iter(cluster.sessions.views))].turns
    cluster.turns.happening = [announced("t"), *frames_of(turn)[:2], None, *frames_of(turn)[2:]]

    answer = client.get(STREAM)

    assert (answer.status_code, answer.mimetype) == (200, "text/event-stream")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Accel-Buffering"] == "no"
    stream = events(answer.text)
    assert [event.get("id", event.get("event", event.get("comment"))) for event in stream] == [
        "heartbeat", "turn", "t:1", "t:2", "heartbeat", "t:3", "t:4", "t:5",
    ]  # fmt: skip
    assert json.loads(stream[1]["data"]) == {
        "type": "turn", "turn_id": "t", "trace_id": "trace-u", "message": "Why?",
        "state": "running",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("headers", "query", "place"),
    [
        ({}, "", SessionPlace()),
        ({}, "?after_version=0", SessionPlace(version=0)),
        ({}, "?after_version=3", SessionPlace(version=3)),
        ({"Last-Event-ID": "t:4"}, "", SessionPlace(turn_id="t", seq=4)),
        # An EventSource repeats its address and adds the header: the header is newer.
        ({"Last-Event-ID": "t:4"}, "?after_version=0", SessionPlace(turn_id="t", seq=4)),
        ({"Last-Event-ID": ""}, "?after_version=", SessionPlace()),
    ],
)
def test_a_reader_says_where_it_stands(
    headers: dict[str, str], query: str, place: SessionPlace
) -> None:
    cluster = FakeCluster()

    assert talked(cluster).get(STREAM + query, headers=headers).status_code == 200

    assert cluster.turns.places == [place]


@pytest.mark.parametrize("last", ["4", "t:", "t:x", ":4", "t:-1", "ü:1", "a b:1", "t:" + "1" * 40])
def test_a_last_event_id_that_is_none_is_malformed(last: str) -> None:
    client = talked(FakeCluster())

    answer = client.get(STREAM, environ_overrides={"HTTP_LAST_EVENT_ID": last})

    assert (answer.status_code, answer.json["error"]["code"]) == (400, "malformed")


@pytest.mark.parametrize("query", ["after_version=x", "after_version=-1"])
def test_a_version_must_be_a_number(query: str) -> None:
    assert talked(FakeCluster()).get(f"{STREAM}?{query}").status_code == 422


def test_what_fails_before_the_first_byte_is_a_status_and_takes_no_slot() -> None:
    client = talked(FakeCluster())

    unknown = client.get("/v1/sessions/never/stream")
    forgotten = client.get(STREAM, headers={"Last-Event-ID": "never:3"})

    assert (unknown.status_code, unknown.json["error"]["code"]) == (404, "session_not_found")
    assert (forgotten.status_code, forgotten.json["error"]["code"]) == (410, "gone")
    assert gauge(client) == 0


@pytest.mark.parametrize(
    ("failure", "event"),
    [
        (Draining("leaving"), "reconnect"),
        (StoreUnavailable("Redis does not answer"), "reconnect"),
        (Gone("the session was deleted"), "error"),
    ],
)
def test_how_it_ends_is_said_without_number_and_without_turn(
    failure: Exception, event: str
) -> None:
    cluster = FakeCluster()
    cluster.turns.happening = [failure]

    last = events(talked(cluster).get(STREAM).text)[-1]

    told = json.loads(last["data"])
    assert (last["event"], "id" in last, "turn_id" in told) == (event, False, False)
    if event == "error":
        assert (told["code"], told["retryable"]) == ("gone", False)


def test_it_takes_a_slot_until_the_reader_leaves() -> None:
    cluster = FakeCluster()
    client = cluster.client(streams_max=1)
    client.post(TURNS, json={"turn_id": "t", "message": "a"})
    cluster.turns.happening = [None, None]
    reading = client.get(STREAM, buffered=False)
    next(iter(reading.response))

    while_taken = client.get(STREAM)
    reading.close()

    assert (while_taken.status_code, while_taken.json["error"]["code"]) == (429, "overloaded")
    assert cluster.turns.closed == 1
    assert gauge(client) == 0
