"""Each door of a real pod refuses what is over a limit in its own form, and nothing else."""

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import redis
import requests
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect as websocket

from kotaemon_node.rpc.kotaemon_pb2 import GenerateRequest
from kotaemon_node.rpc.kotaemon_pb2_grpc import KotaemonStub
from tests.redis_server import RedisServer, free_port
from tests.scripted_pods import ScriptedPod, until
from tests.socket_talk import hear, hear_turn, say

ADMIN = "an-administrator-chose-this-key-herself"
SLOW = json.dumps({"pieces": 400, "pause_ms": 50})


class LimitedPod:
    """A pod whose table of limits a test writes."""

    def __init__(self, pod: ScriptedPod, file: Path, server: RedisServer, grpc_port: int) -> None:
        self.url, self.file, self.server, self.grpc_port = pod.url, file, server, grpc_port
        self.store = redis.Redis(port=server.port)

    def limit(self, **principal: float) -> None:
        """Let every principal use so much from now on; nothing was used before."""
        self.file.write_text(json.dumps({"principal": principal}))
        until(lambda: self.limits() == principal, what="the limits are these", within_s=30)
        for key in self.store.keys("kn:{use:*"):
            self.store.delete(key)

    def limits(self) -> dict[str, float]:
        """Return the limits that count now, under the names of the file."""
        names = {"requests": "requests_per_minute", "tokens": "tokens_per_minute"}
        return {names.get(name, name): row["limit"] for name, row in self.rows().items()}

    def rows(self) -> dict[str, Any]:
        said = requests.get(f"{self.url}/v1/limits", timeout=30).json()
        return {row["name"]: row for row in said["limits"]}

    def until_settled(self, turns: int) -> None:
        """Wait until so many turns are."""

        def settled() -> bool:
            keys = self.store.keys("kn:{use:*:turn:*")
            return sum(bool(self.store.hexists(key, "settled")) for key in keys) >= turns

        until(settled, what=f"{turns} turns are settled", within_s=30)

    def post(self, path: str, body: object, **headers: str) -> requests.Response:
        return requests.post(f"{self.url}{path}", json=body, headers=headers, timeout=60)


@pytest.fixture(scope="module")
def pod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LimitedPod]:
    folder, server = tmp_path_factory.mktemp("limited"), RedisServer()
    file, grpc_port = folder / "limits.json", free_port()
    file.write_text("{}")
    server.start()
    settings = {
        "LIMITS_FILE": str(file),
        "LIMIT_TURN_TOKENS": "100",
        "GRPC_PORT": str(grpc_port),
        # Never asked: what is reserved for it is given back when the turn has ended.
        "LLM_BASE_URL": "http://127.0.0.1:9/v1",
    }
    try:
        with ScriptedPod(folder, server.url, settings=settings) as running:
            yield LimitedPod(running, file, server, grpc_port)
    finally:
        server.remove()


def following(pod: LimitedPod, turn_id: str, *, turns: str = "") -> tuple[str, requests.Response]:
    """Begin a slow turn, and follow it; its session is new where no path of turns is given."""
    if not turns:
        turns = f"/v1/sessions/{pod.post('/v1/sessions', {}).json()['session_id']}/turns"
    answer = requests.post(
        f"{pod.url}{turns}",
        json={"message": SLOW, "turn_id": turn_id},
        headers={"Accept": "text/event-stream"},
        stream=True,
        timeout=60,
    )
    assert answer.status_code == 200
    return turns, answer


def test_rest_tells_limits_in_headers_and_refuses_by_429(pod: LimitedPod) -> None:
    pod.limit(requests_per_minute=2)

    told = [pod.post("/chat", {"message": "hello"}) for _ in range(3)]

    assert [one.status_code for one in told] == [200, 200, 429]
    assert [one.headers["X-RateLimit-Remaining"] for one in told] == ["1", "0", "0"]
    assert told[0].headers["X-RateLimit-Limit"] == "2"
    assert 0 < int(told[0].headers["X-RateLimit-Reset"]) - time.time() <= 62
    assert told[0].headers["RateLimit-Policy"] == '"requests";q=2;w=60'
    assert told[0].headers["RateLimit"].startswith('"requests";r=1;t=')
    refused = told[2]
    error = refused.json()["error"]
    assert (error["code"], error["retryable"]) == ("rate_limited", True)
    assert "your limit of 2 requests a minute is reached; try again in" in error["message"]
    assert 1 <= int(refused.headers["Retry-After"]) <= 61
    metrics = requests.get(f"{pod.url}/metrics", timeout=30).text
    assert 'kotaemon_limited_total{limit="requests"}' in metrics


