"""Settings of ``AUTH_MODE=oidc``: one issuer by the environment, or a file of several."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings

from kotaemon_node.domain import oidc_limits as limits


class OidcSettings(BaseSettings):
    """The part of ``Settings`` that is about issuers of tokens."""

    oidc_file: Path | None = None
    """YAML or JSON file of several issuers; None: the settings below describe one."""
    oidc_issuer: str = ""
    """Address of the issuer, to the letter as its tokens have it in ``iss``."""
    oidc_audience: str = ""
    """For whom tokens are that count, comma between two; empty: only the page's logins do."""
    oidc_algorithms: str = ""
    """By which tokens may be signed; empty: RS256, PS256, ES256, EdDSA."""
    oidc_subject_claim: str = ""
    """Claim that names the user; empty: ``sub``."""
    oidc_tenant: str = ""
    """Tenant of all its users; empty: ``default``."""
    oidc_tenant_claim: str = ""
    """Claim that names the tenant instead."""
    oidc_tenants: str = ""
    """What the claim says, and which tenant that is: ``acme.com=acme,…``; empty: it says it."""
    oidc_role_claim: str = ""
    """Claim that names roles, or a path to it; empty: ``roles``."""
    oidc_roles: str = ""
    """What the claim says, and which role that is: ``staff=agent,…``; empty: our own names."""
    oidc_default_role: Literal["", "admin", "editor", "agent", "customer"] = ""
    """Role of users for whom the claim names none; empty: they are refused."""
    oidc_scope_prefix: str = ""
    """Words of a token's scope that begin so narrow it; empty: none does."""
    oidc_leeway_s: int = Field(default=30, ge=0, le=300)
    oidc_keys_s: int = Field(default=limits.KEYS_S_DEFAULT, ge=10, le=86_400)
    """Seconds after which the issuer's keys are fetched again."""
    oidc_keys_stale_s: int = Field(default=limits.KEYS_STALE_S_DEFAULT, ge=0, le=7 * 86_400)
    """Seconds for which they count while the issuer is away."""
    oidc_ca_file: Path | None = None
    """Certificates that sign the issuer's; None: those of the system."""
    oidc_client_id: str = ""
    """By which the page's login is known there; empty: the page asks for keys alone."""
    oidc_client_secret: str = ""
    oidc_client_secret_file: Path | None = None
    """File that holds the secret instead; read anew when it changes."""
    oidc_redirect_url: str = ""
    """Where the issuer sends browsers back: ``https://…/v1/login/oidc/callback``."""
    oidc_logout_url: str = ""
    """Where it sends them after a log-out there; empty: nobody is logged out there."""
    oidc_label: str = ""
    """What the button says behind "Log in with"; empty: ``login``."""
    oidc_login_scopes: str = ""
    """What the login asks for; empty: ``openid profile``."""
