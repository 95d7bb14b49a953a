"""Turns whose pod is lost, hangs or leaves: another one goes on."""

import threading
from dataclasses import replace
from typing import Any

import pytest

from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import Draining
from kotaemon_node.domain.frames import Frame
from kotaemon_node.domain.turn import State
from kotaemon_node.ports.frame_log import StoredFrames
from kotaemon_node.ports.peers import PeerRefused, PeerSilent
from kotaemon_node.ports.sessions import ClaimRequest
from tests.engine_pods import ANYBODY, PIECES, Stall, TestPod, key, text_of, trusts_the_store
from tests.redis_server import RedisServer


@pytest.mark.parametrize("place", [0, 2, 4])
def test_another_pod_finishes_the_answer_of_a_dead_one_from_the_next_character(
    server: RedisServer, place: int
) -> None:
    stall = Stall(place)
    dead, heir = TestPod("dead", server, stall), TestPod("heir", server)
    dead.submit("t1")
    assert stall.reached.wait(60)
    heir.judges()
    assert heir.recovery.sweep() == 1

    frames = heir.frames("t1")
    assert text_of(frames) == "".join(PIECES)
    assert [frame.seq for frame in frames] == list(range(1, len(frames) + 1))
    assert not [frame for frame in frames if frame.type == "restart"]
    assert "taken_over" in [frame.fields.get("phase") for frame in frames]
    # The dead pod was only slow: whatever it still does changes nothing.
    stall.go.set()
    turn = heir.engine.wait(key("t1"), ANYBODY, timeout_s=60)
    assert turn is not None
    assert turn.attempts == 2
    assert turn.owner == "heir"
    view = heir.sessions.load(key("t1").session, ANYBODY, after_version=0, limit=10)
    assert view.version == 1


def test_followers_on_the_old_pod_see_the_rest_that_the_new_owner_writes(
    server: RedisServer,
) -> None:
    stall = Stall(2)
    old, heir = TestPod("old", server, stall), TestPod("heir", server)
    old.submit("t1")
    assert stall.reached.wait(60)
    seen: list[Frame] = []
    follower = threading.Thread(target=lambda: seen.extend(old.frames("t1")))
    follower.start()
    heir.judges()
    assert heir.recovery.sweep() == 1
    stall.go.set()
    follower.join(120)
    assert text_of(seen) == "".join(PIECES)
    assert seen[-1].type == "done"


def test_a_living_pods_turn_is_left_alone(server: RedisServer) -> None:
    stall = Stall(1)
    busy, other = TestPod("busy", server, stall), TestPod("other", server)
    busy.judges()
    other.judges()
    busy.submit("t1")
    assert stall.reached.wait(60)
    assert other.recovery.sweep() == 0
    assert busy.recovery.sweep() == 0
    stall.go.set()
    assert text_of(other.frames("t1")) == "".join(PIECES)


def test_a_turn_that_kills_every_pod_ends_as_crashed(server: RedisServer) -> None:
    stalls = [Stall(1) for _ in range(limits.TURN_ATTEMPTS_MAX)]
    pods = [TestPod(f"pod-{n}", server, stall) for n, stall in enumerate(stalls)]
    pods[0].submit("t1")
    for place, stall in enumerate(stalls):
        assert stall.reached.wait(60)
        heir = pods[place + 1] if place + 1 < len(pods) else TestPod("last", server)
        trusts_the_store(heir.owners)
        assert heir.recovery.sweep() == 1
    turn = heir.engine.wait(key("t1"), ANYBODY, timeout_s=60)
    assert turn is not None
    assert turn.state is State.FAILED
    assert turn.error is not None
    assert turn.error["code"] == "turn_crashed"
    assert turn.answer == PIECES[0]
    for stall in stalls:
        stall.go.set()


class Peers:
    """Where a pod listens, as the test says."""

    def __init__(self, *, dead: set[str]) -> None:
        self._dead = dead

    def incarnation_at(self, address: str) -> str:
        if address in self._dead:
            raise PeerRefused(address)
        return address

    def store_answers_at(self, address: str) -> bool:
        raise PeerSilent(address)


