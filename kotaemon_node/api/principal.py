"""Who asks: the one function that makes the principal from a request.

A credential comes as ``Authorization: Bearer``, as ``X-API-Key``, or as the cookie that a login of
the page set. The first of them that is there decides; none is ever read from an address, which
ends up in logs and histories.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from flask import Request

from kotaemon_node.api.authority import Authority
from kotaemon_node.domain.errors import Unauthenticated
from kotaemon_node.domain.ids import DEFAULT_TENANT
from kotaemon_node.domain.session import Principal

ANONYMOUS: Final = Principal(DEFAULT_TENANT, "anonymous", "open")
KEY_HEADER: Final = "X-API-Key"
LOGIN_COOKIE: Final = "kotaemon_login"
"""Of the page's login; ``cookie_name`` says how it is called on a request's way."""
_CHECKED: Final = frozenset({"keys", "oidc"})

# What a browser says of a request that our own page, or the person at the address bar, made.
_OWN_SITE: Final = frozenset({"same-origin", "none"})
_DEFAULT_PORTS: Final[Mapping[str, str]] = {"http": ":80", "https": ":443"}


def principal_of(request: Request, *, auth_mode: str, authority: Authority | None) -> Principal:
    """Return the caller; raises ``Unauthenticated`` where a credential is needed.

    Open mode asks for none and everybody is the same. A mode that this version cannot check lets
    nobody in. ``Unavailable`` where the keys, ours or an issuer's, cannot be read.
    """
    if auth_mode == "open":
        return ANONYMOUS
    if auth_mode not in _CHECKED or authority is None:
        raise Unauthenticated(f"this version cannot check credentials of mode {auth_mode!r}")
    if key := _key_in(request):
        return authority.admit(key)
    login = login_in(request)
    if login and not from_elsewhere(request):
        return authority.admit_login(login)
    raise Unauthenticated(
        "a key or a token is needed, as `Authorization: Bearer …` or `X-API-Key: …`; an"
        " administrator makes keys with `kotaemon keys create`"
    )


def login_in(request: Request) -> str:
    """Return the cookie of the page's login, "" where there is none."""
    return request.cookies.get(cookie_name(request, LOGIN_COOKIE), "")


def cookie_name(request: Request, name: str) -> str:
    """Return what a cookie of ours is called: over TLS browsers take it from this host alone.

    With ``__Host-`` (RFC 6265bis) no other host of our domain can set it, and so log somebody in as
    somebody else. It asks for TLS and for the path ``/``.
    """
    return f"__Host-{name}" if behind_tls(request) else name


def from_elsewhere(request: Request) -> bool:
    """Tell whether another site made the browser ask: its cookie is not the user's wish then."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site not in _OWN_SITE
    origin = request.headers.get("Origin")
    if origin is None:
        return False
    return not same_place(origin, request.host)


def same_place(origin: str, host: str) -> bool:
    """Tell whether an ``Origin`` has the host and port that a request was sent to."""
    try:
        return _place(origin) == _place(f"//{host}", like=origin)
    except ValueError:
        return False  # no browser sends an address that cannot be read


def behind_tls(request: Request) -> bool:
    """Tell whether the client's connection is encrypted, up to here or up to the balancer."""
    told = request.headers.get("X-Forwarded-Proto", "").split(",")[0].strip().lower()
    return request.is_secure or told == "https"


def _key_in(request: Request) -> str:
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip() or "-"  # an empty one is a wrong one
    return request.headers.get(KEY_HEADER, "").strip()


def _place(url: str, *, like: str = "") -> str:
    """Return host and port; the port that a scheme has by itself is left out."""
    parts = urlsplit(url)
    return parts.netloc.lower().removesuffix(_DEFAULT_PORTS.get(urlsplit(like or url).scheme, " "))
