"""A pod's plugins come to what is wanted of them, and turns keep what they were offered."""

import gc
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from kotaemon_node.adapters.system import ThreadTasks
from kotaemon_node.domain import acting_limits as bounds
from kotaemon_node.domain.errors import StoreUnavailable
from kotaemon_node.domain.plugin_releases import (
    PluginRow,
    row_from_json,
    row_to_json,
    with_release,
    with_rollout,
)
from kotaemon_node.engine.plugin_fleet import PluginFleet
from kotaemon_node.ports.plugins import PluginCall
from kotaemon_node.ports.tools import Caller
from tests.fakes.plugin_rollout import MemoryLoader, MemoryRegistry, release
from tests.fakes.services import FakeClock

ROW = PluginRow("orders", release("a"))
ANYBODY = Caller("default", "s1")


class NeverStops:
    """A stop signal of a turn that nobody stops."""

    @contextmanager
    def breaking_off(self, break_off: Callable[[], None]) -> Iterator[None]:
        yield


class Here:
    """Tasks that run at once, so that a look returns when everything is settled."""

    def spawn(self, name: str, work: Callable[[], None]) -> None:
        work()

    def compute(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return work(*arguments)


class Pod:
    """A fleet over fakes."""

    def __init__(self, registry: MemoryRegistry | None = None, tasks: Any = None) -> None:
        self.registry = registry or MemoryRegistry()
        self.loader = MemoryLoader()
        self.clock = FakeClock()
        self.counted: list[str] = []
        self.unloaded = -1
        self.fleet = PluginFleet(
            self.registry,
            self.loader,
            tenant="default",
            tasks=tasks or Here(),
            clock=self.clock,
            count=self.counted.append,
            show=self._show,
        )

    def wants(self, row: PluginRow) -> None:
        self.registry.set(row)
        self.fleet.look()

    def answers(self, session: str = "s1", *, tenant: str = "default") -> list[str]:
        call = PluginCall("run", ANYBODY, "k")
        offered = self.fleet.offered(tenant, session)
        return [it.call(call, stop=NeverStops())["result"] for it in offered]

    def later(self, duration_s: float) -> None:
        self.clock.at_s += duration_s
        self.fleet.look()

    def _show(self, unloaded: int) -> None:
        self.unloaded = unloaded


@pytest.fixture
def pod() -> Pod:
    return Pod()


def test_a_plugin_comes_changes_and_goes(pod: Pod) -> None:
    assert pod.answers() == []

    pod.wants(ROW)
    assert pod.answers() == ["a"]
    assert pod.answers(tenant="other") == []

    before = pod.fleet.revision
    pod.wants(replace(ROW, stable=release("b")))
    assert pod.answers() == ["b"]
    assert pod.fleet.revision > before

    pod.registry.remove("orders")
    pod.fleet.look()
    pod.fleet.look()
    assert pod.answers() == []
    assert pod.loader.alive() == []
    assert pod.fleet.report() == {}


def test_plugins_are_offered_by_name(pod: Pod) -> None:
    pod.wants(replace(ROW, name="b"))
    pod.wants(PluginRow("a", release("c")))

    assert pod.answers() == ["c", "a"]


def test_a_session_gets_one_version_as_long_as_the_share_stands(pod: Pod) -> None:
    row = with_release(with_rollout(ROW, 30), release("b"))
    pod.wants(row)
    sessions = [f"s{number}" for number in range(200)]

    first = {session: pod.answers(session) for session in sessions}
    assert {*map(tuple, first.values())} == {("a",), ("b",)}
    assert {session: pod.answers(session) for session in sessions} == first

    pod.wants(with_rollout(row, 60))
    for session, version in first.items():
        assert pod.answers(session) == ["b"] or version == ["a"]

    pod.wants(with_rollout(row, 100))
    assert {*map(tuple, map(pod.answers, sessions))} == {("b",)}
    assert [it.wanted.release.bundle[:1] for it in pod.loader.loaded] == ["a", "b"]


def test_a_version_that_does_not_start_keeps_the_one_before_and_says_so(pod: Pod) -> None:
    pod.wants(ROW)
    pod.loader.bad.add("b")

    pod.wants(replace(ROW, stable=release("b")))

    assert pod.answers() == ["a"]
    assert pod.unloaded == 1
    assert pod.counted == ["loaded", "refused"]
    told = pod.fleet.report()["orders"]
    assert told == {"version": ROW.stable.version, "problem": "b does not start"}  # type: ignore[union-attr]

    pod.wants(replace(ROW, stable=release("c")))
    assert pod.answers() == ["c"]
    assert pod.unloaded == 0
    assert "problem" not in pod.fleet.report()["orders"]


def test_it_is_tried_again_ever_more_rarely_until_it_starts(pod: Pod) -> None:
    pod.loader.bad.add("a")
    pod.wants(ROW)
    for _ in range(100):
        pod.later(0.5)
    assert 4 <= pod.loader.refused <= 6  # after 2, 4, 8, 16 seconds

    pod.loader.bad.clear()
    pod.later(bounds.PLUGIN_AGAIN_S_MAX)
    assert pod.answers() == ["a"]


def test_a_pod_that_begins_has_the_version_before_one_that_does_not_start(pod: Pod) -> None:
    pod.loader.bad.add("b")

    pod.wants(replace(ROW, stable=release("b"), previous=release("a")))

    assert pod.answers() == ["a"]
    assert pod.fleet.report()["orders"]["problem"] == "b does not start"


def test_a_bad_next_version_leaves_its_sessions_with_the_stable_one(pod: Pod) -> None:
    pod.loader.bad.add("b")

    pod.wants(with_release(with_rollout(ROW, 50), release("b")))

    assert {*map(tuple, (pod.answers(f"s{it}") for it in range(40)))} == {("a",)}
    assert pod.fleet.report()["orders"]["next"] is None


def test_a_turn_keeps_what_it_was_offered_and_then_it_ends(pod: Pod) -> None:
    pod.wants(ROW)
    held = pod.fleet.offered("default", "s1")

    pod.wants(replace(ROW, stable=release("b")))
    pod.fleet.look()
    assert pod.loader.alive() == ["a", "b"]
    assert held[0].call(PluginCall("run", ANYBODY, "k"), stop=NeverStops()) == {"result": "a"}

    del held
    gc.collect()
    pod.fleet.look()
    assert pod.loader.alive() == ["b"]


def test_of_versions_that_somebody_holds_for_ever_few_stay(pod: Pod) -> None:
    held = []
    for letter in "abcdef":
        pod.wants(replace(ROW, stable=release(letter)))
        held.append(pod.fleet.offered("default", "s1"))
    pod.fleet.look()
    assert len(pod.loader.alive()) == bounds.PLUGINS_RETIRING_MAX + 1

    pod.later(1_000)
    assert pod.loader.alive() == ["f"]


def test_a_disabled_plugin_is_not_offered_and_comes_back(pod: Pod) -> None:
    pod.wants(ROW)
    pod.wants(replace(ROW, enabled=False))
    assert pod.answers() == []
    assert pod.fleet.report()["orders"] == {"version": None, "enabled": False}

    pod.wants(ROW)
    assert pod.answers() == ["a"]


def test_secrets_are_read_again_when_they_change_and_when_asked(pod: Pod) -> None:
    row = PluginRow("orders", release("a", {"secret": True}))
    pod.wants(row)
    pod.fleet.look()
    assert len(pod.loader.loaded) == 1

    pod.loader.secret = "s2"
    pod.fleet.look()
    assert len(pod.loader.loaded) == 2

    pod.wants(replace(row, reloads=1))
    assert len(pod.loader.loaded) == 3
    assert pod.fleet.report()["orders"]["version"] == row.stable.version  # type: ignore[union-attr]


def test_whatever_a_start_raises_is_tried_again_ever_more_rarely(
    pod: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[float] = []

    def breaks(wanted: Any) -> Any:
        tries.append(pod.clock.at_s)
        raise TypeError("the key is SECRET")

    monkeypatch.setattr(pod.loader, "load", breaks)
    pod.wants(ROW)
    for _ in range(20):
        pod.later(bounds.PLUGIN_LOOK_S)

    assert [round(it - tries[0]) for it in tries] == [0, 2, 6, 14]
    assert pod.counted == ["refused"] * 4
    assert pod.fleet.report()["orders"]["problem"] == "it cannot be started: TypeError"


def test_while_the_store_is_away_all_stays_as_it_is(pod: Pod) -> None:
    pod.wants(ROW)
    pod.registry.away = True

    with pytest.raises(StoreUnavailable):
        pod.fleet.look()

    assert pod.answers() == ["a"]


def test_one_that_hangs_holds_up_no_other_and_a_change_meanwhile_is_seen() -> None:
    pod = Pod(tasks=ThreadTasks())
    pod.loader.slow["a"] = threading.Event()
    pod.wants(ROW)
    pod.wants(PluginRow("refunds", release("c")))
    until(lambda: pod.answers() == ["c"])

    assert pod.fleet.starting
    pod.wants(replace(ROW, stable=release("b")))
    pod.loader.slow["a"].set()

    until(lambda: pod.answers() == ["b", "c"])
    assert not pod.fleet.starting


def test_a_pod_waits_for_its_first_plugins_for_a_while_only(pod: Pod) -> None:
    assert pod.fleet.starting
    pod.registry.away = True
    with pytest.raises(StoreUnavailable):
        pod.fleet.look()
    assert pod.fleet.starting

    pod.clock.at_s += bounds.PLUGIN_STARTING_S_MAX + 1
    assert not pod.fleet.starting


def test_the_loop_follows_a_word_and_ends_with_the_pod() -> None:
    pod = Pod(tasks=ThreadTasks())
    loop = threading.Thread(target=pod.fleet.run, daemon=True)
    loop.start()

    pod.registry.set(ROW)
    pod.fleet.wake()
    until(lambda: pod.answers() == ["a"])

    pod.fleet.end()
    loop.join(60)
    assert not loop.is_alive()
    assert pod.loader.alive() == []
    assert pod.answers() == []


def until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("tenants", "offered_to"),
    [
        (("default",), {"default"}),
        (("acme",), {"acme"}),
        (("acme", "default"), {"acme", "default"}),
        (("*",), {"acme", "default", "other"}),
        ((), set()),
    ],
)
def test_sessions_of_other_tenants_are_offered_nothing_that_is_not_theirs(
    tenants: tuple[str, ...], offered_to: set[str]
) -> None:
    pod = Pod()
    pod.wants(replace(ROW, tenants=tenants))
    pod.fleet.look()
    for tenant in ("acme", "default", "other"):
        names = [it.description.name for it in pod.fleet.offered(tenant, "s1")]
        assert names == (["orders"] if tenant in offered_to else [])


def test_a_row_of_a_version_before_tenants_is_for_default_alone() -> None:
    fields = json.loads(row_to_json(replace(ROW, tenants=("acme",))))
    assert row_from_json("orders", json.dumps(fields)).tenants == ("acme",)
    del fields["tenants"]
    assert row_from_json("orders", json.dumps(fields)).tenants == ("default",)
