"""Who a credential stands for, and whose an id of a session is: the rules of a closed cluster.

Rule 1: an id of a session is ``<random>.<secret's id>.<proof>``. The random part is first: the
    balancer hashes the id. The proof is an HMAC over tenant and random part, and one over subject,
    too: an id that this cluster did not mint for this caller costs no look into the store. Who may
    see all sessions of a tenant is held to the first half. The store still checks the owner.
Rule 2: a login is ``<key's id>.<end>.<its own id>.<stamp>.<proof>``, and counts as long as its key
    does; one by an issuer is ``issuer_logins``'. Either may be ended sooner: ``live_logins``.
Rule 3: what looks like a token is judged as one where there are issuers; all else is a key.
"""

import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kotaemon_node.api.issuer_logins import IssuerLogins
from kotaemon_node.api.key_ring import KeyRing
from kotaemon_node.api.live_logins import LiveLogins
from kotaemon_node.api.proofs import any_equal, letters, mac, proof_of
from kotaemon_node.domain import limits
from kotaemon_node.domain.credentials import KEY_CHARS_MAX, ApiKey
from kotaemon_node.domain.errors import SessionNotFound, Unauthenticated
from kotaemon_node.domain.session import Principal
from kotaemon_node.ports.issuers import Issuers
from kotaemon_node.ports.logins import LoginMark
from kotaemon_node.ports.runtime import Clock

_RANDOM_CHARS: Final = 22
_SECRET_ID_CHARS: Final = 4
_HALF_CHARS: Final = 12  # 72 bits: nobody tries so many ids, and the store checks the owner as well
_SESSION_ID: Final = re.compile(
    rf"([0-9A-Za-z]{{{_RANDOM_CHARS}}})\.([0-9A-Za-z]{{{_SECRET_ID_CHARS}}})"
    rf"\.([0-9A-Za-z]{{{_HALF_CHARS}}})([0-9A-Za-z]{{{_HALF_CHARS}}})",
    re.ASCII,
)
_LOGIN: Final = re.compile(
    r"([0-9A-Za-z-]{1,32})\.([0-9]{1,12})\.([0-9A-Za-z]{1,64})\.([0-9a-f]{0,32})"
    r"\.([0-9A-Za-z]{43})",
    re.ASCII,
)
# A JSON object in Base64 and two more parts. No key that is made looks so; one that somebody chose
# and that does is a token where there are issuers.
_TOKEN: Final = re.compile(r"eyJ[0-9A-Za-z_-]*\.[0-9A-Za-z_-]*\.", re.ASCII)
_REFUSED: Final = "the credential is not known, or it was revoked"


@dataclass(frozen=True, slots=True)
class Login:
    """What the page's cookie holds, for how many seconds, and for whom."""

    token: str
    max_age_s: int
    principal: Principal


