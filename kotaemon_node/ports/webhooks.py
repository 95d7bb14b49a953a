"""How a message reaches a server outside."""

from collections.abc import Mapping
from typing import Protocol

from kotaemon_node.domain.errors import Unavailable


class NotDelivered(Unavailable):
    """Nobody took it; says why, in words that may be shown. It may be tried again."""


class WebhookSender(Protocol):
    """Posts messages. Thread safe."""

    def send(self, url: str, body: bytes, *, headers: Mapping[str, str], private: bool) -> int:
        """Return the status of the answer, whatever it is; nothing of its body is kept.

        ``private``: the host may be this machine or in a private network. Follows no redirect, and
        ends within ``WEBHOOK_TIMEOUT_S``. Raises ``NotDelivered`` where there is no answer.
        """
        ...