@pytest.mark.parametrize("followed", [True, False])
def test_a_refused_connection_is_enough_to_take_over_at_once(
    server: RedisServer, followed: bool
) -> None:
    stall = Stall(2)
    dead = TestPod("dead", server, stall, peers=Peers(dead=set()))
    heir = TestPod("heir", server, peers=Peers(dead={"dead"}))
    dead.beats()
    dead.submit("t1")
    assert stall.reached.wait(60)
    # The heir has only just started: it believes nothing that the store lacks.
    assert not heir.owners.may_judge()
    if not followed:
        assert heir.recovery.sweep() == 1
    assert text_of(heir.frames("t1")) == "".join(PIECES)
    stall.go.set()


def test_many_followers_of_a_dead_pods_turn_take_it_over_once(server: RedisServer) -> None:
    stall, gate = Stall(2), Stall(3)
    dead = TestPod("dead", server, stall)
    heir = TestPod("heir", server, gate, peers=Peers(dead={"dead"}))
    dead.beats()
    dead.submit("t1")
    assert stall.reached.wait(60)
    seen: list[str] = []
    followers = [
        threading.Thread(target=lambda: seen.append(text_of(heir.frames("t1")))) for _ in range(20)
    ]
    for follower in followers:
        follower.start()
    assert gate.reached.wait(60)
    gate.go.set()
    for follower in followers:
        follower.join(60)
    assert seen == ["".join(PIECES)] * 20
    assert heir.answerer.runs == ["t1"]
    turn = heir.sessions.turn(key("t1"), ANYBODY)
    assert turn.attempts == 2
    stall.go.set()


def test_a_pod_that_leaves_hands_its_turn_over_and_sends_its_readers_away(
    server: RedisServer,
) -> None:
    stall = Stall(2)
    old, heir = TestPod("old", server, stall), TestPod("heir", server)
    old.submit("t1")
    assert stall.reached.wait(60)
    old.until_shown("t1", "".join(PIECES[:2]))
    old.leaving = True
    seen: list[Frame | None] = []
    sent_away: list[Draining] = []

    def read() -> None:
        try:
            seen.extend(old.engine.follow(key("t1"), ANYBODY, after=0))
        except Draining as error:
            sent_away.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    old.engine.hand_over()
    stall.go.set()  # whatever it waits for ends; it writes no more
    reader.join(60)
    assert len(sent_away) == 1
    old.until_idle()

    # No heartbeat and no guard is needed: nobody owns it.
    frames = heir.frames("t1")
    assert text_of(frames) == "".join(PIECES)
    assert [frame.seq for frame in frames] == list(range(1, len(frames) + 1))
    turn = heir.sessions.turn(key("t1"), ANYBODY)
    assert (turn.attempts, turn.owner, turn.state) == (2, "heir", State.DONE)


def test_handing_over_is_no_loss_however_often_it_happens(server: RedisServer) -> None:
    rounds = limits.TURN_ATTEMPTS_MAX + 2
    stalls = [Stall(1) for _ in range(rounds)]
    pods = [TestPod(f"pod-{n}", server, stall) for n, stall in enumerate(stalls)]
    last = TestPod("last", server)
    pods[0].submit("t1")
    for place, stall in enumerate(stalls):
        assert stall.reached.wait(60)
        pods[place].leaving = True
        pods[place].engine.hand_over()
        stall.go.set()
        pods[place].until_idle()
        heir = pods[place + 1] if place + 1 < rounds else last
        assert heir.recovery.sweep() == 1
    assert text_of(last.frames("t1")) == "".join(PIECES)
    turn = last.sessions.turn(key("t1"), ANYBODY)
    assert (turn.state, turn.attempts) == (State.DONE, rounds + 1)


