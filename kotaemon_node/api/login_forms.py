"""What the routes of logins take and give."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from kotaemon_node.api.fields import Body, Id
from kotaemon_node.domain.limits import LOGIN_USER_CHARS_MAX


class EndLoginsBody(Body):
    """``POST /v1/logins/end``. The same again ends those that were made in between."""

    user: Annotated[str, Field(min_length=1, max_length=LOGIN_USER_CHARS_MAX)]
    """As ``GET /v1/me`` and the audit log name them."""
    tenant: Id | None = None
    """The user's tenant, for who runs the cluster; else the caller's."""


@dataclass(frozen=True, slots=True)
class CallerForm:
    """Who the caller is; in open mode everybody is ``anonymous`` with the role ``open``."""

    tenant: str
    subject: str
    role: str


@dataclass(frozen=True, slots=True)
class IssuerForm:
    """An issuer that one may log in with: ``GET /v1/login/oidc?issuer=<name>``."""

    name: str
    label: str
    """For people, behind "Log in with"."""


@dataclass(frozen=True, slots=True)
class WaysIn:
    """By what one may log in: ``key``, where the cluster is closed, and ``issuers``."""

    key: bool
    issuers: list[IssuerForm]


@dataclass(frozen=True, slots=True)
class LoggedOut:
    """Where the browser goes to be logged out at the issuer, too."""

    address: str
