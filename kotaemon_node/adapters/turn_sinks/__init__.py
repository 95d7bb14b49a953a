"""What keeps the log of turns: files of JSON lines, and Elasticsearch."""

from kotaemon_node.adapters.turn_sinks.elasticsearch import (
    INDEX,
    ElasticsearchPlace,
    ElasticsearchSink,
)
from kotaemon_node.adapters.turn_sinks.json_lines import Fsync, JsonLinesSink

__all__ = ["INDEX", "ElasticsearchPlace", "ElasticsearchSink", "Fsync", "JsonLinesSink"]