def test_health_and_what_is_left_are_never_limited(pod: LimitedPod) -> None:
    pod.limit(requests_per_minute=1)
    assert requests.get(f"{pod.url}/v1/sessions", timeout=30).status_code == 200

    for path in ("/healthz", "/readyz", "/metrics", "/v1/limits", "/v1/me", "/"):
        assert requests.get(f"{pod.url}{path}", timeout=30).status_code == 200, path
    assert requests.get(f"{pod.url}/v1/sessions", timeout=30).status_code == 429
    assert pod.rows()["requests"]["used"] == 1


def test_a_turn_that_is_sent_again_counts_once(pod: LimitedPod) -> None:
    pod.limit(requests_per_minute=3)
    session = pod.post("/v1/sessions", {}).json()["session_id"]
    body = {"message": "hello", "turn_id": "t1"}

    told = [pod.post(f"/v1/sessions/{session}/turns", body) for _ in range(4)]

    assert [one.status_code for one in told] == [200] * 4
    assert pod.rows()["requests"]["used"] == 2


def test_what_asks_for_no_turn_in_the_end_counts_too(pod: LimitedPod) -> None:
    pod.limit(requests_per_minute=2)

    assert pod.post("/chat", {"message": 7}).status_code == 422

    assert pod.rows()["requests"]["used"] == 1


def test_a_request_that_asks_for_no_turn_is_refused_like_any_other(pod: LimitedPod) -> None:
    pod.limit(requests_per_minute=2)
    session = pod.post("/v1/sessions", {}).json()["session_id"]
    turns = f"/v1/sessions/{session}/turns"
    assert pod.post(turns, {"message": 7}).status_code == 422

    told = [pod.post(turns, {"message": 7}), pod.post("/chat", {"message": 7})]

    assert [one.status_code for one in told] == [429, 429]
    assert told[0].json()["error"]["code"] == "rate_limited"
    assert 1 <= int(told[0].headers["Retry-After"]) <= 61
    assert told[0].headers["X-RateLimit-Remaining"] == "0"


def test_tokens_are_reserved_and_settled(pod: LimitedPod) -> None:
    pod.limit(tokens_per_minute=250)
    turns, running = following(pod, "t1")
    _, waiting = following(pod, "t2", turns=turns)
    until(lambda: pod.rows()["tokens"]["used"] == 200, what="both are reserved", within_s=30)

    assert pod.post(f"{turns}/t2/cancel", {}).status_code == 200  # it waited, and took nothing
    until(lambda: pod.rows()["tokens"]["used"] == 100, what="it is given back", within_s=30)
    assert pod.post(f"{turns}/t1/cancel", {}).status_code == 200
    pod.until_settled(2)

    # What it took nobody knows who ended it: so it took what was reserved.
    assert pod.rows()["tokens"]["used"] == 100
    running.close()
    waiting.close()
    assert pod.post("/chat", {"message": "hello"}).status_code == 200
    until(lambda: pod.rows()["tokens"]["used"] == 100, what="no model was asked", within_s=30)


