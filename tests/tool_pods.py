"""Pods that answer with tools, on a real Redis, a model and a tool server that really listen."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from kotaemon_node.adapters.llm.openai import OpenAiLanguageModel
from kotaemon_node.adapters.tools.described import HttpTool
from kotaemon_node.adapters.tools.http import HttpToolbox
from kotaemon_node.domain.frames import Frame
from kotaemon_node.domain.knowledge import GenerationRef, Hit, Passage, SearchResult
from kotaemon_node.engine.answering import Answerer
from kotaemon_node.ports.tools import ToolSpec
from kotaemon_node.ports.traces import NO_TRACES, Traces
from kotaemon_node.telemetry.metrics import Metrics
from tests.fakes.llm_server import FakeLlmServer
from tests.fakes.tool_server import ToolServer
from tests.integration.test_engine_turns import TestPod
from tests.redis_server import RedisServer, ServerClock

PARAMETERS = {"type": "object", "properties": {"order": {"type": "string"}}, "required": ["order"]}


class OneGeneration:
    """Finds the one passage of one generation."""

    def __init__(self, number: int) -> None:
        self._number = number
        self.searches = 0

    @property
    def ref(self) -> GenerationRef:
        return GenerationRef("default", self._number, "d", "m")

    @contextmanager
    def pinned(self, kb: str, *, min_generation: int = 0) -> Iterator["OneGeneration"]:
        yield self

    def search(self, question: str, *, top_k: int, **_: object) -> SearchResult:
        self.searches += 1
        text = f"Orders are described in generation {self._number}."
        passage = Passage(
            id=f"p{self._number}", document="orders.md", revision="r", title="Orders", heading=(),
            page=None, span=(0, len(text)), text=text, language="en",
        )  # fmt: skip
        return SearchResult("default", self._number, "d", (Hit(passage, 1.0, 0.9, 1.0, 0.5),))


class Hold:
    """Stops a pod at a place, as its death would; ``reached`` tells that it got there."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.go = threading.Event()

    def __call__(self) -> None:
        self.reached.set()
        assert self.go.wait(60)


class HeldMetrics(Metrics):
    """Holds the pod when the result of its ``place``-th call was handed to the store."""

    def __init__(self, hold: Callable[[], None], *, place: int) -> None:
        super().__init__()
        self._hold, self._left = hold, place

    def plugin_call(self, plugin: str, outcome: Any) -> None:
        super().plugin_call(plugin, outcome)
        self._left -= 1
        if self._left == 0:
            self._hold()


class HeldToolbox(HttpToolbox):
    """Holds the pod between a tool's answer and whatever is done with it."""

    hold: Callable[[], None] = staticmethod(lambda: None)

    def call(self, *arguments: Any, **options: Any) -> Any:
        value = super().call(*arguments, **options)
        self.hold()
        return value


class HeldModel(OpenAiLanguageModel):
    """Holds the pod before the ``piece``-th piece of the ``stream``-th completion."""

    hold: Callable[[], None] = staticmethod(lambda: None)
    place = (0, 0)
    streams = 0

    def stream(self, *arguments: Any, **options: Any) -> Iterator[Any]:
        self.streams += 1
        number = self.streams
        for piece, said in enumerate(super().stream(*arguments, **options), start=1):
            if (number, piece) == self.place:
                self.hold()
            yield said


class ToolPod(TestPod):
    """A pod with a language model, tools and a generation of its own."""

    def __init__(
        self,
        name: str,
        server: RedisServer,
        *,
        llm: FakeLlmServer,
        tools: ToolServer,
        effects: Mapping[str, str],
        generation: int = 7,
        continues: str = "vllm",
        metrics: Metrics | None = None,
        traces: Traces = NO_TRACES,
    ) -> None:
        super().__init__(name, server, traces=traces)
        self.knowledge = OneGeneration(generation)
        self.model = HeldModel(
            base_url=llm.base_url,
            api_key="",
            model="fake",
            continue_mode=continues,  # type: ignore[arg-type]
        )
        self.toolbox = HeldToolbox([tool_at(tools, *one) for one in effects.items()])
        self.counted = metrics or Metrics()
        # The engine is as it is anywhere; only what answers is real here.
        self.answerer.answer = Answerer(  # type: ignore[method-assign]
            self.knowledge,
            language_model=self.model,
            clock=ServerClock(server),
            metrics=self.counted,
            toolbox=self.toolbox,
        ).answer

    def calls(self, name: str, outcome: str) -> float:
        """Return what the metric counts."""
        labels = {"plugin": name, "outcome": outcome}
        registry = self.counted.registry
        return registry.get_sample_value("kotaemon_plugin_calls_total", labels) or 0.0


def tool_at(server: ToolServer, name: str, effects: str, **options: Any) -> HttpTool:
    """Return a tool of the fake server, under its name as path."""
    spec = ToolSpec(name, f"Does {name}.", PARAMETERS, effects)  # type: ignore[arg-type]
    settings = {"method": "POST", "timeout_s": 10.0, "headers": {}, **options}
    return HttpTool(spec, f"{server.url}/{name}", **settings)


def states_of(frames: list[Frame]) -> list[tuple[str, str]]:
    """Return step and state of the frames that show tools."""
    shown = [frame.fields for frame in frames if frame.type == "tool_call"]
    return [(fields["step"], fields["state"]) for fields in shown]
