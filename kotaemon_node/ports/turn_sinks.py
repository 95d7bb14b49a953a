"""Where the log of turns is taken from, and where it is kept for good."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from kotaemon_node.ports.events import Message


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A turn as the log has it. Two entries of one ``event_id`` say the same."""

    event_id: str
    at: str
    """When the turn was accepted, ISO 8601, UTC."""
    fields: Mapping[str, Any]
    """All of it, the two included."""


class TurnSink(Protocol):
    """Keeps entries. One thread uses it."""

    def keep(self, entries: Sequence[LogEntry]) -> int:
        """Keep them all; return how many were not kept before.

        When it returns, they are as safe as the sink makes them. May be given the same again, and
        then keeps nothing twice, or under the same id. Raises ``Unavailable`` where that cannot be
        done now: some of them may be kept.
        """
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...


class TurnLogSource(Protocol):
    """The bus, read from the place that was noted last, which outlives this process."""

    def run(self, take: Callable[[Sequence[Message]], None], stop: threading.Event) -> None:
        """Give ``take`` the messages of ``turn_log`` in batches until ``stop``; reconnects.

        The place moves when ``take`` returns. Where it raises ``Unavailable`` the same messages
        come again after a while; so they do after a crash. Who reads under a name for the first
        time begins with the oldest that the bus has.
        """
        ...
