"""Sessions in mode ``keys``: minted, and nobody else's to see, by no route and no spelling."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from kotaemon_node.adapters.system.ids import RandomIds
from kotaemon_node.api.asking import TURN_DEFAULT_HEADER
from kotaemon_node.domain.frames import Frame
from kotaemon_node.domain.limits import API_KEYS_KNOWN_S
from tests.fakes.credentials import ADMIN_KEY, FixedLines, KeyedCluster, bearer
from tests.fakes.refusals import assert_refused


def routes_of(sid: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Return every call that names a session."""
    place = f"/v1/sessions/{sid}"
    stream = {"Accept": "text/event-stream"}
    return [
        ("GET", place, {}),
        ("GET", f"{place}/stream", {}),
        ("POST", f"{place}/turns", {"json": {"message": "hello"}}),
        ("POST", f"{place}/turns", {"json": {"message": "hello"}, "headers": stream}),
        ("GET", f"{place}/turns/t", {}),
        ("GET", f"{place}/turns/t/stream", {}),
        ("POST", f"{place}/turns/t/cancel", {}),
        ("POST", "/chat", {"json": {"message": "hello", "session_id": sid}}),
        ("GET", f"/ask?q=hello&session_id={sid}", {}),
        ("DELETE", place, {}),
    ]


def called(client: FlaskClient, key: str, call: tuple[str, str, dict[str, Any]]) -> Any:
    method, path, arguments = call
    headers = {**arguments.get("headers", {}), **bearer(key)}
    return client.open(path, method=method, **{**arguments, "headers": headers})


def a_session(client: FlaskClient, key: str) -> str:
    answer = client.post("/v1/sessions", headers=bearer(key))
    assert answer.status_code == 201
    sid = str(answer.json["session_id"])
    body = {"message": "hello", "turn_id": "t"}
    turn = client.post(f"/v1/sessions/{sid}/turns", json=body, headers=bearer(key))
    assert turn.status_code == 200
    return sid


@pytest.mark.parametrize(
    ("tenant", "user"), [("default", "bob"), ("other", "ann"), ("other", "bob")]
)
def test_another_callers_session_is_not_there(tenant: str, user: str) -> None:
    cluster = KeyedCluster()
    client = cluster.client()
    sid = a_session(client, cluster.key(user="ann"))
    stranger = cluster.key(tenant=tenant, user=user)
    cluster.clock.sleep(API_KEYS_KNOWN_S)
    before = len(cluster.turns.submitted)

    for call in routes_of(sid):
        assert_refused(called(client, stranger, call), 404, "session_not_found")

    assert client.get("/v1/sessions", headers=bearer(stranger)).json["sessions"] == []
    assert len(cluster.turns.submitted) == before
    assert len(cluster.sessions.views) == 1


def test_its_owner_comes_back_with_any_key_of_the_same_user() -> None:
    cluster = KeyedCluster()
    first, second = cluster.key(), cluster.key()
    client = cluster.client()
    sid = a_session(client, first)

    for call in routes_of(sid):
        assert called(client, second, call).status_code in (200, 204), call


@pytest.mark.parametrize("role", ["admin", "agent"])
def test_who_talks_for_others_sees_all_of_its_tenant_and_none_of_another(role: Any) -> None:
    cluster = KeyedCluster()
    ann, foreign = cluster.key(), cluster.key(tenant="other", user="ann")
    colleague = cluster.key(role, user="carol")
    client = cluster.client()
    ours, theirs = a_session(client, ann), a_session(client, foreign)

    assert client.get(f"/v1/sessions/{ours}", headers=bearer(colleague)).status_code == 200
    for call in routes_of(theirs):
        assert_refused(called(client, colleague, call), 404, "session_not_found")