def test_a_turn_that_hangs_on_a_living_pod_is_taken_from_it(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    stall = Stall(1)
    hanging, heir = TestPod("hanging", server, stall), TestPod("heir", server)
    hanging.judges()
    heir.judges()
    hanging.submit("t1")
    assert stall.reached.wait(60)
    assert heir.recovery.sweep() == 0
    monkeypatch.setattr(limits, "STUCK_TURN_S", 0.0)
    assert heir.recovery.sweep() == 1
    assert text_of(heir.frames("t1")) == "".join(PIECES)
    # What hung learns that it is too late, at its next word at the latest.
    stall.go.set()
    hanging.until_idle()
    assert heir.sessions.turn(key("t1"), ANYBODY).owner == "heir"


def test_an_event_whose_sender_died_is_sent_with_what_it_should_have_said(
    server: RedisServer,
) -> None:
    dead, heir = TestPod("dead", server), TestPod("heir", server)
    dead.engine._announcer._publish = lambda *_, **__: False  # type: ignore[method-assign]
    dead.submit("t1")
    turn = dead.engine.wait(key("t1"), ANYBODY, timeout_s=60)
    assert turn is not None
    heir.engine.resend(heir.sessions.orphans(limit=10))
    heir.until(lambda: bool(heir.events()) and not heir.sessions.orphans(limit=10))
    (event,) = heir.events()
    view = heir.sessions.load(key("t1").session, ANYBODY, after_version=0, limit=1)
    assert (event["turn_id"], event["version"]) == ("t1", 1)
    assert (event["epoch"], event["hash"]) == (view.epoch, view.hash)
    assert heir.sessions.orphans(limit=10) == []


def test_a_follower_in_doubt_takes_nothing_from_its_own_pod(server: RedisServer) -> None:
    """What is stored and not shown yet looks as if another pod had written it."""
    stall = Stall(2)
    pod, other = TestPod("pod", server, stall), TestPod("other", server)
    pod.submit("t1")
    assert stall.reached.wait(60)
    pod.until_shown("t1", "".join(PIECES[:2]))
    log, looked = pod.engine._frames, threading.Event()
    read = log.read

    def read_ahead(*where: Any, **how: Any) -> StoredFrames:
        looked.set()
        return replace(read(*where, **how), last=99)

    log.read = read_ahead  # type: ignore[method-assign]
    follower = threading.Thread(target=lambda: pod.frames("t1"))
    follower.start()
    assert looked.wait(60)
    log.read = read  # type: ignore[method-assign]
    # The turn has long been in the index, and this pod's own sweep looks at it.
    pod.judges()
    pod.sessions.orphans = lambda *, limit, shards: [  # type: ignore[method-assign]
        replace(orphan, age_s=2 * limits.RUNNING_ENTRY_YOUNG_S)
        for orphan in other.sessions.orphans(limit=limit)
    ]
    assert pod.recovery.sweep() == 0
    assert pod.engine.executes(key("t1"))
    stall.go.set()
    follower.join(60)
    assert text_of(pod.frames("t1")) == "".join(PIECES)
    assert pod.answerer.runs == ["t1"]


def test_a_turn_that_its_own_pod_loses_again_and_again_is_ended(server: RedisServer) -> None:
    pod = TestPod("pod", server)
    claim = ClaimRequest(
        key=key("t1"),
        principal=ANYBODY,
        digest="digest",
        message="when?",
        options={},
        on_busy="enqueue",
        owner="pod",
        trace_id="trace",
        create_session=True,
        new_epoch="epoch",
    )
    assert pod.sessions.claim(claim).work is not None
    for losses in range(1, limits.TURN_ATTEMPTS_MAX + 1):
        seized = pod.sessions.seize(key("t1"), "pod", from_owner="pod")
        assert seized is not None
        assert seized.losses == losses
    assert pod.engine.take(key("t1"), from_owner="pod")
    turn = pod.engine.wait(key("t1"), ANYBODY, timeout_s=60)
    assert turn is not None
    assert turn.error is not None
    assert turn.error["code"] == "turn_crashed"


def test_a_turn_that_begins_and_ends_between_two_reads_is_told_frame_by_frame(
    server: RedisServer,
) -> None:
    stall = Stall(0)
    here, there = TestPod("here", server, stall), TestPod("there", server)
    here.submit("t1")
    assert stall.reached.wait(60)
    log = there.engine._frames
    read = log.read

    def read_before_all(*asked: Any, **more: Any) -> StoredFrames:
        log.read = read  # type: ignore[method-assign]
        nothing = read(*asked, **more)
        assert not nothing.kept
        stall.go.set()
        assert here.engine.wait(key("t1"), ANYBODY, timeout_s=60) is not None
        return nothing

    log.read = read_before_all  # type: ignore[method-assign]
    seen = [it for it in there.engine.follow(key("t1"), ANYBODY, after=0) if it is not None]

    assert "snapshot" not in [frame.type for frame in seen]
    assert [frame.seq for frame in seen] == list(range(1, len(seen) + 1))
    assert text_of(seen) == "".join(PIECES)
