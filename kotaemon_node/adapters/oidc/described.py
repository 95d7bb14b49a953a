"""How an operator describes issuers: read once, checked whole; a file of them, or one by settings.

issuers:
  - name: staff
    issuer: https://login.example.com/realms/staff
    audience: [kotaemon]
    role_claim: realm_access.roles
    roles: {chat-admins: admin, chat-agents: agent}
    client_id: kotaemon
    client_secret_file: /run/secrets/kotaemon-oidc
    redirect_url: https://chat.example.com/v1/login/oidc/callback
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)

from kotaemon_node.adapters.oidc.issuers import DescribedIssuer
from kotaemon_node.described import named_once, read_described
from kotaemon_node.domain import oidc_limits as limits
from kotaemon_node.domain.credentials import Role
from kotaemon_node.domain.errors import Malformed
from kotaemon_node.domain.ids import DEFAULT_TENANT, ID_PATTERN, checked_tenant
from kotaemon_node.domain.oidc import (
    ALGORITHMS,
    DEFAULT_ALGORITHMS,
    Issuer,
    LoginClient,
    problem_of_issuers,
    problem_of_url,
)
from kotaemon_node.ports.credentials import Lines

CALLBACK: Final = "/v1/login/oidc/callback"
SecretOf = Callable[[Path], Lines]
"""Makes what reads a secret from a file; raises ``ValueError``."""
_SUBJECT_PREFIX: Final = r"^[A-Za-z0-9_.@+|-]{0,64}$"


def _named(tenant: str) -> str:
    try:
        return checked_tenant("a tenant", tenant)
    except Malformed as error:
        raise ValueError(str(error)) from error


_Tenant = Annotated[str, AfterValidator(_named)]


def _listed(value: Any) -> Any:
    """Take "a, b" for a list, as settings have it."""
    if isinstance(value, str):
        return [word for word in (part.strip() for part in value.split(",")) if word]
    return value


def _mapped(value: Any) -> Any:
    """Take "a=b, c=d" for a table, as settings have it."""
    if not isinstance(value, str):
        return value
    rows = [part.partition("=") for part in _listed(value)]
    if any(not (name.strip() and sign and word.strip()) for name, sign, word in rows):
        raise ValueError("must look like word=meaning,word=meaning")
    return {name.strip(): word.strip() for name, _, word in rows}


_Words = Annotated[list[str], BeforeValidator(_listed)]


class IssuerFields(BaseModel):
    """One issuer, as it is described."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: str = Field(default="login", pattern=f"^{ID_PATTERN}$", max_length=64)
    issuer: str = Field(min_length=1, max_length=1_000)
    audience: _Words = Field(default_factory=list, max_length=16)
    algorithms: _Words = Field(default_factory=lambda: list(DEFAULT_ALGORITHMS), min_length=1)
    subject_claim: str = Field(default="sub", min_length=1, max_length=200)
    subject_prefix: str = Field(default="", pattern=_SUBJECT_PREFIX)
    tenant: _Tenant = DEFAULT_TENANT
    tenant_claim: str = Field(default="", max_length=200)
    tenants: Annotated[dict[str, _Tenant], BeforeValidator(_mapped)] = Field(
        default_factory=dict, max_length=1_000
    )
    role_claim: str = Field(default="roles", min_length=1, max_length=200)
    roles: Annotated[dict[str, Role], BeforeValidator(_mapped)] = Field(
        default_factory=dict, max_length=1_000
    )
    default_role: Role | None = None
    scope_prefix: str = Field(default="", max_length=200)
    leeway_s: int = Field(default=30, ge=0, le=300)
    keys_s: int = Field(default=limits.KEYS_S_DEFAULT, ge=10, le=86_400)
    keys_stale_s: int = Field(default=limits.KEYS_STALE_S_DEFAULT, ge=0, le=7 * 86_400)
    ca_file: Path | None = None
    client_id: str = Field(default="", max_length=500)
    client_secret_file: Path | None = None
    redirect_url: str = Field(default="", max_length=1_000)
    logout_url: str = Field(default="", max_length=1_000)
    label: str = Field(default="", max_length=60)
    login_scopes: str = Field(default="openid profile", max_length=500)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    issuers: list[IssuerFields] = Field(min_length=1, max_length=limits.ISSUERS_MAX)


