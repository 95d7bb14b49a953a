"""The real clock, real randomness and real tasks of the machine a pod runs on."""

from kotaemon_node.adapters.system.clock import SystemClock
from kotaemon_node.adapters.system.ids import RandomIds
from kotaemon_node.adapters.system.memory import SystemMemory
from kotaemon_node.adapters.system.secret_file import SecretLines
from kotaemon_node.adapters.system.tasks import ThreadTasks

__all__ = ["RandomIds", "SecretLines", "SystemClock", "SystemMemory", "ThreadTasks"]
