"""Turns under way while the store loses something: by a restored copy, a wipe, a late replica.

What was shown is stored again where its owner still has its lease; else whoever saw it is told.
"""

import threading
from collections.abc import Callable, Iterator

import pytest
import redis

from kotaemon_node.adapters.redis.keys import SessionKeys
from kotaemon_node.domain.errors import Gone, NodeError, TurnNotFound
from kotaemon_node.domain.frames import Frame
from kotaemon_node.domain.turn import State
from kotaemon_node.engine.answer_draft import Draft
from kotaemon_node.engine.writing import FrameWriter
from kotaemon_node.ports.sessions import Work
from tests.engine_pods import ANYBODY, PIECES, TestPod, key, text_of
from tests.redis_server import RedisServer
from tests.relay import Relay

ANSWER = "".join(PIECES)
SESSION = key("any").session


class Copy:
    """All that a Redis holds at one moment, put back later in one step."""

    def __init__(self, server: RedisServer) -> None:
        self._client = redis.Redis(port=server.port)
        self._saved = {name: self._client.dump(name) for name in self._client.keys("*")}

    def put_back(self) -> None:
        pipe = self._client.pipeline(transaction=True)
        pipe.flushall()
        for name, value in self._saved.items():
            pipe.restore(name, 0, value)
        pipe.execute()


class Gates:
    """Holds a turn before some of its pieces, one after the other."""

    def __init__(self, *places: int, turn_id: str = "t1") -> None:
        self._turn_id = turn_id
        self.reached = {place: threading.Event() for place in places}
        self.go = {place: threading.Event() for place in places}

    def __call__(self, work: Work, place: int) -> None:
        if work.lease.key.turn_id == self._turn_id and place in self.go:
            self.reached[place].set()
            assert self.go[place].wait(60)

    def until(self, place: int) -> None:
        assert self.reached[place].wait(60)

    def open(self) -> None:
        for go in self.go.values():
            go.set()


class Reader(threading.Thread):
    """Follows a turn to its end, or until it is told that there is none."""

    def __init__(self, pod: TestPod, turn_id: str, *, after: int = 0) -> None:
        super().__init__(daemon=True)
        self.frames: list[Frame] = []
        self.error: NodeError | None = None
        self._changed = threading.Condition()
        self._following = pod.engine.follow(key(turn_id), ANYBODY, after=after)
        self.start()

    def run(self) -> None:
        try:
            for frame in self._following:
                if frame is not None:
                    with self._changed:
                        self.frames.append(frame)
                        self._changed.notify_all()
        except NodeError as error:
            self.error = error

    def until_text(self, text: str) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: text_of(self.frames) == text, 60)

    def until_over(self) -> None:
        self.join(60)
        assert not self.is_alive()

    def shown(self) -> list[tuple[int | None, str]]:
        return [(frame.seq, frame.type) for frame in self.frames]


@pytest.fixture
def gates() -> Iterator[Gates]:
    gates = Gates(1, 3)
    yield gates
    gates.open()


@pytest.fixture
def a(server: RedisServer, gates: Gates) -> TestPod:
    pod = TestPod("pod-a", server, gates)
    pod.beats()
    return pod


@pytest.fixture
def b(server: RedisServer) -> TestPod:
    pod = TestPod("pod-b", server)
    pod.judges()
    return pod


def done(pod: TestPod, turn_id: str) -> None:
    """Run a turn to its end, with nothing left to be done for it."""
    pod.submit(turn_id)
    pod.frames(turn_id)
    pod.until_idle()


def history(pod: TestPod) -> list[tuple[str, str]]:
    view = pod.sessions.load(SESSION, ANYBODY, after_version=0, limit=100)
    return [(turn.turn_id, turn.answer) for turn in view.turns]


def epoch(pod: TestPod) -> str:
    return pod.sessions.load(SESSION, ANYBODY, after_version=0, limit=0).epoch


def stored(pod: TestPod, turn_id: str) -> list[tuple[bytes, dict[bytes, bytes]]]:
    entries: list[tuple[bytes, dict[bytes, bytes]]] = pod.store.client.xrange(
        SessionKeys.of(SESSION).frames(turn_id)
    )
    return entries


def gone(pod: TestPod, reason: str) -> float:
    value = pod.metrics.registry.get_sample_value(
        "kotaemon_sessions_gone_total", {"reason": reason}
    )
    assert value is not None
    return value


