"""The bus: hints between pods. Losing or repeating them costs time, never truth."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Message:
    """An event on the bus: a topic, the key that orders it, and a JSON object as bytes."""

    topic: str
    key: str
    value: bytes
    sent_at_s: float | None = field(default=None, compare=False)
    """When the bus took it, in seconds since the Unix epoch by its clock; None where it says not.
    For people to read."""


class Bus(Protocol):
    """Every pod reads every message of the topics it subscribes to; there is no shared group."""

    def publish(self, message: Message) -> None:
        """Send at least once. Raises ``Unavailable`` when the bus does not take it in time."""
        ...

    def subscribe(
        self, topics: tuple[str, ...], *, on_positioned: Callable[[], None]
    ) -> Iterator[Message]:
        """Yield messages for ever; reconnects by itself, never raises for a lost connection.

        The order is: note the end of each topic, call ``on_positioned`` (the caller reads the
        truth), then yield what came after the noted ends. ``on_positioned`` is called again after
        any gap that may have lost messages.
        """
        ...
