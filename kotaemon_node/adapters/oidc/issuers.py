"""``ports.issuers.Issuers``: the issuers that an operator described."""

import hmac
import ssl
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import structlog

from kotaemon_node.adapters.oidc.asking import IssuerFailed, IssuerLine
from kotaemon_node.adapters.oidc.keys import IssuerBook
from kotaemon_node.adapters.oidc.tokens import checked_claims, issuer_claim
from kotaemon_node.domain import oidc_limits as limits
from kotaemon_node.domain.errors import IssuerUnavailable, Unauthenticated
from kotaemon_node.domain.oidc import Issuer, LoginClient, principal_of_claims
from kotaemon_node.domain.session import Principal
from kotaemon_node.ports.credentials import Lines
from kotaemon_node.ports.runtime import Clock

_log = structlog.get_logger(__name__)
_AUTHORIZE: Final = "authorization_endpoint"


@dataclass(frozen=True, slots=True)
class DescribedIssuer:
    """An issuer, and what only a process needs to ask it."""

    issuer: Issuer
    secret: Lines | None = field(default=None, repr=False)
    """By which the page's login proves itself there; None: by PKCE alone."""
    ca_file: Path | None = None


class OidcIssuers:
    """See the port."""

    def __init__(
        self,
        described: Sequence[DescribedIssuer],
        *,
        clock: Clock,
        timeout_s: float = limits.ISSUER_TIMEOUT_S,
    ) -> None:
        """Raises ``ValueError`` where a file of certificates cannot be used."""
        self._clock = clock
        self._all = tuple(one.issuer for one in described)
        self._secrets = {one.issuer.name: one.secret for one in described}
        self._lines = {
            one.issuer.name: IssuerLine(tls=_context(one.ca_file), timeout_s=timeout_s)
            for one in described
        }
        self._redeeming = {
            one.name: threading.BoundedSemaphore(limits.CODES_AT_ONCE_MAX) for one in self._all
        }
        self._books = {
            one.name: IssuerBook(one, self._lines[one.name], clock=clock) for one in self._all
        }

    def judge(self, token: str) -> Principal:
        """See the port."""
        if len(token) > limits.TOKEN_CHARS_MAX:
            raise Unauthenticated("the token is too long")
        url = issuer_claim(token)
        issuer = next((one for one in self._all if one.url == url), None)
        if issuer is None:
            raise Unauthenticated("the token's issuer is not one of this cluster's")
        claims = checked_claims(
            token,
            issuer,
            self._books[issuer.name],
            audiences=issuer.audiences,
            clock=self._clock,
        )
        return principal_of_claims(issuer, claims)

    def all(self) -> Sequence[Issuer]:
        """See the port."""
        return self._all

    def login_address(self, issuer: Issuer, *, state: str, nonce: str, challenge: str) -> str:
        """See the port."""
        client = _client(issuer)
        fields = {
            "response_type": "code",
            "client_id": client.client_id,
            "redirect_uri": client.redirect_url,
            "scope": client.scopes,
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return _with_fields(self._place(issuer, _AUTHORIZE), fields)

    def redeem(
        self, issuer: Issuer, *, code: str, verifier: str, nonce: str, by: str | None
    ) -> Principal:
        """See the port."""
        client = _client(issuer)
        if by is None and self._books[issuer.name].known().names_itself:
            raise Unauthenticated("the answer does not name its issuer, which always names itself")
        if by is not None and by != issuer.url:
            raise Unauthenticated("another issuer answered than was asked")
        token = self._exchanged(issuer, client, code=code, verifier=verifier)
        claims = checked_claims(
            token,
            # Whoever is named in it, it is the identity of one login at this client.
            issuer,
            self._books[issuer.name],
            audiences=(client.client_id,),
            clock=self._clock,
        )
        told = claims.get("nonce")
        if not isinstance(told, str) or not hmac.compare_digest(told.encode(), nonce.encode()):
            raise Unauthenticated("the issuer's answer belongs to another login")
        if claims.get("azp", client.client_id) != client.client_id:
            raise Unauthenticated("the issuer's answer is for another client")
        # What narrows tokens of programs stands in their scopes; an identity has none.
        return principal_of_claims(replace(issuer, scope_prefix=""), claims)

    def logout_address(self, issuer: Issuer) -> str:
        """See the port."""
        if issuer.login is None or not issuer.login.logout_url:
            return ""
        try:
            place = self._place(issuer, "end_session_endpoint")
        except IssuerUnavailable:
            return ""
        fields = {
            "client_id": issuer.login.client_id,
            "post_logout_redirect_uri": issuer.login.logout_url,
        }
        return _with_fields(place, fields)

    def _exchanged(self, issuer: Issuer, client: LoginClient, *, code: str, verifier: str) -> str:
        """Return the identity token that the code stands for."""
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": client.redirect_url,
            "client_id": client.client_id,
            "code_verifier": verifier,
        }
        secret = self._secrets[issuer.name]
        words = secret.lines() if secret is not None else ()
        place = self._place(issuer, "token_endpoint")
        room = self._redeeming[issuer.name]
        if not room.acquire(blocking=False):
            raise IssuerUnavailable(f"too many log in with {issuer.name} at once; try again")
        try:
            answer = self._lines[issuer.name].post_form(
                place,
                fields,
                user=client.client_id,
                password=words[0] if words else "",
            )
        except IssuerFailed as error:
            _log.warning("issuer_unavailable", issuer=issuer.name, reason=str(error))
            raise IssuerUnavailable(f"the issuer {issuer.name} does not answer now") from error
        finally:
            room.release()
        return _identity(answer.status, answer.told, issuer)

    def _place(self, issuer: Issuer, name: str) -> str:
        place = self._books[issuer.name].known().places.get(name)
        if place is None:
            raise IssuerUnavailable(f"the issuer {issuer.name} names no {name}")
        return place


def _identity(status: int, told: Mapping[str, Any], issuer: Issuer) -> str:
    token = told.get("id_token")
    if status == 200 and isinstance(token, str) and len(token) <= limits.ISSUER_ANSWER_BYTES_MAX:
        return token
    # A word of RFC 6749: `invalid_grant`, `invalid_client`; nothing else of the answer is told.
    word = told.get("error")
    reason = word if isinstance(word, str) and word.replace("_", "").isalpha() else ""
    _log.warning("login_code_refused", issuer=issuer.name, status=status, reason=reason[:40])
    raise Unauthenticated(f"{issuer.name} does not confirm the login; begin it again")


def _client(issuer: Issuer) -> LoginClient:
    if issuer.login is None:
        raise Unauthenticated(f"nobody logs in to this page with {issuer.name}")
    return issuer.login


def _with_fields(place: str, fields: Mapping[str, str]) -> str:
    return f"{place}{'&' if '?' in place else '?'}{urlencode(fields)}"


def _context(ca_file: Path | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    except OSError as error:
        raise ValueError(f"{ca_file} holds no certificates that can be read") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
