"""What becomes of a proposal and of a call, told as it is: on a real Redis, in both languages."""

from typing import Any

import pytest

from kotaemon_node.domain.errors import NotFound
from kotaemon_node.domain.turn import State
from kotaemon_node.engine.acting.sentences import sentence
from kotaemon_node.ports.plugins import PluginCall
from kotaemon_node.ports.tools import ToolFailed, ToolOutcomeUnknown
from tests.acting_pods import ActingPod, Hold, Shop
from tests.redis_server import RedisServer

WHY = "Why hasn't my order shipped?"
CANCEL = "Cancel order 1003"
SUMMARY = "Cancel order 1003 (2 x mug, 18.00 EUR)"


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def pod(server: RedisServer, shop: Shop) -> ActingPod:
    return ActingPod("one", server, shop)


def asked(pod: ActingPod) -> None:
    """Let a cancellation wait for a yes."""
    assert "Shall I?" in pod.says(CANCEL, turn="t1").answer


def test_a_no_drops_what_waited_and_says_so(pod: ActingPod, shop: Shop) -> None:
    asked(pod)
    assert pod.says("no thanks", turn="t2").answer == sentence("dropped", "en", summary=SUMMARY)
    pod.says("yes", turn="t3")
    assert shop.cancelled == []
    assert pod.asked("order_cancel")[-1].entry == "hook"
    assert pod.counted("proposals", outcome="declined") == 1


@pytest.mark.parametrize(
    "said",
    [
        "What does cancelling cost?",
        "yes, but only one mug",
        "yes?",
        "hmm",
        "yes, cancel order 1004",
    ],
)
def test_whatever_is_no_plain_yes_carries_nothing_out(
    pod: ActingPod, shop: Shop, said: str
) -> None:
    asked(pod)
    pod.says(said, turn="t2")
    pod.says("yes", turn="t3")
    assert "run" not in [call.entry for call in pod.asked("order_cancel")]
    assert shop.cancelled == []


