"""One call however it goes: breaker, old results, repeats, and what is asked afterwards."""

import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson
import pytest

from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import Fenced, Sealed, Unavailable
from kotaemon_node.engine.breaking import MemoryBreaker
from kotaemon_node.engine.call_texts import stale_note
from kotaemon_node.engine.calling import Call, Calling
from kotaemon_node.engine.ledger import Outcome
from kotaemon_node.engine.stopping import Stop
from kotaemon_node.ports.last_good import LastGood
from kotaemon_node.ports.tools import (
    Caller,
    Effects,
    Found,
    ToolFailed,
    ToolOutcomeUnknown,
    ToolSpec,
)
from tests.fakes.services import FakeClock

ANN = Caller("default", "s1", user_id="ann")
BOB = Caller("default", "s2", user_id="bob")
AWAY = ToolFailed("it cannot be reached", reached=False)
LOST = ToolOutcomeUnknown("the answer was lost")


class Box:
    """A tool whose calls and lookups do what a test says, in turn; the last goes on for ever."""

    def __init__(self, *acts: Any, found: Any = LOST) -> None:
        self.acts, self.found = list(acts), found
        self.keys: list[str] = []
        self.looks = 0

    def specs(self, caller: Caller) -> tuple[ToolSpec, ...]:
        return ()

    def call(self, name: str, arguments: Mapping[str, Any], *, key: str, **_: Any) -> Any:
        self.keys.append(key)
        act = self.acts.pop(0) if len(self.acts) > 1 else self.acts[0]
        if isinstance(act, Exception):
            raise act
        return act() if callable(act) else act

    def lookup(self, *_: Any, **__: Any) -> Found:
        self.looks += 1
        if isinstance(self.found, Exception):
            raise self.found
        return Found(**self.found)


class QuickClock(FakeClock):
    """Time goes by while somebody waits, and at no other time."""

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        self.sleep(timeout_s)
        return event.is_set()


class OneBreaker:
    """The breaker of every plugin."""

    def __init__(self, clock: FakeClock) -> None:
        self.breaker = MemoryBreaker(clock=clock)

    def of(self, tenant: str, name: str) -> MemoryBreaker:
        return self.breaker


class Kept:
    """Last good results in memory."""

    def __init__(self) -> None:
        self.kept: dict[tuple[Any, ...], str] = {}

    def keep(self, caller: Caller, name: str, asked: str, told: str) -> None:
        self.kept[caller.user_id, name, asked] = told

    def find(self, caller: Caller, name: str, asked: str) -> LastGood | None:
        told = self.kept.get((caller.user_id, name, asked))
        return LastGood(told, 42.0) if told else None


class World:
    """A tool, its breaker and what is kept of it."""

    def __init__(self, box: Box) -> None:
        self.clock, self.box, self.kept = QuickClock(), box, Kept()
        self.skipped: list[tuple[str, str]] = []
        self.calling = Calling(
            box,
            clock=self.clock,
            breakers=OneBreaker(self.clock),
            last_good=self.kept,
            skipped=lambda plugin, told: self.skipped.append((plugin, told)),
        )
        self.calls = 0

    def call(
        self, effects: Effects = "read", *, again: bool = False, by: Caller = ANN, **options: Any
    ) -> Outcome:
        self.calls += 1
        spec = ToolSpec("orders", "", {}, effects, **options)
        by_s = self.clock.monotonic_s() + 20
        call = Call(spec, {"order": "1"}, by, f"key{self.calls}", by_s=by_s)
        return self.calling.made(call, again=again, stop=Stop())


def test_three_failures_in_a_row_skip_the_tool_until_a_probe_succeeds() -> None:
    world = World(Box(AWAY, AWAY, AWAY, {"ok": True}))
    for _ in range(limits.BREAKER_FAILURES):
        assert world.call().state == "failed"
    # Now it is not asked, and whoever wants it hears so at once
    skipped = world.call()
    assert (skipped.state, len(world.box.keys)) == ("failed", 3)
    assert "is not asked for a while; nothing was done" in skipped.told
    assert world.skipped == [("orders", "failed")]
    # Later one call tries it, and it is back
    world.clock.sleep(limits.BREAKER_OPEN_S + 1)
    assert world.call().value == {"ok": True}
    assert world.call().state == "done"


def test_a_refusal_is_no_failure_and_failures_have_to_be_in_a_row() -> None:
    refusal = ToolFailed("orders answered 404: no such order", reached=True)
    world = World(Box(AWAY, AWAY, refusal, AWAY, AWAY, {"ok": True}))
    for _ in range(5):
        assert world.call().state == "failed"
    assert world.call().state == "done"


def test_while_it_is_not_asked_the_last_good_result_of_the_same_user_is_told_as_old() -> None:
    world = World(Box({"result": "packed"}, AWAY))
    assert world.call().value == {"result": "packed"}
    for _ in range(3):
        assert world.call().state == "failed"
    old = world.call()
    assert (old.state, old.value["result"]) == ("done", "packed")
    assert (old.value["stale"], old.value["age_s"]) == (True, 42)
    assert stale_note(old.value, "en").endswith("this is what it said about 1 minute ago.)")
    assert not stale_note({"result": "packed"}, "en")
    assert world.call(by=BOB).state == "failed"
    assert world.skipped == [("orders", "stale"), ("orders", "failed")]


