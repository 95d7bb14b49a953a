"""Two pods that cancel orders, of which one is lost at a place of its turn; on a real Redis."""

import threading
from collections.abc import Mapping
from typing import Any, Final, Literal

from kotaemon_node.adapters.system import ThreadTasks
from kotaemon_node.adapters.tools.http import HttpToolbox
from kotaemon_node.engine.acting.sentences import Sentence, sentence
from kotaemon_node.engine.answer_draft import Draft
from kotaemon_node.engine.ledger import Outcome
from kotaemon_node.engine.reconciling import Settling
from kotaemon_node.engine.tool_calls import DecidedCall
from kotaemon_node.engine.tool_steps import ToolSteps
from kotaemon_node.engine.writing import FrameWriter
from kotaemon_node.ports.language_model import ToolCall
from kotaemon_node.ports.later import Later
from kotaemon_node.ports.sessions import Work
from kotaemon_node.telemetry.metrics import Metrics
from load.effects.shops import TOOL, Shop
from tests.engine_pods import TestPod
from tests.redis_server import RedisServer, ServerClock

Place = Literal[
    "before the decision is stored",
    "after the decision is stored",
    "after the claim is stored",
    "while the request is on its way",
    "after the shop acted",
    "after the answer came",
    "after the result is stored",
    "before the commit",
]
PLACES: Final[tuple[Place, ...]] = Place.__args__  # type: ignore[attr-defined]
DURING: Final[tuple[Place, ...]] = PLACES[3:5]
"""The call is under way: a cancel or an interrupt meets it there."""
_PATIENCE_S: Final = 60.0
_DECIDED: Final = "acting"


class SkewedClock(ServerClock):
    """A clock that can be put forward, for all pods at once."""

    skew_s = 0.0

    def monotonic_s(self) -> float:
        """See the port."""
        return super().monotonic_s() + self.skew_s


class Trap:
    """Stops a pod at a place, as its crash or its freezing would."""

    def __init__(self, place: Place | None = None) -> None:
        self.place = place
        self.reached = threading.Event()
        self.go = threading.Event()
        self.crashed = False
        """From the place on nothing of this pod goes on."""

    def at(self, place: Place) -> None:
        """Be at a place."""
        if place == self.place and not self.reached.is_set():
            self.reached.set()
            self.go.wait(_PATIENCE_S)
        if self.crashed and self.reached.is_set():
            raise SystemExit  # a thread ends with it in silence

    def at_shop(self, place: str) -> None:
        """Be where a request is held in the shop; the shop does not die with its client."""
        named: Place = DURING[0] if place == "before" else DURING[1]
        if named == self.place and not self.reached.is_set():
            self.reached.set()
            self.go.wait(_PATIENCE_S)


class _HeldToolbox(HttpToolbox):
    trap = Trap()

    def call(self, *arguments: Any, **options: Any) -> Any:
        self.trap.at("after the claim is stored")
        value = super().call(*arguments, **options)
        self.trap.at("after the answer came")
        return value


class _Canceller:
    """Answers ``cancel <order>`` by the shop, as a rule would; everything else with a greeting."""

    def __init__(self, steps: ToolSteps) -> None:
        self.steps = steps
        self.trap = Trap()
        self.deaf = False

    def answer(self, work: Work, out: FrameWriter, *, started_s: float) -> Draft:
        verb, _, order = work.message.partition(" ")
        if verb != "cancel":
            out.text("Hello.")
            out.finish()
            return Draft()
        trap = self.trap
        if self.deaf:  # what is said to a frozen process is lost on it
            hear = out.stop.request
            out.stop.request = (  # type: ignore[method-assign]
                lambda reason: hear(reason) if trap.go.is_set() else None
            )
        if out.decided(_DECIDED) is None:
            trap.at("before the decision is stored")
            out.decide(_DECIDED, {"order": order})
            out.status("tools", latency_s=0.0)
            out.drain()
            trap.at("after the decision is stored")
        decided = DecidedCall(ToolCall("c1", TOOL, {"order": order}), None, f"Cancel order {order}")
        decided = self._with_effects(decided, work)
        (outcome,) = self.steps.run([decided], work, out, round_number=0)
        out.drain()
        trap.at("after the result is stored")
        out.text(_said(outcome, decided, order))
        out.finish()
        out.drain()
        trap.at("before the commit")
        return Draft()

    def _with_effects(self, decided: DecidedCall, work: Work) -> DecidedCall:
        (known,) = self.steps.decided([decided.call], work)
        return DecidedCall(known.call, known.effects, decided.summary)


def _said(outcome: Outcome, decided: DecidedCall, order: str) -> str:
    known: Mapping[str, Sentence] = {"done": "done", "failed": "failed_change"}
    name: Sentence = known.get(outcome.state, "unknown")
    return sentence(name, "en", summary=decided.summary)


class ShopPod(TestPod):
    """A pod that cancels orders in one shop."""

    def __init__(
        self, name: str, server: RedisServer, shop: Shop, *, later: Later, clock: SkewedClock
    ) -> None:
        super().__init__(name, server, clock=clock, settle=Settling(later, clock=clock))
        self.toolbox = _HeldToolbox([shop.tool])
        self.steps = ToolSteps(self.toolbox, clock=clock, metrics=Metrics(), tasks=ThreadTasks())
        self.canceller = _Canceller(self.steps)
        self.answerer.answer = self.canceller.answer  # type: ignore[method-assign]

    def trapped(self, trap: Trap, *, deaf: bool = False) -> None:
        """Let the next turn run into ``trap``."""
        self.canceller.trap = self.toolbox.trap = trap
        self.canceller.deaf = deaf
