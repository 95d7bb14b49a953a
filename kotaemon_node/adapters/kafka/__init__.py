"""The bus on a Kafka broker (``docs/adr/0010-kafka.md``)."""

from kotaemon_node.adapters.kafka.address import KafkaAddress
from kotaemon_node.adapters.kafka.bus import KafkaBus

__all__ = ["KafkaAddress", "KafkaBus"]
