"""Files that describe experiments: read strictly, every complaint with file, line and field."""

from kotaemon_node.adapters.experiments.live import read_live

__all__ = ["read_live"]
