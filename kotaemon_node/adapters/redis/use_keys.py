"""The keys of what is used; their schema is that of ``keys``."""

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class UseKeys:
    """The keys of what one user has used. Those of a tenant share a slot.

    A subject is told by a digest: it may have any letters, and as many as an issuer likes.
    """

    prefix: str

    @classmethod
    def of(cls, tenant: str, subject: str | None) -> "UseKeys":
        """Return the keys of a principal; of all of its tenant where ``subject`` is None."""
        digest = "" if subject is None else hashlib.sha256(subject.encode()).hexdigest()[:24]
        return cls(f"kn:{{use:{tenant}}}:{digest}:")

    @property
    def used(self) -> str:
        """Hash."""
        return self.prefix + "used"

    @property
    def streams(self) -> str:
        """Sorted set."""
        return self.prefix + "streams"

    @property
    def held(self) -> str:
        """Sorted set."""
        return self.prefix + "held"


def turn(tenant: str, digest: str) -> str:
    """Return the key of what was reserved for a turn."""
    return f"kn:{{use:{tenant}}}:turn:{digest}"