class Authority:
    """Judges credentials and ids. Thread safe.

    May raise ``StoreUnavailable``, and ``IssuerUnavailable`` where there are issuers.
    """

    def __init__(
        self,
        ring: KeyRing,
        *,
        live: LiveLogins,
        clock: Clock,
        issuers: Issuers | None = None,
        logins: IssuerLogins | None = None,
    ) -> None:
        """``live``: which logins have not ended; ``issuers``: whose tokens count besides keys.

        ``logins``: those of the page by an issuer.
        """
        self._ring = ring
        self._live = live
        self._clock = clock
        self._issuers = issuers
        self.logins = logins

    def admit(self, text: str) -> Principal:
        """Return whose key or token ``text`` is; raises ``Unauthenticated``."""
        if self._issuers is not None and _TOKEN.match(text):
            return self._issuers.judge(text)
        if len(text) > KEY_CHARS_MAX:
            raise Unauthenticated("the credential is too long for a key")
        return _principal(self._living(self._ring.of_text(text)))

    def login(self, text: str) -> Login:
        """Return a login that stands for a key; raises ``Unauthenticated``."""
        key = self._living(self._ring.of_text(text))
        now_s = self._clock.now_s()
        end_s = int(min(now_s + limits.LOGIN_S, key.expires_at or float("inf")))
        who = _principal(key)
        mark = self._live.begin(who, end_s=end_s)
        proof = _login_proof(key.id, key.digest, mark, self._secrets()[0])
        token = f"{key.id}.{end_s}.{mark.id}.{mark.stamp}.{proof}"
        return Login(token, max(0, int(end_s - now_s)), who)

    def admit_login(self, token: str) -> Principal:
        """Return who logged in; raises ``Unauthenticated``."""
        who, mark = self._read_login(token)
        self._live.require(mark)
        return who

    def end_login(self, token: str) -> Principal:
        """End a login on all pods, and return whose it was; raises ``Unauthenticated``."""
        who, mark = self._read_login(token)
        self._live.end(mark)
        return who

    def end_logins(self, tenant: str, subject: str) -> None:
        """End all logins that a person has on pages; their keys and tokens stay as they are."""
        self._live.end_all(tenant, subject)

    def mint(self, principal: Principal, *, seed: str) -> str:
        """Return an id for a session of the principal; the same seed gives the same again."""
        return self.mint_all(principal, seed=seed)[0]

    def mint_all(self, principal: Principal, *, seed: str) -> Sequence[str]:
        """Return the id that each secret which counts gives, that of the newest first."""
        return [_minted(secret, principal, seed) for secret in self._secrets()]

    def require_own(self, principal: Principal, session_id: str) -> None:
        """Raise ``SessionNotFound`` unless this cluster minted the id for the principal."""
        found = _SESSION_ID.fullmatch(session_id)
        if found is None:
            raise SessionNotFound("no such session")
        random, secret_id, *given = found.groups()
        for secret in self._secrets():
            if _secret_id(secret) != secret_id:
                continue
            of_tenant, of_subject = (
                hmac.compare_digest(*pair)
                for pair in zip(_halves(secret, principal, random), given, strict=True)
            )
            if of_tenant and (of_subject or principal.sees_all):
                return
        raise SessionNotFound("no such session")

    def _read_login(self, token: str) -> tuple[Principal, LoginMark]:
        """Return whose login it is, ended or not; raises ``Unauthenticated``."""
        if self.logins is not None and self.logins.is_login(token):
            return self.logins.read(token)
        found = _LOGIN.fullmatch(token)
        key = self._ring.of_id(found[1]) if found else None
        if found is None or key is None:
            raise Unauthenticated(_REFUSED)
        who, end_s = _principal(key), int(found[2])
        mark = LoginMark(who.tenant, who.subject, found[3], found[4], end_s)
        # With the key's digest: another key under the same id ends the logins of the one before.
        proofs = [
            _login_proof(key.id, digest, mark, secret)
            for secret in self._secrets()
            for digest in key.digests(self._clock.now_s())
        ]
        if not any_equal(proofs, found[5]):
            raise Unauthenticated(_REFUSED)
        if self._clock.now_s() >= end_s:
            raise Unauthenticated("the login has ended; log in again")
        self._living(key)
        return who, mark

    def _secrets(self) -> Sequence[str]:
        return self._ring.session_secrets()

    def _living(self, key: ApiKey | None) -> ApiKey:
        if key is None:
            raise Unauthenticated(_REFUSED)
        if key.expired(self._clock.now_s()):
            raise Unauthenticated("the key has expired")
        return key


def _principal(key: ApiKey) -> Principal:
    credential = f"key:{key.id}"
    return Principal(key.tenant, key.subject, key.role, credential, frozenset(key.scopes))


def _login_proof(key_id: str, digest: str, mark: LoginMark, secret: str) -> str:
    return proof_of(secret, "login", key_id, str(mark.end_s), mark.id, mark.stamp, digest)


def _minted(secret: str, principal: Principal, seed: str) -> str:
    random = letters(mac(secret, "random", principal.tenant, principal.subject, seed))
    random = random[:_RANDOM_CHARS]
    return f"{random}.{_secret_id(secret)}.{''.join(_halves(secret, principal, random))}"


def _halves(secret: str, principal: Principal, random: str) -> tuple[str, str]:
    of_tenant = mac(secret, "tenant", principal.tenant, random)
    of_subject = mac(secret, "subject", principal.tenant, principal.subject, random)
    return letters(of_tenant)[:_HALF_CHARS], letters(of_subject)[:_HALF_CHARS]


def _secret_id(secret: str) -> str:
    return letters(mac(secret, "id"))[:_SECRET_ID_CHARS]
