"""A language model that recognises an intent is paid for by the turn: journalled, told, counted."""

from collections.abc import Iterator
from typing import Any

from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.engine.intents import Intents
from kotaemon_node.engine.intents.asking import ModelRecogniser
from kotaemon_node.engine.understanding.asking import Adviser
from kotaemon_node.ports.language_model import Usage
from tests.acting_pods import BOOK, ActingPod, Shop
from tests.redis_server import RedisServer
from tests.unit.test_intents_examples import Threads


class Chooser:
    """Chooses the same intent always."""

    name = "chooser"
    continues_prefix = False

    def __init__(self, intent: str) -> None:
        self.intent = intent

    def stream(self, messages: Any, *, usage: Usage, **rest: Any) -> Iterator[str]:
        usage.prompt_tokens += 120
        usage.completion_tokens += 4
        yield self.intent


def choosing(intent: str) -> Intents:
    adviser = Adviser(Chooser(intent), clock=SystemClock(), tasks=Threads())  # type: ignore[arg-type]
    return Intents(BOOK, last=ModelRecogniser(adviser, BOOK))


def test_its_tokens_are_in_the_turns_usage(server: RedisServer) -> None:
    pod = ActingPod("one", server, Shop(), intents=choosing("query_order"))

    turn = pod.says("Has the thing with number 1003 begun its journey?", turn="t1")

    assert (turn.usage["prompt_tokens"], turn.usage["completion_tokens"]) == (120, 4)
    assert pod.counted("intents", by="model") == 1


def test_they_are_told_also_where_nothing_came_of_it(server: RedisServer) -> None:
    pod = ActingPod("one", server, Shop(), intents=choosing("none"))

    turn = pod.says("What do you think of the weather?", turn="t1")

    assert (turn.usage["prompt_tokens"], turn.usage["completion_tokens"]) == (120, 4)
    assert pod.counted("intents", by="model") == 0


def test_a_turns_filter_leaves_its_intents_alone(server: RedisServer) -> None:
    pod = ActingPod("one", server, Shop())
    asked = "Why hasn't my order shipped?"

    pod.says(asked, turn="t1", intent_filter=[])
    pod.says(asked, turn="t2", intent_filter=["cancel_order"])
    assert pod.asked("order_query") == []

    pod.says(asked, turn="t3", intent_filter=["query_order"])
    assert len(pod.asked("order_query")) == 1
