"""Following a session on a real Redis: what a second device sees of turns on other pods."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from kotaemon_node.adapters.redis import connect
from kotaemon_node.adapters.redis.keys import SessionKeys
from kotaemon_node.domain.errors import Draining, Gone, SessionNotFound
from kotaemon_node.domain.frames import Frame
from kotaemon_node.domain.session import SessionKey, SessionPlace
from kotaemon_node.domain.turn import State
from kotaemon_node.ports.sessions import Work
from tests.engine_pods import ANYBODY, PIECES, Stall, TestPod, key, text_of
from tests.redis_server import RedisServer

SESSION = SessionKey("default", "s1")
WAIT_S = 60.0


class Device:
    """A client that follows the session beside the test, as the HTTP stream would show it."""

    def __init__(self, pod: TestPod, place: SessionPlace | None = None) -> None:
        self.frames: list[Frame] = []
        self.beats = 0
        self.failure: Exception | None = None
        self._left = False
        self._changed = threading.Condition()
        self._stream = pod.engine.follow_session(SESSION, ANYBODY, place=place or SessionPlace())
        assert next(self._stream) is None  # the place is found
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            for frame in self._stream:
                with self._changed:
                    if self._left:
                        return
                    if frame is None:
                        self.beats += 1
                    else:
                        self.frames.append(frame)
                    self._changed.notify_all()
        except Exception as error:  # noqa: BLE001 - whatever it is, the test looks at it
            with self._changed:
                self.failure = error
                self._changed.notify_all()

    def until(self, holds: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(holds, WAIT_S), (self.frames, self.failure)

    def until_ended(self, *turn_ids: str) -> None:
        """Wait until each of these turns has told its end."""
        wanted = set(turn_ids)
        self.until(lambda: wanted <= {one.turn_id for one in self.frames if one.terminal})

    def leave(self) -> SessionPlace:
        """Stop reading; returns the place behind the last numbered frame."""
        with self._changed:
            self._left = True
            last = [frame for frame in self.frames if frame.seq is not None][-1]
        return SessionPlace(turn_id=last.turn_id, seq=last.seq or 0)

    def of(self, turn_id: str) -> list[Frame]:
        """Return the numbered frames of a turn."""
        return [one for one in self.frames if one.turn_id == turn_id and one.seq is not None]

    def announced(self) -> list[str]:
        return [frame.turn_id for frame in self.frames if frame.type == "turn"]

    def order(self) -> list[str]:
        """Return the turns in the order of their numbered frames, each once per visit."""
        ids = [frame.turn_id for frame in self.frames if frame.seq is not None]
        return [one for place, one in enumerate(ids) if place == 0 or ids[place - 1] != one]


def assert_same(seen: list[Frame], whole: list[Frame]) -> None:
    assert [frame.as_dict() for frame in seen] == [frame.as_dict() for frame in whole]


def begun(pod: TestPod) -> None:
    """Make the session by a first turn that is over."""
    pod.submit("t0")
    assert pod.engine.wait(key("t0"), ANYBODY, timeout_s=WAIT_S) is not None


def at(turn_id: str, place: int) -> Stall:
    """Hold only this turn, before that piece."""
    stall = Stall(place)
    plain = stall.__call__

    class One(Stall):
        def __call__(self, work: Work, where: int) -> None:
            if work.lease.key.turn_id == turn_id:
                plain(work, where)

    one = One(place)
    one.reached, one.go = stall.reached, stall.go
    return one


@contextmanager
def deaf(pod: TestPod) -> Iterator[None]:
    """Lose every signal to this pod."""
    log = pod.engine._frames

    def never(*_: Any) -> Callable[[], None]:
        return lambda: None

    log.watch = never  # type: ignore[method-assign]
    yield


@pytest.mark.parametrize("reader", ["here", "there"])
def test_a_second_device_sees_a_turn_live_frame_by_frame(server: RedisServer, reader: str) -> None:
    stall = at("t1", 3)
    here, there = TestPod("here", server, stall), TestPod("there", server)
    begun(here)
    device = Device(here if reader == "here" else there)

    here.submit("t1", message="and then?")

    # it is live: what was written is seen before the turn goes on
    assert stall.reached.wait(WAIT_S)
    device.until(lambda: text_of(device.of("t1")) == "".join(PIECES[:3]))
    stall.go.set()
    device.until_ended("t1")
    assert_same(device.of("t1"), there.frames("t1"))
    assert device.of("t0") == []
    first = device.frames[0]
    assert (first.type, first.seq, first.turn_id) == ("turn", None, "t1")
    assert first.fields == {"message": "and then?", "state": "running"}
    assert first.as_dict()["trace_id"] == "trace-t1"
    assert device.announced() == ["t1"]


def test_from_now_on_leaves_out_what_an_open_turn_has_told(server: RedisServer) -> None:
    stall = at("t1", 2)
    here, there = TestPod("here", server, stall), TestPod("there", server)
    here.submit("t1")
    assert stall.reached.wait(WAIT_S)
    here.until_shown("t1", "".join(PIECES[:2]))
    told = here.engine._live.get(key("t1")).last  # type: ignore[union-attr]

    device = Device(there)
    stall.go.set()
    device.until_ended("t1")

    assert_same(device.of("t1"), there.frames("t1")[told:])
    assert device.announced() == ["t1"]


def test_turns_behind_each_other_come_in_their_order_and_a_waiting_one_is_announced(
    server: RedisServer,
) -> None:
    stall = at("t1", 2)
    here, there = TestPod("here", server, stall), TestPod("there", server)
    begun(here)
    device = Device(there)
    here.submit("t1", message="first")
    device.until(lambda: text_of(device.of("t1")) == "".join(PIECES[:2]))
    there.submit("t2", message="second")

    device.until(lambda: device.announced() == ["t1", "t2"])
    assert device.frames[-1].fields == {"message": "second", "state": "queued"}
    assert device.order() == ["t1"]
    stall.go.set()
    device.until_ended("t1", "t2")

    assert device.order() == ["t1", "t2"]
    assert_same(device.of("t1"), there.frames("t1"))
    assert_same(device.of("t2"), there.frames("t2"))
    assert device.announced() == ["t1", "t2"]


@pytest.mark.parametrize("seen", [2, 4, 99])
def test_who_was_cut_gets_the_rest_and_what_began_and_ended_meanwhile(
    server: RedisServer, seen: int
) -> None:
    here, there = TestPod("here", server), TestPod("there", server)
    begun(here)
    for turn_id in ("t1", "t2", "t3"):
        here.submit(turn_id)
        assert here.engine.wait(key(turn_id), ANYBODY, timeout_s=WAIT_S) is not None
    whole = there.frames("t1")
    seen = min(seen, len(whole))

    device = Device(there, SessionPlace(turn_id="t1", seq=seen))
    device.until_ended("t2", "t3")
    here.submit("t4")
    device.until_ended("t4")

    assert_same(device.of("t1"), whole[seen:])
    for turn_id in ("t2", "t3", "t4"):
        assert_same(device.of(turn_id), there.frames(turn_id))
    assert device.order() == [*(["t1"] if seen < len(whole) else []), "t2", "t3", "t4"]


def test_who_comes_back_in_the_middle_of_a_turn_goes_on_there(server: RedisServer) -> None:
    stall = at("t1", 3)
    here, there = TestPod("here", server, stall), TestPod("there", server)
    begun(here)
    before = Device(there)
    here.submit("t1")
    assert stall.reached.wait(WAIT_S)
    before.until(lambda: text_of(before.of("t1")) == "".join(PIECES[:3]))

    after = Device(here, before.leave())
    stall.go.set()
    after.until_ended("t1")

    assert_same([*before.of("t1"), *after.of("t1")], here.frames("t1"))


def test_a_version_is_a_place_too(server: RedisServer) -> None:
    stall = at("t2", 2)
    here, there = TestPod("here", server, stall), TestPod("there", server)
    begun(here)
    here.submit("t1")
    here.submit("t2")
    assert stall.reached.wait(WAIT_S)

    device = Device(there, SessionPlace(version=1))
    device.until_ended("t1")
    stall.go.set()
    device.until_ended("t2")

    assert device.order() == ["t1", "t2"]
    assert_same(device.of("t1"), here.frames("t1"))
    assert_same(device.of("t2"), here.frames("t2"))
    with pytest.raises(Gone):
        Device(there, SessionPlace(version=9))


def test_a_turn_cancelled_while_it_waited_comes_behind_the_one_before_it_once(
    server: RedisServer,
) -> None:
    stall = at("t1", 2)
    here, there = TestPod("here", server, stall), TestPod("there", server)
    begun(here)
    device = Device(there)
    here.submit("t1")
    assert stall.reached.wait(WAIT_S)
    for turn_id in ("t2", "t3", "t4"):
        here.submit(turn_id)
        threading.Event().wait(0.002)  # the moment of acceptance is told in milliseconds
    for turn_id in ("t3", "t2"):  # into the history before t1, in the wrong order
        assert there.engine.cancel(key(turn_id), ANYBODY).state is State.CANCELLED
    stall.go.set()
    device.until_ended("t4")

    assert device.order() == ["t1", "t2", "t3", "t4"]
    for turn_id in ("t1", "t2", "t3", "t4"):
        assert_same(device.of(turn_id), there.frames(turn_id))
        # and whoever comes back behind the end of one gets those behind it, each once
        again = Device(here, SessionPlace(turn_id=turn_id, seq=device.of(turn_id)[-1].seq or 0))
        here.submit(f"after-{turn_id}")
        again.until_ended(f"after-{turn_id}")
        rest = [f"t{number}" for number in range(int(turn_id[1:]) + 1, 5)]
        earlier = [f"after-t{number}" for number in range(1, int(turn_id[1:]))]
        assert again.order() == [*rest, *earlier, f"after-{turn_id}"]


def test_a_waiting_turn_that_is_being_cancelled_is_met_in_its_place(server: RedisServer) -> None:
    stall = at("t1", 2)
    here, there = TestPod("here", server, stall), TestPod("there", server)
    begun(here)
    here.submit("t1")
    assert stall.reached.wait(WAIT_S)
    for turn_id in ("t2", "t3", "t4"):
        here.submit(turn_id)
        threading.Event().wait(0.002)  # the moment of acceptance is told in milliseconds
    # Given pods that are about to cancel two of them: out of the queue, not yet in the history
    for turn_id in ("t2", "t3"):
        assert there.sessions.seize(key(turn_id), "there", from_owner=None, ending="cancel")

    # When somebody looks now
    device = Device(there, SessionPlace(version=1))
    device.until(lambda: len(device.announced()) == 4)
    for turn_id in ("t3", "t2"):
        assert there.engine.cancel(key(turn_id), ANYBODY).state is State.CANCELLED
        assert (
            turn_id not in there.sessions.activity(SESSION, ANYBODY, after_version=0, limit=0).open
        )
    stall.go.set()
    device.until_ended("t4")

    # Then each has its place, and nothing of it is left in the session
    assert device.announced() == device.order() == ["t1", "t2", "t3", "t4"]
    assert there.sessions.activity(SESSION, ANYBODY, after_version=0, limit=0).open == ()


def test_turns_accepted_in_the_same_millisecond_are_all_told(server: RedisServer) -> None:
    stall = at("t1", 2)
    here, there = TestPod("here", server, stall), TestPod("there", server)
    begun(here)
    for turn_id in ("t1", "t2", "t3"):
        here.submit(turn_id)
    assert stall.reached.wait(WAIT_S)
    names, client = SessionKeys.of(SESSION), connect(server.url).client
    for turn_id in ("t2", "t3"):
        client.hset(names.turn(turn_id), "created_ms", client.hget(names.turn("t1"), "created_ms"))

    device = Device(there, SessionPlace("t1", 1))
    stall.go.set()
    device.until_ended("t1", "t2", "t3")

    assert device.order() == ["t1", "t2", "t3"]
    again = Device(there, SessionPlace("t2", device.of("t2")[-1].seq or 0))
    again.until_ended("t3")
    assert again.order() == ["t3"]


def test_lost_signals_cost_time_only(server: RedisServer) -> None:
    here, there = TestPod("here", server), TestPod("there", server)
    begun(here)
    with deaf(there):
        device = Device(there)
        for turn_id in ("t1", "t2"):
            here.submit(turn_id)
        device.until_ended("t1", "t2")
    assert device.order() == ["t1", "t2"]
    assert_same(device.of("t1"), here.frames("t1"))
    assert_same(device.of("t2"), here.frames("t2"))


@pytest.mark.parametrize("reader", ["heir", "third"])
def test_a_takeover_is_seen_without_gap(server: RedisServer, reader: str) -> None:
    stall = at("t1", 2)
    dead, heir = TestPod("dead", server, stall), TestPod("heir", server)
    pods = {"heir": heir, "third": TestPod("third", server)}
    begun(dead)
    device = Device(pods[reader])
    dead.submit("t1")
    assert stall.reached.wait(WAIT_S)
    device.until(lambda: text_of(device.of("t1")) == "".join(PIECES[:2]))

    heir.judges()
    assert heir.recovery.sweep() == 1

    device.until_ended("t1")
    stall.go.set()
    frames = device.of("t1")
    assert [frame.seq for frame in frames] == list(range(1, len(frames) + 1))
    assert text_of(frames) == "".join(PIECES)
    assert "taken_over" in [frame.fields.get("phase") for frame in frames]


@pytest.mark.parametrize("running", [True, False])
def test_deleting_the_session_ends_it(server: RedisServer, *, running: bool) -> None:
    stall = at("t1", 2)
    here, there = TestPod("here", server, stall), TestPod("there", server)
    begun(here)
    device = Device(there)
    if running:
        here.submit("t1")
        assert stall.reached.wait(WAIT_S)
        device.until(lambda: len(text_of(device.of("t1"))) > 0)

    here.sessions.delete(SESSION, ANYBODY)

    device.until(lambda: device.failure is not None)
    assert isinstance(device.failure, Gone)
    stall.go.set()


def test_another_session_under_the_same_id_is_not_followed(server: RedisServer) -> None:
    here, there = TestPod("here", server), TestPod("there", server)
    begun(here)
    with deaf(there):
        device = Device(there)
        here.sessions.delete(SESSION, ANYBODY)
        here.submit("new")
        device.until(lambda: device.failure is not None)
    assert isinstance(device.failure, Gone)
    assert device.frames == []


def test_a_place_that_the_store_does_not_know_is_gone(server: RedisServer) -> None:
    pod = TestPod("a", server)
    with pytest.raises(SessionNotFound):
        Device(pod)
    begun(pod)
    for place in (SessionPlace("never", 1), SessionPlace("t0", 99)):
        with pytest.raises(Gone):
            Device(pod, place)


def test_frames_that_are_no_longer_kept_become_a_snapshot(server: RedisServer) -> None:
    pod = TestPod("a", server)
    begun(pod)
    pod.submit("t1")
    assert pod.engine.wait(key("t1"), ANYBODY, timeout_s=WAIT_S) is not None
    whole = pod.frames("t1")
    pod.until_idle()
    connect(server.url).client.delete(SessionKeys.of(SESSION).frames("t1"))

    device = Device(pod, SessionPlace("t1", 2))
    device.until_ended("t1")

    assert [frame.type for frame in device.frames] == ["turn", "snapshot", "done"]
    assert device.frames[1].fields == {"content": "".join(PIECES), "last": len(whole) - 1}


def test_a_leaving_pod_sends_its_readers_away_when_the_turn_here_is_over(
    server: RedisServer,
) -> None:
    stall = at("t1", 2)
    here, there = TestPod("here", server, stall), TestPod("there", server)
    begun(here)
    quiet = Device(there)
    there.leaving = True
    quiet.until(lambda: quiet.failure is not None)
    assert isinstance(quiet.failure, Draining)

    device = Device(here)
    here.submit("t1")
    assert stall.reached.wait(WAIT_S)
    here.leaving = True
    stall.go.set()
    device.until(lambda: device.failure is not None)
    assert isinstance(device.failure, Draining)
    assert_same(device.of("t1"), here.frames("t1"))


def test_a_silent_session_beats(server: RedisServer) -> None:
    pod = TestPod("a", server)
    begun(pod)
    pod.engine._session_following = _quick(pod)
    device = Device(pod)
    device.until(lambda: device.beats >= 2)
    assert device.frames == []


def _quick(pod: TestPod) -> Any:
    return replace(pod.engine._session_following, quiet_s=0.1)
