"""Who a token of an issuer stands for: what an operator said of the issuer, applied to claims.

A token is signed by somebody else, so nothing in it is taken beyond what the operator allows: which
tenants an issuer may name, which words are which role, and that its subjects are nobody else's.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, urlsplit

from kotaemon_node.domain import oidc_limits as limits
from kotaemon_node.domain.credentials import ROLES, SCOPES, Role
from kotaemon_node.domain.errors import Malformed, Unauthenticated
from kotaemon_node.domain.ids import DEFAULT_TENANT, checked_tenant
from kotaemon_node.domain.session import Principal

ALGORITHMS: Final = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "EdDSA",
)
"""Those that may be allowed: all with a public key, so that nobody signs with what is published."""
DEFAULT_ALGORITHMS: Final = ("RS256", "PS256", "ES256", "EdDSA")

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_KEPT_IN_SUBJECTS: Final = "@+|"  # besides letters, digits and _ . - ~
_WORDS: Final = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class LoginClient:
    """By what the page's login is known at an issuer."""

    client_id: str
    redirect_url: str
    """Address of ``/v1/login/oidc/callback`` as browsers reach it, and as the issuer knows it."""
    label: str
    """What the button says after "Log in with"."""
    scopes: str = "openid profile"
    logout_url: str = ""
    """Where the issuer sends browsers after a log-out there; "": nobody is logged out there."""


@dataclass(frozen=True, slots=True)
class Issuer:
    """An issuer whose tokens count, and what its claims mean here."""

    name: str
    """By which addresses, audit log and cookies name it."""
    url: str
    """``iss`` of its tokens, to the letter."""
    audiences: tuple[str, ...]
    """A token for none of these is somebody else's. Empty: only logins by the page count."""
    algorithms: tuple[str, ...] = DEFAULT_ALGORITHMS
    subject_claim: str = "sub"
    subject_prefix: str = ""
    """Before each of its subjects; keeps the users of two issuers apart in one tenant."""
    tenant: str = DEFAULT_TENANT
    tenant_claim: str = ""
    """Names the tenant instead; "": all are of ``tenant``."""
    tenants: Mapping[str, str] = field(default_factory=dict)
    """Value of that claim to tenant; others are refused.

    Empty: the value is the tenant, and never ``default``, whose admins run the whole cluster.
    """
    role_claim: str = "roles"
    roles: Mapping[str, Role] = field(default_factory=dict)
    """Value of that claim to role, first match first. Empty: our own names of roles."""
    default_role: Role | None = None
    """Of tokens that name none; None: they are refused."""
    scope_prefix: str = ""
    """Words of ``scope`` or ``scp`` that begin so narrow a token; "": none does."""
    leeway_s: int = 30
    keys_s: int = limits.KEYS_S_DEFAULT
    keys_stale_s: int = limits.KEYS_STALE_S_DEFAULT
    login: LoginClient | None = None


