"""The bus on a RabbitMQ server (``docs/adr/0014-rabbitmq.md``)."""

from kotaemon_node.adapters.rabbitmq.address import RabbitmqAddress
from kotaemon_node.adapters.rabbitmq.bus import RabbitmqBus

__all__ = ["RabbitmqAddress", "RabbitmqBus"]