@pytest.mark.parametrize(
    "error", [Sealed("its key was destroyed"), Unavailable("the copies do not answer")]
)
def test_what_is_kept_and_cannot_be_had_breaks_no_call(error: Exception) -> None:
    world = World(Box({"result": "packed"}, AWAY, AWAY, AWAY, {"result": "sent"}))

    def fails(*_: Any) -> Any:
        raise error

    world.kept.find = fails  # type: ignore[method-assign]
    world.kept.keep = fails  # type: ignore[method-assign]
    assert world.call().value == {"result": "packed"}
    for _ in range(4):
        assert world.call().state == "failed"
    assert world.skipped == [("orders", "failed")]


@pytest.mark.parametrize("told", ["slots", "context"])
def test_an_old_result_is_of_the_order_that_is_spoken_of(told: str) -> None:
    def of(order: str) -> Caller:
        return replace(ANN, **{told: {"order_id": order}})

    world = World(Box({"result": "1001 is packed"}, AWAY))
    assert world.call(by=of("1001")).state == "done"
    for _ in range(3):
        world.call(by=of("1003"))
    assert world.call(by=of("1003")).state == "failed"
    assert world.call(by=of("1001")).value["result"] == "1001 is packed"


@pytest.mark.parametrize(
    "answer",
    [
        {"propose": {"arguments": {"order_id": "1001"}, "summary": "Cancel order 1001"}},
        {"ask": {"slot": "order_id", "choices": ["1001", "1003"]}},
    ],
)
def test_an_old_proposal_or_question_is_never_put_to_the_user(answer: Any) -> None:
    world = World(Box(answer, AWAY))
    assert world.call().value == answer
    assert not world.kept.kept
    for _ in range(3):
        world.call()
    # Nor one that an older program kept
    world.kept.keep(ANN, "orders", "", orjson.dumps(answer).decode())
    (kept,) = world.kept.kept.values()
    world.kept.find = lambda *_: LastGood(kept, 42.0)  # type: ignore[method-assign]
    assert world.call().state == "failed"


@pytest.mark.parametrize("effects", ["idempotent", "once"])
def test_what_changes_something_is_never_told_from_what_was_kept(effects: Effects) -> None:
    world = World(Box({"result": "cancelled"}, AWAY))
    assert world.call(effects).state == "done"
    assert not world.kept.kept
    for _ in range(3):
        world.call(effects)
    assert world.call(effects).state == "failed"


def test_a_call_in_doubt_that_is_not_made_again_stays_unknown() -> None:
    world = World(Box(AWAY))
    for _ in range(3):
        world.call("idempotent")
    assert world.call("idempotent", again=True).state == "unknown"


@pytest.mark.parametrize(
    ("effects", "calls", "state"),
    [("read", 3, "done"), ("idempotent", 3, "done"), ("once", 1, "unknown")],
)
def test_what_may_be_repeated_is_repeated_under_the_same_key(
    effects: Effects, calls: int, state: str
) -> None:
    world = World(Box(LOST, AWAY, {"ok": True}))
    assert world.call(effects, retries=2).state == state
    assert world.box.keys == ["key1"] * calls


def test_repeats_end_with_the_time_of_the_call_and_count_once_for_the_breaker() -> None:
    world = World(Box(AWAY))
    assert world.call(retries=100).state == "failed"
    assert 5 < len(world.box.keys) < 9  # they wait twice as long each time, for 20 s in all
    assert not OneBreaker.of(world.calling._breakers, "", "").open_now()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "state"),
    [
        ({"took_effect": True, "result": 7}, "done"),
        ({"took_effect": False}, "unknown"),
        (LOST, "unknown"),
    ],
)
@pytest.mark.parametrize("again", [False, True])
def test_a_lost_answer_is_looked_up_and_a_no_proves_nothing(
    found: Any, state: str, again: bool
) -> None:
    world = World(Box(LOST, found=found))
    outcome = world.call("once", again=again, looks_up=True)
    assert outcome.state == state
    assert world.box.looks == 1
    assert len(world.box.keys) == (0 if again else 1)


def test_nothing_is_sent_when_the_time_to_send_is_over() -> None:
    world = World(Box({"ok": True}))
    call = Call(ToolSpec("orders", "", {}, "once"), {}, ANN, "k", by_s=world.clock.monotonic_s())
    world.clock.sleep(0.1)  # it was frozen between its claim and this
    assert world.calling.made(call, again=False, stop=Stop()).state == "failed"
    assert not world.box.keys


def test_a_stop_is_neither_good_nor_bad_for_the_breaker() -> None:
    def stopped() -> Any:
        raise Fenced("another pod owns the turn")

    world = World(Box(AWAY, AWAY, stopped, AWAY, {"ok": True}))
    for _ in range(2):
        world.call()
    with pytest.raises(Fenced):
        world.call()
    world.call()
    assert "not asked" in world.call().told
