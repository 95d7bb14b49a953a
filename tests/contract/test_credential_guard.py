"""Who tries credentials is slowed down by its address; nobody else is, at no door."""

from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from kotaemon_node.adapters.redis import RedisStore, connect
from kotaemon_node.adapters.redis.use import RedisUse
from kotaemon_node.api.app import create_app
from kotaemon_node.api.credential_guard import CredentialGuard
from kotaemon_node.api.login import LEAVING_COOKIE
from kotaemon_node.domain.client_address import Proxies
from kotaemon_node.domain.oidc import Issuer, LoginClient
from tests.fakes.credentials import KeyedCluster, bearer
from tests.fakes.oidc import OidcCluster
from tests.hostile_issuer import hostile_issuer
from tests.redis_server import RedisServer

LIMIT = 3
HERE, ELSEWHERE = "203.0.113.7", "198.51.100.9"


@pytest.fixture
def store(redis_server: RedisServer) -> Iterator[RedisStore]:
    redis_server.wipe()
    store = connect(redis_server.url)
    yield store
    store.client.close()


def pod(cluster: KeyedCluster, store: RedisStore) -> FlaskClient:
    """Return a client of a pod of its own; those of a test share keys and store alone."""
    services = cluster.services()
    guard = CredentialGuard(
        RedisUse(store), per_minute=LIMIT, clock=cluster.clock, metrics=services.metrics.use
    )
    proxies = Proxies.of("")
    return create_app(replace(services, guard=guard, proxies=proxies)).test_client()


def me(client: FlaskClient, key: str, address: str = HERE) -> TestResponse:
    return client.get("/v1/me", headers={**bearer(key), "X-Forwarded-For": address})


def test_guesses_are_refused_alike_once_there_were_too_many(store: RedisStore) -> None:
    cluster = KeyedCluster()
    first, second = pod(cluster, store), pod(cluster, store)
    key = cluster.key()

    told = [me((first, second)[at % 2], f"guess-{at}").status_code for at in range(LIMIT + 2)]

    assert told == [401] * LIMIT + [429] * 2
    right = me(second, key)
    assert right.status_code == 429  # as a wrong one: whoever guesses learns nothing
    assert right.json is not None
    assert right.json["error"]["code"] == "rate_limited"
    assert int(right.headers["Retry-After"]) <= 61
    login = {"X-Forwarded-For": HERE}
    assert first.post("/v1/login", json={"key": key}, headers=login).status_code == 429


def test_nobody_else_is_locked_out(store: RedisStore) -> None:
    cluster = KeyedCluster()
    client, key, other = pod(cluster, store), cluster.key(), cluster.key(user="bob")
    assert me(client, key).status_code == 200
    for at in range(LIMIT + 2):
        me(client, f"guess-{at}")

    assert me(client, key).status_code == 200  # it was in here before
    assert me(client, other, ELSEWHERE).status_code == 200


def test_the_same_wrong_one_counts_once(store: RedisStore) -> None:
    cluster = KeyedCluster()
    client, key = pod(cluster, store), cluster.key()

    assert [me(client, "an-old-one").status_code for _ in range(60)] == [401] * 60

    assert me(client, key).status_code == 200


def test_each_code_that_an_issuer_refuses_counts_and_asks_it_no_more_beyond(
    store: RedisStore,
) -> None:
    with hostile_issuer() as issuer:
        page = LoginClient("page", "https://chat.example/v1/login/oidc/callback", "Example")
        cluster = OidcCluster(issuers=[Issuer("staff", issuer.url, (), login=page)])
        client = pod(cluster, store)
        left = client.get("/v1/login/oidc").headers["Location"]
        carried = client.get_cookie(LEAVING_COOKIE, path="/v1/login/oidc/callback")
        assert carried is not None
        query = {"state": parse_qs(urlsplit(left).query)["state"][0], "code": "made-up"}

        def back() -> str:
            client.set_cookie(LEAVING_COOKIE, carried.value, path="/v1/login/oidc/callback")
            told = client.get(
                "/v1/login/oidc/callback", query_string=query, headers={"X-Forwarded-For": HERE}
            )
            return told.headers["Location"]

        assert [back() for _ in range(LIMIT)] == ["/?login=refused"] * LIMIT
        assert [back() for _ in range(5)] == ["/?login=away"] * 5
        assert len(issuer.forms) == LIMIT


def test_an_address_that_nobody_believed_says_does_not_count(store: RedisStore) -> None:
    cluster = KeyedCluster()
    client = pod(cluster, store)
    told = [
        client.get(
            "/v1/me",
            headers={**bearer(f"guess-{at}"), "X-Forwarded-For": f"10.0.0.{at}"},
            environ_base={"REMOTE_ADDR": HERE},
        ).status_code
        for at in range(LIMIT + 1)
    ]

    assert told == [401] * LIMIT + [429]


def test_a_revoked_credential_is_refused_though_it_was_known(store: RedisStore) -> None:
    cluster = KeyedCluster()
    client, key = pod(cluster, store), cluster.key()
    assert me(client, key).status_code == 200
    cluster.keys.remove(next(iter(cluster.keys.keys)))
    cluster.clock.sleep(10.0)

    assert me(client, key).status_code == 401


def test_a_store_that_is_away_locks_nobody_out() -> None:
    away = RedisServer()
    cluster = KeyedCluster()
    client, key = pod(cluster, connect(away.url)), cluster.key()

    assert me(client, "guess").status_code == 401
    assert me(client, key).status_code == 200