@pytest.mark.parametrize("role", ["customer", "admin"])
def test_ids_that_were_not_minted_never_reach_the_store(role: Any) -> None:
    cluster = KeyedCluster()
    key = cluster.key(role)
    client = cluster.client()
    minted = a_session(client, key)
    before = len(cluster.turns.submitted)
    random, secret_id, proof = minted.split(".")
    forged = [
        random,
        minted[:-1],
        minted + "a",
        f"{random}.{secret_id}.",
        f"{random}..{proof}",
        f"{random}.{secret_id}.{proof[::-1]}",
        f"{random[::-1]}.{secret_id}.{proof}",
        f"{random}.AAAA.{proof}",
        f"{random}.{secret_id}.{'A' * 24}",
        "my-own-name",
        *(RandomIds().new_id() for _ in range(500)),
        *(f"{RandomIds().new_id()}.{secret_id}.{proof}" for _ in range(500)),
    ]

    def touched(*_: Any, **__: Any) -> Any:
        raise AssertionError("the store was asked")

    cluster.sessions.load = touched  # type: ignore[method-assign]
    cluster.turns.submit = touched  # type: ignore[method-assign]
    for sid in forged:
        assert_refused(
            called(client, key, ("GET", f"/v1/sessions/{sid}", {})), 404, "session_not_found"
        )
    for sid in forged[:12]:
        for call in routes_of(sid):
            assert called(client, key, call).status_code == 404, (sid, call)
    assert len(cluster.turns.submitted) == before


def test_a_retired_secret_ends_the_ids_made_with_it() -> None:
    old, new = "the-first-secret-of-this-cluster-1", "the-second-secret-of-this-cluster-2"
    secrets = FixedLines([old])
    cluster = KeyedCluster(secrets=secrets)
    key, client = cluster.key(), cluster.client()
    sid = a_session(client, key)

    secrets.now = [new, old]
    cluster.clock.sleep(API_KEYS_KNOWN_S)
    assert client.get(f"/v1/sessions/{sid}", headers=bearer(key)).status_code == 200
    younger = a_session(client, key)
    secrets.now = [new]
    cluster.clock.sleep(API_KEYS_KNOWN_S)

    assert client.get(f"/v1/sessions/{sid}", headers=bearer(key)).status_code == 404
    assert client.get(f"/v1/sessions/{younger}", headers=bearer(key)).status_code == 200
    secrets.now = []
    cluster.clock.sleep(API_KEYS_KNOWN_S)
    assert client.get(f"/v1/sessions/{younger}", headers=bearer(key)).status_code == 200


def test_a_store_that_lost_the_secret_gets_it_back() -> None:
    cluster = KeyedCluster()
    key, client = cluster.key(), cluster.client()
    sid = a_session(client, key)
    secret = cluster.keys.secret

    cluster.keys.secret = ""
    cluster.clock.sleep(API_KEYS_KNOWN_S)

    assert client.get(f"/v1/sessions/{sid}", headers=bearer(key)).status_code == 200
    assert cluster.keys.secret == secret


def test_chat_mints_an_id_and_a_repeated_request_finds_the_same() -> None:
    cluster = KeyedCluster()
    ann, bob = cluster.key(user="ann"), cluster.key(user="bob")
    client = cluster.client()
    body = {"message": "hello"}

    def chat(key: str) -> str:
        headers = {**bearer(key), TURN_DEFAULT_HEADER: "the-balancers-id"}
        return str(client.post("/chat", json=body, headers=headers).json["session_id"])

    first, again, of_bob = chat(ann), chat(ann), chat(bob)

    assert first == again != of_bob
    assert len(cluster.turns.submitted) == 2
    assert client.get(f"/v1/sessions/{first}", headers=bearer(ann)).status_code == 200
    assert client.get(f"/v1/sessions/{first}", headers=bearer(bob)).status_code == 404