def test_frames_that_were_lost_are_stored_again_and_readers_see_nothing(
    a: TestPod, b: TestPod, gates: Gates, server: RedisServer
) -> None:
    a.submit("t1")
    gates.until(1)
    here = Reader(a, "t1")
    here.until_text(PIECES[0])
    copy = Copy(server)
    gates.go[1].set()
    gates.until(3)
    elsewhere = Reader(b, "t1")
    for reader in (here, elsewhere):
        reader.until_text("".join(PIECES[:3]))
    before = stored(a, "t1")
    copy.put_back()
    assert len(stored(a, "t1")) < len(before)
    gates.go[3].set()

    for reader in (here, elsewhere):
        reader.until_over()
        assert reader.error is None
        assert text_of(reader.frames) == ANSWER
        assert [seq for seq, _ in reader.shown()] == list(range(1, len(reader.frames) + 1))
    assert stored(a, "t1")[: len(before)] == before
    assert history(a) == [("t1", ANSWER)]
    assert [text_of(a.frames("t1")), text_of(b.frames("t1"))] == [ANSWER, ANSWER]


def test_a_commit_finds_its_frames_lost_and_stores_them_again(
    a: TestPod, server: RedisServer, gates: Gates
) -> None:
    gates.open()
    copies: list[Copy] = []
    scripted = a.answerer.answer

    def answer(work: Work, out: FrameWriter, *, started_s: float) -> Draft:
        out.status("retrieving", latency_s=0.0)
        out.drain()
        copies.append(Copy(server))
        draft = scripted(work, out, started_s=started_s)
        out.drain()
        copies[0].put_back()
        return draft

    a.answerer.answer = answer  # type: ignore[method-assign]
    a.submit("t1")
    frames = a.frames("t1")
    a.until_idle()

    assert text_of(frames) == ANSWER
    assert frames[-1].type == "done"
    assert history(a) == [("t1", ANSWER)]
    assert len(stored(a, "t1")) == len(frames)


def test_a_turn_whose_record_was_lost_ends_with_gone_and_may_be_sent_again(
    a: TestPod, b: TestPod, gates: Gates, server: RedisServer
) -> None:
    done(b, "t0")
    copy = Copy(server)
    a.submit("t1")
    gates.go[1].set()
    gates.until(3)
    readers = [Reader(a, "t1"), Reader(b, "t1")]
    for reader in readers:
        reader.until_text("".join(PIECES[:3]))
    copy.put_back()
    gates.go[3].set()

    for reader in readers:
        reader.until_over()
        assert isinstance(reader.error, Gone)
        assert not any(frame.terminal for frame in reader.frames)
    a.until_idle()
    assert gone(a, "turn") == gone(b, "turn") == 1
    # Nothing that the store had told of the session before is lost with it.
    done(b, "t1")
    assert history(b) == [("t0", ANSWER), ("t1", ANSWER)]


def test_a_wipe_during_a_stream_and_a_waiting_turn_is_told_to_all_who_follow(
    a: TestPod, b: TestPod, gates: Gates, server: RedisServer
) -> None:
    done(b, "t0")
    before = epoch(b)
    a.submit("t1")
    b.submit("t2")
    gates.until(1)
    readers = [Reader(a, "t1"), Reader(b, "t1"), Reader(b, "t2")]
    for reader in readers[:2]:
        reader.until_text(PIECES[0])
    server.wipe()
    gates.open()

    for reader in readers:
        reader.until_over()
        assert isinstance(reader.error, Gone)
    a.until_idle()
    with pytest.raises(Gone, match="lost this session"):
        b.submit("t3")
    done(b, "t3")
    done(a, "t4")
    assert history(a) == [("t3", ANSWER), ("t4", ANSWER)]
    assert epoch(a) != before
    assert gone(a, "wiped") + gone(b, "wiped") == 1


def test_a_wipe_between_two_turns_is_told_once(
    a: TestPod, gates: Gates, server: RedisServer
) -> None:
    gates.open()
    done(a, "t1")
    server.wipe()

    with pytest.raises(Gone):
        a.submit("t2")
    done(a, "t2")
    done(a, "t1")
    assert history(a) == [("t2", ANSWER), ("t1", ANSWER)]
    assert gone(a, "wiped") == 1


def test_a_turn_goes_on_where_its_session_gets_another_epoch(
    a: TestPod, b: TestPod, gates: Gates
) -> None:
    done(b, "t0")
    before = epoch(b)
    a.submit("t1")
    gates.until(1)
    readers = [Reader(a, "t1"), Reader(b, "t1")]
    for reader in readers:
        reader.until_text(PIECES[0])
    b.sessions._cache.mark(SESSION, epoch=before, version=7)

    with pytest.raises(Gone, match="lost the end"):
        b.submit("t2")
    b.submit("t2")
    gates.open()

    for reader in readers:
        reader.until_over()
        assert reader.error is None
        assert text_of(reader.frames) == ANSWER
    b.frames("t2")
    a.until_idle()
    assert history(b) == [("t0", ANSWER), ("t1", ANSWER), ("t2", ANSWER)]
    assert epoch(b) != before
    assert gone(b, "rolled_back") == 1
    assert a.answerer.runs == ["t1", "t1"] or "t2" in a.answerer.runs


