"""``AUTH_MODE=keys``: no way in without a key, by no carrier and on no route; keys come and go."""

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from kotaemon_node.api import openapi
from kotaemon_node.api.app import create_app
from kotaemon_node.api.permissions import PERMISSIONS, is_public
from kotaemon_node.api.principal import LOGIN_COOKIE
from kotaemon_node.domain.credentials import ROLES, Role
from kotaemon_node.domain.limits import API_KEYS_KNOWN_S
from tests.fakes.credentials import ADMIN_KEY, KeyedCluster, bearer
from tests.fakes.refusals import assert_refused

Carrier = Callable[[FlaskClient, str], dict[str, Any]]


def by_cookie(client: FlaskClient, key: str) -> dict[str, Any]:
    assert client.post("/v1/login", json={"key": key}).status_code == 200
    return {}


CARRIERS: dict[str, Carrier] = {
    "bearer": lambda _, key: bearer(key),
    "bearer in small letters": lambda _, key: {"Authorization": f"bearer {key}"},
    "x-api-key": lambda _, key: {"X-API-Key": key},
    "cookie": by_cookie,
}


def guarded(cluster: KeyedCluster) -> list[tuple[str, str, str]]:
    """Return (endpoint, method, path) of each route that needs a caller."""
    rules = create_app(cluster.services()).url_map.iter_rules()
    return [
        (rule.endpoint, method, openapi.template(rule).replace("{", "").replace("}", ""))
        for rule, method in openapi.methods_of(rules)
        if not is_public(rule.endpoint)
    ]


def test_no_route_but_the_public_ones_answers_without_a_key() -> None:
    cluster = KeyedCluster()
    client = cluster.client()

    for _, method, path in guarded(cluster):
        answer = client.open(path, method=method)
        assert_refused(answer, 401, "unauthenticated")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert client.open(path, method=method, headers=bearer("nonsense")).status_code == 401
    assert cluster.turns.submitted == []
    assert client.get("/healthz").status_code == client.get("/readyz").status_code == 200
    assert client.get("/balancer/test-cluster").status_code == 200
    assert client.get("/metrics").status_code == client.get("/").status_code == 200


@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize("role", ROLES)
def test_each_carrier_opens_what_the_role_may_use_and_nothing_else(
    carrier: str, role: Role
) -> None:
    cluster = KeyedCluster()
    key, client = cluster.key(role), cluster.client()
    headers = CARRIERS[carrier](client, key)

    for endpoint, method, path in guarded(cluster):
        answer = client.open(path, method=method, headers=headers)
        if role in PERMISSIONS[endpoint].roles:
            assert answer.status_code not in (401, 403), (path, answer.text)
        else:
            assert_refused(answer, 403, "forbidden")


def test_the_admin_key_of_the_environment_is_an_administrators() -> None:
    client = KeyedCluster().client()

    me = client.get("/v1/me", headers=bearer(ADMIN_KEY))

    assert me.json == {"tenant": "default", "subject": "key:admin", "role": "admin"}
    assert client.get("/v1/cluster", headers=bearer(ADMIN_KEY)).status_code == 200


def test_another_admin_key_takes_its_place_without_a_restart() -> None:
    cluster = KeyedCluster()
    client = cluster.client()
    assert client.get("/v1/me", headers=bearer(ADMIN_KEY)).status_code == 200

    cluster.admin.now = ["another-key-that-an-administrator-chose"]
    cluster.clock.sleep(API_KEYS_KNOWN_S)

    assert client.get("/v1/me", headers=bearer(ADMIN_KEY)).status_code == 401
    assert client.get("/v1/me", headers=bearer(cluster.admin.now[0])).status_code == 200


def _changed(text: str, place: int) -> str:
    return text[:place] + ("a" if text[place] != "a" else "b") + text[place + 1 :]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda key: key[:-1],
        lambda key: key + "a",
        lambda key: _changed(key, len(key) - 1),
        lambda key: _changed(key, 3),
        lambda key: key.upper(),
        lambda key: key.rpartition("_")[0] + "_",
        lambda key: "",
        lambda key: "é" * 40,
        lambda key: "a" * 4_000,
        lambda key: f"{key}, {key}",
        lambda key: f"{key} {key}",
    ],
)
@pytest.mark.parametrize("header", ["Authorization", "X-API-Key"])
def test_a_key_that_is_not_whole_opens_nothing(spoil: Callable[[str], str], header: str) -> None:
    cluster = KeyedCluster()
    key, client = cluster.key("admin"), cluster.client()
    text = spoil(key)
    value = f"Bearer {text}" if header == "Authorization" else text

    assert_refused(client.get("/v1/me", headers={header: value}), 401, "unauthenticated")


