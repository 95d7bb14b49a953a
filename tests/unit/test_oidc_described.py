"""Issuers as operators describe them: the examples of docs/how-to/oidc.md, and what is refused."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from kotaemon_node.adapters.oidc import DescribedIssuer, read_issuers
from kotaemon_node.composition.admission import issuers_of
from kotaemon_node.domain.oidc import principal_of_claims, problem_of_issuers, problem_of_place
from kotaemon_node.settings import Settings
from tests.fakes.credentials import FixedLines

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "oidc.md").read_text("utf-8")
SECRET = FixedLines(["a-secret"])


def examples(kind: str) -> list[str]:
    """Return the blocks of a kind; of a shell's, those that set something."""
    blocks: list[str] = re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)
    return [block for block in blocks if kind != "sh" or block.startswith("AUTH_MODE=")]


def settings_of(text: str, tmp_path: Path) -> Settings:
    (tmp_path / "secret").write_text("a-secret\n")
    said = dict(line.split("=", 1) for line in text.splitlines())
    lowered = {name.lower(): value for name, value in said.items()}
    if "oidc_client_secret_file" in lowered:
        lowered["oidc_client_secret_file"] = str(tmp_path / "secret")
    return Settings(**lowered)


# What a token of each says there, and who that is here.
TOKENS: list[tuple[dict[str, Any], tuple[str, str, str]]] = [
    (
        {"sub": "f3a1-22", "realm_access": {"roles": ["offline_access", "chat-agent"]}},
        ("default", "f3a1-22", "agent"),
    ),
    ({"sub": "AAbb_-9", "roles": ["Chat.Admin"]}, ("default", "AAbb_-9", "admin")),
    (
        {"sub": "auth0|5f7c", "https://kotaemon.example/roles": ["editor"]},
        ("default", "auth0|5f7c", "editor"),
    ),
]


@pytest.mark.parametrize("place", range(len(TOKENS)))
def test_the_settings_of_the_page_read_the_tokens_of_their_issuers(
    place: int, tmp_path: Path
) -> None:
    (described,) = issuers_of(settings_of(examples("sh")[place], tmp_path))
    claims, who = TOKENS[place]

    caller = principal_of_claims(described.issuer, claims)

    assert (caller.tenant, caller.subject, caller.role) == who
    assert described.issuer.login is not None
    assert described.issuer.login.redirect_url.startswith("https://chat.example.com/")
    assert described.secret is not None
    assert described.secret.lines() == ("a-secret",)
    assert "a-secret" not in repr(described)


def test_there_is_an_example_for_each_token() -> None:
    assert len(examples("sh")) == len(TOKENS)


def test_the_file_of_the_page_describes_two_issuers(tmp_path: Path) -> None:
    path = tmp_path / "oidc.yaml"
    path.write_text(examples("yaml")[0])

    staff, partners = (it.issuer for it in read_issuers(path, secret_of=lambda _: SECRET))

    assert staff.login is not None
    assert partners.login is None
    claims = {"sub": "auth0|1", "org_id": "org_9b2"}
    assert principal_of_claims(partners, claims).tenant == "globex"


GOOD = {
    "name": "staff",
    "issuer": "https://login.example.com",
    "audience": "kotaemon",
    "client_id": "page",
    "redirect_url": "https://chat.example.com/v1/login/oidc/callback",
}


def read(tmp_path: Path, *rows: dict[str, Any]) -> tuple[DescribedIssuer, ...]:
    path = tmp_path / "oidc.json"
    path.write_text(json.dumps({"issuers": rows}))
    return read_issuers(path, secret_of=lambda _: SECRET)


