"""The other pods, asked directly: a quicker witness of a death than a heartbeat that stops."""

from typing import Protocol


class PeerRefused(Exception):
    """Nobody listens at this address: whoever did is dead."""


class PeerSilent(Exception):
    """Nothing was learnt: frozen, overloaded, starting, or cut off from here."""


class Peers(Protocol):
    """Pods by their addresses."""

    def incarnation_at(self, address: str) -> str:
        """Return the incarnation that answers at ``host:port``, within a fraction of a second.

        Raises ``PeerRefused`` or ``PeerSilent``.
        """
        ...

    def store_answers_at(self, address: str) -> bool:
        """Return whether the pod there reaches the session store, by its own word; as above."""
        ...
