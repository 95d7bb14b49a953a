"""What WebSocket connections are allowed, as a cluster's settings say it."""

from dataclasses import dataclass
from typing import Self

from kotaemon_node.domain.door_limits import SOCKET_CHARS_PER_S_DEFAULT


@dataclass(frozen=True, slots=True)
class SocketRules:
    """``allowed_origins``: besides the place itself, in lower case, as ``https://host[:port]``."""

    allowed_origins: frozenset[str] = frozenset()
    chars_per_s: int = SOCKET_CHARS_PER_S_DEFAULT
    """Sent at most, on one connection."""

    @classmethod
    def of(cls, origins: str, *, chars_per_s: int) -> Self:
        """Return the rules; ``origins`` are separated by commas."""
        named = (origin.strip().lower().rstrip("/") for origin in origins.split(","))
        return cls(frozenset(filter(None, named)), chars_per_s)
