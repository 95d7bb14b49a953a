"""Pods that act, on a real Redis: two plugins over one little shop in the memory of the test."""

import threading
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from kotaemon_node.adapters.system import ThreadTasks
from kotaemon_node.domain.intent_book import IntentBook, IntentRule, SlotRule
from kotaemon_node.domain.knowledge import GenerationRef, Hit, Passage, SearchResult
from kotaemon_node.domain.language import language_of
from kotaemon_node.domain.session import Turn, TurnRequest
from kotaemon_node.engine.acting.step import Acting
from kotaemon_node.engine.answer_draft import Draft
from kotaemon_node.engine.answering import Answerer
from kotaemon_node.engine.intents import Intents
from kotaemon_node.engine.plugin_tools import PluginToolbox
from kotaemon_node.engine.tool_steps import ToolSteps
from kotaemon_node.engine.understanding.expanding import Expanding
from kotaemon_node.engine.writing import FrameWriter
from kotaemon_node.ports.language_model import LanguageModel
from kotaemon_node.ports.plugins import Hook, PluginCall, PluginDescription
from kotaemon_node.ports.sessions import Work
from kotaemon_node.ports.tools import ToolFailed
from tests.engine_pods import ANYBODY, TestPod, key, text_of
from tests.fakes.plugins import FixedPlugins, ScriptedPlugin
from tests.redis_server import RedisServer, ServerClock

BOOK = IntentBook(
    intents=(
        IntentRule(
            "cancel_order",
            patterns=(r"\bcancel\b", "取消"),
            slots=("order_id",),
            needs=("order_id",),
        ),
        IntentRule("query_order", patterns=(r"\border\b.*\bship", r"\bmy orders\b", "订单.*发货")),
    ),
    slots={"order_id": SlotRule("order_id", patterns=(r"\b(1\d{3})\b",), form=r"1\d{3}")},
)
POLICY = {
    "en": "Orders ship within two working days. A paid order that has not shipped waits for stock.",
    "zh": "订单在两个工作日内发货。已付款但还没发货的订单在等待备货。",
}


@dataclass
class Shop:
    """The world outside: orders, and how often each was cancelled."""

    open: dict[str, str] = field(default_factory=lambda: {"1003": "2 x mug, 18.00 EUR"})
    cancelled: list[tuple[str, str]] = field(default_factory=list)
    """Order and key of each cancellation that took effect."""
    held: Callable[[PluginCall], None] = lambda call: None
    """Called inside each call of a plugin."""
    after: Callable[[PluginCall], None] = lambda call: None
    """Called after each effect."""

    def query(self, call: PluginCall) -> Any:
        self.held(call)
        told = [f"Order {number} ({what}) is packed." for number, what in self.open.items()]
        ids = list(self.open)
        return {"result": " ".join(told), "slots": {"order_id": ids[0] if len(ids) == 1 else ids}}

    def cancel(self, call: PluginCall) -> Any:
        self.held(call)
        if call.entry == "hook":
            number = str(call.caller.slots.get("order_id"))
            if number not in self.open:
                return {"error": f"There is no open order {number}."}
            summary = f"Cancel order {number} ({self.open[number]})"
            return {"propose": {"arguments": {"order_id": number}, "summary": summary}}
        number = str(call.arguments["order_id"])
        if number not in self.open:
            raise ToolFailed("the order service is closed", reached=True)
        self.cancelled.append((number, call.key))
        del self.open[number]
        self.after(call)
        return {"result": f"Order {number} is cancelled."}

    def plugins(self, **changes: Any) -> FixedPlugins:
        """Return the two plugins; ``changes``: to the description of the one that cancels."""
        ask = PluginDescription(
            "order_query", "v1", "Looks orders up.", "read", {}, (Hook("query_order", "query"),),
            runs=False,
        )  # fmt: skip
        parameters = {"type": "object", "properties": {"order_id": {"type": "string"}}}
        said: dict[str, Any] = {
            "name": "order_cancel",
            "version": "v1",
            "description": "Cancels an order.",
            "effects": "once",
            "parameters": parameters,
            "hooks": (Hook("cancel_order", "propose"),),
            **changes,
        }
        return FixedPlugins(
            ScriptedPlugin(ask, self.query), ScriptedPlugin(PluginDescription(**said), self.cancel)
        )


