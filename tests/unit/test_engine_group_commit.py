"""Group commit: what is put is stored in order, together with what others put, then shown."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from kotaemon_node.adapters.system import SystemClock, ThreadTasks
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import Fenced, NodeError, StoreUnavailable
from kotaemon_node.domain.frames import Frame, FrameBody
from kotaemon_node.domain.session import SessionKey, TurnKey
from kotaemon_node.engine import group_commit
from kotaemon_node.engine.group_commit import GroupCommit, Outbox
from kotaemon_node.ports.frame_log import FrameBatch
from kotaemon_node.ports.sessions import Lease
from kotaemon_node.telemetry.metrics import Metrics

PATIENCE_S = 60


class GatedLog:
    """A frame log whose round trips end when the test lets them."""

    def __init__(self) -> None:
        self.flushes: list[list[FrameBatch]] = []
        self.begun = threading.Semaphore(0)
        self.gate = threading.Semaphore(0)
        self.in_flight = 0
        self.away = 0
        self.errors: dict[str, Exception] = {}

    def append(self, batches: Sequence[FrameBatch]) -> Sequence[Exception | None]:
        self.in_flight += 1
        assert self.in_flight == 1, "two flushes at once"
        self.flushes.append(list(batches))
        self.begun.release()
        assert self.gate.acquire(timeout=PATIENCE_S)
        self.in_flight -= 1
        if self.away > 0:
            self.away -= 1
            raise StoreUnavailable("away")
        return [self.errors.get(b.lease.key.turn_id) for b in batches]

    def names(self) -> list[list[str]]:
        return [sorted(b.lease.key.turn_id for b in flush) for flush in self.flushes]


class Turn:
    """A turn's outbox, and what it let be seen."""

    def __init__(self, commit: GroupCommit, name: str) -> None:
        self.shown: list[Frame] = []
        self.failures: list[NodeError] = []
        self.failed = threading.Event()
        lease = Lease(TurnKey(SessionKey("default", "s"), name), "e", 1, "me", "trace")
        self.outbox: Outbox = commit.open(lease, seq=0, shown=self.shown.extend, failed=self._fail)

    def _fail(self, error: NodeError) -> None:
        self.failures.append(error)
        self.failed.set()

    def text(self, content: str, *, offset: int = 0, within_s: float = 0.0) -> None:
        body = FrameBody("text", {"content": content, "offset": offset})
        self.outbox.put([body], within_s=within_s)

    def contents(self) -> list[Any]:
        return [frame.fields.get("content", frame.type) for frame in self.shown]


def make(
    log: GatedLog, *, clock: SystemClock | None = None, metrics: Metrics | None = None
) -> GroupCommit:
    return GroupCommit(
        log,  # type: ignore[arg-type]
        clock=clock or SystemClock(),
        tasks=ThreadTasks(),
        metrics=metrics or Metrics(),
    )