@pytest.mark.parametrize(
    ("change", "advice"),
    [
        ({"issuer": "http://login.example.com"}, "must be https"),
        ({"issuer": "https://user@login.example.com"}, "must look like"),
        ({"issuer": "https://login.example.com?x=1"}, "must look like"),
        ({"algorithms": ["HS256"]}, "HS256 is none with a public key"),
        ({"algorithms": ["none"]}, "none is none with a public key"),
        ({"algorithms": []}, "algorithms"),
        ({"audience": [], "client_id": ""}, "needs an audience"),
        ({"redirect_url": "https://chat.example.com/"}, "must end with /v1/login/oidc/callback"),
        ({"redirect_url": "http://chat.example.com/v1/login/oidc/callback"}, "must be https"),
        ({"login_scopes": "profile"}, "must hold openid"),
        ({"keys_stale_s": 10}, "must not be less"),
        ({"roles": {"boss": "system"}}, "roles"),
        ({"tenants": {"a": "b c"}}, "tenants"),
        ({"tenant": "kb"}, "must not be 'kb'"),
        ({"subject_prefix": "a:"}, "subject_prefix"),
        ({"rolls": {}}, "rolls"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_advice(
    tmp_path: Path, change: dict[str, Any], advice: str
) -> None:
    read(tmp_path, GOOD)
    with pytest.raises(ValueError, match=re.escape(advice)):
        read(tmp_path, {**GOOD, **change})


def test_two_issuers_never_name_the_same_user(tmp_path: Path) -> None:
    other = {**GOOD, "name": "guests", "issuer": "https://guests.example.com"}
    claimed = {**other, "tenant_claim": "org"}
    listed = {**claimed, "tenants": {"a": "acme"}}

    for second in (other, claimed, {**listed, "tenants": {"a": "default"}}):
        with pytest.raises(ValueError, match="the same user"):
            read(tmp_path, GOOD, second)
    for second in (listed, {**other, "tenant": "guests"}):
        assert problem_of_issuers([it.issuer for it in read(tmp_path, GOOD, second)]) == ""
    with pytest.raises(ValueError, match="described twice"):
        read(tmp_path, GOOD, {**GOOD, "name": "again", "tenant": "other"})


@pytest.mark.parametrize(
    ("first", "second", "apart"),
    [
        ("staff|", "guest|", True),
        ("", "guest|", False),
        ("guest|", "", False),
        ("guest", "guest-of-", False),
        ("a|", "a|", False),
    ],
)
def test_prefixes_keep_users_apart_where_none_begins_with_another(
    tmp_path: Path, first: str, second: str, apart: bool
) -> None:
    one = {**GOOD, "subject_prefix": first}
    other = {
        **GOOD,
        "name": "guests",
        "issuer": "https://guests.example.com",
        "subject_prefix": second,
    }

    if apart:
        assert len(read(tmp_path, one, other)) == 2
    else:
        with pytest.raises(ValueError, match="each a subject_prefix with which"):
            read(tmp_path, one, other)


@pytest.mark.parametrize(
    ("issuer", "place", "good"),
    [
        ("https://login.example.com", "https://keys.example.net/all", True),
        ("https://login.example.com", "http://127.0.0.1:8200/v1/keys", False),
        ("https://login.example.com", "http://localhost/keys", False),
        ("https://login.example.com", "http://login.example.com/keys", False),
        ("http://127.0.0.1:9", "http://127.0.0.1:9/keys", True),
        ("http://127.0.0.1:9", "http://192.0.2.1/keys", False),
    ],
)
def test_an_issuer_elsewhere_names_no_place_on_this_machine(
    issuer: str, place: str, good: bool
) -> None:
    assert (problem_of_place(place, of=issuer) == "") is good


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ({}, "set OIDC_ISSUER"),
        ({"oidc_issuer": "https://a.example", "oidc_file": "/x"}, "both set"),
        (
            {"oidc_issuer": "https://a.example", "oidc_audience": "k", "oidc_roles": "a"},
            "OIDC_ROLE",
        ),
        ({"oidc_issuer": "https://a.example"}, "needs an audience"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(said: dict[str, Any], advice: str) -> None:
    with pytest.raises(ValueError, match=advice):
        issuers_of(Settings(**said))