def test_a_cancel_under_the_epoch_before_is_carried_out(
    a: TestPod, b: TestPod, gates: Gates, monkeypatch: pytest.MonkeyPatch
) -> None:
    done(b, "t0")
    a.submit("t1")
    gates.until(1)
    before = epoch(b)
    commit = b.sessions.commit

    def after_a_renewal(*arguments: object, **options: object) -> object:
        if epoch(a) == before:
            a.sessions._cache.mark(SESSION, epoch=before, version=7)
            with pytest.raises(Gone):
                epoch(a)
        return commit(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(b.sessions, "commit", after_a_renewal)
    b.engine.cancel(key("t1"), ANYBODY)
    ends = b.frames("t1")[-1]
    assert ends.fields["state"] == "cancelled"
    assert b.sessions.turn(key("t1"), ANYBODY).state is State.CANCELLED


def other_answer(pod: TestPod, pieces: tuple[str, ...]) -> Callable[..., Draft]:
    def answer(work: Work, out: FrameWriter, *, started_s: float) -> Draft:
        for piece in pieces:
            out.text(piece)
            out.drain()
        out.finish()
        return Draft(generations={"default": 7})

    return answer


def test_nobody_sees_two_continuations(
    a: TestPod, b: TestPod, gates: Gates, server: RedisServer
) -> None:
    a.submit("t1")
    gates.until(1)
    copy = Copy(server)
    gates.go[1].set()
    gates.until(3)
    reader = Reader(b, "t1")
    reader.until_text("".join(PIECES[:3]))
    copy.put_back()
    other = TestPod("pod-c", server)
    pieces = (PIECES[0], "never ", "leave ", "at ", "all.")
    other.answerer.answer = other_answer(other, pieces)  # type: ignore[method-assign]
    other.beats()
    assert other.engine.take(key("t1"), from_owner="pod-a")
    anew = Reader(other, "t1")
    anew.until_over()
    assert text_of(anew.frames) == "".join(pieces)

    reader.until_over()

    assert isinstance(reader.error, Gone)
    assert text_of(reader.frames) == "".join(PIECES[:3])
    gates.open()
    a.until_idle()
    assert history(b) == [("t1", "".join(pieces))]


@pytest.mark.parametrize("after", [1, 40])
def test_who_has_seen_frames_of_a_turn_that_is_unknown_is_told_so(b: TestPod, after: int) -> None:
    done(b, "t0")
    with pytest.raises(TurnNotFound):
        b.frames("t9")
    with pytest.raises(Gone):
        b.frames("t9", after=after)
    with pytest.raises(Gone):
        b.frames("t0", after=40)


class FailingOver:
    """A primary, and a replica behind a link of its own; pods reach whichever is primary."""

    def __init__(self) -> None:
        self.removed = False
        self.primary = RedisServer(
            options=("--appendonly", "yes", "--repl-diskless-sync-delay", "0")
        )
        self.primary.start()
        self.link = Relay(self.primary.port)
        self.replica = RedisServer(
            options=("--appendonly", "no", "--replicaof", "127.0.0.1", str(self.link.port))
        )
        self.replica.start()
        self.relay = Relay(self.primary.port)
        self.url = self.relay.url
        self._client = redis.Redis(port=self.primary.port)
        self.until_replicated()

    def until_replicated(self) -> None:
        for _ in range(100):
            self._client.set("replicated", "yes")
            if self._client.wait(1, 200):
                return
        raise AssertionError("the replica does not follow")

    def fail_over(self) -> None:
        self.primary.kill()
        redis.Redis(port=self.replica.port).execute_command("REPLICAOF", "NO", "ONE")
        self.relay.switch(self.replica.port)

    def remove(self) -> None:
        self.removed = True
        for relay in (self.relay, self.link):
            relay.remove()
        for server in (self.primary, self.replica):
            server.remove()


def test_a_replica_that_was_behind_is_promoted() -> None:
    servers = FailingOver()
    try:
        a, b = (TestPod(name, servers) for name in ("pod-a", "pod-b"))  # type: ignore[arg-type]
        done(a, "t0")
        done(b, "t1")
        servers.until_replicated()
        before = epoch(a)
        servers.link.stall()
        done(a, "t2")
        done(b, "t3")
        servers.fail_over()

        with pytest.raises(Gone, match="lost the end"):
            a.submit("t4")

        assert history(b) == [("t0", ANSWER), ("t1", ANSWER)]
        done(b, "t4")
        done(a, "t2")
        assert [turn for turn, _ in history(a)] == ["t0", "t1", "t4", "t2"]
        assert epoch(a) == epoch(b) != before
        assert gone(a, "rolled_back") + gone(b, "rolled_back") == 1
    finally:
        servers.remove()