class Policies:
    """Finds the shipping policy in the question's language, of one generation."""

    ref = GenerationRef("default", 7, "d", "m")

    def __init__(self) -> None:
        self.searches = 0
        self.weight = 0.9
        """How much speaks for what is found."""
        self.held: Callable[[], None] = lambda: None
        self.texts: Mapping[str, str] = POLICY

    @contextmanager
    def pinned(self, kb: str, *, min_generation: int = 0):  # type: ignore[no-untyped-def]
        yield self

    def search(self, question: str, *, top_k: int, **_: object) -> SearchResult:
        self.searches += 1
        self.held()
        text = self.texts.get(language_of(question), "")
        if not text:
            return SearchResult("default", 7, "d", ())
        passage = Passage(
            id="p7", document="shipping.md", revision="r", title="Shipping", heading=(), page=None,
            span=(0, len(text)), text=text, language=language_of(text),
        )  # fmt: skip
        return SearchResult(
            "default", 7, "d", (Hit(passage, 1.0, self.weight, 1.0, self.weight / 2),)
        )


class ActingPod(TestPod):
    """A pod with the shop's plugins and its policies."""

    def __init__(
        self,
        name: str,
        server: RedisServer,
        shop: Shop,
        *,
        plugins: FixedPlugins | None = None,
        model: LanguageModel | None = None,
        book: IntentBook = BOOK,
        intents: Intents | None = None,
        remembering: Any = None,
    ) -> None:
        super().__init__(name, server)
        self.plugins = plugins or shop.plugins()
        self.knowledge = Policies()
        clock, tasks = ServerClock(server), ThreadTasks()
        toolbox = PluginToolbox(self.plugins)
        acting = Acting(
            self.plugins,
            intents or Intents(book),
            clock=clock,
            tasks=tasks,
            metrics=self.metrics,
        )
        self.noted: Callable[[Any], None] = lambda acted: None
        """Told what each turn notes of the step for its audit record."""
        answerer = Answerer(
            self.knowledge,
            language_model=model,
            clock=clock,
            metrics=self.metrics,
            steps=ToolSteps(toolbox, clock=clock, metrics=self.metrics, tasks=tasks),
            understanding=Expanding(),
            acting=acting,
            remembering=remembering,
        )

        def answer(work: Work, out: FrameWriter, *, started_s: float) -> Draft:
            draft = answerer.answer(work, out, started_s=started_s)
            self.noted(draft.record.get("acting"))
            return draft

        self.answerer.answer = answer  # type: ignore[method-assign]

    def says(self, message: str, *, turn: str, **options: Any) -> Turn:
        """Send a message and return its finished turn, whose frames make its answer."""
        self.engine.submit(
            TurnRequest(
                key=key(turn),
                principal=ANYBODY,
                message=message,
                options=options,
                on_busy="enqueue",
                trace_id=f"trace-{turn}",
                create_session=True,
            )
        )
        return self.ended(turn)

    def ended(self, turn: str) -> Turn:
        finished = self.engine.wait(key(turn), ANYBODY, timeout_s=60)
        assert finished is not None, f"{turn} did not end"
        frames = self.frames(turn)
        assert [frame.seq for frame in frames] == list(range(1, len(frames) + 1))
        assert text_of(frames) == finished.answer
        return finished

    def asked(self, plugin: str) -> list[PluginCall]:
        (found,) = (it for it in self.plugins.plugins if it.description.name == plugin)
        assert isinstance(found, ScriptedPlugin)
        return found.asked

    def state(self):  # type: ignore[no-untyped-def]
        return self.sessions.load(key("t").session, ANYBODY, after_version=0, limit=0).state

    def counted(self, metric: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"kotaemon_{metric}_total", labels) or 0.0


class Hold:
    """Holds calls of a kind until released, as a pod that died there would."""

    def __init__(self, entry: str) -> None:
        self._entry = entry
        self.reached = threading.Event()
        self.go = threading.Event()

    def __call__(self, call: PluginCall) -> None:
        if call.entry == self._entry:
            self.reached.set()
            assert self.go.wait(120)
