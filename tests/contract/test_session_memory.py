"""Summaries on real stores: what leaves the history with a turn is told from that turn on."""

import pytest

from kotaemon_node.adapters.redis import RedisStore
from kotaemon_node.domain.acting_limits import HISTORY_READ_TURNS
from kotaemon_node.domain.frames import FrameBody
from kotaemon_node.domain.limits import MAX_HISTORY_TURNS
from kotaemon_node.domain.session import SessionView, Turn, TurnKey
from kotaemon_node.domain.summary import Summary
from kotaemon_node.domain.turn import State
from kotaemon_node.engine.memory import MemoryRule, summary_by_rules
from kotaemon_node.ports.sessions import Ending, Work
from tests.contract.test_session_cache import ANYBODY, NAMES, SESSION, Pod, pause

RULE = MemoryRule()


@pytest.fixture
def a(redis_store: RedisStore) -> Pod:
    return Pod(redis_store, "pod-a")


@pytest.fixture
def b(redis_store: RedisStore) -> Pod:
    return Pod(redis_store, "pod-b")


def commit(pod: Pod, work: Work, summary: Summary | None, *, seq: int = 1) -> None:
    turn = Turn(work.lease.key.turn_id, work.message, State.DONE, answer="Yes.")
    ending = Ending(turn, FrameBody("done", {"state": "done"}), seq, summary=summary)
    pod.sessions.commit(work.lease, ending, take_next=True)


def said(pod: Pod, turn_id: str) -> SessionView:
    """Run a turn as the engine does; returns the session as its executor was given it."""
    session = (work := pod.owned(turn_id)).session
    leaving = RULE.leaving(session, version=session.version + 1)
    commit(pod, work, summary_by_rules(session, leaving))
    return session


def loaded(pod: Pod) -> SessionView:
    return pod.sessions.load(SESSION, ANYBODY, after_version=0, limit=0)


def test_whichever_pod_answers_no_turn_falls_between_window_and_summary(a: Pod, b: Pod) -> None:
    for number in range(1, 40):
        session = said((a, b)[number % 3 == 0], f"t{number}")
        whole = [turn.version for turn in RULE.whole(session)]
        assert whole == list(range(session.summary_to + 1, number))
        assert min(MAX_HISTORY_TURNS, number - 1) <= len(whole) <= HISTORY_READ_TURNS
    view = loaded(b)
    assert (view.version, view.summary_to) == (39, 24)
    assert view.summary.splitlines()[0].endswith(", t23, t24")
    assert "- Asked: question t1 | Told: Yes.\n" in view.summary
    assert "- Asked: question t24 | Told: Yes." in view.summary
    assert "t25" not in view.summary  # it is whole


def test_a_summary_that_tells_of_less_replaces_none(a: Pod, b: Pod) -> None:
    # Given two turns whose executors saw the same session: one waits, and is cancelled first.
    first = a.owned("t1")
    b.claim("t2")
    waiting = b.sessions.seize(TurnKey(SESSION, "t2"), "pod-b", from_owner=None, ending="cancel")
    assert waiting is not None
    commit(b, waiting, Summary("six turns", 6), seq=2)  # its first frame says that it waits
    # When the other is committed with an older summary, then that is not kept.
    commit(a, first, Summary("five turns", 5))
    assert (loaded(a).summary, loaded(a).summary_to) == ("six turns", 6)
    commit(a, a.owned("t3"), Summary("seven turns", 7))
    assert (loaded(b).summary, loaded(b).summary_to) == ("seven turns", 7)


def test_a_summary_that_an_older_pod_left_behind_a_new_context_is_not_read(
    a: Pod, redis_store: RedisStore
) -> None:
    for number in range(1, 18):
        said(a, f"t{number}")
    redis_store.client.hset(NAMES.meta, "context_from", 17)
    session = said(a, "later")
    assert (session.summary, session.summary_to, session.turns) == ("", 0, ())


def test_a_new_context_begins_without_the_summary_of_the_old_one(
    a: Pod, redis_store: RedisStore
) -> None:
    for number in range(1, 18):
        said(a, f"t{number}")
    assert loaded(a).summary
    pause(redis_store)
    session = said(a, "later")
    assert (session.summary, session.summary_to, session.turns) == ("", 0, ())
    # And the history behind the pause is summed up by itself, in its turn.
    for number in range(18, 33):
        session = said(a, f"t{number}")
        assert "question t1 " not in session.summary
    assert RULE.whole(session)[0].turn_id == "later"
    assert loaded(a).summary_to == 18 + 5