def problem_of_url(url: str) -> str:
    """Say why an address of an issuer is not used; "" for a good one."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        return "is no address"
    if parts.query or parts.fragment or parts.username is not None or not host:
        return "must look like https://host/path"
    if parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK):
        return ""
    return "must be https; http is for an issuer on the same machine only"


def problem_of_place(url: str, *, of: str) -> str:
    """Say why an address is not used that the issuer ``of`` names as its own; "" for a good one."""
    if urlsplit(of).scheme == "https" and not url.startswith("https:"):
        return "must be https, as the issuer's is"  # else anybody's issuer had us ask our machine
    return problem_of_url(url)


def problem_of_issuers(issuers: Sequence[Issuer]) -> str:
    """Say where two issuers could name the same user, whom only one of them knows; "": nowhere."""
    for place, one in enumerate(issuers):
        for other in issuers[place + 1 :]:
            if _may_share_a_subject(one, other) and _may_share_a_tenant(one, other):
                return (
                    f"{one.name} and {other.name} could name the same user of one tenant: give"
                    " each its own tenants, or each a subject_prefix with which the other's does"
                    " not begin"
                )
    return ""


def principal_of_claims(issuer: Issuer, claims: Mapping[str, Any]) -> Principal:
    """Return whom checked claims stand for; raises ``Unauthenticated``."""
    return Principal(
        _tenant(issuer, claims),
        _subject(issuer, claims),
        _role(issuer, claims),
        f"oidc:{issuer.name}",
        _scopes(issuer, claims),
    )


def claim_of(claims: Mapping[str, Any], name: str) -> Any:
    """Return a claim by its name, or by a path through objects: ``realm_access.roles``."""
    if name in claims:  # names of claims may hold dots: they are often addresses
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        if not isinstance(found, Mapping):
            return None
        found = found.get(part)
    return found


def _subject(issuer: Issuer, claims: Mapping[str, Any]) -> str:
    told = claim_of(claims, issuer.subject_claim)
    if not isinstance(told, str) or not told:
        raise Unauthenticated(f"the token names nobody: it has no {issuer.subject_claim}")
    # No user's name holds a colon, so none is ever taken for a key.
    subject = issuer.subject_prefix + quote(told, safe=_KEPT_IN_SUBJECTS, errors="replace")
    if len(subject) > limits.SUBJECT_CHARS_MAX:
        raise Unauthenticated(f"the token's {issuer.subject_claim} is too long")
    return subject


def _tenant(issuer: Issuer, claims: Mapping[str, Any]) -> str:
    if not issuer.tenant_claim:
        return issuer.tenant
    told = claim_of(claims, issuer.tenant_claim)
    try:
        tenant = _claimed_tenant(issuer, told)
    except Malformed:
        tenant = None
    if tenant is None:
        raise Unauthenticated(
            f"the token's {issuer.tenant_claim} names no tenant that its issuer may name"
        )
    return tenant


def _claimed_tenant(issuer: Issuer, told: Any) -> str | None:
    if not isinstance(told, str):
        return None
    if issuer.tenants:
        listed = issuer.tenants.get(told)
        return None if listed is None else checked_tenant("tenant", listed)
    # An admin of ``default`` runs the whole cluster: that is the operator's to say, in a table.
    return None if told == DEFAULT_TENANT else checked_tenant("tenant", told)


def _role(issuer: Issuer, claims: Mapping[str, Any]) -> Role:
    told = claim_of(claims, issuer.role_claim)
    words = set(_words(told))
    meaning: Mapping[str, Role] = issuer.roles or {role: role for role in ROLES}
    for word, role in meaning.items():
        if word in words:
            return role
    if issuer.default_role is None:
        raise Unauthenticated(
            f"the token's {issuer.role_claim} names no role that may use this cluster"
        )
    return issuer.default_role


def _scopes(issuer: Issuer, claims: Mapping[str, Any]) -> frozenset[str]:
    if not issuer.scope_prefix:
        return frozenset()
    told = [*_words(claims.get("scope")), *_words(claims.get("scp"))]
    begun = [word.removeprefix(issuer.scope_prefix) for word in told if _begins(word, issuer)]
    found = frozenset(begun) & frozenset(SCOPES)
    if not found:
        # Else a token whose words are misspelt, or were left out, would open everything.
        raise Unauthenticated(
            f"the token has no scope that begins with {issuer.scope_prefix} and names one of"
            f" {', '.join(SCOPES)}"
        )
    return found


def _begins(word: str, issuer: Issuer) -> bool:
    return word.startswith(issuer.scope_prefix)


def _words(told: Any) -> Sequence[str]:
    """Return the words of a claim: one, several between blanks, or a list of them."""
    if isinstance(told, str):
        return [told, *_WORDS.split(told.strip())]
    return [one for one in told if isinstance(one, str)] if isinstance(told, list) else []


def _may_share_a_subject(one: Issuer, other: Issuer) -> bool:
    # A subject may begin with anything: what stands before it differs, or nothing keeps it apart.
    ours, theirs = one.subject_prefix, other.subject_prefix
    return ours.startswith(theirs) or theirs.startswith(ours)


def _may_share_a_tenant(one: Issuer, other: Issuer) -> bool:
    ours, theirs = _tenants_of(one), _tenants_of(other)
    return ours is None or theirs is None or bool(ours & theirs)


def _tenants_of(issuer: Issuer) -> frozenset[str] | None:
    """Return which tenants an issuer may name; None: any."""
    if not issuer.tenant_claim:
        return frozenset({issuer.tenant})
    return frozenset(issuer.tenants.values()) if issuer.tenants else None