def in_thread(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_what_comes_during_a_flush_goes_together_with_the_next() -> None:
    log = GatedLog()
    commit = make(log)
    first, *others = (Turn(commit, name) for name in "abcd")

    first.text("a")
    assert log.begun.acquire(timeout=PATIENCE_S)
    for other in others:
        other.text("x")
    first.text("b", offset=1)
    first.text("c", offset=2)
    log.gate.release(2)
    for turn in [first, *others]:
        turn.outbox.drain()

    assert log.names() == [["a"], ["a", "b", "c", "d"]]
    assert first.contents() == ["a", "bc"]
    assert [frame.seq for frame in first.shown] == [1, 2]
    assert first.shown[1].fields["offset"] == 1


def test_nothing_is_shown_before_it_is_stored() -> None:
    log = GatedLog()
    turn = Turn(make(log), "t")
    turn.text("a")
    assert log.begun.acquire(timeout=PATIENCE_S)
    assert turn.shown == []
    drained = in_thread(turn.outbox.drain)
    log.gate.release()
    drained.join(PATIENCE_S)
    assert turn.contents() == ["a"]


def test_texts_within_their_window_share_a_frame_and_what_follows_keeps_its_place() -> None:
    log = GatedLog()
    log.gate.release(10)
    turn = Turn(make(log), "t")
    turn.text("a", within_s=PATIENCE_S)
    turn.text("b", offset=1, within_s=PATIENCE_S)
    assert log.flushes == []
    turn.outbox.put([FrameBody("status", {"phase": "tools"})], within_s=PATIENCE_S)
    turn.text("c", offset=2, within_s=PATIENCE_S)
    turn.outbox.drain()
    assert turn.contents() == ["ab", "status", "c"]
    assert len(log.flushes) == 1


def test_a_window_that_is_over_is_flushed_though_nobody_writes_any_more() -> None:
    log = GatedLog()
    log.gate.release(10)
    turn = Turn(make(log), "t")
    turn.text("a", within_s=0.01)
    assert log.begun.acquire(timeout=PATIENCE_S)


def test_a_journal_entry_is_stored_with_the_frames_behind_it() -> None:
    log = GatedLog()
    log.gate.release(10)
    turn = Turn(make(log), "t")
    body = FrameBody("status", {"phase": "x"})
    turn.outbox.put([body], journal=[("step", {"found": 1})])
    turn.outbox.drain()
    turn.outbox.put([], journal=[("other", 2)])
    turn.outbox.drain()
    assert [flush[0].journal for flush in log.flushes] == [
        (("step", {"found": 1}),),
        (("other", 2),),
    ]


def test_a_batch_whose_fate_is_unknown_is_sent_again_as_it_was() -> None:
    log = GatedLog()
    log.away = 2
    turn = Turn(make(log), "t")
    turn.text("a")
    assert log.begun.acquire(timeout=PATIENCE_S)
    turn.text("b", offset=1)
    log.gate.release(10)
    turn.outbox.drain()
    assert log.flushes[0] == log.flushes[1] == log.flushes[2]
    assert turn.contents() == ["a", "b"]


def test_a_store_that_stays_away_ends_the_turn_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PROGRESS_TIMEOUT_S", 0.3)
    monkeypatch.setattr(group_commit, "_STORE_RETRY_S", 0.01)
    log = GatedLog()
    log.away = 1_000_000
    log.gate.release(1_000_000)
    turn = Turn(make(log), "t")
    turn.text("a")
    assert turn.failed.wait(PATIENCE_S)
    with pytest.raises(StoreUnavailable):
        turn.outbox.drain()


def test_one_that_is_fenced_is_told_at_once_and_its_neighbours_go_on() -> None:
    log = GatedLog()
    log.errors["b"] = Fenced("another owner")
    log.gate.release(10)
    commit = make(log)
    turns = {name: Turn(commit, name) for name in "abc"}
    for turn in turns.values():
        turn.text("x")
    assert turns["b"].failed.wait(PATIENCE_S)
    for name in "ac":
        turns[name].outbox.drain()
        assert turns[name].contents() == ["x"]
    assert turns["b"].shown == []
    for call in (turns["b"].outbox.drain, lambda: turns["b"].text("y")):
        with pytest.raises(Fenced):
            call()


def test_a_probe_writes_nothing_and_learns_of_the_loss() -> None:
    log = GatedLog()
    log.gate.release(10)
    turn = Turn(make(log), "t")
    turn.outbox.probe()
    turn.outbox.drain()
    assert not turn.failures
    log.errors["t"] = Fenced("another owner")
    turn.outbox.probe()
    assert turn.failed.wait(PATIENCE_S)
    assert [flush[0].bodies for flush in log.flushes] == [(), ()]


def test_a_writer_waits_when_the_store_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FRAMES_PENDING_CHARS_MAX", 10)
    log = GatedLog()
    turn = Turn(make(log), "t")
    turn.text("a")
    assert log.begun.acquire(timeout=PATIENCE_S)
    written = threading.Event()

    def write() -> None:
        turn.text("b" * 20, offset=1)
        written.set()

    writer = in_thread(write)
    assert not written.wait(0.2)
    log.gate.release(10)
    writer.join(PATIENCE_S)
    assert written.is_set()


def test_an_unexpected_failure_of_the_log_fails_the_turn_and_not_the_flusher() -> None:
    log = GatedLog()
    log.gate.release(10)
    commit = make(log)
    broken, well = Turn(commit, "broken"), Turn(commit, "well")
    real, log.append = log.append, lambda batches: 1 / 0  # type: ignore[method-assign]
    broken.text("x")
    assert broken.failed.wait(PATIENCE_S)
    log.append = real  # type: ignore[method-assign]
    well.text("x")
    well.outbox.drain()
    assert well.contents() == ["x"]


def test_many_turns_all_get_through() -> None:
    log = GatedLog()
    log.gate.release(10_000)
    commit = make(log)
    turns = [Turn(commit, f"t{number}") for number in range(200)]

    def write(turn: Turn) -> None:
        for place in range(5):
            turn.text(str(place), offset=place)
        turn.outbox.drain()

    threads = [in_thread(lambda turn=turn: write(turn)) for turn in turns]  # type: ignore[misc]
    for thread in threads:
        thread.join(PATIENCE_S)
    for turn in turns:
        assert "".join(turn.contents()) == "01234"
        assert [frame.seq for frame in turn.shown] == list(range(1, len(turn.shown) + 1))
    assert len(log.flushes) < 1000