def test_the_first_carrier_decides_and_addresses_carry_nothing() -> None:
    cluster = KeyedCluster()
    key, client = cluster.key(), cluster.client()

    wrong_first = {**bearer("nonsense"), "X-API-Key": key}
    other_scheme = {"Authorization": "Basic YTpi", "X-API-Key": key}

    assert client.get("/v1/me", headers=wrong_first).status_code == 401
    assert client.get("/v1/me", headers=other_scheme).status_code == 200
    assert client.get(f"/v1/me?api_key={key}&key={key}&access_token={key}").status_code == 401


def test_an_empty_bearer_is_a_wrong_one_and_no_login_stands_in_for_it() -> None:
    cluster = KeyedCluster()
    key, client = cluster.key(), cluster.client()
    client.post("/v1/login", json={"key": key})

    assert client.get("/v1/me").status_code == 200
    assert client.get("/v1/me", headers=bearer("")).status_code == 401
    assert client.get("/v1/me", headers={**bearer(" "), "X-API-Key": key}).status_code == 401


def test_a_revoked_key_ends_within_seconds_and_so_do_its_logins() -> None:
    cluster = KeyedCluster()
    key, client = cluster.key(), cluster.client()
    client.post("/v1/login", json={"key": key})
    assert client.get("/v1/me").status_code == 200

    cluster.keys.remove(next(iter(cluster.keys.keys)))
    cluster.clock.sleep(API_KEYS_KNOWN_S)

    assert client.get("/v1/me").status_code == 401
    assert client.get("/v1/me", headers=bearer(key)).status_code == 401
    assert client.post("/v1/login", json={"key": key}).status_code == 401


def test_a_key_ends_when_it_was_said_to_end_and_so_do_its_logins() -> None:
    cluster = KeyedCluster()
    key, client = cluster.key(expires_s=60), cluster.client()
    set_cookie = client.post("/v1/login", json={"key": key}).headers["Set-Cookie"]
    assert "Max-Age=60" in set_cookie
    assert client.get("/v1/me", headers=bearer(key)).status_code == 200

    cluster.clock.sleep(60)

    assert_refused(client.get("/v1/me", headers=bearer(key)), 401, "unauthenticated")
    client.set_cookie(LOGIN_COOKIE, set_cookie.partition("=")[2].partition(";")[0])
    assert client.get("/v1/me").status_code == 401


def test_a_key_made_elsewhere_opens_within_seconds() -> None:
    cluster = KeyedCluster()
    client = cluster.client()
    client.get("/v1/me", headers=bearer("nonsense"))  # the pod has read the keys now

    key = cluster.key()
    cluster.clock.sleep(API_KEYS_KNOWN_S)

    assert client.get("/v1/me", headers=bearer(key)).status_code == 200


def test_a_thousand_guesses_cost_the_store_one_look() -> None:
    cluster = KeyedCluster()
    cluster.key()
    client = cluster.client()
    client.get("/v1/me")
    before = cluster.keys.asked

    statuses = {
        client.get("/v1/me", headers=bearer(f"kn_{number:012d}_{number:043d}")).status_code
        for number in range(1_000)
    }

    assert statuses == {401}
    assert cluster.keys.asked - before <= 2, "its keys, and the secret of session ids"


def test_a_store_that_is_away_is_not_taken_for_a_stranger() -> None:
    cluster = KeyedCluster()
    key, client = cluster.key(), cluster.client()
    assert client.get("/v1/me", headers=bearer(key)).status_code == 200

    cluster.keys.away = True
    assert client.get("/v1/me", headers=bearer(key)).status_code == 200, "known for two seconds"
    cluster.clock.sleep(API_KEYS_KNOWN_S)

    for attempt in (bearer(key), bearer(ADMIN_KEY), bearer("nonsense")):
        answer = client.get("/v1/me", headers=attempt)
        assert_refused(answer, 503, "store_unavailable")
        assert answer.headers["Retry-After"]
    asked = cluster.keys.asked
    client.get("/v1/me", headers=bearer(key))
    assert cluster.keys.asked == asked, "right after a failure nobody waits for it again"
    assert client.get("/v1/me").status_code == 401, "who shows nothing needs no store"
    cluster.keys.away = False
    cluster.clock.sleep(1.0)
    assert client.get("/v1/me", headers=bearer(key)).status_code == 200
