"""Slow documents leave a child to the others, and no first generation is without documents."""

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

import psutil
import pytest

from coordinator.folder import FileState
from coordinator.metrics import CoordinatorMetrics
from coordinator.reading.bounds import Bounds
from coordinator.reading.pool import ChildReader
from coordinator.reading.reader import Begun
from kotaemon_node.adapters.system import SystemClock
from tests.fakes.coordination import SteppedCoordinator, World
from tests.fakes.reading import ReaderHere
from tests.own_children import begin_with_none, own_children
from tests.unit.test_reading_children import PATIENCE_S, TEST_PROGRAM, Files, read, until

HOURS = Bounds(wall_s=3_600, quick_s=0.5)

Make = Callable[..., ChildReader]


@pytest.fixture
def files() -> Files:
    return Files()


@pytest.fixture
def make(files: Files) -> Iterator[Make]:
    begin_with_none()
    made: list[ChildReader] = []

    def reader(*, bounds: Bounds = HOURS, count: int = 2) -> ChildReader:
        clock, metrics = SystemClock(), CoordinatorMetrics()
        made.append(
            ChildReader(
                files,
                metrics=metrics,
                clock=clock,
                bounds=bounds,
                program=TEST_PROGRAM,
                children=count,
            )
        )
        return made[-1]

    yield reader
    for one in made:
        one.close()


def test_documents_that_hang_leave_a_child_to_the_others(files: Files, make: Make) -> None:
    reader = make()
    hanging = [reader.begin("default", files.state(f"sleeps.{n}.md")) for n in range(3)]
    for number in range(5):
        assert read(reader, files.state(f"good-{number}.md")).reason is None
    assert not any(begun.done() for begun in hanging)
    assert reader.room > 4 + 1, "what hangs takes the room of others"
    for begun in hanging:
        reader.drop(begun)
    until(lambda: all(begun.done() for begun in hanging))
    until(lambda: reader.room == 4)


@pytest.mark.long
def test_what_was_put_off_is_read_when_nobody_waits(files: Files, make: Make) -> None:
    reader = make(bounds=Bounds(wall_s=2, quick_s=0.2))
    begun = [reader.begin("default", files.state(f"sleeps.{n}.md")) for n in range(3)]
    begun += [reader.begin("default", files.state(f"good-{n}.md")) for n in range(3)]
    found = [it.result(timeout=PATIENCE_S) for it in begun]
    reasons = [it.reason for it in found if it is not None]
    assert reasons == ["reading it took longer than 2 s"] * 3 + [None] * 3
    assert reader.room == 4


@pytest.mark.long
def test_closing_ends_what_was_put_off(files: Files, make: Make) -> None:
    reader = make()
    hanging = [reader.begin("default", files.state(f"sleeps.{n}.md")) for n in range(3)]
    assert read(reader, files.state("good.md")).reason is None
    reader.close()
    assert all(it.cancelled() or it.result(timeout=PATIENCE_S) is None for it in hanging)
    until(lambda: not own_children())


def test_a_child_that_somebody_stopped_is_no_fault_of_its_document(
    files: Files, make: Make
) -> None:
    reader = make(bounds=Bounds(wall_s=3), count=1)
    read(reader, files.state("good.md"))
    (child,) = own_children()
    os.kill(child.pid, signal.SIGSTOP)
    assert read(reader, files.state("second.md")).reason is None
    assert not psutil.pid_exists(child.pid)


class Hanging(ReaderHere):
    """Reads nothing of what is named so; a look at whether it starts takes five seconds."""

    def __init__(self, world: World) -> None:
        super().__init__(lambda state: (world.knowledge / state.document).read_bytes())
        self._world = world
        self.left: dict[str, Begun] = {}
        self.renew: Callable[[], object] = lambda: None

    room = 10

    @property
    def starting(self) -> bool:  # type: ignore[override]
        self._world.clock.sleep(3.0)
        self.renew()
        return False

    def begin(self, kb: str, state: FileState) -> Begun:
        if not state.document.startswith("hangs"):
            return super().begin(kb, state)
        return self.left.setdefault(state.document, Future())


def hanging_coordinator(world: World) -> SteppedCoordinator:
    reader = Hanging(world)
    coordinator = SteppedCoordinator(world, reader=reader)
    reader.renew = coordinator.lease.renew
    return coordinator


def test_a_first_generation_waits_for_a_document(tmp_path: Path) -> None:
    world = World(tmp_path)
    coordinator = hanging_coordinator(world)
    world.write({"hangs.md": "Three days."})
    coordinator.settle(steps=4)
    assert coordinator.catalog.newest("default").manifest is None
    assert not coordinator.board.current.up_to_date
    # Pods of a cluster where all documents hang are to answer at last.
    coordinator.settle(steps=20)
    (entry,) = world.manifest().documents
    assert (entry.document, entry.status) == ("hangs.md", "queued")


def test_a_first_generation_has_what_could_be_read(tmp_path: Path) -> None:
    world = World(tmp_path)
    coordinator = hanging_coordinator(world)
    world.write({"a.md": "Good.", "hangs.md": "Three days."})
    coordinator.settle(steps=4)
    found = {it.document: it.status for it in world.manifest().documents}
    assert found == {"a.md": "indexed", "hangs.md": "queued"}
