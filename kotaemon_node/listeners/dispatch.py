"""Reads the bus and gives each event to its handler; a poison message is counted and skipped."""

from collections.abc import Callable, Mapping
from typing import Protocol

import structlog

from kotaemon_node.domain.errors import Malformed
from kotaemon_node.ports.events import Bus, Message
from kotaemon_node.ports.runtime import Clock
from kotaemon_node.telemetry.metrics import Metrics

_log = structlog.get_logger(__name__)

_AGAIN_S = 1.0


class Listener(Protocol):
    """Handles the events of one topic."""

    def handle(self, message: Message) -> bool:
        """Return whether the event was for this pod; raises ``ValueError`` for a poison one."""
        ...


class Dispatch:
    """Runs the listeners of a pod."""

    def __init__(
        self, bus: Bus, listeners: Mapping[str, Listener], *, metrics: Metrics, clock: Clock
    ) -> None:
        self._bus = bus
        self._listeners = listeners
        self._metrics = metrics
        self._clock = clock

    def run(self, *, on_positioned: Callable[[], None]) -> None:
        """Handle events for ever; ``on_positioned`` reads the truth, now and after each gap."""
        topics = tuple(self._listeners)
        while True:
            try:
                for message in self._bus.subscribe(topics, on_positioned=on_positioned):
                    self.dispatch(message)
            except Exception:  # noqa: BLE001 - a pod that hears no more is behind for ever
                _log.exception("events_broken")
            self._clock.sleep(_AGAIN_S)

    def dispatch(self, message: Message) -> None:
        """Handle one event."""
        if message.sent_at_s is not None:
            self._metrics.event_delay(message.topic, self._clock.now_s() - message.sent_at_s)
        try:
            handled = self._listeners[message.topic].handle(message)
        except (ValueError, Malformed) as error:
            self._metrics.event(message.topic, "poison")
            _log.warning("poison_event", topic=message.topic, key=message.key, error=str(error))
        else:
            self._metrics.event(message.topic, "handled" if handled else "ignored")
