"""``ports.events.Bus`` on RabbitMQ: publishing and reading are two independent halves."""

from collections.abc import Callable, Iterator

from kotaemon_node.adapters.rabbitmq.address import RabbitmqAddress
from kotaemon_node.adapters.rabbitmq.client import quieten
from kotaemon_node.adapters.rabbitmq.publishing import Publisher
from kotaemon_node.adapters.rabbitmq.reading import Reading
from kotaemon_node.domain import limits
from kotaemon_node.ports.events import Message
from kotaemon_node.ports.runtime import Clock


class RabbitmqBus:
    """Connects when first used; a server that is away costs nothing until then."""

    def __init__(
        self,
        address: RabbitmqAddress,
        *,
        clock: Clock,
        length_max: int = limits.BUS_STREAM_LENGTH_MAX,
    ) -> None:
        """``length_max``: how many messages wait for a slow reader before the oldest is dropped."""
        self._address = address
        self._clock = clock
        self._length_max = length_max
        self._publisher = Publisher(address, clock=clock)
        quieten()

    def publish(self, message: Message) -> None:
        """See the port."""
        self._publisher.publish(message)

    def subscribe(
        self, topics: tuple[str, ...], *, on_positioned: Callable[[], None]
    ) -> Iterator[Message]:
        """See the port."""
        return Reading(
            self._address,
            topics,
            on_positioned=on_positioned,
            clock=self._clock,
            length_max=self._length_max,
        ).messages()

    def close(self) -> None:
        """Give up the connection that publishes; readers end with their iterators."""
        self._publisher.close()
