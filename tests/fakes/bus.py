"""A bus inside one process, for tests; it passes the contract of the real ones."""

import threading
from collections.abc import Callable, Iterator

from kotaemon_node.domain.errors import Unavailable
from kotaemon_node.ports.events import Message


class InProcessBus:
    """``ports.events.Bus`` on a list."""

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._changed = threading.Condition()
        self._up = True

    def publish(self, message: Message) -> None:
        """See the port."""
        with self._changed:
            if not self._up:
                raise Unavailable("the bus is stopped")
            self._messages.append(message)
            self._changed.notify_all()

    def subscribe(
        self, topics: tuple[str, ...], *, on_positioned: Callable[[], None]
    ) -> Iterator[Message]:
        """See the port."""
        at = len(self._messages)
        on_positioned()
        while True:
            with self._changed:
                while not self._up or len(self._messages) == at:
                    self._changed.wait()
                new, at = self._messages[at:], len(self._messages)
            yield from (message for message in new if message.topic in topics)

    def stop(self) -> None:
        """Take nothing and give nothing."""
        self._up = False

    def start(self) -> None:
        """Go on."""
        with self._changed:
            self._up = True
            self._changed.notify_all()
