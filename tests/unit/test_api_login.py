"""The page's cookie: made of a key, closed to scripts and to other sites, gone after a logout."""

from typing import Any

import pytest

from kotaemon_node.api.principal import LOGIN_COOKIE
from kotaemon_node.domain.limits import LOGIN_S
from tests.fakes.credentials import KeyedCluster
from tests.fakes.refusals import assert_refused
from tests.fakes.services import FakeCluster


def test_a_login_is_a_cookie_that_no_script_reads_and_that_is_not_the_key() -> None:
    cluster = KeyedCluster()
    key, client = cluster.key("editor", user="ann"), cluster.client()

    answer = client.post("/v1/login", json={"key": key})

    assert answer.json == {"tenant": "default", "subject": "ann", "role": "editor"}
    cookie = answer.headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=Lax", "Path=/", f"Max-Age={LOGIN_S}"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    assert key.rpartition("_")[2] not in cookie
    assert client.get("/v1/me").json["subject"] == "ann"


def test_behind_tls_the_cookie_never_travels_without() -> None:
    cluster = KeyedCluster()
    key, client = cluster.key(), cluster.client()

    answer = client.post("/v1/login", json={"key": key}, headers={"X-Forwarded-Proto": "https"})

    assert "Secure" in answer.headers["Set-Cookie"].split("; ")


def test_a_login_ends_after_a_week() -> None:
    cluster = KeyedCluster()
    key, client = cluster.key(), cluster.client()
    token = _token(client.post("/v1/login", json={"key": key}))

    cluster.clock.sleep(LOGIN_S)
    client.set_cookie(LOGIN_COOKIE, token)

    assert_refused(client.get("/v1/me"), 401, "unauthenticated")


@pytest.mark.parametrize("place", [0, 14, -1])
def test_a_login_that_was_changed_opens_nothing(place: int) -> None:
    cluster = KeyedCluster()
    key, client = cluster.key(), cluster.client()
    token = list(_token(client.post("/v1/login", json={"key": key})))
    token[place] = "1" if token[place] != "1" else "2"

    client.set_cookie(LOGIN_COOKIE, "".join(token))

    assert_refused(client.get("/v1/me"), 401, "unauthenticated")


@pytest.mark.parametrize(
    ("headers", "counts"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Origin": "http://localhost"}, True),
        ({"Origin": "http://localhost:80"}, True),
        ({"Origin": "https://localhost"}, True),  # TLS ends before us
        ({"Origin": "http://evil.example"}, False),
        ({"Origin": "http://localhost.evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "http://[localhost"}, False),
        ({"Origin": ""}, False),
    ],
)
def test_the_cookie_counts_only_for_our_own_page(headers: dict[str, str], *, counts: bool) -> None:
    cluster = KeyedCluster()
    key, client = cluster.key(), cluster.client()
    client.post("/v1/login", json={"key": key})

    asked = client.get("/ask?q=hello", headers=headers)
    logged_in = client.post("/v1/login", json={"key": key}, headers=headers)
    logged_out = client.post("/v1/logout", headers=headers)

    assert asked.status_code == (200 if counts else 401)
    assert logged_in.status_code == (200 if counts else 403)
    assert logged_out.status_code == (204 if counts else 403)


def test_a_logout_removes_the_cookie() -> None:
    cluster = KeyedCluster()
    key, client = cluster.key(), cluster.client()
    client.post("/v1/login", json={"key": key})

    assert client.post("/v1/logout").status_code == 204

    assert client.get("/v1/me").status_code == 401


@pytest.mark.parametrize("body", [{}, {"key": ""}, {"key": 1}, {"key": ["a"]}])
def test_a_login_without_a_key_is_refused_as_what_it_is(body: dict[str, Any]) -> None:
    assert_refused(KeyedCluster().client().post("/v1/login", json=body), 422, "invalid")


def test_a_wrong_key_sets_no_cookie() -> None:
    answer = KeyedCluster().client().post("/v1/login", json={"key": "kn_wrong"})

    assert_refused(answer, 401, "unauthenticated")
    assert "Set-Cookie" not in answer.headers


def test_an_open_cluster_needs_no_login() -> None:
    client = FakeCluster().client()

    assert_refused(client.post("/v1/login", json={"key": "kn_any"}), 404, "not_found")
    assert client.get("/v1/me").json == {
        "tenant": "default", "subject": "anonymous", "role": "open",
    }  # fmt: skip


def _token(answer: Any) -> str:
    return str(answer.headers["Set-Cookie"].partition("=")[2].partition(";")[0])
