"""Talks of the library on knowledge that needs no index."""

from typing import Any

from kotaemon_node.adapters.system import SystemClock, ThreadTasks
from kotaemon_node.conversation import ConversationAgent, ConversationMemory
from kotaemon_node.engine.answering import Answerer
from kotaemon_node.engine.memory import MemoryRule
from kotaemon_node.engine.profile import always_default
from kotaemon_node.engine.summarising import Memory
from kotaemon_node.engine.understanding.expanding import Expanding
from kotaemon_node.library.running import Running
from kotaemon_node.telemetry.metrics import Metrics
from kotaemon_node.tools import ToolRegistry
from tests.unit.test_engine_understanding import Shop


class Pipeline:
    """Stands for ``RetrievalAugmentedGenerator``: the same engine on ``Shop``."""

    def __init__(self, model: Any = None, knowledge: Any = None) -> None:
        self.shop = knowledge or Shop()
        self.model = model
        self.metrics = Metrics()

    def running(self, toolbox: Any = None) -> Running:
        answerer = Answerer(
            self.shop,
            language_model=self.model,
            clock=SystemClock(),
            metrics=self.metrics,
            toolbox=toolbox,
            understanding=Expanding(),
        )
        return Running(answerer, self.metrics, always_default, tasks=ThreadTasks())

    def memory(self, rule: MemoryRule) -> Memory:
        return Memory(rule)


def agent(
    memory: ConversationMemory, tools: ToolRegistry | None = None, **pipeline: Any
) -> ConversationAgent:
    return ConversationAgent(memory, Pipeline(**pipeline), tools)  # type: ignore[arg-type]
