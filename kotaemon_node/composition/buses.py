"""Composes the bus: on the server that the settings name."""

from kotaemon_node.adapters.redis import RedisStore, RedisStreamsBus
from kotaemon_node.ports.events import Bus
from kotaemon_node.ports.runtime import Clock
from kotaemon_node.settings import Settings


def bus_of(settings: Settings, *, store: RedisStore, waiting: RedisStore, clock: Clock) -> Bus:
    """Return Kafka or RabbitMQ where one is named, else Redis.

    ``waiting``: connections that are held while no event comes. Only the client that is used is
    loaded: Kafka's alone takes a tenth of a pod's start.
    """
    if settings.kafka_bootstrap_servers:
        from kotaemon_node.adapters.kafka import KafkaAddress, KafkaBus  # noqa: PLC0415 - see above

        return KafkaBus(KafkaAddress.of(settings), clock=clock)
    if settings.rabbitmq_url:
        from kotaemon_node.adapters.rabbitmq import (  # noqa: PLC0415 - see above
            RabbitmqAddress,
            RabbitmqBus,
        )

        return RabbitmqBus(RabbitmqAddress.of(settings), clock=clock)
    return RedisStreamsBus(store, waiting=waiting, clock=clock)
