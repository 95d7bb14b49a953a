"""How merges beside the publishing end where the machine, the store or the process fails them."""

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path

import pytest

from coordinator.merge_process import MergeSource
from kotaemon_node.adapters.store.file_store import FileArtifactStore
from kotaemon_node.adapters.weaviate import WeaviateStore
from kotaemon_node.domain import limits
from kotaemon_node.domain.artifact_names import knowledge_base_prefix
from kotaemon_node.domain.errors import CorruptArtifact
from kotaemon_node.domain.knowledge import SegmentEntry
from tests.fakes.coordination import TENANT, SteppedCoordinator, World
from tests.fakes.encoder import HashingEncoder
from tests.fakes.weaviate import FakeWeaviate
from tests.unit.test_coordinator_merges import Later, merge_here, segments, set_small, write


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    set_small(monkeypatch)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def fill(world: World, coordinator: SteppedCoordinator, count: int = 4) -> None:
    for at in range(count):
        write(world, coordinator, f"{at}.md", f"Fact {at}.")


@pytest.fixture
def server() -> Iterator[FakeWeaviate]:
    server = FakeWeaviate()
    server.start()
    yield server
    server.remove()


def test_what_a_killed_leader_left_is_removed_and_what_another_writes_is_not(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for name in ("left", "used"):
        (tmp_path / f"kotaemon-merge-{name}").mkdir()
    used = os.open(tmp_path / "kotaemon-merge-used", os.O_RDONLY)
    fcntl.flock(used, fcntl.LOCK_EX)
    later = Later()
    fill(world, SteppedCoordinator(world, merge=merge_here, beside=later))
    later.run()
    os.close(used)
    assert [path.name for path in tmp_path.glob("*kotaemon-merge-*")] == ["kotaemon-merge-used"]


def test_a_merge_is_locked_while_it_writes(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    seen: list[Path] = []

    def watched(
        folder: Path, sources: Sequence[MergeSource], alive: Callable[[], None]
    ) -> SegmentEntry:
        seen.extend(tmp_path.glob("kotaemon-merge-*"))
        descriptor = os.open(seen[0], os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(descriptor)
        return merge_here(folder, sources, alive)

    later = Later()
    coordinator = SteppedCoordinator(world, merge=watched, beside=later)
    fill(world, coordinator)
    later.run()
    coordinator.settle()
    assert len(seen) == 1
    assert segments(world) == 1


def test_a_wrong_copy_of_this_machine_is_fetched_again_and_nothing_is_built_anew(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a store elsewhere, of which the copies here can be dropped
    discarded: list[str] = []

    def discard(store: FileArtifactStore, name: str, *, sha256: str) -> bool:
        discarded.append(name)
        return len(discarded) == 1

    monkeypatch.setattr(FileArtifactStore, "discard_local", discard)
    tries: list[Path] = []

    def merge(
        folder: Path, sources: Sequence[MergeSource], alive: Callable[[], None]
    ) -> SegmentEntry:
        tries.append(folder)
        if len(tries) == 1:
            raise CorruptArtifact("lengths.i32 has sha256 aa, not bb")
        return merge_here(folder, sources, alive)

    later = Later()
    coordinator = SteppedCoordinator(world, merge=merge, beside=later)
    fill(world, coordinator)
    before = world.manifest()
    later.run()
    coordinator.settle()
    after = world.manifest()
    assert len(tries) == 2
    assert after.generation == before.generation + 1
    assert [it.indexed_at for it in after.documents] == [it.indexed_at for it in before.documents]


def test_a_merge_that_could_not_be_begun_is_begun_later(world: World) -> None:
    later = Later()

    def beside(work: Callable[[], SegmentEntry]) -> Future[SegmentEntry]:
        if not later.begun:
            later.begun += 1
            raise RuntimeError("can't start new thread")
        return later(work)

    coordinator = SteppedCoordinator(world, merge=merge_here, beside=beside)
    fill(world, coordinator)
    coordinator.settle()
    later.run()
    coordinator.settle()
    assert segments(world) == 1


def test_an_error_that_nobody_thought_of_is_not_tried_again_at_once(world: World) -> None:
    tries: list[Path] = []

    def broken(
        folder: Path, sources: Sequence[MergeSource], alive: Callable[[], None]
    ) -> SegmentEntry:
        tries.append(folder)
        raise KeyError("vectors")

    later = Later()
    coordinator = SteppedCoordinator(world, merge=broken, beside=later)
    fill(world, coordinator)
    for _ in range(4):
        later.run()
        coordinator.settle()
    assert len(tries) == 1


def test_files_that_take_long_to_store_are_not_swept_meanwhile(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given that the last step of storing goes on for longer than unnamed files are kept
    later = Later()
    coordinator = SteppedCoordinator(world, merge=merge_here, beside=later)
    fill(world, coordinator)
    store = coordinator.publisher.store_segment
    prefix = f"{knowledge_base_prefix(TENANT, 'default')}segments/"
    left: set[str] = set()

    def slow(kb: str, entry: SegmentEntry, folder: Path, *, alive: Callable[[], None]) -> None:
        store(kb, entry, folder, alive=alive)
        for _ in range(2 + int(limits.ARTIFACT_GRACE_S / 4)):
            world.clock.sleep(4)
            coordinator.settle(steps=1)
        left.update(name for name in world.store.list(prefix) if entry.name in name)

    monkeypatch.setattr(coordinator.publisher, "store_segment", slow)
    later.run()
    monkeypatch.undo()
    assert left
    coordinator.settle()
    assert world.texts() == [f"Fact {at}." for at in range(4)]


def test_vectors_of_a_merge_are_written_beside_and_then_only_counted(
    world: World, server: FakeWeaviate, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = WeaviateStore(server.address, timeout_s=60.0)
    later = Later()
    coordinator = SteppedCoordinator(
        world,
        encoder=HashingEncoder(by_language=True),
        vector_store=store,
        merge=merge_here,
        beside=later,
    )
    fill(world, coordinator)
    written: list[str] = []
    real = store.write

    def write_noted(of: object, blocks: object) -> None:
        written.append(of.segment)  # type: ignore[attr-defined]
        real(of, blocks)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "write", write_noted)
    later.run()
    beside = list(written)
    coordinator.settle()
    sizes: Mapping[str, int] = {it.name: it.passages for it in world.manifest().segments}
    assert list(sizes) == sorted(set(beside))
    assert written == beside
