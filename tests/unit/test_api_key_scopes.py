"""Keys with scopes, and keys that are rotated: at the routes, on a scripted pod."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from kotaemon_node.api import app as app_module
from kotaemon_node.api import permissions
from kotaemon_node.api.app import create_app
from kotaemon_node.api.permissions import KNOWN, PERMISSIONS, Access
from kotaemon_node.api.principal import LOGIN_COOKIE
from kotaemon_node.domain.credentials import (
    SCOPES,
    Scope,
    digest_of,
    key_id_of,
    printed,
    scopes_of,
)
from kotaemon_node.domain.errors import Invalid
from kotaemon_node.domain.limits import API_KEYS_KNOWN_S
from tests.fakes.credentials import KeyedCluster, bearer
from tests.fakes.refusals import assert_refused
from tests.unit.test_api_keys import CARRIERS, guarded

OVERLAP_S = 3600.0


@pytest.mark.parametrize(
    ("carrier", "scope"),
    [*(("bearer", scope) for scope in SCOPES), ("x-api-key", "talk"), ("cookie", "talk")],
)
def test_a_narrow_key_opens_its_group_of_routes_and_no_other(carrier: str, scope: Scope) -> None:
    cluster = KeyedCluster()
    key, client = cluster.key("admin", scopes=[scope]), cluster.client()
    headers = CARRIERS[carrier](client, key)
    opened = 0

    for endpoint, method, path in guarded(cluster):
        answer = client.open(path, method=method, headers=headers)
        if PERMISSIONS[endpoint].scope in (scope, None):
            assert answer.status_code not in (401, 403), (path, answer.text)
            opened += 1
        else:
            assert_refused(answer, 403, "forbidden")
            assert scope in answer.get_json()["error"]["message"]
    assert opened > 1, "a scope without a route narrows to nothing"


def test_two_scopes_open_both_groups_and_no_scope_gives_a_role_more() -> None:
    cluster = KeyedCluster()
    client = cluster.client()
    both = cluster.key("admin", scopes=["talk", "search"])
    customer = cluster.key("customer", scopes=["cluster", "knowledge"])

    assert client.get("/v1/search?q=delivery", headers=bearer(both)).status_code == 200
    assert client.get("/v1/sessions", headers=bearer(both)).status_code == 200
    assert client.get("/v1/jobs", headers=bearer(both)).status_code == 403
    for path in ("/v1/cluster", "/v1/jobs", "/v1/sessions"):
        assert_refused(client.get(path, headers=bearer(customer)), 403, "forbidden")


def test_every_route_that_asks_for_a_caller_names_its_scope() -> None:
    assert permissions.unscoped() == []
    known = {name for name, row in PERMISSIONS.items() if row == KNOWN}
    assert known <= {"login.me", "limits.read_limits"}
    assert {row.scope for row in PERMISSIONS.values()} - {None} == set(SCOPES)


def test_a_pod_with_a_route_of_no_scope_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    loose = Access(False, frozenset({"admin"}))
    monkeypatch.setattr(permissions, "PERMISSIONS", {**PERMISSIONS, "jobs.list_jobs": loose})

    with pytest.raises(RuntimeError, match=r"jobs\.list_jobs"):
        create_app(KeyedCluster().services())
    assert app_module.permissions is permissions


def test_scopes_are_told_once_each_in_one_order_and_no_other_word_is_one() -> None:
    assert scopes_of(["search", "talk", "search"]) == ("talk", "search")
    with pytest.raises(Invalid, match="'everything'"):
        scopes_of(["everything"])


def rotated(cluster: KeyedCluster, key: str, overlap_s: float) -> str:
    """Give the key another secret, as ``kotaemon keys rotate`` does; return it."""
    before = cluster.keys.keys[key_id_of(key) or ""]
    text = printed(before.id, "n" * 43)
    after = before.rotated(digest_of(text), now_s=cluster.clock.now_s(), overlap_s=overlap_s)
    cluster.keys.replace(before, after)
    cluster.clock.sleep(API_KEYS_KNOWN_S)
    return text


def test_both_secrets_of_a_rotated_key_count_for_the_overlap_and_open_the_same() -> None:
    cluster = KeyedCluster()
    old, client = cluster.key(), cluster.client()
    sid = client.post("/v1/sessions", json={}, headers=bearer(old)).json["session_id"]
    client.post("/v1/login", json={"key": old})
    login = client.get_cookie(LOGIN_COOKIE)
    assert login is not None

    new = rotated(cluster, old, OVERLAP_S)

    assert new != old
    for key in (old, new):
        assert client.get(f"/v1/sessions/{sid}", headers=bearer(key)).status_code == 200
    assert client.get("/v1/me").status_code == 200, "a login lasts as long as its secret"
    cluster.clock.sleep(OVERLAP_S)
    assert client.get(f"/v1/sessions/{sid}", headers=bearer(new)).status_code == 200
    assert_refused(client.get("/v1/me", headers=bearer(old)), 401, "unauthenticated")
    assert_refused(client.get("/v1/me"), 401, "unauthenticated")


def test_without_an_overlap_the_old_secret_ends_at_once() -> None:
    cluster = KeyedCluster()
    old, client = cluster.key(), cluster.client()

    new = rotated(cluster, old, 0.0)

    assert client.get("/v1/me", headers=bearer(new)).status_code == 200
    assert client.get("/v1/me", headers=bearer(old)).status_code == 401


def test_a_second_rotation_ends_the_first_secret() -> None:
    cluster = KeyedCluster()
    first, client = cluster.key(), cluster.client()
    stored = cluster.keys.keys[key_id_of(first) or ""]
    second, third = printed(stored.id, "2" * 43), printed(stored.id, "3" * 43)
    now_s = cluster.clock.now_s()

    once = stored.rotated(digest_of(second), now_s=now_s, overlap_s=OVERLAP_S)
    cluster.keys.replace(stored, once)
    cluster.keys.replace(once, once.rotated(digest_of(third), now_s=now_s, overlap_s=OVERLAP_S))

    status = {key: client.get("/v1/me", headers=bearer(key)).status_code for key in (second, third)}
    assert status == {second: 200, third: 200}
    assert client.get("/v1/me", headers=bearer(first)).status_code == 401


def test_a_stream_of_a_narrowed_key_ends() -> None:
    cluster = KeyedCluster()
    key, client = cluster.key(), cluster.client()
    sid = client.post("/v1/sessions", json={}, headers=bearer(key)).json["session_id"]
    stored = cluster.keys.keys[key_id_of(key) or ""]

    def happening() -> Iterator[None]:
        cluster.keys.replace(stored, replace(stored, scopes=("search",)))
        cluster.clock.sleep(API_KEYS_KNOWN_S)
        yield None

    cluster.turns.happening = happening()
    told = client.get(f"/v1/sessions/{sid}/stream", headers=bearer(key)).text

    assert '"code":"unauthenticated"' in told
