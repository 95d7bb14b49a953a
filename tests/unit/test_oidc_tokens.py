"""Tokens of issuers: what counts, and everything that a hostile one tries: 401, and audited."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from joserfc import jws
from joserfc.jws import JWSRegistry

from kotaemon_node.api.permissions import PERMISSIONS
from kotaemon_node.api.principal import LOGIN_COOKIE
from kotaemon_node.domain import oidc_limits
from kotaemon_node.domain.credentials import ROLES
from kotaemon_node.domain.frames import Frame
from kotaemon_node.domain.limits import API_KEYS_KNOWN_S
from kotaemon_node.domain.oidc import Issuer
from tests.balanced_pods import wait_until
from tests.fakes.credentials import bearer
from tests.fakes.oidc import OidcCluster
from tests.fakes.refusals import assert_refused
from tests.hostile_issuer import AUDIENCE, HostileIssuer, ec_key, hostile_issuer, rsa_key
from tests.unit.test_api_keys import guarded

Spoiled = Callable[[HostileIssuer, float], str]


@pytest.fixture
def issuer() -> Iterator[HostileIssuer]:
    with hostile_issuer() as running:
        yield running


def cluster_of(issuer: HostileIssuer, *, timeout_s: float = 5.0, **said: Any) -> OidcCluster:
    """Return a pod that knows the issuer, described as ``said``."""
    one = replace(Issuer("staff", issuer.url, (AUDIENCE,)), **said)
    return OidcCluster(issuers=[one], timeout_s=timeout_s)


def test_a_good_token_is_its_user_and_costs_the_issuer_one_look(issuer: HostileIssuer) -> None:
    cluster = cluster_of(issuer)
    client = cluster.client()
    token = issuer.token(now_s=cluster.clock.now_s(), sub="ann", roles=["editor"])

    for _ in range(20):
        me = client.get("/v1/me", headers=bearer(token))
        assert me.json == {"tenant": "default", "subject": "ann", "role": "editor"}

    assert issuer.asked == ["/.well-known/openid-configuration", "/keys"]
    assert client.get("/v1/me", headers={"X-API-Key": token}).status_code == 200
    assert client.get("/v1/me", headers=bearer(cluster.key("agent"))).json["role"] == "agent"


@pytest.mark.parametrize("carrier", ["bearer", "x-api-key"])
@pytest.mark.parametrize("role", ["customer", "editor"])
def test_a_token_opens_what_its_role_may_use_on_each_route(
    issuer: HostileIssuer, carrier: str, role: str
) -> None:
    cluster = cluster_of(issuer)
    client = cluster.client()
    token = issuer.token(now_s=cluster.clock.now_s(), roles=role)
    headers = bearer(token) if carrier == "bearer" else {"X-API-Key": token}
    for endpoint, method, path in guarded(cluster):
        answer = client.open(path, method=method, headers=headers)
        if role in PERMISSIONS[endpoint].roles:
            assert answer.status_code not in (401, 403), (path, answer.text)
        else:
            assert_refused(answer, 403, "forbidden")


def _own_key(issuer: HostileIssuer, now_s: float) -> str:
    mine = rsa_key("mine")
    return issuer.token(now_s=now_s, key=mine, header={"jwk": mine.as_dict(private=False)})


def _critical(issuer: HostileIssuer, now_s: float) -> str:
    claims = issuer.token(now_s=now_s).split(".")[1]
    registry = JWSRegistry(algorithms=["RS256"], strict_check_header=False)
    head = {"alg": "RS256", "kid": "first", "crit": ["b64"], "b64": False}
    return str(jws.serialize_compact(head, claims, issuer.keys[0], registry=registry))


def _changed(token: str, place: int) -> str:
    letters = list(token)
    letters[place] = "A" if letters[place] != "A" else "B"
    return "".join(letters)


HOSTILE: dict[str, Spoiled] = {
    "no algorithm": lambda it, now: it.unsigned(now_s=now),
    "no algorithm in capitals": lambda it, now: it.unsigned(now_s=now, algorithm="NONE"),
    "an algorithm and no signature": lambda it, now: it.unsigned(now_s=now, algorithm="RS256"),
    "hmac with the public key": lambda it, now: it.signed_with_public_key(now_s=now),
    "another issuer": lambda it, now: it.token(now_s=now, iss="https://elsewhere.example"),
    "an issuer with a slash more": lambda it, now: it.token(now_s=now, iss=it.url + "/"),
    "no issuer": lambda it, now: it.token(now_s=now, iss=None),
    "another audience": lambda it, now: it.token(now_s=now, aud="another"),
    "other audiences": lambda it, now: it.token(now_s=now, aud=["a", "b"]),
    "an audience that is no text": lambda it, now: it.token(now_s=now, aud={"kotaemon": 1}),
    "no audience": lambda it, now: it.token(now_s=now, aud=None),
    "expired": lambda it, now: it.token(now_s=now, exp=int(now) - 31),
    "an end that is no number": lambda it, now: it.token(now_s=now, exp="never"),
    "an end of NaN": lambda it, now: it.token(now_s=now, exp=float("nan")),
    "no end": lambda it, now: it.token(now_s=now, exp=None),
    "not yet": lambda it, now: it.token(now_s=now, nbf=int(now) + 60),
    "of tomorrow": lambda it, now: it.token(now_s=now, iat=int(now) + 60),
    "nobody": lambda it, now: it.token(now_s=now, sub=None),
    "a number for somebody": lambda it, now: it.token(now_s=now, sub=7),
    "a very long name": lambda it, now: it.token(now_s=now, sub="a" * 129),
    "no role": lambda it, now: it.token(now_s=now, roles=None),
    "a role that is none": lambda it, now: it.token(now_s=now, roles=["system", "open", "root"]),
    "a key of nobody": lambda it, now: it.token(now_s=now, key=rsa_key("first")),
    "an unknown key": lambda it, now: it.token(now_s=now, key=rsa_key("unknown")),
    "a key's name that is a list": lambda it, now: it.headed(now_s=now, kid=["first"]),
    "a good key under another name": lambda it, now: it.token(now_s=now, header={"kid": "other"}),
    "for a log-out": lambda it, now: it.token(now_s=now, header={"typ": "logout+jwt"}),
    "for a log-out, by its events": lambda it, now: it.token(
        now_s=now, events={"http://schemas.openid.net/event/backchannel-logout": {}}
    ),
    "a key that it brings itself": _own_key,
    "something critical": _critical,
    "a changed signature": lambda it, now: _changed(it.token(now_s=now), -6),
    "changed claims": lambda it, now: _changed(it.token(now_s=now), 60),
    "five parts": lambda it, now: it.token(now_s=now) + ".a.b",
    "two parts": lambda it, now: it.token(now_s=now).rpartition(".")[0],
    "no parts": lambda it, now: "eyJ..",
    "too long": lambda it, now: it.token(now_s=now, more="a" * 8_000),
}


@pytest.mark.parametrize("spoiled", HOSTILE)
def test_a_token_that_is_not_whole_is_refused_and_audited(
    issuer: HostileIssuer, spoiled: str
) -> None:
    cluster = cluster_of(issuer)
    client = cluster.client()
    token = HOSTILE[spoiled](issuer, cluster.clock.now_s())

    answer = client.get("/v1/sessions", headers=bearer(token))

    assert_refused(answer, 401, "unauthenticated")
    (event,) = cluster.audit.events
    assert (event.action, event.outcome, event.target) == (
        "credential.refused",
        "refused",
        "/v1/sessions",
    )
    assert token not in str(event)
    assert cluster.turns.submitted == []


def test_the_leeway_is_for_clocks_and_no_longer(issuer: HostileIssuer) -> None:
    cluster = cluster_of(issuer, leeway_s=30)
    client = cluster.client()
    token = issuer.token(now_s=cluster.clock.now_s(), exp=int(cluster.clock.now_s()))

    cluster.clock.sleep(29)
    assert client.get("/v1/me", headers=bearer(token)).status_code == 200
    cluster.clock.sleep(2)
    assert client.get("/v1/me", headers=bearer(token)).status_code == 401


def test_a_tenant_that_the_issuer_may_not_name_is_refused(issuer: HostileIssuer) -> None:
    cluster = cluster_of(issuer, tenant_claim="org", tenants={"acme.com": "acme"})
    client = cluster.client()

    def asked(org: Any) -> Any:
        token = issuer.token(now_s=cluster.clock.now_s(), org=org)
        return client.get("/v1/me", headers=bearer(token))

    assert asked("acme.com").json["tenant"] == "acme"
    for wrong in ("default", "acme", "other.com", "", None, ["acme.com"], 7):
        assert_refused(asked(wrong), 401, "unauthenticated")


def test_without_a_table_a_tenant_has_a_legal_name(issuer: HostileIssuer) -> None:
    cluster = cluster_of(issuer, tenant_claim="org.id")
    client = cluster.client()

    def asked(org: Any) -> Any:
        token = issuer.token(now_s=cluster.clock.now_s(), org=org)
        return client.get("/v1/me", headers=bearer(token))

    assert asked({"id": "acme"}).json["tenant"] == "acme"
    for wrong in ({"id": "a b"}, {"id": "kb"}, {"id": "../x"}, {"id": ""}, {}, "acme", None):
        assert_refused(asked(wrong), 401, "unauthenticated")


def test_the_tenant_that_runs_the_cluster_is_named_by_a_table_alone(issuer: HostileIssuer) -> None:
    def asked(cluster: Any, org: str) -> Any:
        token = issuer.token(now_s=cluster.clock.now_s(), org=org)
        return cluster.client().get("/v1/me", headers=bearer(token))

    claimed = cluster_of(issuer, tenant_claim="org", default_role="admin")
    assert_refused(asked(claimed, "default"), 401, "unauthenticated")

    listed = cluster_of(issuer, tenant_claim="org", tenants={"us": "default"})
    assert asked(listed, "us").json["tenant"] == "default"
    assert_refused(asked(listed, "default"), 401, "unauthenticated")


def test_roles_by_a_path_a_table_and_a_word_for_the_rest(issuer: HostileIssuer) -> None:
    cluster = cluster_of(
        issuer,
        role_claim="realm_access.roles",
        roles={"chat-admins": "admin", "chat-agents": "agent"},
        default_role="customer",
    )
    client = cluster.client()

    def role(**said: Any) -> str:
        token = issuer.token(now_s=cluster.clock.now_s(), roles=None, **said)
        return str(client.get("/v1/me", headers=bearer(token)).json["role"])

    assert role(realm_access={"roles": ["x", "chat-agents", "chat-admins"]}) == "admin"
    assert role(realm_access={"roles": ["chat-agents"]}) == "agent"
    assert role(realm_access={"roles": ["admin"]}) == "customer", "only the table counts"
    assert role() == role(realm_access="chat-admins") == "customer"
    assert set(ROLES) == {"admin", "editor", "agent", "customer"}


def test_scopes_of_a_token_narrow_it(issuer: HostileIssuer) -> None:
    cluster = cluster_of(issuer, scope_prefix="kotaemon:")
    client = cluster.client()

    def asked(path: str, **said: Any) -> int:
        token = issuer.token(now_s=cluster.clock.now_s(), roles="admin", **said)
        return client.get(path, headers=bearer(token)).status_code

    assert asked("/v1/sessions", scope="openid kotaemon:talk") == 200
    assert asked("/v1/jobs", scope="openid kotaemon:talk") == 403
    assert asked("/v1/jobs", scp=["kotaemon:knowledge"]) == 200
    assert asked("/v1/sessions", scope="openid talk") == 401
    assert asked("/v1/sessions", scope="kotaemon:everything") == 401
    assert "permission.refused" in cluster.audit.actions()


def test_a_user_of_an_issuer_is_never_a_key_nor_anothers_user(issuer: HostileIssuer) -> None:
    cluster = cluster_of(issuer, subject_prefix="staff|")
    client = cluster.client()

    def subject(sub: str) -> str:
        token = issuer.token(now_s=cluster.clock.now_s(), sub=sub)
        return str(client.get("/v1/me", headers=bearer(token)).json["subject"])

    assert subject("ann") == "staff|ann"
    assert subject("auth0|5f") == "staff|auth0|5f"
    assert subject("key:admin") == "staff|key%3Aadmin"
    assert subject("王 芳") == "staff|%E7%8E%8B%20%E8%8A%B3"


def test_a_key_that_the_issuer_added_counts_and_one_that_it_took_back_ends(
    issuer: HostileIssuer,
) -> None:
    cluster = cluster_of(issuer)
    client = cluster.client()
    old = issuer.token(now_s=cluster.clock.now_s(), exp=int(cluster.clock.now_s()) + 9_000)
    assert client.get("/v1/me", headers=bearer(old)).status_code == 200

    issuer.keys = [ec_key("second"), *issuer.keys]
    cluster.clock.sleep(oidc_limits.UNKNOWN_KEY_S)
    new = issuer.token(now_s=cluster.clock.now_s(), exp=int(cluster.clock.now_s()) + 9_000)
    assert client.get("/v1/me", headers=bearer(new)).status_code == 200
    assert client.get("/v1/me", headers=bearer(old)).status_code == 200
    assert issuer.asked_for_keys() == 2

    issuer.keys = issuer.keys[:1]
    cluster.clock.sleep(oidc_limits.KEYS_S_DEFAULT)
    assert client.get("/v1/me", headers=bearer(new)).status_code == 200
    assert client.get("/v1/me", headers=bearer(old)).status_code == 401


def test_a_flood_of_unknown_keys_costs_the_issuer_a_request_each_ten_seconds(
    issuer: HostileIssuer,
) -> None:
    cluster = cluster_of(issuer)
    client = cluster.client()
    good = issuer.token(now_s=cluster.clock.now_s())
    assert client.get("/v1/me", headers=bearer(good)).status_code == 200
    stranger = rsa_key("x")
    head = [
        issuer.token(now_s=cluster.clock.now_s(), key=stranger, header={"kid": f"made-up-{number}"})
        for number in range(300)
    ]

    for token in head:
        assert client.get("/v1/me", headers=bearer(token)).status_code == 401
    assert issuer.asked_for_keys() == 1, "it was read a moment ago"
    for token in head:
        cluster.clock.sleep(0.1)
        assert client.get("/v1/me", headers=bearer(token)).status_code == 401

    assert issuer.asked_for_keys() <= 1 + 300 * 0.1 / oidc_limits.UNKNOWN_KEY_S + 1
    assert client.get("/v1/me", headers=bearer(good)).status_code == 200


def test_many_at_once_wait_for_one_look(issuer: HostileIssuer) -> None:
    cluster = cluster_of(issuer)
    token = issuer.token(now_s=cluster.clock.now_s())
    told: list[str] = []

    threads = [
        threading.Thread(target=lambda: told.append(cluster.oidc.judge(token).subject))
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert told == ["ann"] * 16
    assert issuer.asked_for_keys() == 1


def test_while_the_issuer_is_away_its_keys_count_for_a_bounded_time(issuer: HostileIssuer) -> None:
    cluster = cluster_of(issuer, keys_s=100, keys_stale_s=1000)
    client = cluster.client()
    end = int(cluster.clock.now_s()) + 9_000
    token = issuer.token(now_s=cluster.clock.now_s(), exp=end)
    assert client.get("/v1/me", headers=bearer(token)).status_code == 200

    issuer.status = 500
    cluster.clock.sleep(999)
    assert client.get("/v1/me", headers=bearer(token)).status_code == 200
    asked = len(issuer.asked)
    for _ in range(10):
        assert client.get("/v1/me", headers=bearer(token)).status_code == 200
    assert len(issuer.asked) == asked, "nobody asks again at once"
    cluster.clock.sleep(1)
    assert_refused(client.get("/v1/me", headers=bearer(token)), 503, "issuer_unavailable")
    assert client.get("/v1/me", headers=bearer(cluster.key())).status_code == 200, "keys still do"

    issuer.status = 200
    cluster.clock.sleep(oidc_limits.ISSUER_FAILED_S)
    assert client.get("/v1/me", headers=bearer(token)).status_code == 200


@pytest.mark.parametrize(
    "spoil",
    [
        {"padding": oidc_limits.ISSUER_ANSWER_BYTES_MAX},
        {"rows": []},
        {"rows": {"first": 1}},
        {"rows": [7, None, {"kty": "oct", "k": "c2VjcmV0", "kid": "first"}, {"kty": "RSA"}]},
        {"rows": [{"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "first"}] * 65},
        {"keys": [rsa_key(bits=1024)]},
        {"discovery": {"issuer": "https://elsewhere.example"}},
        {"discovery": {"jwks_uri": None}},
        {"discovery": {"jwks_uri": "http://192.0.2.1/keys"}},
        {"discovery": {"jwks_uri": "file:///etc/passwd"}},
        {"discovery": {"jwks_uri": "http://127.0.0.1:9/\u00e9"}},
        {"discovery": {"jwks_uri": "https://a..b/keys"}},
        {"discovery": {"jwks_uri": f"https://{'a' * 70}.example/keys"}},
        {"rows": [{"kty": ["RSA"]}, {"kty": "RSA", "key_ops": 7}]},
        {"status": 302},
    ],
)
def test_keys_that_cannot_be_used_let_nobody_in(
    issuer: HostileIssuer, spoil: dict[str, Any]
) -> None:
    cluster = cluster_of(issuer)
    client = cluster.client()
    for name, value in spoil.items():
        setattr(issuer, name, value)
    token = issuer.token(now_s=cluster.clock.now_s())

    for _ in range(5):
        refused = client.get("/v1/me", headers=bearer(token))
        assert_refused(refused, 503, "issuer_unavailable")

    assert issuer.asked_for_keys() <= 1
    assert client.get("/v1/me", headers=bearer(cluster.key())).status_code == 200


@pytest.mark.parametrize(
    "change",
    [
        {"rows": [{"kty": ["RSA"]}]},
        {"rows": [{"kty": "RSA", "key_ops": None}]},
        {"discovery": {"jwks_uri": "https://a..b/keys"}},
        {"discovery": {"jwks_uri": "http://127.0.0.1:9/\u00e9"}},
    ],
)
def test_whatever_is_published_later_what_was_read_before_counts(
    issuer: HostileIssuer, change: dict[str, Any]
) -> None:
    cluster = cluster_of(issuer, keys_s=100, keys_stale_s=1000)
    client = cluster.client()
    token = issuer.token(now_s=cluster.clock.now_s(), exp=int(cluster.clock.now_s()) + 9_000)
    assert client.get("/v1/me", headers=bearer(token)).status_code == 200

    for name, value in change.items():
        setattr(issuer, name, value)
    cluster.clock.sleep(100)

    assert client.get("/v1/me", headers=bearer(token)).status_code == 200
    assert issuer.asked.count("/.well-known/openid-configuration") == 2


def test_a_request_waits_a_moment_for_keys_that_are_read_again_and_no_longer(
    issuer: HostileIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oidc_limits, "ISSUER_WAIT_S", 0.05)
    monkeypatch.setattr(oidc_limits, "ISSUER_FIRST_WAIT_S", 0.05)
    cluster = cluster_of(issuer, timeout_s=60.0, keys_s=100, keys_stale_s=1000)
    client = cluster.client()
    now_s = cluster.clock.now_s()
    token = issuer.token(now_s=now_s, exp=int(now_s) + 9_000)
    new = issuer.token(now_s=now_s, exp=int(now_s) + 9_000, key=rsa_key("new"))
    wait_until(
        lambda: client.get("/v1/me", headers=bearer(token)).status_code == 200, what="keys are read"
    )

    issuer.drip_s = 30.0  # from now on it takes for ever, and the test does not
    cluster.clock.sleep(100)
    assert client.get("/v1/me", headers=bearer(token)).status_code == 200
    # nor is anybody called a stranger whose key may be among those
    assert_refused(client.get("/v1/me", headers=bearer(new)), 503, "issuer_unavailable")
    cluster.clock.sleep(1000)
    assert_refused(client.get("/v1/me", headers=bearer(token)), 503, "issuer_unavailable")
    assert issuer.asked_for_keys() == 2


def test_keys_that_drip_are_not_waited_for(issuer: HostileIssuer) -> None:
    cluster = cluster_of(issuer, timeout_s=0.5)
    issuer.drip_s = 0.1
    token = issuer.token(now_s=cluster.clock.now_s())

    refused = cluster.client().get("/v1/me", headers=bearer(token))

    assert_refused(refused, 503, "issuer_unavailable")
    assert issuer.dripped < len(str(issuer.published()))


def test_two_keys_of_one_name_are_both_tried_and_a_secret_among_them_is_not(
    issuer: HostileIssuer,
) -> None:
    cluster = cluster_of(issuer)
    client = cluster.client()
    ours, other, curve = issuer.keys[0], rsa_key("first"), ec_key("first")
    secret = {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0", "kid": "first"}
    issuer.rows = [secret, *(key.as_dict(private=False) for key in (other, curve, ours))]
    now_s = cluster.clock.now_s()

    for key in (ours, other, curve):
        token = issuer.token(now_s=now_s, key=key)
        assert client.get("/v1/me", headers=bearer(token)).status_code == 200
    forged = issuer.token(now_s=now_s, key=rsa_key("first"))
    assert_refused(client.get("/v1/me", headers=bearer(forged)), 401, "unauthenticated")


def test_a_key_of_one_issuer_signs_for_no_other(issuer: HostileIssuer) -> None:
    with hostile_issuer(2) as second:
        ours = Issuer("staff", issuer.url, (AUDIENCE,), tenant="staff")
        theirs = Issuer("guests", second.url, (AUDIENCE,), tenant="guests")
        cluster = OidcCluster(issuers=[ours, theirs])
        client = cluster.client()
        now_s = cluster.clock.now_s()
        good = [issuer.token(now_s=now_s), second.token(now_s=now_s)]
        forged = second.token(now_s=now_s, iss=issuer.url, roles=["admin"])

        tenants = [client.get("/v1/me", headers=bearer(it)).json["tenant"] for it in good]
        assert tenants == ["staff", "guests"]
        assert_refused(client.get("/v1/me", headers=bearer(forged)), 401, "unauthenticated")


def test_without_a_name_of_its_key_a_token_counts_where_there_is_one_key(
    issuer: HostileIssuer,
) -> None:
    cluster = cluster_of(issuer)
    client = cluster.client()
    token = issuer.token(now_s=cluster.clock.now_s(), header={"kid": None})
    assert client.get("/v1/me", headers=bearer(token)).status_code == 200

    issuer.keys = [*issuer.keys, rsa_key("second")]
    cluster.clock.sleep(oidc_limits.KEYS_S_DEFAULT)
    token = issuer.token(now_s=cluster.clock.now_s(), header={"kid": None})
    assert client.get("/v1/me", headers=bearer(token)).status_code == 401


def test_a_token_that_expires_in_a_stream_ends_it(issuer: HostileIssuer) -> None:
    cluster = cluster_of(issuer, leeway_s=0)
    client = cluster.client()
    token = issuer.token(now_s=cluster.clock.now_s(), exp=int(cluster.clock.now_s()) + 100)
    sid = client.post("/v1/sessions", json={}, headers=bearer(token)).json["session_id"]

    def happening() -> Iterator[Frame]:
        yield Frame("turn", {"message": "mine"}, "t", "trace", seq=None)
        cluster.clock.sleep(90)
        issuer.status = 500
        yield Frame("turn", {"message": "still mine"}, "t", "trace", seq=None)
        cluster.clock.sleep(max(API_KEYS_KNOWN_S, 10))
        yield Frame("turn", {"message": "not yours"}, "t", "trace", seq=None)

    cluster.turns.happening = happening()
    told = client.get(f"/v1/sessions/{sid}/stream", headers=bearer(token)).text

    assert told.count("mine") == 2
    assert "not yours" not in told
    assert '"code":"unauthenticated"' in told


def test_a_token_in_the_cookie_or_an_address_opens_nothing(issuer: HostileIssuer) -> None:
    cluster = cluster_of(issuer)
    client = cluster.client()
    token = issuer.token(now_s=cluster.clock.now_s())

    assert client.get(f"/v1/me?access_token={token}").status_code == 401
    client.set_cookie(LOGIN_COOKIE, token)
    assert client.get("/v1/me").status_code == 401
