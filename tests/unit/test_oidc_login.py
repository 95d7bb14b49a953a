"""The page's login by an issuer that lies: nobody is let in, and the page is told why."""

import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from kotaemon_node.api.login import LEAVING_COOKIE
from kotaemon_node.api.principal import LOGIN_COOKIE
from kotaemon_node.domain import oidc_limits
from kotaemon_node.domain.oidc import Issuer, LoginClient
from tests.balanced_pods import wait_until
from tests.fakes.credentials import FixedLines, KeyedCluster
from tests.fakes.oidc import OidcCluster
from tests.fakes.refusals import assert_refused
from tests.fakes.services import FakeCluster
from tests.hostile_issuer import HostileIssuer, hostile_issuer, rsa_key

LOGIN = LoginClient("page", "https://chat.example/v1/login/oidc/callback", "Example")
SECRETS = ["the-secret-that-all-pods-of-a-test-share"]


@pytest.fixture
def issuer() -> Iterator[HostileIssuer]:
    with hostile_issuer() as running:
        yield running


def cluster_of(issuer: HostileIssuer, **said: Any) -> OidcCluster:
    described = replace(Issuer("staff", issuer.url, (), login=LOGIN), **said)
    return OidcCluster(issuers=[described], secrets=FixedLines(SECRETS))


def begun(client: FlaskClient) -> Mapping[str, str]:
    """Begin a login; return what the issuer is asked."""
    answer = client.get("/v1/login/oidc?issuer=staff")
    assert answer.status_code == 303, answer.text
    return {
        name: told[0] for name, told in parse_qs(urlsplit(answer.headers["Location"]).query).items()
    }


def ended(client: FlaskClient, **query: str) -> str:
    """Come back with this query; return where the browser is sent."""
    answer = client.get("/v1/login/oidc/callback", query_string=query)
    assert answer.status_code == 303
    return answer.headers["Location"]


LIES: dict[str, dict[str, Any]] = {
    "another login's nonce": {"nonce": "another"},
    "no nonce": {"nonce": None},
    "for another client": {"aud": "another"},
    "handed on to another client": {"aud": ["page", "another"], "azp": "another"},
    "of another issuer": {"iss": "https://elsewhere.example"},
    "expired": {"exp": 1_600_000_000},
    "without a role": {"roles": []},
}


@pytest.mark.parametrize("lie", LIES)
def test_an_identity_that_does_not_hold_lets_nobody_in(issuer: HostileIssuer, lie: str) -> None:
    cluster = cluster_of(issuer)
    client = cluster.client()
    asked = begun(client)
    claims = {"aud": "page", "nonce": asked["nonce"], **LIES[lie]}
    identity = issuer.token(now_s=cluster.clock.now_s(), **claims)
    issuer.token_answer = (200, {"id_token": identity})

    assert ended(client, state=asked["state"], code="c") == "/?login=refused"

    assert client.get_cookie(LOGIN_COOKIE) is None
    assert [event.action for event in cluster.audit.events] == ["login.refused"]
    assert identity not in str(cluster.audit.events)


def test_an_honest_answer_lets_in_and_shows_the_verifier_to_the_issuer_alone(
    issuer: HostileIssuer,
) -> None:
    cluster = cluster_of(issuer)
    client = cluster.client()
    asked = begun(client)
    claims = {"aud": "page", "nonce": asked["nonce"]}
    issuer.token_answer = (200, {"id_token": issuer.token(now_s=cluster.clock.now_s(), **claims)})
    carried = client.get_cookie(LEAVING_COOKIE, path="/v1/login/oidc/callback")
    assert carried is not None

    assert ended(client, state=asked["state"], code="c", iss=issuer.url) == "/"

    (form,) = issuer.forms
    verifier = parse_qs(form)["code_verifier"][0]
    assert verifier not in carried.value
    assert asked["nonce"] not in carried.value
    assert client.get("/v1/me").json["subject"] == "ann"
    # what an operator changes at the issuer's description ends the logins made under it
    other = cluster_of(issuer, default_role="admin")
    there = other.client()
    held = client.get_cookie(LOGIN_COOKIE)
    assert held is not None
    there.set_cookie(LOGIN_COOKIE, held.value)
    assert_refused(there.get("/v1/me"), 401, "unauthenticated")
    for place in range(5, len(held.value), 7):
        letters = list(held.value)
        letters[place] = "x" if letters[place] != "x" else "y"
        client.set_cookie(LOGIN_COOKIE, "".join(letters))
        assert client.get("/v1/me").status_code == 401, place


@pytest.mark.parametrize(
    "query",
    [
        {"state": "another", "code": "c"},
        {"code": "c"},
        {"error": "access_denied", "error_description": "<script>alert(1)</script>"},
        {"iss": "https://elsewhere.example", "code": "c"},
        {},
    ],
)
def test_an_answer_that_is_not_to_this_question_asks_the_issuer_nothing(
    issuer: HostileIssuer, query: dict[str, str]
) -> None:
    cluster = cluster_of(issuer)
    client = cluster.client()
    asked = begun(client)
    said = {"state": asked["state"], **query} if "iss" in query or "error" in query else query

    assert ended(client, **said) == "/?login=refused"

    assert issuer.forms == []
    assert "script" not in str(cluster.audit.events)


