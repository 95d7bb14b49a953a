"""The bus on a Kafka broker (``docs/adr/0010-kafka.md``)."""

from kotaemon_node.adapters.kafka.address import KafkaAddress
from kotaemon_node.adapters.kafka.bus import KafkaBus
from kotaemon_node.adapters.kafka.task_group import KafkaTaskGroup
from kotaemon_node.adapters.kafka.task_offers import KafkaTaskOffers
from kotaemon_node.adapters.kafka.turn_log import KafkaTurnLog

__all__ = ["KafkaAddress", "KafkaBus", "KafkaTaskGroup", "KafkaTaskOffers", "KafkaTurnLog"]