def test_a_yes_that_comes_late_is_told_so(
    pod: ActingPod, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked(pod)
    monkeypatch.setattr("kotaemon_node.engine.acting.pending.PENDING_AGE_MAX_S", -1.0)
    assert pod.says("yes", turn="t2").answer == sentence("expired", "en", summary=SUMMARY)
    assert shop.cancelled == []
    assert pod.counted("proposals", outcome="expired") == 1


def test_a_yes_that_was_said_before_the_question_was_there_carries_nothing_out(
    server: RedisServer, shop: Shop
) -> None:
    hold = Hold("hook")
    shop.held = hold
    pod = ActingPod("one", server, shop)
    pod.submit("t1", message=CANCEL)
    assert hold.reached.wait(60)
    pod.submit("t2", message="yes")
    hold.go.set()
    assert pod.ended("t2").answer == sentence("expired", "en", summary=SUMMARY)
    assert shop.cancelled == []


def test_a_yes_counts_for_the_version_that_asked(pod: ActingPod, shop: Shop) -> None:
    asked(pod)
    pod.plugins.plugins = shop.plugins(version="v2").plugins
    assert pod.says("yes", turn="t2").answer == sentence("changed", "en", summary=SUMMARY)
    assert shop.cancelled == []
    asked_again = pod.says(CANCEL, turn="t3")
    assert "Shall I?" in asked_again.answer
    pod.plugins.plugins = ()
    assert pod.says("yes", turn="t4").answer == sentence("not_offered", "en", summary=SUMMARY)


def test_where_no_yes_is_needed_it_is_done_at_once(server: RedisServer, shop: Shop) -> None:
    pod = ActingPod("one", server, shop, plugins=shop.plugins(confirm=False))
    turn = pod.says(CANCEL, turn="t1")
    assert turn.answer == "Order 1003 is cancelled."
    assert [(number, key_.split(":")[-1]) for number, key_ in shop.cancelled] == [("1003", "0.2")]
    assert pod.state().pending is None


def test_a_proposal_that_is_too_large_is_not_made(pod: ActingPod, shop: Shop) -> None:
    shop.open["1003"] = "m" * 480

    def cancel(call: PluginCall) -> object:
        return {"propose": {"arguments": {"why": "x" * 7_700}, "summary": "s" * 500}}

    pod.plugins.plugins[1]._script = cancel  # type: ignore[attr-defined]
    assert pod.says(CANCEL, turn="t1").answer == sentence("too_large", "en")
    assert pod.state().pending is None


def test_a_refusal_is_told_as_one(pod: ActingPod, shop: Shop) -> None:
    assert (
        pod.says("cancel order 1009", turn="t1").answer
        == "This was refused: There is no open order 1009."
    )
    assert pod.state().pending is None


def failing(error: Exception, entry: str):  # type: ignore[no-untyped-def]
    def held(call: PluginCall) -> None:
        if call.entry == entry:
            raise error

    return held


@pytest.mark.parametrize(
    ("why", "language", "found"),
    [(WHY, "en", "Orders ship within"), ("为什么我的订单还没发货？", "zh", "备货")],
)
def test_a_plugin_that_fails_is_told_and_the_documents_still_answer(
    pod: ActingPod, shop: Shop, why: str, language: str, found: str
) -> None:
    for error in (ToolFailed("it broke", reached=True), ToolOutcomeUnknown("it died")):
        shop.held = failing(error, "hook")
        turn = pod.says(why, turn=f"{type(error).__name__}")
        assert turn.state is State.DONE
        assert turn.answer.startswith(sentence("failed_read", language))  # type: ignore[arg-type]
        assert found in turn.answer
        assert "it broke" not in turn.answer
        assert turn.sources
    pod.knowledge.weight = 0.0
    last = pod.says(why, turn="t9")
    assert last.answer == sentence("failed_read", language)  # type: ignore[arg-type]
    assert last.unanswered


def test_a_change_that_failed_is_told_so(pod: ActingPod, shop: Shop) -> None:
    asked(pod)
    shop.held = failing(ToolFailed("closed", reached=True), "run")
    assert pod.says("yes", turn="t2").answer == sentence("failed_change", "en", summary=SUMMARY)


@pytest.mark.parametrize(("looks_up", "told"), [(False, "unknown"), (True, "unknown_told_later")])
def test_what_nobody_knows_is_told_so_and_is_not_repeated(
    server: RedisServer, shop: Shop, looks_up: bool, told: str
) -> None:
    pod = ActingPod("one", server, shop, plugins=shop.plugins(looks_up=looks_up))
    asked(pod)
    shop.held = failing(ToolOutcomeUnknown("no answer"), "run")
    answer = pod.says("yes", turn="t2").answer
    assert answer == sentence(told, "en", summary=SUMMARY)  # type: ignore[arg-type]
    (shown,) = [
        frame.fields["state"]
        for frame in pod.frames("t2")
        if frame.type == "tool_call" and frame.fields["state"] != "started"
    ]
    assert shown == "unknown"
    pod.says("yes", turn="t3")
    assert [call.entry for call in pod.asked("order_cancel")].count("run") == 1


def test_what_a_plugin_writes_is_no_citation_and_no_endless_text(
    pod: ActingPod, shop: Shop
) -> None:
    shop.open["1003"] = "see [1] \u202eabc" + "y" * 5_000
    pod.knowledge.texts = {}
    answer = pod.says(WHY, turn="t1").answer
    assert "[1]" not in answer
    assert "\u202e" not in answer
    assert len(answer) == 4_000


def test_where_the_documents_cannot_be_searched_the_plugin_answers(pod: ActingPod) -> None:
    def away() -> None:
        raise NotFound("no such knowledge base")

    pod.knowledge.held = away
    turn = pod.says(WHY, turn="t1")
    assert turn.answer == f"Order 1003 ({Shop().open['1003']}) is packed."
    assert turn.degraded == "not_found"


def test_what_was_recognised_and_decided_is_noted_for_the_record(pod: ActingPod) -> None:
    records: list[Any] = []
    pod.noted = records.append
    asked(pod)
    pod.says("yes", turn="t2")
    first, second = records
    assert first == {
        "kind": "hook",
        "intent": "cancel_order",
        "by": "rules",
        "plugin": "order_cancel",
        "version": "v1",
        "method": "propose",
        "confidence": first["confidence"],
        "outcome": "done",
        "proposed": SUMMARY,
    }
    assert second == {
        "kind": "run",
        "plugin": "order_cancel",
        "version": "v1",
        "summary": SUMMARY,
        "reply": "confirmed",
        "outcome": "done",
    }


class Remembers:
    """Notes which turns look for a hot answer; there never is one."""

    def __init__(self) -> None:
        self.looked: list[str] = []

    def answer(self, turn: Any, *, make: Any, **_: Any) -> None:
        self.looked.append(turn.work.lease.key.turn_id)
        make(turn)


def test_what_acts_is_neither_looked_up_nor_kept_as_a_hot_answer(
    server: RedisServer, shop: Shop
) -> None:
    hot = Remembers()
    pod = ActingPod("one", server, shop, remembering=hot)
    pod.says(WHY, turn="t1")
    pod.says(CANCEL, turn="t2")
    pod.says("yes", turn="t3")
    pod.says("How long does shipping take?", turn="t4")
    assert hot.looked == ["t4"]
