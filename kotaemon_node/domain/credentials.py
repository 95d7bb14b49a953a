"""API keys: how one is printed, and what is kept of it.

A key is ``kn_<id>_<secret>``. The prefix lets people and scanners recognise one that leaked, the id
names it in lists and logs, the secret has 256 random bits. Kept is the SHA-256 of the whole text:
against so many random bits nobody guesses, so a slow hash, which passwords need, would only cost
every request its time.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, Literal, get_args

from kotaemon_node.domain.errors import Invalid

Role = Literal["admin", "editor", "agent", "customer"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)
Scope = Literal["talk", "search", "knowledge", "people", "insight", "cluster"]
"""A group of routes, as the permission table names it."""
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)

KEY_ID_CHARS: Final = 12
KEY_SECRET_CHARS: Final = 43  # letters and digits: 43 * log2(62) is 256 bits
OWN_KEY_CHARS_MIN: Final = 32  # of a key that somebody chose: 128 bits where it is written in hex
KEY_CHARS_MAX: Final = 256
_KEY: Final = re.compile(rf"kn_([0-9A-Za-z]{{{KEY_ID_CHARS}}})_[0-9A-Za-z]{{{KEY_SECRET_CHARS}}}")
_SUBJECT: Final = re.compile(r"[A-Za-z0-9_.@+-]{1,128}", re.ASCII)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is kept of a key; times in seconds since 1970, ``expires_at`` None: it never does."""

    id: str
    digest: str
    """SHA-256 of the printed key, in hex."""
    tenant: str
    role: Role
    subject: str
    created_at: float
    expires_at: float | None = None
    label: str = ""
    scopes: tuple[Scope, ...] = ()
    """Groups of routes that it is narrowed to; none: all that its role may."""
    previous_digest: str = ""
    """Of the secret before the last rotation, which counts until ``previous_until``."""
    previous_until: float = 0.0

    def expired(self, now_s: float) -> bool:
        """Tell whether its time is over."""
        return self.expires_at is not None and now_s >= self.expires_at

    def digests(self, now_s: float) -> tuple[str, ...]:
        """Return those of the secrets that count now, the newest first."""
        if self.previous_digest and now_s < self.previous_until:
            return (self.digest, self.previous_digest)
        return (self.digest,)

    def rotated(self, digest: str, *, now_s: float, overlap_s: float) -> "ApiKey":
        """Return the key with another secret; the present one counts ``overlap_s`` longer.

        One that was rotated before ends now: a key has two secrets at most.
        """
        until = now_s + overlap_s if overlap_s > 0 else 0.0
        before = self.digest if until else ""
        return replace(self, digest=digest, previous_digest=before, previous_until=until)


def printed(key_id: str, secret: str) -> str:
    """Return the key as its holder gets it, once."""
    return f"kn_{key_id}_{secret}"


def key_id_of(text: str) -> str | None:
    """Return the id in a printed key, None for what cannot be one."""
    found = _KEY.fullmatch(text)
    return found[1] if found else None


def digest_of(text: str) -> str:
    """Return what is kept of a printed key."""
    return hashlib.sha256(text.encode()).hexdigest()


def problem_of(secret: str) -> str:
    """Say what is wrong with a key or secret that somebody chose; "" for a good one."""
    if not OWN_KEY_CHARS_MIN <= len(secret) <= KEY_CHARS_MAX:
        return f"a secret has {OWN_KEY_CHARS_MIN} to {KEY_CHARS_MAX} characters, not {len(secret)}"
    if not (secret.isascii() and secret.isprintable()) or " " in secret:
        return "a secret has printable ASCII characters and no blanks"
    return ""


def scopes_of(names: Iterable[str]) -> tuple[Scope, ...]:
    """Return the groups of routes of these names, each once; raises ``Invalid`` for an unknown."""
    wanted = set(names)
    if unknown := sorted(wanted - set(SCOPES)):
        raise Invalid(f"there is no scope {unknown[0]!r}; there are {', '.join(SCOPES)}")
    return tuple(scope for scope in SCOPES if scope in wanted)


def subject_of(user: str | None, key_id: str) -> str:
    """Return whose sessions a key opens: those of a user, else of this key alone.

    Raises ``Invalid`` for a name that cannot be one. No user's name holds a colon, so none is ever
    taken for a key.
    """
    if user is None:
        return f"key:{key_id}"
    if not _SUBJECT.fullmatch(user):
        raise Invalid("a user's name has 1 to 128 letters, digits and _ . @ + -")
    return user