def test_a_turn_that_is_refused_reserves_again_when_it_is_handed_in_again(pod: LimitedPod) -> None:
    pod.limit(tokens_per_minute=250)
    turns, running = following(pod, "t1")
    busy = {"message": SLOW, "turn_id": "t2", "on_busy": "reject"}
    assert [pod.post(turns, busy).status_code for _ in range(12)] == [409] * 12
    assert pod.rows()["tokens"]["used"] == 100
    # The turn that runs, and is asked for again in another wording, keeps what it reserved.
    other = {"message": "something else", "turn_id": "t1"}
    assert [pod.post(turns, other).status_code for _ in range(12)] == [409] * 12
    assert pod.rows()["tokens"]["used"] == 100

    assert pod.post(f"{turns}/t1/cancel", {}).status_code == 200
    _, again = following(pod, "t2", turns=turns)

    assert pod.rows()["tokens"]["used"] == 200
    assert pod.post(f"{turns}/t2/cancel", {}).status_code == 200
    running.close()
    again.close()


def test_a_finished_turn_that_is_asked_for_long_after_reserves_nothing(pod: LimitedPod) -> None:
    pod.limit(tokens_per_minute=250)
    session = pod.post("/v1/sessions", {}).json()["session_id"]
    body = {"message": "hello", "turn_id": "t1"}
    assert pod.post(f"/v1/sessions/{session}/turns", body).status_code == 200
    pod.until_settled(1)
    for key in pod.store.keys("kn:{use:*:turn:*"):
        pod.store.delete(key)  # as two minutes after its end

    assert pod.post(f"/v1/sessions/{session}/turns", body).status_code == 200

    assert pod.rows()["tokens"]["used"] == 0


def test_followers_of_one_turn_share_a_place_by_two(pod: LimitedPod) -> None:
    pod.limit(streams=1, requests_per_minute=12)
    turns, first = following(pod, "t1")
    address = f"{pod.url}{turns}/t1/stream"
    second = requests.get(address, stream=True, timeout=60)
    assert second.status_code == 200
    assert pod.rows()["requests"]["used"] == 2  # the session and the turn: coming back is none

    told = [requests.get(address, stream=True, timeout=60) for _ in range(3)]
    assert [one.status_code for one in told] == [429] * 3
    assert pod.rows()["streams"]["used"] == 1

    second.close()
    until(
        lambda: requests.get(address, stream=True, timeout=60).status_code == 200,
        what="its place is free",
        within_s=30,
    )
    pod.limit(requests_per_minute=12)
    asked = [requests.get(f"{pod.url}{turns}/strange/stream", timeout=60) for _ in range(13)]
    assert [one.status_code for one in asked] == [404] * 12 + [429]
    assert pod.post(f"{turns}/t1/cancel", {}).status_code == 429  # of the limit before: not known
    pod.limit(streams=1)
    assert pod.post(f"{turns}/t1/cancel", {}).status_code == 200
    first.close()


def test_a_stream_over_the_limit_is_refused_until_one_ends(pod: LimitedPod) -> None:
    pod.limit(streams=1)
    session = pod.post("/v1/sessions", {}).json()["session_id"]
    turns, stream = f"/v1/sessions/{session}/turns", {"Accept": "text/event-stream"}
    first = requests.post(
        f"{pod.url}{turns}",
        json={"message": SLOW, "turn_id": "t1"},
        headers=stream,
        stream=True,
        timeout=60,
    )
    # The same turn again is the same stream: so a client finds it whose pod has died.
    again = requests.get(f"{pod.url}{turns}/t1/stream", stream=True, timeout=60)
    assert (first.status_code, again.status_code) == (200, 200)

    refused = pod.post(turns, {"message": "hello", "turn_id": "t2"}, **stream)

    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limited")
    assert requests.get(f"{pod.url}{turns}/t2", timeout=30).status_code == 404
    assert pod.post(f"{turns}/t1/cancel", {}).status_code == 200
    first.close()
    again.close()
    until(lambda: pod.rows()["streams"]["used"] == 0, what="the stream is over", within_s=30)
    assert pod.post(turns, {"message": "hello", "turn_id": "t2"}, **stream).status_code == 200


