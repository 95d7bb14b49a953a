"""Turns on several pods of the turn engine, on a real Redis."""

import threading

import pytest

from kotaemon_node.adapters.redis import (
    connect,
)
from kotaemon_node.adapters.redis.keys import SessionKeys
from kotaemon_node.domain.errors import Draining, Gone, LanguageModelError, TurnConflict
from kotaemon_node.domain.turn import State
from kotaemon_node.ports.sessions import ClaimOutcome, Work
from tests.engine_pods import ANYBODY, PIECES, TestPod, key, text_of
from tests.redis_server import RedisServer


def test_frames_are_numbered_and_assemble_to_the_committed_answer_on_every_pod(
    server: RedisServer,
) -> None:
    here, there = TestPod("a", server), TestPod("b", server)
    assert here.submit("t1") is ClaimOutcome.OWNED

    for pod in (here, there):
        frames = pod.frames("t1")
        assert [frame.seq for frame in frames] == list(range(1, len(frames) + 1))
        assert frames[-1].type == "done"
        assert text_of(frames) == frames[-1].fields["answer"] == "".join(PIECES)
        assert frames[-1].fields["version"] == 1
        assert frames[-1].fields["generation"] == {"default": 7}
        assert {frame.trace_id for frame in frames} == {"trace-t1"}
        assert [f.as_dict() for f in pod.frames("t1", after=3)] == [f.as_dict() for f in frames[3:]]
    turn = there.engine.wait(key("t1"), ANYBODY, timeout_s=60)
    assert turn is not None
    assert (turn.answer, turn.state, turn.version) == ("".join(PIECES), State.DONE, 1)


def test_twenty_turns_at_once_on_three_pods_none_lost_and_order_kept(server: RedisServer) -> None:
    pods = [TestPod(name, server) for name in "abc"]
    start = threading.Barrier(20)

    def ask(number: int) -> None:
        start.wait()
        pods[number % 3].submit(f"t{number}", message=f"question {number}")
        turn = pods[(number + 1) % 3].engine.wait(key(f"t{number}"), ANYBODY, timeout_s=120)
        assert turn is not None
        assert turn.state is State.DONE

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(180)

    view = pods[0].sessions.load(key("t").session, ANYBODY, after_version=0, limit=100)
    assert [turn.version for turn in view.turns] == list(range(1, 21))
    assert {turn.turn_id for turn in view.turns} == {f"t{number}" for number in range(20)}
    runs = [run for pod in pods for run in pod.answerer.runs]
    assert sorted(runs) == sorted({f"t{number}" for number in range(20)})


def test_one_turn_id_sent_many_times_runs_once(server: RedisServer) -> None:
    pods = [TestPod(name, server) for name in "abc"]
    answers = []

    def ask(number: int) -> None:
        pods[number % 3].submit("t1")
        turn = pods[number % 3].engine.wait(key("t1"), ANYBODY, timeout_s=120)
        assert turn is not None
        answers.append(turn.answer)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(180)
    assert answers == ["".join(PIECES)] * 20
    assert sum(len(pod.answerer.runs) for pod in pods) == 1
    with pytest.raises(TurnConflict):
        pods[0].submit("t1", message="something else")


def test_a_reader_that_has_seen_all_of_a_kept_turn_is_told_so_at_once(server: RedisServer) -> None:
    pod, other = TestPod("a", server), TestPod("b", server)
    pod.submit("t1")
    whole = pod.frames("t1")
    for reader in (pod, other):
        assert list(reader.engine.follow(key("t1"), ANYBODY, after=len(whole))) == []


def test_turns_are_committed_in_the_order_in_which_they_were_accepted(server: RedisServer) -> None:
    gates = {"first": threading.Event(), "go": threading.Event()}

    def gate(work: Work, place: int) -> None:
        if work.lease.key.turn_id == "t0" and place == 0:
            gates["first"].set()
            assert gates["go"].wait(120)

    pods = [TestPod(name, server, gate) for name in "abc"]
    pods[0].submit("t0")
    assert gates["first"].wait(60)
    for number in range(1, 9):
        assert pods[number % 3].submit(f"t{number}") is ClaimOutcome.QUEUED
    gates["go"].set()
    assert pods[1].engine.wait(key("t8"), ANYBODY, timeout_s=60) is not None
    view = pods[2].sessions.load(key("t0").session, ANYBODY, after_version=0, limit=20)
    assert [turn.turn_id for turn in view.turns] == [f"t{number}" for number in range(9)]


def test_an_error_while_answering_ends_the_turn_as_failed_for_good(server: RedisServer) -> None:
    def fail(work: Work, place: int) -> None:
        if place == 2:
            raise LanguageModelError("the model is gone")

    pod = TestPod("a", server, fail)
    pod.submit("t1")
    frames = pod.frames("t1")
    assert frames[-1].type == "error"
    assert frames[-1].fields["code"] == "language_model_failed"
    assert pod.submit("t1") is ClaimOutcome.FINISHED
    assert pod.frames("t1")[-1].as_dict() == frames[-1].as_dict()
    turn = pod.sessions.turn(key("t1"), ANYBODY)
    assert turn.answer == "".join(PIECES[:2])


def test_a_bug_is_shown_as_internal_and_the_next_turn_runs(server: RedisServer) -> None:
    def bug(work: Work, place: int) -> None:
        if work.lease.key.turn_id == "t1":
            raise ZeroDivisionError("secret detail")

    pod = TestPod("a", server, bug)
    pod.submit("t1")
    pod.submit("t2")
    frames = pod.frames("t1")
    assert frames[-1].fields["code"] == "internal"
    assert "secret" not in str(frames[-1].fields)
    assert pod.frames("t2")[-1].type == "done"


def test_frames_that_are_no_longer_kept_become_a_snapshot(server: RedisServer) -> None:
    pod = TestPod("a", server)
    pod.submit("t1")
    whole = pod.frames("t1")
    pod.until_idle()
    connect(server.url).client.delete(SessionKeys.of(key("t1").session).frames("t1"))

    snapshot, done = pod.frames("t1", after=1)
    assert snapshot.type == "snapshot"
    assert snapshot.seq is None
    assert snapshot.fields == {"content": "".join(PIECES), "last": len(whole) - 1}
    assert done.as_dict() == whole[-1].as_dict()
    assert pod.frames("t1", after=len(whole)) == []
    with pytest.raises(Gone):
        pod.frames("t1", after=len(whole) + 1)


def test_a_number_beyond_the_last_frame_is_gone(server: RedisServer) -> None:
    pod = TestPod("a", server)
    pod.submit("t1")
    whole = pod.frames("t1")
    with pytest.raises(Gone):
        pod.frames("t1", after=len(whole) + 1)


def test_a_leaving_pod_takes_no_turn(server: RedisServer) -> None:
    pod = TestPod("a", server)
    pod.leaving = True
    with pytest.raises(Draining):
        pod.submit("t1")