def read_issuers(path: Path, *, secret_of: SecretOf) -> tuple[DescribedIssuer, ...]:
    """Return what the file describes; ``ValueError`` says what is wrong in it, never a secret."""
    file = read_described(path, _File, setting="OIDC_FILE", bytes_max=limits.OIDC_FILE_BYTES_MAX)
    named_once([one.name for one in file.issuers], setting="OIDC_FILE", what="issuer")
    addresses = [one.issuer for one in file.issuers]
    if len(set(addresses)) < len(addresses):
        raise ValueError("OIDC_FILE: an issuer is described twice")
    found = tuple(
        _described(one, where=f"OIDC_FILE: {one.name}", secret_of=secret_of) for one in file.issuers
    )
    if problem := problem_of_issuers([one.issuer for one in found]):
        raise ValueError(f"OIDC_FILE: {problem}")
    return found


def described_issuer(
    fields: dict[str, Any], *, secret_of: SecretOf, secret: Lines | None = None
) -> DescribedIssuer:
    """Return the issuer that settings describe; ``ValueError`` names the setting that is wrong.

    ``fields``: those of ``IssuerFields`` that are set; ``secret``: of the environment.
    """
    try:
        one = IssuerFields.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])).upper()
        raise ValueError(f"OIDC_{place.removeprefix('OIDC_')}: {first['msg']}") from error
    return _described(one, where="OIDC", secret_of=secret_of, secret=secret)


def _described(
    one: IssuerFields, *, where: str, secret_of: SecretOf, secret: Lines | None = None
) -> DescribedIssuer:
    if problem := problem_of_url(one.issuer):
        raise ValueError(f"{where}: the issuer's address {problem}")
    if unknown := sorted(set(one.algorithms) - set(ALGORITHMS)):
        raise ValueError(
            f"{where}: the algorithm {unknown[0]} is none with a public key that may be allowed:"
            f" {', '.join(ALGORITHMS)}"
        )
    if not one.audience and not one.client_id:
        raise ValueError(f"{where} needs an audience, for tokens, or a client_id, for logins")
    if one.keys_stale_s < one.keys_s:
        raise ValueError(f"{where}: keys_stale_s must not be less than keys_s")
    if one.client_secret_file is not None:
        secret = secret_of(one.client_secret_file)
    given = one.model_dump(include=set(Issuer.__dataclass_fields__) - {"name"})
    issuer = Issuer(
        **{
            **given,
            "name": one.name,
            "url": one.issuer,
            "audiences": tuple(one.audience),
            "algorithms": tuple(one.algorithms),
            "login": _login(one, where),
        }
    )
    return DescribedIssuer(issuer, secret, one.ca_file)


def _login(one: IssuerFields, where: str) -> LoginClient | None:
    if not one.client_id:
        return None
    if problem := problem_of_url(one.redirect_url) or _other_place(one.redirect_url):
        raise ValueError(f"{where}: the redirect_url {problem}")
    if one.logout_url and (problem := problem_of_url(one.logout_url)):
        raise ValueError(f"{where}: the logout_url {problem}")
    if "openid" not in one.login_scopes.split():
        raise ValueError(f"{where}: the login_scopes must hold openid")
    return LoginClient(
        client_id=one.client_id,
        redirect_url=one.redirect_url,
        label=one.label or one.name,
        scopes=one.login_scopes,
        logout_url=one.logout_url,
    )


def _other_place(url: str) -> str:
    return "" if urlsplit(url).path == CALLBACK else f"must end with {CALLBACK}"
