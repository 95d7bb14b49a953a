"""A handoff is one step on every kind of store: alone, as a cluster, behind sentinels."""

from collections.abc import Iterator

import pytest

from kotaemon_node.domain.turn import State
from tests.engine_pods import ANYBODY, PIECES, Stall, key
from tests.handed_pods import WAIT_S, DeskPod, bot_text_behind_handoff
from tests.integration.test_handback_running import taken_with_a_person
from tests.redis_server import Server


@pytest.fixture
def pods(store_server: Server) -> Iterator[tuple[DeskPod, DeskPod, Stall]]:
    store_server.wipe()
    stall = Stall(2)
    owner, taker = DeskPod("owner", store_server, stall), DeskPod("taker", store_server)
    yield owner, taker, stall
    stall.go.set()
    owner.until_idle()
    taker.until_idle()


def test_a_running_answer_ends_and_the_session_comes_back(
    pods: tuple[DeskPod, DeskPod, Stall],
) -> None:
    owner, taker, stall = pods
    owner.submit("t1")
    assert stall.reached.wait(WAIT_S)
    owner.until_shown("t1", "".join(PIECES[:2]))

    begun = taker.hand_off(reason="angry")
    stall.go.set()

    turn = taker.sessions.turn(key("t1"), ANYBODY)
    assert (turn.state, turn.event) == (State.INTERRUPTED, "handoff")
    assert not bot_text_behind_handoff(taker.frames("t1"))
    assert taker.hand_off(reason="again") == begun
    assert taker.ask("t2").handoff is True
    assert taker.say("I am Ann.", message_id="a1").answer == "I am Ann."
    assert taker.handoffs.count() == 1
    [listed] = taker.desk.waiting("default", limit=10)
    assert (listed.session_id, listed.handoff) == ("s1", begun)
    assert taker.desk.waiting("other", limit=10) == []
    taker.hand_back()
    taker.until(lambda: taker.handoffs.count() == 0)
    assert taker.ask("t3").answer == "".join(PIECES)
    assert [one.event for one in taker.history()] == ["handoff", "", "", "handback", ""]


def test_what_runs_while_the_session_comes_back_is_answered(
    pods: tuple[DeskPod, DeskPod, Stall],
) -> None:
    owner, taker, stall = pods
    stall.go.set()
    held = taken_with_a_person(owner)

    taker.hand_back()
    held.go.set()

    turn = taker.engine.wait(key("t1"), ANYBODY, timeout_s=WAIT_S)
    assert turn is not None
    assert (turn.answer, turn.event, turn.handoff) == ("".join(PIECES), "handback", False)
    assert taker.with_person() is None
