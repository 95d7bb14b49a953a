"""The turn engine on a real Redis: several pods in one process, each with threads for tasks."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from kotaemon_node.adapters.redis import (
    RedisFrameLog,
    RedisPresence,
    RedisSessionStore,
    RedisStreamsBus,
    connect,
)
from kotaemon_node.adapters.redis.keys import SessionKeys
from kotaemon_node.adapters.system import RandomIds, ThreadTasks
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import Draining, Gone, LanguageModelError, TurnConflict
from kotaemon_node.domain.frames import Frame
from kotaemon_node.domain.session import Principal, SessionKey, TurnKey, TurnRequest
from kotaemon_node.domain.turn import State
from kotaemon_node.engine.answering import Draft
from kotaemon_node.engine.owners import Owners
from kotaemon_node.engine.recovery import Recovery
from kotaemon_node.engine.turns import TurnEngine
from kotaemon_node.engine.writing import FrameWriter
from kotaemon_node.ports.knowledge import PodReport
from kotaemon_node.ports.peers import PeerSilent
from kotaemon_node.ports.sessions import ClaimOutcome, Work
from kotaemon_node.telemetry.metrics import Metrics
from tests.redis_server import RedisServer, ServerClock

ANYBODY = Principal("default", "anonymous", "open")
PIECES = ("Parcels ", "leave ", "within ", "two ", "days.")


class ScriptedAnswerer:
    """Writes ``PIECES``; ``gate`` is asked before each piece, and may block or raise."""

    def __init__(self, gate: Callable[[Work, int], None] | None = None) -> None:
        self._gate = gate or (lambda work, place: None)
        self.runs: list[str] = []

    def answer(self, work: Work, out: FrameWriter, *, started_s: float) -> Draft:
        self.runs.append(work.lease.key.turn_id)
        for place, piece in enumerate(PIECES):
            self._gate(work, place)
            out.text(piece)
        out.finish()
        return Draft(generations={"default": 7})


class AnyKnowledge:
    """Has every knowledge base; nothing is searched."""

    @contextmanager
    def pinned(self, kb: str, *, min_generation: int = 0) -> Iterator[None]:
        yield


def trusts_the_store(owners: Owners) -> None:
    """Let it judge at once; the guard itself has its own test."""
    owners.store_answered()
    owners._answering_since_s = -2 * limits.POD_TTL_S


class SilentPeers:
    """Pods that can be judged by their heartbeats alone."""

    def incarnation_at(self, address: str) -> str:
        raise PeerSilent(address)


class TestPod:
    """One pod of the cluster under test."""

    __test__ = False

    def __init__(
        self, name: str, server: RedisServer, gate: Callable[[Work, int], None] | None = None
    ):
        self.name = name
        self.leaving = False
        store = connect(server.url)
        clock, tasks = ServerClock(server), ThreadTasks()
        self.sessions = RedisSessionStore(store, ttl_s=3600, idle_s=1800)
        self.presence = RedisPresence(store, clock=clock)
        self.answerer = ScriptedAnswerer(gate)
        self.metrics = Metrics()
        self.owners = Owners(mine=name, presence=self.presence, peers=SilentPeers(), clock=clock)
        self.engine = TurnEngine(
            owner=name,
            sessions=self.sessions,
            frames=RedisFrameLog(store, clock=clock, tasks=tasks),
            bus=RedisStreamsBus(store, clock=clock),
            knowledge=AnyKnowledge(),
            answerer=self.answerer,  # type: ignore[arg-type]
            clock=clock,
            ids=RandomIds(),
            tasks=tasks,
            metrics=self.metrics,
            owners=self.owners,
            draining=lambda: self.leaving,
        )
        self.recovery = Recovery(
            owner=name,
            sessions=self.sessions,
            owners=self.owners,
            engine=self.engine,
            draining=lambda: self.leaving,
        )
        self.engine.listen()

    def judges(self) -> None:
        """Be alive to the others, and let it judge at once."""
        self.presence.beat(PodReport(name=self.name, incarnation=self.name), ttl_s=600)
        trusts_the_store(self.owners)

    def submit(self, turn_id: str, *, message: str = "when?", on_busy: str = "enqueue"):
        return self.engine.submit(
            TurnRequest(
                key=key(turn_id),
                principal=ANYBODY,
                message=message,
                options={},
                on_busy=on_busy,  # type: ignore[arg-type]
                trace_id=f"trace-{turn_id}",
                create_session=True,
            )
        )

    def until_idle(self) -> None:
        """Wait until nothing of a finished turn is kept in memory any more."""
        pause = threading.Event()
        for _ in range(6_000):
            if self.engine.running == 0:
                return
            pause.wait(0.01)
        raise AssertionError("a turn still runs")

    def until_shown(self, turn_id: str, text: str) -> None:
        """Wait until the text of the frames that are stored is this."""
        shown: list[Frame] = []
        for frame in self.engine.follow(key(turn_id), ANYBODY, after=0):
            if frame is not None:
                shown.append(frame)
            if text_of(shown) == text:
                return

    def frames(self, turn_id: str, *, after: int = 0) -> list[Frame]:
        followed = self.engine.follow(key(turn_id), ANYBODY, after=after)
        return [frame for frame in followed if frame is not None]


def key(turn_id: str) -> TurnKey:
    return TurnKey(SessionKey("default", "s1"), turn_id)


def text_of(frames: list[Frame]) -> str:
    pieces: list[str] = []
    for frame in frames:
        if frame.type == "restart":
            pieces.clear()
        if frame.type == "text":
            assert frame.fields["offset"] == len("".join(pieces))
            pieces.append(frame.fields["content"])
    return "".join(pieces)


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    server = RedisServer()
    server.start()
    yield server
    server.remove()


@pytest.fixture
def server(redis_server: RedisServer) -> RedisServer:
    redis_server.wipe()
    return redis_server


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


class Stall:
    """Holds a turn before a piece until released, as a dead or silent pod would."""

    def __init__(self, place: int) -> None:
        self._place = place
        self.reached = threading.Event()
        self.go = threading.Event()

    def __call__(self, work: Work, place: int) -> None:
        if place == self._place:
            self.reached.set()
            assert self.go.wait(120)


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
