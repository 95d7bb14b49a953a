"""A login of the page that is ended is out on every pod: two pods, and a real Redis."""

from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest
import redis
from flask.testing import FlaskClient

from kotaemon_node.adapters.redis import RedisEndedLogins, RedisStore, connect, login_keys, rights
from kotaemon_node.api.principal import LOGIN_COOKIE
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import StoreUnavailable
from kotaemon_node.domain.oidc import Issuer, LoginClient
from kotaemon_node.ports.logins import LoginMark
from tests.fakes.credentials import ADMIN_KEY, FixedLines, KeyedCluster, MemoryKeys, bearer
from tests.fakes.oidc import OidcCluster
from tests.fakes.refusals import assert_refused
from tests.hostile_issuer import HostileIssuer, hostile_issuer
from tests.redis_server import RedisServer

MARK = LoginMark("acme", "ann", "login1", "", 2_000)


@pytest.fixture
def ended(redis_store: RedisStore) -> RedisEndedLogins:
    return RedisEndedLogins(redis_store)


def test_a_login_is_ended_alone_and_kept_for_as_long_as_it_had_lived(
    ended: RedisEndedLogins, redis_store: RedisStore
) -> None:
    ended.end(MARK, left_s=600.2)
    ended.end(MARK, left_s=600.2)

    assert ended.ended(MARK)
    assert not ended.ended(replace(MARK, id="login2"))
    assert not ended.ended(replace(MARK, tenant="globex"))
    left_s = redis_store.client.ttl(login_keys.ended("acme", "login1"))
    assert 600 < left_s <= 601 + 300


def test_one_whose_time_is_over_is_still_kept_for_clocks_that_differ(
    ended: RedisEndedLogins, redis_store: RedisStore
) -> None:
    ended.end(MARK, left_s=-5.0)

    assert ended.ended(MARK)
    assert 0 < redis_store.client.ttl(login_keys.ended("acme", "login1")) <= 300


def test_all_of_a_person_end_and_those_of_later_count(
    ended: RedisEndedLogins, redis_store: RedisStore
) -> None:
    assert ended.stamp("acme", "ann") == ""
    ended.end_all("acme", "ann")
    later = replace(MARK, id="login2", stamp=ended.stamp("acme", "ann"))

    assert ended.ended(MARK)
    assert not ended.ended(later)
    assert not ended.ended(replace(MARK, subject="bob"))
    assert not ended.ended(replace(MARK, tenant="globex"))

    ended.end_all("acme", "ann")
    assert ended.ended(later)
    left_s = redis_store.client.ttl(login_keys.stamp("acme", "ann"))
    assert limits.LOGIN_S < left_s <= limits.LOGIN_S + 300


def test_when_the_stamp_itself_is_over_whoever_came_since_stays(
    ended: RedisEndedLogins, redis_store: RedisStore
) -> None:
    ended.end_all("acme", "ann")
    later = replace(MARK, stamp=ended.stamp("acme", "ann"))
    redis_store.client.delete(login_keys.stamp("acme", "ann"))

    assert not ended.ended(later)


@pytest.fixture
def pods(redis_server: RedisServer) -> Iterator[tuple[KeyedCluster, KeyedCluster]]:
    """Two pods with the same keys, each with its own way to one Redis."""
    redis_server.wipe()
    stores = [connect(redis_server.url) for _ in range(2)]
    keys = MemoryKeys()
    here, there = (KeyedCluster(keys=keys, ended=RedisEndedLogins(store)) for store in stores)
    yield here, there
    for store in stores:
        store.client.close()


@pytest.fixture
def of_before(redis_server: RedisServer) -> Iterator[RedisStore]:
    """A pod's way to a Redis whose users have the rights of a release without such keys."""
    words = [
        word
        for word in rights.acl_line("worker", ">worker").split()[2:]
        if not word.startswith("~kn:{logins")
    ]
    admin = redis.Redis.from_url(redis_server.url)
    admin.execute_command("ACL", "SETUSER", "of-before", *words)  # type: ignore[no-untyped-call]
    store = connect(redis_server.url.replace("://", "://of-before:worker@"))
    yield store
    store.client.close()
    admin.acl_deluser("of-before")


