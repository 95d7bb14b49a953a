"""Ids of sessions that are not the caller's: 404 by each route, nothing written, each in the log.

The row "session handle" of the security design, over the product's routes and a real store.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from flask.testing import FlaskClient

from kotaemon_node.adapters.redis import RedisApiKeys, RedisSessionStore, RedisStore, connect
from kotaemon_node.adapters.system import RandomIds
from kotaemon_node.api.authority import Authority
from kotaemon_node.api.key_ring import KeyRing
from kotaemon_node.domain.limits import API_KEYS_KNOWN_S
from tests.fakes.credentials import FixedLines, bearer
from tests.fakes.oidc import OidcCluster
from tests.redis_server import RedisServer

OLD, NEW = "the-first-secret-of-this-cluster-1", "the-second-secret-of-this-cluster-2"


class StoredCluster(OidcCluster):
    """A scripted pod whose keys and sessions lie in a real Redis."""

    def __init__(self, store: RedisStore) -> None:
        super().__init__()
        self.kept = FixedLines([OLD])
        self.keys = RedisApiKeys(store)  # type: ignore[assignment]
        self.sessions = RedisSessionStore(store, ttl_s=3600, idle_s=1800)  # type: ignore[assignment]
        ring = KeyRing(
            self.keys, admin=self.admin, secrets=self.kept, clock=self.clock, ids=RandomIds()
        )
        self.authority = Authority(ring, live=self.live, clock=self.clock)


@pytest.fixture
def store(redis_server: RedisServer) -> Iterator[RedisStore]:
    redis_server.wipe()
    store = connect(redis_server.url)
    yield store
    store.client.close()


def everything(store: RedisStore) -> dict[bytes, Any]:
    """Return all that the store holds, each key with its value."""
    return {key: store.client.dump(key) for key in store.client.scan_iter(count=1000)}


def a_session(client: FlaskClient, key: str) -> str:
    made = client.post("/v1/sessions", json={}, headers=bearer(key))
    assert made.status_code == 201, made.text
    return str(made.json["session_id"])


def refused_everywhere(client: FlaskClient, key: str, sid: str) -> None:
    """Assert that no route knows the id."""
    for method, path, body in (
        ("GET", f"/v1/sessions/{sid}", None),
        ("GET", f"/v1/sessions/{sid}/stream", None),
        ("DELETE", f"/v1/sessions/{sid}", None),
        ("POST", f"/v1/sessions/{sid}/turns", {"message": "hello"}),
        ("GET", f"/v1/sessions/{sid}/turns/t", None),
        ("POST", f"/v1/sessions/{sid}/turns/t/cancel", {}),
        ("POST", f"/v1/sessions/{sid}/handoff", {}),
        ("POST", "/chat", {"message": "hello", "session_id": sid}),
        ("GET", f"/ask?q=hello&session_id={sid}", None),
    ):
        answer = client.open(path, method=method, json=body, headers=bearer(key))
        assert answer.status_code == 404, (method, path, answer.text)


def handles(minted: str) -> Sequence[str]:
    """Return what somebody may make of an id that they saw."""
    random, secret_id, proof = minted.split(".")
    return [
        minted[:-1],
        minted[:30],
        random,
        minted + "a",
        minted.swapcase(),
        f"{random}.{secret_id}.{proof[12:]}{proof[:12]}",
        f"{random[::-1]}.{secret_id}.{proof}",
        f"{random}.{secret_id}.{proof[:12]}{'A' * 12}",
        f"{random}.{secret_id}.{'A' * 12}{proof[12:]}",
        f"{random}.AAAA.{proof}",
        f"{random}.{secret_id}.{'A' * 24}",
    ]


def test_a_handle_that_is_not_the_callers_is_refused_by_each_route_and_writes_nothing(
    store: RedisStore,
) -> None:
    # given a session of Ann, one of another user, one of another tenant, one of a retired secret
    cluster = StoredCluster(store)
    ann, bob = cluster.key(user="ann"), cluster.key(user="bob")
    foreign = cluster.key("admin", tenant="other", user="ann")
    cluster.clock.sleep(API_KEYS_KNOWN_S)
    client = cluster.client()
    retired = a_session(client, ann)
    cluster.kept.now = [NEW]
    cluster.clock.sleep(API_KEYS_KNOWN_S)
    mine, of_bob, of_others = (a_session(client, key) for key in (ann, bob, foreign))
    before = everything(store)

    # when somebody shows what is not theirs, or what they made of what is
    shown = [*handles(mine), retired, of_bob, of_others]
    for sid in shown:
        refused_everywhere(client, ann, sid)
    refused_everywhere(client, foreign, mine)

    # then nothing in the store is another, nothing ran, and each is in the log by its id
    assert everything(store) == before
    assert cluster.turns.submitted == []
    events = [event for event in cluster.audit.events if event.action == "session.refused"]
    assert len(events) == 9 * (len(shown) + 1)
    assert {event.target for event in events} == {*shown, mine}
    assert {event.credential.partition(":")[0] for event in events} == {"key"}
    assert client.get(f"/v1/sessions/{mine}", headers=bearer(ann)).status_code == 200


@pytest.mark.parametrize("tries", [300, pytest.param(10_000, marks=pytest.mark.long)])
def test_guesses_find_nothing_and_write_nothing(store: RedisStore, tries: int) -> None:
    cluster = StoredCluster(store)
    admin = cluster.key("admin", user="eve")
    cluster.clock.sleep(API_KEYS_KNOWN_S)
    client, ids = cluster.client(), RandomIds()
    minted = a_session(client, admin)
    _, secret_id, proof = minted.split(".")
    before = everything(store)

    found = 0
    for number in range(tries):
        guess = ids.new_id() if number % 2 else f"{ids.new_id()[:22]}.{secret_id}.{proof}"
        found += client.get(f"/v1/sessions/{guess}", headers=bearer(admin)).status_code != 404

    assert found == 0
    assert everything(store) == before
    assert cluster.audit.actions() == ["session.refused"] * tries
