"""Whenever a coordinator dies while it publishes, the old generation is there or all of the new."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from kotaemon_node.domain import limits
from kotaemon_node.ports.encoder import SpaceVectors
from tests.fakes.coordination import TENANT, SteppedCoordinator, World
from tests.fakes.encoder import HashingEncoder

STEPS_MAX = 60


class Killed(BaseException):
    """The process is gone; nothing catches this."""


class Deadly:
    """Lets so many writes through, and ends the process before (or after) the next one."""

    def __init__(self, part: Any, *, deadline: "Deadline") -> None:
        self._part = part
        self._deadline = deadline

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._part, name)
        if not name.startswith(("put", "publish", "delete")):
            return method

        def call(*arguments: Any) -> Any:
            self._deadline.step()
            result = method(*arguments)
            self._deadline.step()
            return result

        return call


class Deadline:
    """Counts the moments at which a process may die."""

    def __init__(self) -> None:
        self.left = STEPS_MAX * 100

    def step(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Killed


@pytest.fixture
def deadline() -> Deadline:
    return Deadline()


@pytest.fixture
def world(tmp_path: Path, deadline: Deadline) -> World:
    world = World(tmp_path)
    for name in ("store", "pointer", "bus"):
        setattr(world, name, Deadly(getattr(world, name), deadline=deadline))
    return world


def deaths(world: World, deadline: Deadline) -> Iterator[int]:
    """Change a file and kill the coordinator at its 1st, 2nd, 3rd… moment, until it lives."""
    for moment in range(STEPS_MAX):
        world.write({"a.md": f"Version {moment}."})
        coordinator = SteppedCoordinator(world, name=f"victim-{moment}")
        deadline.left = moment
        try:
            coordinator.settle(steps=4)
        except Killed:
            deadline.left = STEPS_MAX * 100
            world.clock.sleep(10)  # its lead runs out
            yield moment
        else:
            return
    raise AssertionError("publishing takes more steps than this test tries")


def test_whoever_follows_a_dead_coordinator_finds_old_or_new_and_goes_on(
    world: World, deadline: Deadline
) -> None:
    world.write({"a.md": "Version 0.", "b.md": "Beside it."})
    SteppedCoordinator(world).settle(steps=4)
    world.clock.sleep(10)
    served = "Version 0."
    died = 0
    for moment in deaths(world, deadline):
        died += 1
        # What the pointer names is whole, and says what was there before or what is there now.
        ref = world.pointer.current(TENANT)["default"]
        assert world.store.get(ref.manifest) is not None
        assert world.texts() in ([served, "Beside it."], [f"Version {moment}.", "Beside it."])

        SteppedCoordinator(world, name=f"heir-{moment}").settle(steps=4)
        world.clock.sleep(10)
        served = f"Version {moment}."
        assert world.texts() == [served, "Beside it."]
        ref = world.pointer.current(TENANT)["default"]
        assert ref.digest == world.manifest().digest
    assert died > 20


class CountingEncoder(HashingEncoder):
    """Tells how many passages it was given, and ends the process at its ``dies_at``-th batch."""

    def __init__(self, *, dies_at: int = 0) -> None:
        super().__init__()
        self.encoded: list[str] = []
        self._batches_left = dies_at

    def encode_passages(self, texts: Sequence[str]) -> Mapping[str, SpaceVectors]:
        self._batches_left -= 1
        if self._batches_left == 0:
            raise Killed
        self.encoded += texts
        return super().encode_passages(texts)


def test_whoever_follows_goes_on_with_a_long_build_where_it_was_published_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a build in parts, whose leader dies in the third
    monkeypatch.setattr(limits, "GENERATION_PASSAGES_MAX", 4)
    world = World(tmp_path)
    facts = {f"{at:02}.md": f"Fact {at}." for at in range(20)}
    world.write(facts)
    victim = SteppedCoordinator(world, encoder=CountingEncoder(dies_at=3))
    with pytest.raises(Killed):
        victim.settle(steps=9)
    assert len(world.texts()) == 8
    # Then the next one encodes what was not published, and nothing else
    world.clock.sleep(10)
    encoder = CountingEncoder()
    SteppedCoordinator(world, name="heir", encoder=encoder).settle(steps=9)
    assert sorted(world.texts()) == sorted(facts.values())
    assert len(encoder.encoded) == 12
