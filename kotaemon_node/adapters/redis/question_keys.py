"""The keys of what is counted of questions; ``keys`` has them in its table."""

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class CountKeys:
    """The keys of what is counted of one tenant on one day, all in one slot."""

    day: str
    asked: str
    unanswered: str
    words: str
    prefix: str

    @classmethod
    def of(cls, tenant: str, day: date) -> "CountKeys":
        """Return the keys of ``day``."""
        prefix = f"kn:{{counts:{tenant}}}:"
        name = f"{prefix}{day:%Y%m%d}"
        return cls(name, f"{name}:asked", f"{name}:unanswered", f"{name}:words", prefix)

    def counted(self, hour: str) -> str:
        """Set."""
        return f"{self.prefix}counted:{hour}"


@dataclass(frozen=True, slots=True)
class DraftKeys:
    """The keys of a knowledge base's drafts of an FAQ; one slot a tenant."""

    tenant: str
    kb: str

    @property
    def rows(self) -> str:
        """Hash."""
        return f"kn:{{drafts:{self.tenant}}}:{self.kb}"

    @property
    def rank(self) -> str:
        """Sorted set."""
        return f"{self.rows}:rank"

    def noted(self, hour: str) -> str:
        """Set."""
        return f"{self.rows}:noted:{hour}"