def test_a_customer_talks_for_itself_and_an_agent_for_others() -> None:
    cluster = KeyedCluster()
    ann, agent = cluster.key(user="ann"), cluster.key("agent", user="carol")
    client = cluster.client()

    def made(key: str, body: dict[str, str]) -> Any:
        return client.post("/v1/sessions", json=body, headers=bearer(key))

    assert_refused(made(ann, {"user_id": "bob"}), 403, "forbidden")
    for answer in (made(ann, {}), made(ann, {"user_id": "ann"})):
        sid = answer.json["session_id"]
        assert client.get(f"/v1/sessions/{sid}", headers=bearer(ann)).json["user_id"] == "ann"
    sid = made(agent, {"user_id": "bob"}).json["session_id"]
    assert client.get(f"/v1/sessions/{sid}", headers=bearer(agent)).json["user_id"] == "bob"


def test_another_tenant_meets_none_of_our_knowledge() -> None:
    cluster = KeyedCluster()
    foreign, client = cluster.key("admin", tenant="other"), cluster.client()

    for path in (
        "/v1/search?q=delivery",
        "/v1/sources/default/7/x",
        "/v1/knowledge/default",
        "/v1/knowledge/default/generations",
        "/v1/knowledge/default/documents",
        "/v1/knowledge/default/documents/shop.md",
    ):
        assert_refused(client.get(path, headers=bearer(foreign)), 404, "not_found")
    upload = client.post("/v1/knowledge/default/documents", headers=bearer(foreign))
    assert_refused(upload, 404, "not_found")
    publish = client.post("/v1/knowledge/default/publish", headers=bearer(foreign))
    assert_refused(publish, 404, "not_found")
    assert_refused(client.get("/v1/cluster", headers=bearer(foreign)), 403, "forbidden")
    assert client.get("/v1/jobs", headers=bearer(foreign)).json["jobs"] == []
    assert client.get("/v1/search?q=delivery", headers=bearer(ADMIN_KEY)).status_code == 200


@pytest.mark.parametrize("carrier", ["header", "cookie"])
def test_a_stream_ends_with_the_key_that_opened_it(carrier: str) -> None:
    cluster = KeyedCluster()
    key, client = cluster.key(), cluster.client()
    headers = bearer(key)
    sid = client.post("/v1/sessions", json={}, headers=headers).get_json()["session_id"]
    if carrier == "cookie":
        client.post("/v1/login", json={"key": key})
        headers = {}

    def happening() -> Iterator[Frame]:
        yield Frame("turn", {"message": "mine"}, "t", "trace", seq=None)
        cluster.clock.sleep(API_KEYS_KNOWN_S)
        cluster.keys.away = True
        yield Frame("turn", {"message": "still mine"}, "t", "trace", seq=None)
        cluster.keys.away = False
        cluster.clock.sleep(API_KEYS_KNOWN_S)
        yield Frame("turn", {"message": "mine as before"}, "t", "trace", seq=None)
        cluster.keys.remove(next(iter(cluster.keys.keys)))
        cluster.clock.sleep(API_KEYS_KNOWN_S)
        yield Frame("turn", {"message": "not yours"}, "t", "trace", seq=None)

    cluster.turns.happening = happening()
    told = client.get(f"/v1/sessions/{sid}/stream", headers=headers).text

    assert told.count("mine") == 3
    assert "not yours" not in told
    assert '"code":"unauthenticated"' in told


def test_agents_list_the_sessions_of_their_tenant_and_others_may_not() -> None:
    cluster = KeyedCluster()
    client = cluster.client()
    ann, bob = cluster.key(user="ann"), cluster.key(user="bob")
    agent = cluster.key(role="agent", user="eve")
    sids = {a_session(client, key) for key in (ann, bob)}

    listed = client.get("/v1/sessions?all=true", headers=bearer(agent))
    refused = client.get("/v1/sessions?all=true", headers=bearer(ann))

    assert {row["session_id"] for row in listed.json["sessions"]} == sids
    assert client.get("/v1/sessions", headers=bearer(agent)).json["sessions"] == []
    assert_refused(refused, 403, "forbidden")
