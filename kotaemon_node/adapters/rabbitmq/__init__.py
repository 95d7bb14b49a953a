"""The bus on a RabbitMQ server (``docs/adr/0014-rabbitmq.md``)."""

from kotaemon_node.adapters.rabbitmq.address import RabbitmqAddress
from kotaemon_node.adapters.rabbitmq.bus import RabbitmqBus
from kotaemon_node.adapters.rabbitmq.turn_log import RabbitmqTurnLog

__all__ = ["RabbitmqAddress", "RabbitmqBus", "RabbitmqTurnLog"]
