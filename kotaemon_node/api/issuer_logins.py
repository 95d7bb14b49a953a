"""The page's login by an issuer: two cookies of our own, and nothing that a pod would keep.

Rule 1: who leaves for the issuer carries ``<state>.<issuer>.<end>.<page>.<proof>``. Nonce and
    verifier (PKCE) follow from the state and the cluster's secret, so any pod knows them again, and
    a cookie that was read tells neither.
Rule 2: who comes back is let in only where the state of the address is that of the cookie: the one
    who left. A code counts once, at the issuer.
Rule 3: a login is ``oidc.<who>.<proof>``. It ends by itself, with the issuer's description (what an
    operator changes there holds at once), and where it is ended: ``live_logins``.
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, cast

from kotaemon_node.api.live_logins import LiveLogins
from kotaemon_node.api.proofs import any_equal, proof_of
from kotaemon_node.domain import oidc_limits as limits
from kotaemon_node.domain.credentials import ROLES, Role
from kotaemon_node.domain.errors import NotFound, Unauthenticated
from kotaemon_node.domain.oidc import Issuer, LoginClient
from kotaemon_node.domain.session import Principal
from kotaemon_node.ports.issuers import Issuers
from kotaemon_node.ports.logins import LoginMark
from kotaemon_node.ports.runtime import Clock

_MARK: Final = "oidc."
_FLOW: Final = re.compile(
    r"([0-9A-Za-z]{20,64})\.([0-9A-Za-z_-]{1,64})\.([0-9]{1,12})\.([a-z]{1,10})\.([0-9A-Za-z]{43})",
    re.ASCII,
)
_LOGIN: Final = re.compile(r"oidc\.([0-9A-Za-z_-]{1,3000})\.([0-9A-Za-z]{43})", re.ASCII)
PAGES: Final = {"page": "/", "admin": "/admin"}
"""Where a login began and ends, by the word for it: never an address that somebody gave."""
_ENDED: Final = "the login has ended; log in again"


@dataclass(frozen=True, slots=True)
class Leaving:
    """A browser on its way to the issuer: where to, and what it carries meanwhile."""

    address: str
    cookie: str


@dataclass(frozen=True, slots=True)
class Returned:
    """Who came back: the cookie of the login, for how long, and to which page."""

    token: str
    max_age_s: int
    principal: Principal
    page: str


class IssuerLogins:
    """Makes and judges logins. Thread safe; each call may raise ``Unavailable``."""

    def __init__(
        self,
        issuers: Issuers,
        *,
        live: LiveLogins,
        secrets: Callable[[], Sequence[str]],
        clock: Clock,
        random: Callable[[], str],
    ) -> None:
        """``secrets``: those that all pods share, newest first; ``random``: letters and digits."""
        self._issuers = issuers
        self._live = live
        self._secrets = secrets
        self._clock = clock
        self._random = random

    def offered(self) -> Sequence[tuple[Issuer, LoginClient]]:
        """Return the issuers that one may log in with."""
        return [(one, one.login) for one in self._issuers.all() if one.login is not None]

    def leave(self, name: str, *, page: str) -> Leaving:
        """Begin a login; raises ``NotFound`` for an issuer that is not offered."""
        issuer = self._offered(name)
        secret = self._secrets()[0]
        state = self._random()
        head = f"{state}.{issuer.name}.{int(self._clock.now_s()) + limits.LOGIN_FLOW_S}.{page}"
        address = self._issuers.login_address(
            issuer,
            state=state,
            nonce=_nonce(secret, state),
            challenge=_challenge(_verifier(secret, state)),
        )
        return Leaving(address, f"{head}.{proof_of(secret, 'leaving', head)}")

    def page_of(self, cookie: str) -> str:
        """Return where a login began, as far as its cookie tells."""
        found = _FLOW.fullmatch(cookie)
        return PAGES.get(found[4], "/") if found else "/"

    def come_back(self, cookie: str, *, state: str, code: str, by: str | None) -> Returned:
        """End a login; raises ``Unauthenticated``. ``by``: who says that it answers (``iss``)."""
        found = _FLOW.fullmatch(cookie)
        if found is None or not hmac.compare_digest(found[1].encode(), state.encode()):
            raise Unauthenticated("the login was not begun in this browser; begin it again")
        head, proof = cookie.rpartition(".")[::2]
        secret = next(
            (
                one
                for one in self._secrets()
                if hmac.compare_digest(proof_of(one, "leaving", head), proof)
            ),
            None,
        )
        if secret is None or self._clock.now_s() >= int(found[3]):
            raise Unauthenticated("the login took too long; begin it again")
        issuer = self._offered(found[2])
        caller = self._issuers.redeem(
            issuer,
            code=code,
            verifier=_verifier(secret, state),
            nonce=_nonce(secret, state),
            by=by,
        )
        return self._entered(issuer, caller, page=PAGES.get(found[4], "/"))

    def is_login(self, token: str) -> bool:
        """Tell whether a cookie is one of these logins, good or not."""
        return token.startswith(_MARK)

    def read(self, token: str) -> tuple[Principal, LoginMark]:
        """Return who logged in, and by what it is ended; raises ``Unauthenticated``."""
        found = _LOGIN.fullmatch(token)
        if found is None:
            raise Unauthenticated(_ENDED)
        issuer, caller, mark = self._read(found[1])
        digest = _digest(issuer)
        proofs = [proof_of(secret, "entered", digest, found[1]) for secret in self._secrets()]
        if not any_equal(proofs, found[2]) or self._clock.now_s() >= mark.end_s:
            raise Unauthenticated(_ENDED)
        return caller, mark

    def logout_address(self, caller: Principal) -> str:
        """Return where a browser logs out at the issuer; "" where nobody is to."""
        for issuer, _ in self.offered():
            if caller.credential == f"oidc:{issuer.name}":
                return self._issuers.logout_address(issuer)
        return ""

    def _entered(self, issuer: Issuer, caller: Principal, *, page: str) -> Returned:
        end_s = int(self._clock.now_s()) + limits.OIDC_LOGIN_S
        mark = self._live.begin(caller, end_s=end_s)
        who = [issuer.name, caller.tenant, caller.subject, caller.role, end_s, mark.id, mark.stamp]
        told = base64.urlsafe_b64encode(json.dumps(who).encode()).decode().rstrip("=")
        proof = proof_of(self._secrets()[0], "entered", _digest(issuer), told)
        return Returned(f"{_MARK}{told}.{proof}", limits.OIDC_LOGIN_S, caller, page)

    def _read(self, told: str) -> tuple[Issuer, Principal, LoginMark]:
        """Return what a login says, which may be anything: its proof is not looked at."""
        try:
            who = json.loads(base64.urlsafe_b64decode(told + "=" * (-len(told) % 4)))
            name, tenant, subject, role, end_s, login_id, stamp = who
            issuer = self._offered(name)
        except (ValueError, TypeError, binascii.Error, NotFound, RecursionError):
            raise Unauthenticated(_ENDED) from None
        if not (isinstance(end_s, int) and role in ROLES):
            raise Unauthenticated(_ENDED)
        caller = Principal(tenant, subject, cast(Role, role), f"oidc:{issuer.name}")
        return issuer, caller, LoginMark(tenant, subject, login_id, stamp, end_s)

    def _offered(self, name: str) -> Issuer:
        for issuer, _ in self.offered():
            if issuer.name == name:
                return issuer
        raise NotFound("nobody logs in here with an issuer of this name")


def _nonce(secret: str, state: str) -> str:
    return proof_of(secret, "nonce", state)


def _verifier(secret: str, state: str) -> str:
    return proof_of(secret, "verifier", state)


def _challenge(verifier: str) -> str:
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _digest(issuer: Issuer) -> str:
    """Return a digest of all that decides who somebody is here."""
    said = (
        issuer.url,
        issuer.subject_claim,
        issuer.subject_prefix,
        issuer.tenant,
        issuer.tenant_claim,
        sorted(issuer.tenants.items()),
        issuer.role_claim,
        list(issuer.roles.items()),
        issuer.default_role,
        issuer.login.client_id if issuer.login else "",
    )
    return hashlib.sha256(repr(said).encode()).hexdigest()
