"""Wherever a leader dies while it carries an order out, the next one ends it, and ends it once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kotaemon_node.domain.errors import Withdrawn
from kotaemon_node.domain.lineage import job_of
from kotaemon_node.ports.jobs import Order
from kotaemon_node.retrieval.sources import SourceReader
from tests.fakes.coordination import TENANT, SteppedCoordinator, World
from tests.fakes.signing import VERIFIER

MARK = "Xylophone77"
ENOUGH = 10_000


class Killed(BaseException):
    """The process is gone; nothing catches this."""


class Deadline:
    """Counts the moments at which a process may die: before and after each write."""

    def __init__(self) -> None:
        self.left = ENOUGH

    def step(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Killed


class Deadly:
    """Passes calls on, and ends the process at its deadline."""

    def __init__(self, part: Any, deadline: Deadline) -> None:
        self._part = part
        self._deadline = deadline

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._part, name)
        if not name.startswith(("put", "publish", "delete", "begin", "finish", "fail")):
            return method

        def call(*arguments: Any, **named: Any) -> Any:
            self._deadline.step()
            result = method(*arguments, **named)
            self._deadline.step()
            return result

        return call


class Scene:
    """A world in which leaders die; jobs are numbered by the moment of death."""

    def __init__(self, root: Path) -> None:
        self.world = World(root)
        self.deadline = Deadline()
        self.memory = self.world.jobs
        for name in ("store", "pointer", "bus", "jobs"):
            setattr(self.world, name, Deadly(getattr(self.world, name), self.deadline))

    def lead(self, name: str, *, steps: int = 4) -> None:
        SteppedCoordinator(self.world, name=name).settle(steps=steps)
        self.world.clock.sleep(10)  # its lead runs out

    def die_at_each_moment(
        self,
        kind: str,
        fields: Callable[[], dict[str, Any]],
        prepare: Callable[[int], None],
        check: Callable[[int], None],
        *,
        stride: int,
    ) -> int:
        """Kill a leader at its 1st, 4th, 7th… moment until one lives; return how many died."""
        for died in range(ENOUGH):
            prepare(died)
            self.lead(f"before-{died}")
            job = f"job-{died}"
            self.memory.submit(Order(job, kind, TENANT, "default", fields()))
            self.deadline.left = died * stride
            try:
                self.lead(f"victim-{died}", steps=1)
            except Killed:
                self.deadline.left = ENOUGH
                self.world.clock.sleep(10)
                self.lead(f"heir-{died}", steps=3)
                self.ended_once(job)
                check(died)
            else:
                self.deadline.left = ENOUGH
                return died
        raise AssertionError("it never lives")

    def ended_once(self, job: str) -> None:
        found = self.memory.find(TENANT, job)
        assert found.state == "done", found
        catalog = SteppedCoordinator(self.world, name="reader").catalog
        manifests = [catalog.manifest("default", it) for it in catalog.numbers("default")]
        made = [it.generation for it in manifests if it is not None and job_of(it) == job]
        assert made == [found.result["generation"]]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_a_rollback(scene: Scene) -> None:
    world = scene.world
    good: dict[str, int] = {}

    def prepare(at: int) -> None:
        world.write({"a.md": f"Good {at}."})
        scene.lead(f"good-{at}")
        good["generation"] = world.manifest().generation
        world.write({"a.md": f"Bad {at}."})

    def check(at: int) -> None:
        assert world.texts() == [f"Good {at}."]
        ref = world.pointer.current(TENANT)["default"]
        assert ref.digest == world.manifest().digest

    died = scene.die_at_each_moment("rollback", lambda: dict(good), prepare, check, stride=1)
    assert died >= 8


def test_a_purge(scene: Scene) -> None:
    world = scene.world
    cited: dict[str, Any] = {}

    def prepare(at: int) -> None:
        world.write({"a.md": f"Beside it {at}.", "secret.md": f"The secret {at} is {MARK}."})
        scene.lead(f"first-{at}")
        found = next(it for it in world.passages() if it.document == "secret.md")
        cited.update(id=found.id, generation=world.manifest().generation)
        world.write({"a.md": f"Beside it {at}, changed."})

    def check(at: int) -> None:
        root = world.knowledge.parent / "artifacts"
        left = [p for p in root.rglob("*") if p.is_file() and MARK.encode() in p.read_bytes()]
        assert left == []
        assert world.texts() == [f"Beside it {at}, changed."]
        reader = SourceReader(world.store, VERIFIER, tenant=TENANT)
        with pytest.raises(Withdrawn):
            reader.source("default", cited["generation"], cited["id"])

    died = scene.die_at_each_moment(
        "purge", lambda: {"document": "secret.md"}, prepare, check, stride=5
    )
    assert died >= 8
