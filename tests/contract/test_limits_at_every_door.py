"""Whoever has nothing left is refused at every door, and told until when."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect as connect_to

from kotaemon_node.adapters.redis import RedisStore, connect
from kotaemon_node.adapters.redis.use import RedisUse
from kotaemon_node.api import openapi
from kotaemon_node.api.app import create_app
from kotaemon_node.api.openai.errors import speaks_openai
from kotaemon_node.api.permissions import PERMISSIONS, SIGNED
from kotaemon_node.api.principal import ANONYMOUS
from kotaemon_node.api.use_desk import UseDesk
from kotaemon_node.api.voice.offer import VoiceOffer
from kotaemon_node.domain.quotas import Quota, QuotaTable, Row
from kotaemon_node.domain.session import SessionKey, TurnKey
from kotaemon_node.ports.use import REPEATS_MAX, User
from tests.fakes.services import FakeCluster
from tests.redis_server import RedisServer
from tests.socket_server import SocketServer
from tests.speech import SILENCE, VoiceClient, offline, spoken, talking_to
from tests.unit.test_api_channels import MESSAGE, deliver
from tests.unit.test_api_channels import desk as channel_desk
from tests.unit.test_api_uploads import upload

FREE = {"login.me", "limits.read_limits"}
"""Whoever is refused may look who it is and what it has used: that costs no more than a refusal."""


@dataclass
class LimitedCluster(FakeCluster):
    """A scripted pod that counts in a real store, by a table that a test writes."""

    store: Any = None
    own: Row = field(default_factory=dict)
    tenant: Row = field(default_factory=dict)
    voice: VoiceOffer = field(default_factory=VoiceOffer)

    def services(self) -> Any:
        plain = super().services()
        use = UseDesk(
            RedisUse(self.store),
            table=self.table,
            clock=self.clock,
            metrics=plain.metrics.use,
        )
        return replace(plain, use=use, voice=self.voice)

    def used(self, name: str = "requests") -> float:
        one = User(
            ANONYMOUS.tenant, ANONYMOUS.subject, self.table().of_principal(ANONYMOUS), Quota()
        )
        levels = RedisUse(self.store).look(one).levels
        return next(it.limit - it.left for it in levels if it.name == name)

    def table(self) -> QuotaTable:
        return QuotaTable(principal=self.own, tenant=self.tenant)


@pytest.fixture
def store(redis_server: RedisServer) -> Iterator[RedisStore]:
    redis_server.wipe()
    found = connect(redis_server.url)
    yield found
    found.client.close()


@pytest.fixture(scope="module")
def offer() -> Iterator[VoiceOffer]:
    with offline() as pair:
        yield pair


def spend(client: FlaskClient) -> None:
    """Use the one request that one may."""
    assert client.get("/v1/sessions").status_code == 200


def assert_told(answer: Any, *, limit: str = "requests") -> None:
    """Check a refusal: what program and person are told of it."""
    assert answer.status_code == 429, (answer.request.path, answer.status_code, answer.text)
    assert 1 <= int(answer.headers["Retry-After"]) <= 86_400
    error = answer.json["error"]
    if speaks_openai(answer.request.path):
        assert (error["type"], error["code"]) == ("requests", "rate_limit_exceeded")
        assert answer.headers["retry-after-ms"] == answer.headers["Retry-After"] + "000"
    else:
        assert error["code"] == "rate_limited"
    if limit == "requests":
        assert '"requests";q=1;w=60' in answer.headers["RateLimit-Policy"]
        assert re.search(r'"requests";r=0;t=\d+', answer.headers["RateLimit"])
        assert answer.headers["X-RateLimit-Remaining"] == "0"


# --- all routes ---------------------------------------------------------------------------------


@pytest.fixture
def hearing(store: RedisStore, offer: VoiceOffer) -> LimitedCluster:
    return LimitedCluster(store=store, own={"requests_per_minute": 1}, voice=offer)


def routes(client: FlaskClient, *, public: bool) -> Iterator[tuple[str, str, Any]]:
    """Yield endpoint, path and an answer of each route, for whoever has what the caller left."""
    for rule, method in openapi.methods_of(client.application.url_map.iter_rules()):
        access = PERMISSIONS[rule.endpoint]
        if access == SIGNED or access.public != public:
            continue
        path = openapi.template(rule).replace("{", "").replace("}", "")
        body = {} if method in {"POST", "PUT"} else None
        yield rule.endpoint, path, partial(client.open, path, method=method, json=body)


def test_each_route_refuses_who_has_no_requests_left(hearing: LimitedCluster) -> None:
    client = hearing.client()
    spend(client)

    for endpoint, path, ask in routes(client, public=False):
        answer = ask()
        if endpoint in FREE:
            assert answer.status_code == 200, path
        else:
            assert_told(answer)
    assert hearing.turns.submitted == []
    assert hearing.used() == 1


def test_each_route_counts_once_whether_right_or_wrong(hearing: LimitedCluster) -> None:
    hearing.own, client = {"requests_per_minute": 500}, hearing.client()

    for endpoint, path, ask in routes(client, public=False):
        before = hearing.used()
        ask()
        assert hearing.used() - before == (0 if endpoint in FREE else 1), path


def test_what_is_public_is_never_refused_for_a_limit(hearing: LimitedCluster) -> None:
    client = hearing.client()
    spend(client)

    for _, path, ask in routes(client, public=True):
        assert ask().status_code != 429, path
    assert hearing.used() == 1


def test_a_tenants_limit_is_told_as_the_tenants(store: RedisStore) -> None:
    tenant = {"requests_per_minute": 1}
    client = LimitedCluster(store=store, tenant=tenant).client()
    spend(client)

    answer = client.get("/v1/sessions")

    assert answer.status_code == 429
    assert answer.headers["RateLimit-Policy"] == '"tenant-requests";q=1;w=60'
    assert "the whole tenant's limit of 1 requests a minute" in answer.json["error"]["message"]


# --- uploads ------------------------------------------------------------------------------------


def test_an_upload_over_the_bytes_of_the_day_is_refused_before_it_is_read(
    store: RedisStore,
) -> None:
    cluster = LimitedCluster(store=store, own={"upload_bytes_per_day": 1_000})
    assert upload(cluster, ("file", (b"x" * 300, "a.md"))).status_code == 202
    kept, sent = dict(cluster.room.kept), cluster.used("upload_bytes")
    assert 300 < sent < 600  # the body, with what stands around the file

    answer = upload(cluster, ("file", (b"x" * 700, "b.md")))

    assert_told(answer, limit="upload_bytes")
    assert "at midnight UTC" in answer.json["error"]["message"]
    assert not answer.json["error"]["retryable"] or int(answer.headers["Retry-After"]) <= 60
    assert cluster.room.kept == kept
    assert cluster.used("upload_bytes") == sent


def test_an_upload_that_can_never_fit_is_told_so(store: RedisStore) -> None:
    cluster = LimitedCluster(store=store, own={"upload_bytes_per_day": 100})

    answer = upload(cluster, ("file", (b"x" * 300, "a.md")))

    assert_told(answer, limit="upload_bytes")
    told = answer.json["error"]["message"]
    assert told.startswith("the upload has more than your limit of 100 bytes a day")
    assert cluster.room.kept == {}


# --- channels -----------------------------------------------------------------------------------


def channels(store: RedisStore, folder: Path, **limits: Any) -> LimitedCluster:
    own = {"requests_per_minute": 1} | limits
    return LimitedCluster(store=store, own=own, channels=channel_desk(folder))


def test_a_platforms_message_over_the_limit_is_to_come_again(
    store: RedisStore, tmp_path: Path
) -> None:
    cluster = channels(store, tmp_path)
    client = cluster.client()
    assert deliver(client, MESSAGE).status_code in {200, 202}
    # It comes again, as platforms send what they heard no answer to: the same turn, and free.
    assert deliver(client, MESSAGE).status_code in {200, 202}

    refused = deliver(client, {**MESSAGE, "message_id": "m-2"})

    assert_told(refused)
    assert len(cluster.turns.submitted) == 1


def test_what_nobody_signed_uses_nothing_up(store: RedisStore, tmp_path: Path) -> None:
    cluster = channels(store, tmp_path)
    client = cluster.client()

    for _ in range(3):
        refused = deliver(client, MESSAGE, secret="whsec_" + "R" * 32)
        assert refused.status_code == 401

    assert deliver(client, MESSAGE).status_code in {200, 202}


# --- voice --------------------------------------------------------------------------------------


@contextmanager
def talking(cluster: LimitedCluster) -> Iterator[VoiceClient]:
    app = create_app(cluster.services())
    with SocketServer(app) as server, talking_to(server.url) as client:
        yield client


def assert_frame(told: dict[str, Any]) -> None:
    assert (told["type"], told["code"], told["retryable"]) == ("error", "rate_limited", True)
    assert 1 <= told["retry_after_s"] <= 61


def test_an_utterance_over_the_limit_is_told_by_a_frame_and_the_connection_stays(
    store: RedisStore, offer: VoiceOffer
) -> None:
    limits = {"requests_per_minute": 2}  # the connection, and an utterance
    cluster = LimitedCluster(store=store, own=limits, voice=offer)
    question = spoken("where is my order")
    with talking(cluster) as client:
        client.say("start", session_id="s", vad=False, language="en", speak=False)
        client.sound(question)
        client.say("end")
        client.hear("done")
        client.say("start", session_id="s", vad=False, language="en", speak=False)
        client.sound(question)
        client.say("end")

        assert_frame(client.hear("error").one("error"))

        client.say("ping")
        client.hear("pong")
    assert len(cluster.turns.submitted) == 1


def test_what_is_said_by_voice_counts_as_on_any_websocket(
    store: RedisStore, offer: VoiceOffer
) -> None:
    cluster = LimitedCluster(store=store, own={"requests_per_minute": 5}, voice=offer)
    with talking(cluster) as client:
        client.say("resume", session_id="s", turn_id="nobody-has-it")
        assert client.hear("error").one("error")["code"] != "rate_limited"
        client.say("end")  # of no utterance
        assert client.hear("error").one("error")["code"] == "invalid"
        client.say("start", audio={"format": "mp3"})
        assert client.hear("error").one("error")["code"] == "invalid"
        client.sound(SILENCE[:3_200])  # before start
        assert client.hear("error").one("error")["code"] == "invalid"
        assert cluster.used() == 5

        for again in ("resume", "end"):
            more = {"session_id": "s", "turn_id": "nobody-has-it"} if again == "resume" else {}
            client.say(again, **more)
            assert_frame(client.hear("error").one("error"))


def test_who_comes_back_by_voice_to_a_turn_that_counted_pays_nothing(
    store: RedisStore, offer: VoiceOffer
) -> None:
    own = {"requests_per_minute": 3}
    cluster = LimitedCluster(store=store, own=own, voice=offer)
    with talking(cluster) as client:
        client.say("message", session_id="s", turn_id="t", text="how long", speak=False)
        client.hear("done")
        for _ in range(REPEATS_MAX - 1):
            client.say("resume", session_id="s", turn_id="t", speak=False)
            client.hear("done")
        assert cluster.used() == 2  # the connection and the turn


def test_a_connection_over_the_limit_gets_no_handshake(
    store: RedisStore, offer: VoiceOffer
) -> None:
    cluster = LimitedCluster(store=store, own={"streams": 1}, voice=offer)
    with talking(cluster) as client:
        client.say("ping")
        client.hear("pong")
        host, port = client.connection.remote_address[:2]
        with pytest.raises(InvalidStatus) as refused:
            connect_to(f"ws://{host}:{port}/ws/voice")

    answer = refused.value.response
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) >= 1
    assert json.loads(answer.body or b"{}")["error"]["code"] == "rate_limited"


# --- streams ------------------------------------------------------------------------------------


def test_a_stream_over_the_limit_is_refused_at_each_kind(store: RedisStore) -> None:
    cluster = LimitedCluster(store=store, own={"streams": 1})
    key = TurnKey(SessionKey("default", "s"), "t")
    client = cluster.client()
    asked = {"message": "hello", "turn_id": key.turn_id}
    assert client.post("/v1/sessions/s/turns", json=asked).status_code == 200
    stream = {"Accept": "text/event-stream"}
    cluster.turns.pauses = {1: [None]}
    held = client.get("/v1/sessions/s/turns/t/stream", headers=stream)
    assert held.status_code == 200
    assert cluster.used("streams") == 1

    for method, path, body in (
        ("GET", "/v1/sessions/s/stream", None),
        ("POST", "/v1/sessions/s/turns", {"message": "more", "turn_id": "t2"}),
        (
            "POST",
            "/v1/chat/completions",
            {"model": "kotaemon", "stream": True, "messages": [{"role": "user", "content": "?"}]},
        ),
    ):
        refused = client.open(path, method=method, json=body, headers=stream)
        assert refused.status_code == 429, path
        assert "Retry-After" in refused.headers, path
    held.close()
    assert cluster.used("streams") == 0