def test_openai_programs_are_told_in_their_form(pod: LimitedPod) -> None:
    pod.limit(requests_per_minute=1, tokens_per_minute=1_000)
    body = {"model": "kotaemon", "messages": [{"role": "user", "content": "hello"}]}

    taken = pod.post("/v1/chat/completions", body)
    refused = pod.post("/v1/chat/completions", {**body, "user": "another"})

    assert (taken.status_code, refused.status_code) == (200, 429)
    assert taken.headers["x-ratelimit-limit-requests"] == "1"
    assert taken.headers["x-ratelimit-remaining-requests"] == "0"
    assert taken.headers["x-ratelimit-remaining-tokens"] == "900"
    assert taken.headers["x-ratelimit-reset-requests"].endswith("s")
    error = refused.json()["error"]
    assert (error["type"], error["code"]) == ("requests", "rate_limit_exceeded")
    assert int(refused.headers["retry-after-ms"]) == 1_000 * int(refused.headers["Retry-After"])


def test_a_websocket_is_told_by_a_frame_and_stays(pod: LimitedPod) -> None:
    pod.limit(requests_per_minute=2)
    with websocket(f"{pod.url.replace('http', 'ws', 1)}/ws/chat") as client:
        say(client, "message", text="hello")
        assert hear_turn(client)[-1]["type"] == "done"

        say(client, "message", text="hello again")

        told = hear(client)
        assert (told["type"], told["code"]) == ("error", "rate_limited")
        assert told["retryable"]
        assert 1 <= told["retry_after_s"] <= 61
        say(client, "ping")
        assert hear(client)["type"] == "pong"
    with pytest.raises(InvalidStatus) as refused:
        websocket(f"{pod.url.replace('http', 'ws', 1)}/ws/chat")
    assert refused.value.response.status_code == 429


def test_what_is_said_on_a_websocket_counts_though_it_is_no_turn(pod: LimitedPod) -> None:
    pod.limit(requests_per_minute=5)
    with websocket(f"{pod.url.replace('http', 'ws', 1)}/ws/chat") as client:
        for said in (
            {"type": "nonsense"},
            {"type": "cancel"},
            {"type": "resume", "turn_id": "nobody-has-it", "session_id": "strange"},
            {"type": "message", "text": "hello", "turn_id": "/"},
        ):
            client.send(json.dumps(said))
            assert hear(client)["code"] != "rate_limited", said
        assert pod.rows()["requests"]["used"] == 5

        for said in ({"type": "cancel"}, {"type": "nonsense"}):
            client.send(json.dumps(said))
            assert hear(client)["code"] == "rate_limited", said
        say(client, "ping")
        assert hear(client)["type"] == "pong"


def test_a_connection_has_one_place_among_the_streams(pod: LimitedPod) -> None:
    pod.limit(streams=1)
    address = f"{pod.url.replace('http', 'ws', 1)}/ws/chat"
    with websocket(address) as client:
        say(client, "message", text="hello")
        assert hear_turn(client)[-1]["type"] == "done"
        with pytest.raises(InvalidStatus) as refused:
            websocket(address)
        assert refused.value.response.status_code == 429
    until(lambda: pod.rows()["streams"]["used"] == 0, what="the place is free", within_s=30)


def test_grpc_says_resource_exhausted(pod: LimitedPod) -> None:
    pod.limit(requests_per_minute=2)  # a session, and a turn in it
    with grpc.insecure_channel(f"127.0.0.1:{pod.grpc_port}") as channel:
        stub = KotaemonStub(channel)
        assert stub.Generate(GenerateRequest(input="hello"), timeout=60).output == "hello"

        with pytest.raises(grpc.RpcError) as refused:
            stub.Generate(GenerateRequest(input="hello"), timeout=60)

    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    told = dict(refused.value.trailing_metadata())
    assert told["kotaemon-code"] == "rate_limited"
    assert int(told["grpc-retry-pushback-ms"]) == 1_000 * int(told["retry-after"])


def test_a_store_that_is_away_refuses_nothing_by_itself(pod: LimitedPod) -> None:
    pod.limit(requests_per_minute=1)
    assert pod.post("/chat", {"message": "hello"}).status_code == 200
    pod.server.send(signal.SIGSTOP)
    try:
        told = requests.get(f"{pod.url}/ask", params={"q": "hello"}, timeout=60)
    finally:
        pod.server.send(signal.SIGCONT)

    assert told.status_code == 200
    assert told.json()["degraded"] == "session_store_unavailable"
