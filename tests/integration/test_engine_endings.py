"""Turns that are cancelled, interrupted or lose their session."""

import threading

import pytest

from kotaemon_node.domain.errors import Gone
from kotaemon_node.domain.frames import Frame
from kotaemon_node.domain.turn import State
from kotaemon_node.ports.sessions import ClaimOutcome, Work
from tests.engine_pods import ANYBODY, PIECES, Stall, TestPod, key, trusts_the_store
from tests.redis_server import RedisServer


def test_cancelling_from_another_pod_keeps_the_text_that_was_shown(server: RedisServer) -> None:
    stall = Stall(3)
    here, there = TestPod("here", server, stall), TestPod("there", server)
    here.submit("t1")
    assert stall.reached.wait(60)
    there.until_shown("t1", "".join(PIECES[:3]))
    turn = there.engine.cancel(key("t1"), ANYBODY)
    assert turn.state is State.CANCELLED
    assert turn.answer == "".join(PIECES[:3])
    stall.go.set()
    frames = here.frames("t1")
    assert frames[-1].fields["state"] == "cancelled"
    assert there.engine.cancel(key("t1"), ANYBODY) == turn


def test_a_follower_sees_the_end_that_another_pod_wrote_though_the_model_is_silent(
    server: RedisServer,
) -> None:
    stall = Stall(3)
    here, there = TestPod("here", server, stall), TestPod("there", server)
    here.submit("t1")
    assert stall.reached.wait(60)
    seen: list[Frame] = []
    follower = threading.Thread(target=lambda: seen.extend(here.frames("t1")))
    follower.start()
    there.engine.cancel(key("t1"), ANYBODY)
    follower.join(60)
    assert seen[-1].fields["state"] == "cancelled"
    assert not stall.go.is_set()
    stall.go.set()


def test_many_cancels_at_once_are_one_end(server: RedisServer) -> None:
    stall = Stall(2)
    pods = [TestPod("a", server, stall), TestPod("b", server), TestPod("c", server)]
    pods[0].submit("t1")
    assert stall.reached.wait(60)
    states: list[State] = []
    start = threading.Barrier(12)

    def cancel(number: int) -> None:
        start.wait()
        states.append(pods[number % 3].engine.cancel(key("t1"), ANYBODY).state)

    threads = [threading.Thread(target=cancel, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(states) == 12
    assert State.CANCELLED in states
    assert pods[0].sessions.load(key("t1").session, ANYBODY, after_version=0, limit=9).version == 1
    stall.go.set()


def test_cancelling_a_waiting_turn_lets_the_running_one_finish(server: RedisServer) -> None:
    stall = Stall(1)
    pod = TestPod("a", server, stall)
    pod.submit("t1")
    assert stall.reached.wait(60)
    assert pod.submit("t2") is ClaimOutcome.QUEUED
    assert pod.engine.cancel(key("t2"), ANYBODY).state is State.CANCELLED
    stall.go.set()
    turn = pod.engine.wait(key("t1"), ANYBODY, timeout_s=60)
    assert turn is not None
    assert turn.state is State.DONE


def test_interrupt_ends_the_running_turn_and_runs_the_new_one(server: RedisServer) -> None:
    first = threading.Event()
    go = threading.Event()

    def gate(work: Work, place: int) -> None:
        if work.lease.key.turn_id == "t1" and place == 1:
            first.set()
            assert go.wait(120)

    pod = TestPod("a", server, gate)
    pod.submit("t1")
    assert first.wait(60)
    pod.submit("t2", message="no, this instead", on_busy="interrupt")
    newer = pod.engine.wait(key("t2"), ANYBODY, timeout_s=60)
    assert newer is not None
    assert newer.state is State.DONE
    older = pod.engine.wait(key("t1"), ANYBODY, timeout_s=60)
    assert older is not None
    assert (older.state, older.answer) == (State.INTERRUPTED, PIECES[0])
    go.set()


def test_a_deleted_session_ends_its_turn_and_its_followers(server: RedisServer) -> None:
    stall = Stall(2)
    pod = TestPod("a", server, stall)
    pod.submit("t1")
    assert stall.reached.wait(60)
    followed = pod.engine.follow(key("t1"), ANYBODY, after=0)
    assert next(followed) is not None
    pod.sessions.delete(key("t1").session, ANYBODY)
    stall.go.set()
    with pytest.raises(Gone):
        for _ in followed:
            pass


def test_a_cancel_whose_pod_dies_in_the_middle_stays_a_cancel(server: RedisServer) -> None:
    stall = Stall(2)
    here, heir = TestPod("here", server, stall), TestPod("heir", server)
    here.submit("t1")
    here.submit("t2")
    assert stall.reached.wait(60)
    for turn_id in ("t1", "t2"):
        # Half of what ``cancel`` does: the pod that does it dies before the commit.
        assert here.sessions.seize(key(turn_id), "canceller", from_owner=None, ending="cancel")
    trusts_the_store(heir.owners)
    assert heir.recovery.sweep() == 2
    for turn_id in ("t1", "t2"):
        turn = heir.engine.wait(key(turn_id), ANYBODY, timeout_s=60)
        assert turn is not None
        assert turn.state is State.CANCELLED
    assert heir.answerer.runs == []
    stall.go.set()


def test_a_late_retry_of_a_deleted_sessions_turn_is_not_run_again(server: RedisServer) -> None:
    pod = TestPod("a", server)
    pod.submit("t1")
    assert pod.engine.wait(key("t1"), ANYBODY, timeout_s=60) is not None
    pod.sessions.delete(key("t1").session, ANYBODY)
    with pytest.raises(Gone):
        pod.submit("t1")
    assert pod.submit("t2") is ClaimOutcome.OWNED
    assert pod.answerer.runs.count("t1") == 1