def test_rights_of_a_release_before_are_told_and_no_fault_of_ours(
    pods: tuple[KeyedCluster, KeyedCluster], of_before: RedisStore
) -> None:
    """Redis is closed then, as far as logins go; what comes with a key is answered."""
    here, _ = pods
    key = here.key(user="ann")
    cookie = login_at(here, key)
    upgraded = KeyedCluster(keys=here.keys, ended=RedisEndedLogins(of_before))

    for refused in (
        upgraded.client().post("/v1/login", json={"key": key}),
        with_cookie(upgraded, cookie).get("/v1/me"),
        with_cookie(upgraded, cookie).post("/v1/logout"),
    ):
        assert_refused(refused, 503, "store_unavailable")
        assert "kotaemon rights redis" in refused.get_json()["error"]["message"]
    assert upgraded.client().get("/v1/me", headers=bearer(key)).status_code == 200
    assert status(here, cookie) == 200
    with pytest.raises(StoreUnavailable, match="kotaemon rights redis"):
        RedisEndedLogins(of_before).end_all("acme", "ann")


def with_cookie(pod: KeyedCluster, cookie: str) -> FlaskClient:
    client = pod.client()
    client.set_cookie(LOGIN_COOKIE, cookie)
    return client


def login_at(pod: KeyedCluster, key: str) -> str:
    client = pod.client()
    assert client.post("/v1/login", json={"key": key}).status_code == 200
    cookie = client.get_cookie(LOGIN_COOKIE)
    assert cookie is not None
    return cookie.value


def status(pod: KeyedCluster, cookie: str) -> int:
    return with_cookie(pod, cookie).get("/v1/me").status_code


def seconds_pass(*pods: KeyedCluster) -> None:
    for pod in pods:
        pod.clock.sleep(limits.LOGIN_KNOWN_S)


def test_a_log_out_ends_the_login_on_the_other_pod_and_no_other_login(
    pods: tuple[KeyedCluster, KeyedCluster],
) -> None:
    here, there = pods
    key = here.key(user="ann")
    cookie, other = login_at(here, key), login_at(here, key)
    assert cookie != other
    assert status(there, cookie) == status(there, other) == 200

    assert with_cookie(here, cookie).post("/v1/logout").status_code == 204

    assert status(here, cookie) == 401  # here at once
    seconds_pass(there)
    assert_refused(with_cookie(there, cookie).get("/v1/me"), 401, "unauthenticated")
    assert status(there, other) == status(here, other) == 200
    assert there.client().get("/v1/me", headers=bearer(key)).status_code == 200


def test_a_pod_that_never_saw_the_login_knows_of_its_end_at_once(
    pods: tuple[KeyedCluster, KeyedCluster],
) -> None:
    here, there = pods
    cookie = login_at(here, here.key())
    with_cookie(here, cookie).post("/v1/logout")

    assert status(there, cookie) == 401


def test_an_administrator_ends_all_logins_of_a_user_and_of_nobody_else(
    pods: tuple[KeyedCluster, KeyedCluster],
) -> None:
    here, there = pods
    anns, bobs = here.key(user="ann"), here.key(user="bob")
    elsewhere = here.key(user="ann", tenant="acme")
    cookies = [login_at(here, anns), login_at(there, anns)]
    others = [login_at(here, bobs), login_at(here, elsewhere)]
    assert [status(there, one) for one in (*cookies, *others)] == [200] * 4

    answer = here.client().post("/v1/logins/end", json={"user": "ann"}, headers=bearer(ADMIN_KEY))
    assert answer.status_code == 204

    seconds_pass(here, there)
    assert [status(pod, one) for pod in pods for one in cookies] == [401] * 4
    assert [status(pod, one) for pod in pods for one in others] == [200] * 4
    assert status(there, login_at(here, anns)) == 200


