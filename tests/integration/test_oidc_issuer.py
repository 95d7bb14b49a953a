"""A real issuer: discovery, machine tokens, the login by code and PKCE over two pods, rotation."""

import time
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from kotaemon_node.api.login import LEAVING_COOKIE
from kotaemon_node.api.principal import LOGIN_COOKIE
from kotaemon_node.domain import oidc_limits
from kotaemon_node.domain.oidc import Issuer, LoginClient
from tests.fakes.credentials import FixedLines, bearer
from tests.fakes.oidc import OidcCluster
from tests.fakes.refusals import assert_refused
from tests.real_issuer import API_AUDIENCE, CLIENT_SECRET, RealIssuer, real_issuer

REDIRECT = "http://127.0.0.1:9/v1/login/oidc/callback"
SECRETS = ["the-secret-that-all-pods-of-a-test-share"]


@pytest.fixture(scope="module")
def issuer() -> Iterator[RealIssuer]:
    with real_issuer(REDIRECT) as running:
        yield running


def pod_of(issuer: RealIssuer, *, client_secret: str = CLIENT_SECRET) -> OidcCluster:
    login = LoginClient("kotaemon", REDIRECT, "Example", logout_url="http://127.0.0.1:9/")
    described = Issuer("example", issuer.url, (API_AUDIENCE,), login=login)
    cluster = OidcCluster(
        issuers=[described], secrets=FixedLines(SECRETS), client_secret=client_secret
    )
    cluster.clock.at_s = time.time()  # the issuer has no clock but this one
    return cluster


def left(client: FlaskClient, back: str = "/") -> tuple[str, str]:
    """Begin a login; return where the browser is sent, and what it carries."""
    answer = client.get(f"/v1/login/oidc?back={back}")
    assert answer.status_code == 303
    cookie = client.get_cookie(LEAVING_COOKIE, path="/v1/login/oidc/callback")
    assert cookie is not None
    return answer.headers["Location"], cookie.value


def came_back(client: FlaskClient, address: str, cookie: str) -> TestResponse:
    client.set_cookie(LEAVING_COOKIE, cookie, path="/v1/login/oidc/callback")
    return client.get(f"/v1/login/oidc/callback?{urlsplit(address).query}")


def test_an_access_token_of_a_machine_counts_and_one_for_others_does_not(
    issuer: RealIssuer,
) -> None:
    cluster = pod_of(issuer)
    client = cluster.client()
    token = issuer.machine_token()

    me = client.get("/v1/me", headers=bearer(token))

    assert me.json == {"tenant": "default", "subject": "kotaemon", "role": "editor"}
    stranger = OidcCluster(issuers=[Issuer("example", issuer.url, ("another",))])
    stranger.clock.at_s = time.time()
    assert stranger.client().get("/v1/me", headers=bearer(token)).status_code == 401
    cluster.clock.sleep(600 + 31)
    assert_refused(client.get("/v1/me", headers=bearer(token)), 401, "unauthenticated")


def test_one_pod_sends_a_browser_away_and_another_lets_it_in(issuer: RealIssuer) -> None:
    # given two pods that share nothing but the cluster's secret, and a user
    issuer.user("ann", "agent")
    first, second = pod_of(issuer), pod_of(issuer)
    sender, receiver = first.client(), second.client()
    assert sender.get("/v1/login").json == {
        "key": True,
        "issuers": [{"name": "example", "label": "Example"}],
    }

    # when the browser goes, logs in there, and comes back to the other pod
    address, carried = left(sender, back="/admin")
    asked = parse_qs(urlsplit(address).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["redirect_uri"] == [REDIRECT]
    returned = issuer.visit(address, until=REDIRECT)
    answer = came_back(receiver, returned, carried)

    # then it has our own cookie, out of reach of scripts, and no code or token anywhere
    assert (answer.status_code, answer.headers["Location"]) == (303, "/admin")
    cookie = next(it for it in answer.headers.getlist("Set-Cookie") if LOGIN_COOKIE in it)
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
    me = {"tenant": "default", "subject": "ann", "role": "agent"}
    assert receiver.get("/v1/me").json == me
    held = receiver.get_cookie(LOGIN_COOKIE)
    assert held is not None
    sender.set_cookie(LOGIN_COOKIE, held.value)
    assert sender.get("/v1/me").json == me, "any pod knows it"
    assert second.audit.actions() == ["login.done"]
    assert second.audit.events[0].credential == "oidc:example"

    # and a second use of the code, in the same browser, is refused by the issuer
    again = came_back(receiver, returned, carried)
    assert again.headers["Location"] == "/admin?login=refused"
    assert second.audit.actions()[-1] == "login.refused"

    # and it ends: by itself, and by the page
    out = receiver.post("/v1/logout", json={})
    assert out.json["address"].startswith(f"{issuer.url}/session/end?client_id=kotaemon")
    assert receiver.get("/v1/me").status_code == 401
    assert second.audit.actions()[-2:] == ["login.ended", "credential.refused"]
    first.clock.sleep(oidc_limits.OIDC_LOGIN_S)
    assert_refused(sender.get("/v1/me"), 401, "unauthenticated")


def test_a_login_is_the_browsers_own_and_not_anothers(issuer: RealIssuer) -> None:
    issuer.user("mallory", "customer")
    cluster = pod_of(issuer)
    client = cluster.client()
    address, carried = left(client)
    returned = issuer.visit(address, until=REDIRECT)
    victim = cluster.client()

    # a browser that began nothing, or another login, takes nobody's
    _, other = left(victim)
    for cookie in ("", other, carried[:-1] + ("A" if carried[-1] != "A" else "B")):
        answer = came_back(victim, returned, cookie)
        assert answer.headers["Location"].endswith("?login=refused")
        assert victim.get_cookie(LOGIN_COOKIE) is None
    # nor one that came too late, by the cookie's own word
    cluster.clock.sleep(oidc_limits.LOGIN_FLOW_S)
    assert came_back(client, returned, carried).headers["Location"] == "/?login=refused"


def test_a_client_that_the_issuer_does_not_know_logs_nobody_in(issuer: RealIssuer) -> None:
    issuer.user("ann", "agent")
    cluster = pod_of(issuer, client_secret="another-secret-than-the-issuer-has")
    client = cluster.client()
    address, carried = left(client)

    answer = came_back(client, issuer.visit(address, until=REDIRECT), carried)

    assert answer.headers["Location"] == "/?login=refused"
    assert client.get("/v1/me").status_code == 401


def test_a_user_without_a_role_is_told_so_and_not_let_in(issuer: RealIssuer) -> None:
    issuer.user("guest", "something-else")
    cluster = pod_of(issuer)
    client = cluster.client()
    address, carried = left(client)

    answer = came_back(client, issuer.visit(address, until=REDIRECT), carried)

    assert answer.headers["Location"] == "/?login=refused"
    (event,) = cluster.audit.events
    assert "names no role" in str(event.detail["reason"])


def test_a_key_that_the_issuer_changed_is_found_without_a_restart(issuer: RealIssuer) -> None:
    cluster = pod_of(issuer)
    client = cluster.client()
    old = issuer.machine_token()
    assert client.get("/v1/me", headers=bearer(old)).status_code == 200

    issuer.rotate()
    cluster.clock.sleep(oidc_limits.UNKNOWN_KEY_S)
    new = issuer.machine_token()

    assert new.split(".")[0] != old.split(".")[0]
    for token in (new, old):
        assert client.get("/v1/me", headers=bearer(token)).status_code == 200
