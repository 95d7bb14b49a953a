"""Composes who lets callers in: the part of ``bootstrap`` that is about credentials."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from kotaemon_node.adapters.oidc import (
    DescribedIssuer,
    IssuerFields,
    OidcIssuers,
    described_issuer,
    read_issuers,
)
from kotaemon_node.adapters.redis import RedisApiKeys, RedisEndedLogins, RedisStore
from kotaemon_node.adapters.system import RandomIds, SecretLines
from kotaemon_node.adapters.system.secret_file import FixedLines
from kotaemon_node.api.authority import Authority
from kotaemon_node.api.issuer_logins import IssuerLogins
from kotaemon_node.api.key_ring import KeyRing
from kotaemon_node.api.live_logins import LiveLogins
from kotaemon_node.domain.credentials import problem_of
from kotaemon_node.ports.runtime import Clock
from kotaemon_node.settings import Settings

_CLIENT_SECRET_CHARS_MAX: Final = 1_000


def make_authority(settings: Settings, store: RedisStore, *, clock: Clock) -> Authority | None:
    """Return who judges credentials; None in open mode.

    Ends the process where what the settings name cannot be used, without telling any secret.
    """
    if settings.auth_mode == "open":
        return None
    try:
        admin = SecretLines(settings.admin_key_file, check=problem_of, fixed=settings.admin_key)
        path = settings.session_secret_file
        secrets = None if path is None else SecretLines(path, check=problem_of)
    except ValueError as error:
        raise SystemExit(f"ADMIN_KEY, ADMIN_KEY_FILE or SESSION_SECRET_FILE: {error}") from error
    ids = RandomIds()
    ring = KeyRing(
        RedisApiKeys(store),
        admin=admin,
        secrets=secrets,
        clock=clock,
        ids=ids,
        stale_s=settings.api_keys_stale_s,
    )
    live = LiveLogins(
        RedisEndedLogins(store), clock=clock, random=ids.new_id, stale_s=settings.api_keys_stale_s
    )
    if settings.auth_mode == "keys":
        return Authority(ring, live=live, clock=clock)
    try:
        issuers = OidcIssuers(issuers_of(settings), clock=clock)
    except ValueError as error:
        raise SystemExit(f"AUTH_MODE=oidc: {error}") from error
    logins = IssuerLogins(
        issuers, live=live, secrets=ring.session_secrets, clock=clock, random=ids.new_id
    )
    return Authority(ring, live=live, clock=clock, issuers=issuers, logins=logins)


def issuers_of(settings: Settings) -> Sequence[DescribedIssuer]:
    """Return the issuers of the file, or the one that settings describe. Raises ``ValueError``."""
    if settings.oidc_file is not None:
        if settings.oidc_issuer:
            raise ValueError("OIDC_FILE and OIDC_ISSUER are both set; set one of them")
        return read_issuers(settings.oidc_file, secret_of=_client_secret)
    if not settings.oidc_issuer:
        raise ValueError("set OIDC_ISSUER, or OIDC_FILE for several issuers")
    said = {name: getattr(settings, f"oidc_{name}", None) for name in IssuerFields.model_fields}
    fixed = settings.oidc_client_secret.strip()
    if problem := _problem_of_client_secret(fixed or "-"):
        raise ValueError(f"OIDC_CLIENT_SECRET: {problem}")
    one = described_issuer(
        {name: value for name, value in said.items() if value not in ("", None)},
        secret_of=_client_secret,
        secret=FixedLines((fixed,)) if fixed else None,
    )
    return [one]


def _client_secret(path: Path) -> SecretLines:
    return SecretLines(path, check=_problem_of_client_secret)


def _problem_of_client_secret(secret: str) -> str:
    """Say why a secret that the issuer gave cannot be one; it may be shorter than ours."""
    if not secret.isascii() or not secret.isprintable() or len(secret) > _CLIENT_SECRET_CHARS_MAX:
        return f"a client's secret has 1 to {_CLIENT_SECRET_CHARS_MAX} printable ASCII characters"
    return ""
