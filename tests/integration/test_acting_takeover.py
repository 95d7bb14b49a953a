"""Turns that act and lose their pod: another goes on by the journal, and calls nothing twice."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from kotaemon_node.domain.intent_book import EMPTY_BOOK
from kotaemon_node.domain.turn import State
from kotaemon_node.engine.acting.sentences import sentence
from tests.acting_pods import ActingPod, Hold, Shop
from tests.engine_pods import ANYBODY, key
from tests.redis_server import RedisServer

WHY = "Why hasn't my order shipped?"
SUMMARY = "Cancel order 1003 (2 x mug, 18.00 EUR)"


class Gate:
    """Holds whoever comes first, as its death would; others pass."""

    def __init__(self) -> None:
        self.reached, self.go = threading.Event(), threading.Event()

    def __call__(self, *_: Any) -> None:
        if not self.reached.is_set():
            self.reached.set()
            assert self.go.wait(120)


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def pods(server: RedisServer, shop: Shop) -> tuple[ActingPod, ActingPod]:
    return ActingPod("dead", server, shop), ActingPod("heir", server, shop)


def inherit(dead: ActingPod, heir: ActingPod, gate: Gate | Hold, message: str, turn: str) -> Any:
    """Let ``dead`` get stuck in a turn and ``heir`` finish it; then the dead one goes on."""
    dead.submit(turn, message=message)
    assert gate.reached.wait(60)
    heir.judges()
    assert heir.recovery.sweep() == 1
    ended = heir.ended(turn)
    gate.go.set()
    assert ended.owner == "heir"
    return ended


def test_killed_before_anything_was_decided(
    pods: tuple[ActingPod, ActingPod], monkeypatch: pytest.MonkeyPatch
) -> None:
    dead, heir = pods
    gate, offered = Gate(), dead.plugins.offered
    monkeypatch.setattr(dead.plugins, "offered", lambda *names: gate() or offered(*names))
    ended = inherit(dead, heir, gate, WHY, "t1")
    assert ended.answer.startswith("Order 1003")
    assert len(heir.asked("order_query")) == 1


def test_killed_in_a_call_that_reads_it_is_made_again(
    pods: tuple[ActingPod, ActingPod], shop: Shop
) -> None:
    dead, heir = pods
    shop.held = gate = Gate()
    ended = inherit(dead, heir, gate, WHY, "t1")
    assert ended.answer.startswith("Order 1003 (2 x mug, 18.00 EUR) is packed.")
    [first], [second] = dead.asked("order_query"), heir.asked("order_query")
    assert (first.key, first.user_input) == (second.key, second.user_input)


def test_what_was_decided_stands_though_the_heir_would_decide_otherwise(
    server: RedisServer, shop: Shop
) -> None:
    dead, heir = ActingPod("dead", server, shop), ActingPod("heir", server, shop, book=EMPTY_BOOK)
    shop.held = gate = Gate()
    ended = inherit(dead, heir, gate, WHY, "t1")
    assert ended.answer.startswith("Order 1003")


def asked(pod: ActingPod) -> None:
    assert "Shall I?" in pod.says("cancel order 1003", turn="t1").answer


def test_killed_in_the_cancellation_the_outcome_is_unknown_and_it_is_not_repeated(
    pods: tuple[ActingPod, ActingPod], shop: Shop
) -> None:
    dead, heir = pods
    asked(dead)
    shop.held = gate = Gate()
    ended = inherit(dead, heir, gate, "yes", "t2")
    assert ended.answer == sentence("unknown", "en", summary=SUMMARY)
    dead.until(lambda: bool(shop.cancelled))
    heir.says("yes", turn="t3")
    assert len(shop.cancelled) == 1
    assert [call.entry for call in heir.asked("order_cancel")] == []


def test_killed_behind_the_effect_it_is_not_repeated_either(
    pods: tuple[ActingPod, ActingPod], shop: Shop
) -> None:
    dead, heir = pods
    asked(dead)
    shop.after = gate = Gate()
    ended = inherit(dead, heir, gate, "yes", "t2")
    assert ended.answer == sentence("unknown", "en", summary=SUMMARY)
    assert len(shop.cancelled) == 1


def test_an_idempotent_call_is_repeated_under_its_key(server: RedisServer, shop: Shop) -> None:
    plugins = shop.plugins(effects="idempotent")
    dead, heir = (ActingPod(name, server, shop, plugins=plugins) for name in ("dead", "heir"))
    asked(dead)
    gate = Gate()
    shop.held = lambda call: gate() if call.entry == "run" else None
    ended = inherit(dead, heir, gate, "yes", "t2")
    assert ended.answer == "Order 1003 is cancelled."
    runs = [call for call in heir.asked("order_cancel") if call.entry == "run"]
    assert len(runs) == 2
    assert len({call.key for call in runs}) == 1
    assert {call.arguments["order_id"] for call in runs} == {"1003"}


def test_killed_between_result_and_answer_the_result_is_told_and_nothing_called(
    pods: tuple[ActingPod, ActingPod], shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead, heir = pods
    asked(dead)
    gate, count = Gate(), dead.metrics.plugin_call

    def counted(*names: Any) -> None:
        count(*names)
        gate()

    monkeypatch.setattr(dead.metrics, "plugin_call", counted)
    dead.submit("t2", message="yes")
    assert gate.reached.wait(60)
    # The result stands in the turn's journal before the pod is taken from.
    names = f"kn:default:{{s1}}:turn:{key('t2').turn_id}"
    dead.until(lambda: bool(dead.store.client.hexists(names, "j:result:0.1")))
    heir.judges()
    assert heir.recovery.sweep() == 1
    ended = heir.ended("t2")
    gate.go.set()
    assert ended.answer == "Order 1003 is cancelled."
    assert heir.asked("order_cancel") == []
    assert len(shop.cancelled) == 1


class Telling:
    """A language model in the test that says what it was given, piece by piece."""

    name, continues_prefix = "telling", True

    def __init__(self, gate: Gate | None = None) -> None:
        self.gate = gate
        self.prompts: list[Any] = []

    def stream(self, messages: Any, *, prefix: str = "", **_: Any) -> Iterator[str]:
        self.prompts.append(messages)
        text = "Your order 1003 is packed. Orders ship within two working days [1]."
        for place, word in enumerate(text.removeprefix(prefix).split(" ")):
            if place == 3 and self.gate is not None:
                self.gate()
            yield word if place == 0 else f" {word}"


def test_killed_in_the_middle_of_the_answer_the_model_goes_on_and_no_plugin_is_called(
    server: RedisServer, shop: Shop
) -> None:
    gate = Gate()
    dead = ActingPod("dead", server, shop, model=Telling(gate))  # type: ignore[arg-type]
    model = Telling()
    heir = ActingPod("heir", server, shop, model=model)  # type: ignore[arg-type]
    ended = inherit(dead, heir, gate, WHY, "t1")
    assert ended.answer == "Your order 1003 is packed. Orders ship within two working days [1]."
    assert heir.asked("order_query") == []
    assert heir.knowledge.searches == 0
    system, *_, user = model.prompts[0]
    mark = user.content.split()[1]
    assert user.content.startswith(f"=== {mark} looked up just now\n")
    assert "Order 1003 (2 x mug, 18.00 EUR) is packed." in user.content
    assert "newest truth about the customer" in system.content
    assert not [frame for frame in heir.frames("t1") if frame.type == "restart"]


@pytest.mark.parametrize("how", ["cancel", "interrupt"])
def test_a_turn_that_is_stopped_in_its_call_tells_that_the_outcome_is_unknown(
    server: RedisServer, shop: Shop, how: str
) -> None:
    pod = ActingPod("one", server, shop)
    asked(pod)
    shop.held = hold = Hold("run")
    pod.submit("t2", message="yes")
    assert hold.reached.wait(60)
    if how == "cancel":
        pod.engine.cancel(key("t2"), ANYBODY)
    else:
        pod.submit("t3", message="What is your shipping policy?", on_busy="interrupt")
    hold.go.set()
    ended = pod.ended("t2")
    assert ended.state is (State.CANCELLED if how == "cancel" else State.INTERRUPTED)
    states = [it.fields["state"] for it in pod.frames("t2") if it.type == "tool_call"]
    assert states[0] == "started"
    assert states[-1] in {"unknown", "done"}
    if how == "interrupt":
        pod.ended("t3")
    # The yes is used up: it does not wait for the next one.
    pod.says("yes", turn="t4")
    assert len(shop.cancelled) <= 1
    assert [call.entry for call in pod.asked("order_cancel")].count("run") == 1
