"""``/ws/chat`` as an independent client sees it: what it says, and what it is told."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from kotaemon_node.api.app import create_app
from kotaemon_node.domain import door_limits
from kotaemon_node.domain.errors import Draining, StoreUnavailable
from tests.fakes.services import ANSWER, FakeCluster
from tests.raw_websocket import BINARY, TEXT, RawSocket, frame
from tests.socket_server import SocketServer

Frame = dict[str, Any]


@contextmanager
def served(cluster: FakeCluster, *, streams_max: int = 10) -> Iterator[SocketServer]:
    with SocketServer(create_app(cluster.services(), streams_max=streams_max)) as server:
        yield server


@contextmanager
def talking(cluster: FakeCluster, query: str = "") -> Iterator[ClientConnection]:
    with served(cluster) as server, connect(f"{server.url}/ws/chat{query}") as client:
        yield client


def say(client: ClientConnection, kind: str, **fields: Any) -> None:
    client.send(json.dumps({"type": kind, **fields}))


def hear(client: ClientConnection) -> Frame:
    found: Frame = json.loads(client.recv(timeout=60))
    return found


def hear_turn(client: ClientConnection) -> list[Frame]:
    """Return frames up to the end of a turn."""
    frames = [hear(client)]
    while frames[-1]["type"] not in {"done", "error", "reconnect"}:
        frames.append(hear(client))
    return frames


def test_a_message_is_answered_by_the_frames_that_events_have() -> None:
    cluster = FakeCluster()
    with talking(cluster) as client:
        say(client, "message", session_id="s", turn_id="t", text="May I?", kb="default")
        frames = hear_turn(client)

    followed = cluster.client().get("/v1/sessions/s/turns/t/stream").text
    events = [json.loads(line[6:]) for line in followed.splitlines() if line.startswith("data: ")]
    assert frames == events
    assert [frame["seq"] for frame in frames] == [1, 2, 3, 4, 5]
    text = "".join(frame["content"] for frame in frames if frame["type"] == "text")
    assert text == frames[-1]["answer"] == ANSWER
    assert cluster.turns.submitted[0].options == {"kb": "default"}


@pytest.mark.parametrize("said", ["May I?", "[1, 2]", '"quoted"', "42", " 你好 "])
def test_a_bare_text_is_a_message_in_a_session_of_the_connection(said: str) -> None:
    cluster = FakeCluster()
    with talking(cluster) as client:
        client.send(said)
        begun, *frames = hear_turn(client)
        client.send("And then?")
        again, *_ = hear_turn(client)

    assert begun["type"] == again["type"] == "turn"
    assert begun["session_id"] == again["session_id"]
    assert begun["turn_id"] != again["turn_id"]
    assert {frame["turn_id"] for frame in frames} == {begun["turn_id"]}
    assert {frame["trace_id"] for frame in frames} == {begun["trace_id"]}
    assert cluster.turns.submitted[0].message == said
    assert begun["trace_id"] != again["trace_id"]


def test_the_session_of_the_connection_may_be_named_in_the_address() -> None:
    cluster = FakeCluster()
    with talking(cluster, "?session_id=mine") as client:
        client.send("May I?")
        assert hear(client)["session_id"] == "mine"

    assert cluster.turns.submitted[0].key.session.session_id == "mine"


def test_resuming_gives_what_is_missing() -> None:
    cluster = FakeCluster()
    with talking(cluster) as client:
        say(client, "message", session_id="s", turn_id="t", text="May I?")
        hear_turn(client)
        say(client, "resume", session_id="s", turn_id="t", after=3)
        assert [frame["seq"] for frame in hear_turn(client)] == [4, 5]
        say(client, "resume", session_id="s", turn_id="t", after=99)
        refused = hear(client)

    assert (refused["type"], refused["code"], refused["turn_id"]) == ("error", "gone", "t")
    assert "seq" not in refused


def test_a_turn_has_one_task_however_often_it_is_asked_for() -> None:
    cluster = FakeCluster()
    with talking(cluster, "?ack=true") as client:
        say(client, "message", session_id="s", turn_id="t", text="May I?")
        told = hear_turn(client)
        while len(told) < door_limits.SOCKET_WINDOW_FRAMES:
            if told[-1]["type"] == "done":
                say(client, "resume", session_id="s", turn_id="t")
            told.append(hear(client))
        before = threading.active_count()
        for after in range(48):  # there is no room for any of them
            say(client, "resume", session_id="s", turn_id="t", after=after % 3)
        say(client, "ping")
        assert hear(client)["type"] == "pong"
        assert threading.active_count() <= before + 1
        say(client, "ack", seq=told[-1]["seq"])
        assert [frame["seq"] for frame in hear_turn(client)] == [3, 4, 5]  # the last that was asked
        say(client, "ping")
        assert hear(client)["type"] == "pong"


def test_a_message_that_is_repeated_is_the_same_turn() -> None:
    cluster = FakeCluster()
    with talking(cluster) as client:
        for _ in range(2):
            say(client, "message", session_id="s", turn_id="t", text="May I?")
            assert [frame["seq"] for frame in hear_turn(client)] == [1, 2, 3, 4, 5]
        say(client, "message", session_id="s", turn_id="t", text="Something else")
        assert hear(client)["code"] == "turn_conflict"

    assert len(cluster.turns.submitted) == 1


def test_a_ping_is_answered_for_those_who_cannot_see_the_protocols_own() -> None:
    with talking(FakeCluster()) as client:
        say(client, "ping")
        pong = hear(client)

    assert pong["type"] == "pong"
    assert len(pong["trace_id"]) == 32


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("", "invalid"),
        ("   ", "invalid"),
        ("{", "malformed"),
        ('{"type": "message"}', "invalid"),
        ('{"text": "no type"}', "invalid"),
        ('{"type": "jump"}', "invalid"),
        ('{"type": ["message"]}', "invalid"),
        ('{"type": "message", "text": ""}', "invalid"),
        ('{"type": "message", "text": 3}', "invalid"),
        ('{"type": "message", "text": "a\\u0000b"}', "invalid"),
        ('{"type": "message", "text": "x", "session_id": "a/b"}', "malformed"),
        ('{"type": "message", "text": "x", "on_busy": "never"}', "invalid"),
        ('{"type": "message", "text": "x", "context": {"k": "%s"}}' % ("v" * 70_000), "too_large"),
        ('{"type": "message", "text": "x", "a": %s}' % ("[" * 40 + "]" * 40), "malformed"),
        ('{"type": "message", "text": "%s"}' % ("x" * 32_001), "too_large"),
        ("x" * 32_001, "too_large"),
        ('{"type": "resume", "session_id": "s"}', "invalid"),
        ('{"type": "resume", "session_id": "s", "turn_id": "t", "after": -1}', "invalid"),
        ('{"type": "resume", "session_id": "none", "turn_id": "t"}', "session_not_found"),
        ('{"type": "cancel"}', "turn_not_found"),
        ('{"type": "ack"}', "invalid"),
        ('{"type": "ack", "seq": "1"}', "pong"),  # digits are a number, as in a query
    ],
)
def test_what_cannot_be_done_is_told_and_the_connection_stays(said: str, code: str) -> None:
    with talking(FakeCluster()) as client:
        client.send(said)
        say(client, "ping")
        told = hear(client)
        if code == "pong":
            assert told["type"] == code
            return
        assert (told["type"], told["code"], told["retryable"]) == ("error", code, False)
        assert told["message"]
        assert len(told["trace_id"]) == 32
        assert hear(client)["type"] == "pong"


def test_a_store_that_is_away_refuses_one_message() -> None:
    cluster = FakeCluster()
    cluster.turns.refusal = StoreUnavailable("Redis does not answer")
    with talking(cluster) as client:
        say(client, "message", session_id="s", turn_id="t", text="May I?")
        told = hear(client)
        assert (told["code"], told["retryable"], told["turn_id"]) == (
            "store_unavailable",
            True,
            "t",
        )
        cluster.turns.refusal = None
        say(client, "message", session_id="s", turn_id="t", text="May I?")
        assert hear_turn(client)[-1]["type"] == "done"


def test_following_that_breaks_says_come_back_and_ends_no_turn() -> None:
    cluster = FakeCluster()
    cluster.turns.pauses = {3: [Draining("this pod is leaving")]}
    with talking(cluster) as client:
        say(client, "message", session_id="s", turn_id="t", text="May I?")
        told = hear_turn(client)[-1]
        assert told["type"] == "reconnect"
        assert told["turn_id"] == "t"
        assert 0 <= told["retry_ms"] <= 1_000
        cluster.turns.pauses = {}
        say(client, "resume", session_id="s", turn_id="t", after=2)
        assert [frame["seq"] for frame in hear_turn(client)] == [3, 4, 5]


def test_a_context_goes_into_a_session_that_is_new() -> None:
    cluster = FakeCluster()
    with talking(cluster) as client:
        for context in ({"plan": "gold"}, {"plan": "lead"}):
            say(client, "message", session_id="s", text="May I?", context=context)
            hear_turn(client)

    (view,) = cluster.sessions.views.values()
    assert view.context == {"plan": "gold"}


def test_binary_messages_are_not_for_this_door() -> None:
    with served(FakeCluster()) as server:
        client = RawSocket(server.port, "/ws/chat")
        client.send(frame(BINARY, b"\x00"))
        assert [got.code for got in client.rest()] == [1003]


def test_a_message_beyond_the_bound_closes_the_connection() -> None:
    with served(FakeCluster()) as server:
        client = RawSocket(server.port, "/ws/chat")
        client.send(frame(TEXT, b"x" * (door_limits.SOCKET_MESSAGE_BYTES_MAX + 1)))
        assert [got.code for got in client.rest()] == [1009]


def test_many_sessions_share_a_connection() -> None:
    cluster = FakeCluster()
    with talking(cluster) as client:
        for n in range(40):
            say(client, "message", session_id=f"s{n % 4}", turn_id=f"t{n}", text="May I?")
            hear_turn(client)

    assert len(cluster.sessions.views) == 4
    assert len(cluster.turns.submitted) == 40


def test_a_pod_that_is_leaving_sends_its_clients_elsewhere() -> None:
    cluster = FakeCluster()
    with talking(cluster) as client:
        say(client, "ping")
        hear(client)
        cluster.pod.draining = True
        told = hear(client)
        with pytest.raises(ConnectionClosed) as caught:
            client.recv(timeout=60)

    assert told["type"] == "reconnect"
    assert 0 <= told["retry_ms"] <= 1_000
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1012


def test_a_leaving_pod_answers_before_the_protocol_changes() -> None:
    cluster = FakeCluster()
    cluster.pod.draining = True
    with served(cluster) as server, pytest.raises(InvalidStatus) as caught:
        connect(f"{server.url}/ws/chat")

    assert caught.value.response.status_code == 503


def test_a_full_pod_answers_before_the_protocol_changes_and_slots_come_back() -> None:
    cluster = FakeCluster()
    with served(cluster, streams_max=1) as server:
        with connect(f"{server.url}/ws/chat"), pytest.raises(InvalidStatus) as caught:
            connect(f"{server.url}/ws/chat")
        assert caught.value.response.status_code == 429
        for thread in server.served:
            thread.join(60)
        with connect(f"{server.url}/ws/chat") as client:
            client.send("May I?")
            assert hear_turn(client)[-1]["type"] == "done"