def test_an_issuer_that_promised_to_name_itself_is_held_to_it(issuer: HostileIssuer) -> None:
    issuer.discovery = {"authorization_response_iss_parameter_supported": True}
    cluster = cluster_of(issuer)
    client = cluster.client()
    asked = begun(client)
    claims = {"aud": "page", "nonce": asked["nonce"]}
    issuer.token_answer = (200, {"id_token": issuer.token(now_s=cluster.clock.now_s(), **claims)})
    carried = client.get_cookie(LEAVING_COOKIE, path="/v1/login/oidc/callback")
    assert carried is not None

    assert ended(client, state=asked["state"], code="c") == "/?login=refused"
    assert issuer.forms == []

    client.set_cookie(LEAVING_COOKIE, carried.value, path="/v1/login/oidc/callback")
    assert ended(client, state=asked["state"], code="c", iss=issuer.url) == "/"


def test_an_issuer_that_is_away_is_said_to_be(issuer: HostileIssuer) -> None:
    cluster = cluster_of(issuer)
    client = cluster.client()
    asked = begun(client)
    issuer.stop()

    assert ended(client, state=asked["state"], code="c") == "/?login=away"
    fresh = cluster_of(issuer).client()
    assert_refused(fresh.get("/v1/login/oidc"), 503, "issuer_unavailable")


def test_a_slow_issuer_is_asked_for_so_many_codes_at_once_and_no_more(
    issuer: HostileIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oidc_limits, "CODES_AT_ONCE_MAX", 1)
    cluster = cluster_of(issuer)
    first, second = cluster.client(), cluster.client()
    states = [begun(client)["state"] for client in (first, second)]
    issuer.answers.clear()
    held = threading.Thread(target=lambda: ended(first, state=states[0], code="c"))
    held.start()
    wait_until(lambda: len(issuer.forms) == 1, what="the issuer is asked")

    assert ended(second, state=states[1], code="c") == "/?login=away"

    assert len(issuer.forms) == 1
    issuer.answers.set()
    held.join()
    again = begun(second)["state"]
    assert ended(second, state=again, code="c") == "/?login=refused"
    assert len(issuer.forms) == 2


def test_without_an_audience_tokens_do_not_count_and_logins_do(issuer: HostileIssuer) -> None:
    cluster = cluster_of(issuer)
    token = issuer.token(now_s=cluster.clock.now_s(), aud="page")

    refused = cluster.client().get("/v1/me", headers={"Authorization": f"Bearer {token}"})

    assert_refused(refused, 401, "unauthenticated")


def test_behind_tls_the_cookies_never_travel_without_and_are_this_hosts_alone(
    issuer: HostileIssuer,
) -> None:
    cluster = cluster_of(issuer)
    tls = {"X-Forwarded-Proto": "https"}

    def cookie(answer: TestResponse, name: str) -> str:
        (told,) = (it for it in answer.headers.getlist("Set-Cookie") if it.startswith(f"{name}="))
        # what browsers ask of a cookie with this prefix
        assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= set(told.split("; "))
        assert "Domain" not in told
        return told.partition("=")[2].partition(";")[0]

    left = cluster.client().get("/v1/login/oidc", headers=tls)
    asked = parse_qs(urlsplit(left.headers["Location"]).query)
    carried = cookie(left, f"__Host-{LEAVING_COOKIE}")
    claims = {"aud": "page", "nonce": asked["nonce"][0]}
    issuer.token_answer = (200, {"id_token": issuer.token(now_s=cluster.clock.now_s(), **claims)})
    query = {"state": asked["state"][0], "code": "c"}

    def back(name: str) -> TestResponse:
        client = cluster.client()
        client.set_cookie(name, carried)
        return client.get("/v1/login/oidc/callback", query_string=query, headers=tls)

    # what another host of the domain may have set counts for nothing
    assert back(LEAVING_COOKIE).headers["Location"] == "/?login=refused"
    returned = back(f"__Host-{LEAVING_COOKIE}")
    assert returned.headers["Location"] == "/"
    login = cookie(returned, f"__Host-{LOGIN_COOKIE}")

    def me(name: str) -> int:
        client = cluster.client()
        client.set_cookie(name, login)
        return client.get("/v1/me", headers=tls).status_code

    assert me(f"__Host-{LOGIN_COOKIE}") == 200
    assert me(LOGIN_COOKIE) == 401


def test_where_nobody_logs_in_by_an_issuer_the_routes_are_not_there() -> None:
    for cluster, key in ((FakeCluster(), False), (KeyedCluster(), True)):
        client = cluster.client()
        assert client.get("/v1/login").json == {"key": key, "issuers": []}
        assert client.get("/v1/login/oidc").status_code == 404
        assert client.get("/v1/login/oidc/callback?state=a&code=b").status_code == 404


def test_only_our_own_pages_are_gone_back_to(issuer: HostileIssuer) -> None:
    client = cluster_of(issuer).client()

    for back in ("//elsewhere.example", "https://elsewhere.example", "/v1/me"):
        assert client.get("/v1/login/oidc", query_string={"back": back}).status_code == 422
    assert client.get("/v1/login/oidc?issuer=nobody").status_code == 404


def test_keys_of_the_issuer_sign_identities_and_no_others(issuer: HostileIssuer) -> None:
    cluster = cluster_of(issuer)
    client = cluster.client()
    asked = begun(client)
    forged = issuer.token(
        now_s=cluster.clock.now_s(), key=rsa_key(), aud="page", nonce=asked["nonce"]
    )
    issuer.token_answer = (200, {"id_token": forged})

    assert ended(client, state=asked["state"], code="c") == "/?login=refused"
