"""What is asked of the place where credentials are kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from kotaemon_node.domain.credentials import ApiKey


@dataclass(frozen=True, slots=True)
class KeyTable:
    """Every key by its id, as it stood under ``stamp``, which changes with each of them."""

    stamp: str
    keys: Mapping[str, ApiKey]


class ApiKeys(Protocol):
    """The keys of a cluster, the same for all pods. Every call may raise ``StoreUnavailable``."""

    def table(self, before: KeyTable | None) -> KeyTable:
        """Return all keys; ``before`` itself where nothing changed since."""
        ...

    def add(self, key: ApiKey) -> None:
        """Keep a key; ``Conflict`` for an id that is taken, ``Overloaded`` beyond API_KEYS_MAX."""
        ...

    def replace(self, before: ApiKey, after: ApiKey) -> None:
        """Keep ``after`` in place of ``before``, which has the same id.

        ``Conflict`` where another secret came meanwhile, ``NotFound`` where the key is gone.
        """
        ...

    def remove(self, key_id: str) -> bool:
        """Forget a key; return whether it was there. May be repeated."""
        ...

    def session_secret(self, proposed: str) -> str:
        """Return the cluster's secret for ids of sessions: ``proposed`` where there was none."""
        ...


class Lines(Protocol):
    """Secrets that somebody keeps elsewhere, one a line, and may change while we run."""

    def lines(self) -> Sequence[str]:
        """Return those that count now, the newest first; must not block."""
        ...