def test_an_administrator_of_a_tenant_ends_none_of_another(
    pods: tuple[KeyedCluster, KeyedCluster],
) -> None:
    here, there = pods
    admin = here.key("admin", tenant="acme", user="boss")
    agent = here.key("agent")
    cookie = login_at(here, here.key(user="ann"))

    body = {"user": "ann", "tenant": "default"}
    refused = here.client().post("/v1/logins/end", json=body, headers=bearer(admin))
    own = here.client().post("/v1/logins/end", json={"user": "ann"}, headers=bearer(admin))
    agents = here.client().post("/v1/logins/end", json=body, headers=bearer(agent))

    assert_refused(refused, 403, "forbidden")
    assert_refused(agents, 403, "forbidden")
    assert own.status_code == 204
    seconds_pass(here, there)
    assert status(there, cookie) == 200

    body = {"user": "boss", "tenant": "acme"}
    of_the_cluster = here.client().post("/v1/logins/end", json=body, headers=bearer(ADMIN_KEY))
    assert of_the_cluster.status_code == 204


def test_while_the_store_is_away_nobody_is_told_that_they_are_out(
    redis_server: RedisServer,
) -> None:
    redis_server.wipe()
    store = connect(redis_server.url)
    pod = KeyedCluster(ended=RedisEndedLogins(store))
    cookie = login_at(pod, pod.key())
    client = with_cookie(pod, cookie)
    redis_server.kill()
    try:
        answer = client.post("/v1/logout")
        assert_refused(answer, 503, "store_unavailable")
        assert "Set-Cookie" not in answer.headers
        assert_refused(client.get("/v1/me"), 503, "store_unavailable")
    finally:
        redis_server.start()

    assert client.post("/v1/logout").status_code == 204
    assert status(pod, cookie) == 401
    store.client.close()


def issuers_login(pod: OidcCluster, issuer: HostileIssuer) -> str:
    client = pod.client()
    leaving = parse_qs(urlsplit(client.get("/v1/login/oidc").headers["Location"]).query)
    token = issuer.token(
        now_s=pod.clock.now_s(), aud="page", nonce=leaving["nonce"][0], roles=["agent"]
    )
    issuer.token_answer = (200, {"id_token": token})
    back = {"state": leaving["state"][0], "code": "c"}
    assert client.get("/v1/login/oidc/callback", query_string=back).status_code == 303
    cookie = client.get_cookie(LOGIN_COOKIE)
    assert cookie is not None
    return cookie.value


def test_logins_by_an_issuer_end_as_those_by_a_key(redis_server: RedisServer) -> None:
    redis_server.wipe()
    secrets = FixedLines(["the-secret-that-all-pods-of-a-test-share"])
    client = LoginClient("page", "https://chat.example/v1/login/oidc/callback", "Example")
    with hostile_issuer() as issuer, connect(redis_server.url).client as redis:
        described = Issuer("staff", issuer.url, (), login=client)
        here, there = (
            OidcCluster(
                issuers=[described], secrets=secrets, ended=RedisEndedLogins(RedisStore(redis))
            )
            for _ in range(2)
        )
        first, second, third = (issuers_login(here, issuer) for _ in range(3))
        me = with_cookie(there, first).get("/v1/me").get_json()
        assert [status(there, one) for one in (first, second, third)] == [200] * 3

        with_cookie(here, first).post("/v1/logout")
        seconds_pass(here, there)
        assert [status(pod, first) for pod in (here, there)] == [401, 401]
        assert [status(there, one) for one in (second, third)] == [200, 200]

        body = {"user": me["subject"]}
        here.client().post("/v1/logins/end", json=body, headers=bearer(ADMIN_KEY))
        assert [event.target for event in here.audit.events if event.action == "logins.ended"] == [
            me["subject"]
        ]
        seconds_pass(here, there)
        assert [status(there, one) for one in (second, third)] == [401, 401]
        assert status(there, issuers_login(here, issuer)) == 200
