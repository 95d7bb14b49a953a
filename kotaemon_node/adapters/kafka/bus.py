"""``ports.events.Bus`` on Kafka: publishing and reading are two independent halves."""

from collections.abc import Callable, Iterator

from kotaemon_node.adapters.kafka.address import KafkaAddress
from kotaemon_node.adapters.kafka.client import quieten
from kotaemon_node.adapters.kafka.publishing import Publisher
from kotaemon_node.adapters.kafka.reading import Reading
from kotaemon_node.ports.events import Message
from kotaemon_node.ports.runtime import Clock


class KafkaBus:
    """Connects when first used; a broker that is away costs nothing until then."""

    def __init__(self, address: KafkaAddress, *, clock: Clock) -> None:
        self._address = address
        self._clock = clock
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
            self._address, topics, on_positioned=on_positioned, clock=self._clock
        ).messages()

    def close(self) -> None:
        """Give up the connection that publishes; readers end with their iterators."""
        self._publisher.close()
