"""A yes of which it is not sure what it means carries nothing out: on a real Redis."""

from typing import Any

import pytest

from kotaemon_node.adapters.redis.later import RedisLater
from kotaemon_node.domain.acting_limits import STATE_QUESTION_CHARS_MAX
from kotaemon_node.domain.errors import Gone
from kotaemon_node.engine.acting.sentences import sentence
from kotaemon_node.engine.follow_ups import FOLLOW_UP, FollowUps, FollowUpTurns
from kotaemon_node.engine.handing import HandoffDesk
from kotaemon_node.engine.tool_steps import ToolSteps
from kotaemon_node.ports.later import Again
from tests.acting_pods import ActingPod, Shop
from tests.engine_pods import ANYBODY, key
from tests.handed_pods import SESSION, DeskPod
from tests.integration.test_acting_takeover import Gate, inherit
from tests.integration.test_engine_losses import Copy
from tests.redis_server import RedisServer

SUMMARY = "Cancel order 1003 (2 x mug, 18.00 EUR)"


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def pod(server: RedisServer, shop: Shop) -> ActingPod:
    it = ActingPod("one", server, shop)
    assert "Shall I?" in it.says("cancel order 1003", turn="t1").answer
    return it


def person(pod: ActingPod, server: RedisServer) -> HandoffDesk:
    """Return a desk beside the pod, by which people speak in its session."""
    return DeskPod("desk", server).desk


def between(pod: ActingPod, turns: int) -> None:
    """Wait until so many turns of the session have ended."""
    pod.until(
        lambda: pod.sessions.load(SESSION, ANYBODY, after_version=0, limit=0).version == turns
    )


@pytest.mark.parametrize("said", ["", "Do you want a free gift with your order?"])
def test_a_yes_to_a_person_is_none_to_what_the_bot_asked_before(
    pod: ActingPod, server: RedisServer, shop: Shop, said: str
) -> None:
    desk = person(pod, server)
    desk.begin(SESSION, ANYBODY, by="agent", reason="", trace_id="x")
    if said:
        desk.say(key("m1"), ANYBODY, text=said, name="Ann", trace_id="y")
    desk.end(SESSION, ANYBODY, by="agent", trace_id="z")
    between(pod, 4 if said else 3)
    pod.says("yes please", turn="t2")
    assert shop.cancelled == []


@pytest.mark.parametrize(
    ("told", "counts"),
    [
        ("Your refund has arrived.", True),
        ("Your refund was refused. Shall a person call you back?", False),
        ("退款失败。需要人工回电吗", False),
    ],
)
def test_a_yes_behind_a_follow_up_that_asks_something_is_none(
    pod: ActingPod, shop: Shop, told: str, counts: bool
) -> None:
    later = RedisLater(pod.store)
    FollowUps(later).tell(SESSION, ref="r1", text=told)
    (leased,) = later.take({FOLLOW_UP: 1}, holder="h", lease_s=60)
    with pytest.raises(Again):
        FollowUpTurns(pod.sessions, pod.engine)(leased.job)
    between(pod, 2)
    pod.says("yes", turn="t2")
    assert bool(shop.cancelled) is counts


@pytest.mark.parametrize("said", ["I do want my order", "要这个订单"])
def test_a_wish_to_keep_it_cancels_nothing(pod: ActingPod, shop: Shop, said: str) -> None:
    pod.says(said, turn="t2")
    assert shop.cancelled == []


def test_a_yes_for_one_version_is_not_carried_out_by_another_after_a_takeover(
    pod: ActingPod, server: RedisServer, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    heir = ActingPod("heir", server, shop, plugins=shop.plugins(version="v2"))
    gate, begun = Gate(), ToolSteps._begun

    def held(steps: ToolSteps, one: Any, work: Any, out: Any) -> Any:
        out.drain()  # what was decided is stored, that it begins is not
        gate()
        return begun(steps, one, work, out)

    monkeypatch.setattr(ToolSteps, "_begun", held)
    ended = inherit(pod, heir, gate, "yes", "t2")
    assert ended.answer == sentence("changed", "en", summary=SUMMARY)
    assert shop.cancelled == []
    assert heir.asked("order_cancel") == []


def test_a_store_that_was_set_back_has_nothing_that_waits_for_a_yes(
    pod: ActingPod, server: RedisServer, shop: Shop
) -> None:
    copy = Copy(server)
    pod.says("yes please", turn="t2")
    assert len(shop.cancelled) == 1
    copy.put_back()
    shop.open["1003"] = "there again, to count"
    with pytest.raises(Gone):
        pod.says("yes please", turn="t2")
    pod.says("yes please", turn="t2")
    assert len(shop.cancelled) == 1
    assert pod.state().pending is None


def test_a_message_with_an_intent_of_its_own_is_asked_alone(server: RedisServer) -> None:
    pod = ActingPod("one", server, Shop())
    pod.says("please cancel my purchase", turn="t1")
    pod.says("Why hasn't my order shipped?", turn="t2")
    (asked,) = pod.asked("order_query")
    assert "cancel" not in asked.user_input


def test_a_value_alone_is_asked_with_the_question_before_however_often_it_was_asked_for(
    server: RedisServer,
) -> None:
    pod = ActingPod("one", server, Shop())
    for number in range(4):
        pod.says("please cancel my purchase " + "blah " * 390, turn=f"t{number}")
        wanted = pod.state().wanted
        assert wanted is not None
        assert len(wanted.question) <= STATE_QUESTION_CHARS_MAX
    pod.says("1003", turn="t9")
    asked = pod.asked("order_cancel")[-1].user_input
    assert "cancel my purchase blah" in asked[:40]
    assert asked.endswith(" 1003")
