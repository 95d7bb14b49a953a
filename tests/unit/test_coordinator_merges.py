"""Merges beside the publishing of changes: never in its way, and never in the way of the truth."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coordinator.merge_process import (
    MergeFailed,
    MergeSource,
    merge_in_child,
    write_merged_segment,
)
from kotaemon_node.adapters.faiss import FaissSegmentFormat
from kotaemon_node.domain import limits
from kotaemon_node.domain.artifact_names import knowledge_base_prefix
from kotaemon_node.domain.errors import CorruptArtifact
from kotaemon_node.domain.knowledge import SegmentEntry
from kotaemon_node.ports.jobs import Order
from tests.fakes.coordination import TENANT, SteppedCoordinator, World
from tests.own_children import begin_with_none, own_children

merge_here = partial(write_merged_segment, FaissSegmentFormat())


class Later:
    """Work that goes on beside the coordinator when the test says so."""

    def __init__(self) -> None:
        self.begun = 0
        self._work: list[tuple[Callable[[], SegmentEntry], Future[SegmentEntry]]] = []

    def __call__(self, work: Callable[[], SegmentEntry]) -> Future[SegmentEntry]:
        self.begun += 1
        self._work.append((work, Future()))
        return self._work[-1][1]

    def run(self) -> None:
        """Do what was begun."""
        for work, result in self._work:
            if not result.set_running_or_notify_cancel():
                continue
            try:
                result.set_result(work())
            except Exception as error:  # noqa: BLE001 - as the real one does
                result.set_exception(error)
        self._work.clear()


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    set_small(monkeypatch)


def set_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every merge go on beside, and begin early."""
    monkeypatch.setattr(limits, "MERGED_AT_ONCE_ROWS_MAX", 0)
    monkeypatch.setattr(limits, "SEGMENTS_MAX", 3)
    monkeypatch.setattr(limits, "SEGMENTS_HARD_MAX", 6)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def later() -> Later:
    return Later()


@pytest.fixture
def coordinator(world: World, later: Later) -> SteppedCoordinator:
    """A leader with a merge under way: of four documents in as many segments."""
    coordinator = SteppedCoordinator(world, merge=merge_here, beside=later)
    for at in range(4):
        write(world, coordinator, f"{at}.md", f"Fact {at}.")
    assert later.begun == 1
    assert segments(world) == 4
    return coordinator


def write(world: World, coordinator: SteppedCoordinator, name: str, text: str) -> None:
    world.write({name: text})
    coordinator.settle()


def segments(world: World) -> int:
    return len(world.manifest().segments)


def test_a_merge_that_has_ended_takes_the_place_of_its_segments(
    world: World, coordinator: SteppedCoordinator, later: Later
) -> None:
    before = world.manifest()
    later.run()
    coordinator.settle()
    after = world.manifest()
    assert after.generation == before.generation + 1
    assert after.parent == before.digest
    assert len(after.segments) == 1
    assert world.texts() == [f"Fact {at}." for at in range(4)]
    assert world.pointer.current(TENANT)["default"].digest == after.digest
    coordinator.settle()
    assert world.manifest() == after


def test_changes_are_published_while_a_merge_runs_and_stay_changed_after_it(
    world: World, coordinator: SteppedCoordinator, later: Later
) -> None:
    write(world, coordinator, "1.md", "Another fact.")
    (world.knowledge / "2.md").unlink()
    write(world, coordinator, "9.md", "A new fact.")
    expected = ["Fact 0.", "Another fact.", "Fact 3.", "A new fact."]
    assert world.texts() == expected
    later.run()
    coordinator.settle()
    assert world.texts() == expected
    coordinator.settle()
    later.run()
    coordinator.settle()
    assert world.texts() == expected
    assert segments(world) <= limits.SEGMENTS_MAX


def test_at_the_hard_bound_publishing_merges_the_smallest_itself(
    world: World, coordinator: SteppedCoordinator, later: Later
) -> None:
    for at in range(4, 12):
        write(world, coordinator, f"{at}.md", f"Fact {at}.")
        assert segments(world) <= limits.SEGMENTS_HARD_MAX
    assert len(world.texts()) == 12
    # And the merge is either of use or begun anew
    for _ in range(3):
        later.run()
        coordinator.settle()
    assert segments(world) <= limits.SEGMENTS_MAX
    assert len(world.texts()) == 12


@pytest.mark.parametrize("ended", [True, False], ids=["ended before", "under way"])
def test_a_purge_leaves_no_byte_in_what_a_merge_stores(
    world: World, coordinator: SteppedCoordinator, later: Later, tmp_path: Path, *, ended: bool
) -> None:
    if ended:
        later.run()
    world.jobs.submit(Order("purge", "purge", TENANT, "default", {"document": "0.md"}))
    coordinator.settle(steps=1)
    later.run()
    coordinator.settle(steps=4)
    stored = [path for path in (tmp_path / "artifacts").rglob("*") if path.is_file()]
    assert not [path for path in stored if b"Fact 0." in path.read_bytes()]
    assert world.texts() == ["Fact 1.", "Fact 2.", "Fact 3."]


def test_a_rollback_makes_a_merge_useless_where_it_undoes_what_was_merged(
    world: World, later: Later
) -> None:
    coordinator = SteppedCoordinator(world, merge=merge_here, beside=later)
    for at in range(4):
        write(world, coordinator, "0.md", f"Version {at}.")
        write(world, coordinator, f"x{at}.md", f"Fact {at}.")
    world.jobs.submit(Order("back", "rollback", TENANT, "default", {"generation": 2}))
    coordinator.settle()
    assert world.texts() == ["Version 0.", "Fact 0."]
    for _ in range(3):
        later.run()
        coordinator.settle()
        assert world.texts() == ["Version 0.", "Fact 0."]


def test_a_merge_ends_with_the_lead(
    world: World, coordinator: SteppedCoordinator, later: Later
) -> None:
    generation = world.manifest().generation
    world.clock.sleep(10)
    successor = SteppedCoordinator(world, name="b", merge=merge_here, beside=Later())
    successor.settle(steps=1)
    coordinator.loop.guarded_step()
    later.run()
    coordinator.loop.guarded_step()
    assert world.manifest().generation == generation


def test_a_merge_that_fails_is_tried_again_later_and_stops_nobody(world: World) -> None:
    tries: list[int] = []

    def failing(
        folder: Path, sources: Sequence[MergeSource], alive: Callable[[], None]
    ) -> SegmentEntry:
        tries.append(len(sources))
        raise MergeFailed("it ended with status -9")

    later = Later()
    coordinator = SteppedCoordinator(world, merge=failing, beside=later)
    for at in range(4):
        write(world, coordinator, f"{at}.md", f"Fact {at}.")
    for _ in range(5):
        later.run()
        coordinator.settle()
    assert len(tries) == 1
    write(world, coordinator, "4.md", "Fact 4.")
    assert len(world.texts()) == 5
    until_s = world.clock.monotonic_s() + 2 * limits.MERGE_RETRY_S
    while world.clock.monotonic_s() < until_s:
        world.clock.sleep(limits.LEADER_TTL_S / 2)
        coordinator.settle(steps=1)
        later.run()
    assert len(tries) == 2


def test_a_damaged_segment_has_all_built_anew(
    world: World, coordinator: SteppedCoordinator, later: Later
) -> None:
    prefix = f"{knowledge_base_prefix(TENANT, 'default')}segments/"
    name = next(name for name in world.store.list(prefix) if name.endswith("lengths.i32"))
    world.store.open_local(name).write_bytes(b"1234")
    later.run()
    coordinator.settle(steps=6)
    assert world.texts() == [f"Fact {at}." for at in range(4)]
    assert segments(world) == 1


STEP = st.one_of(
    st.tuples(st.just("write"), st.integers(0, 5), st.integers(0, 3)),
    st.tuples(st.just("delete"), st.integers(0, 5), st.just(0)),
    st.tuples(st.just("merge"), st.just(0), st.just(0)),
    st.tuples(st.just("new leader"), st.just(0), st.just(0)),
)


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=st.lists(STEP, max_size=16))
def test_whatever_happens_beside_a_merge_what_is_found_is_what_the_folder_holds(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int]]
) -> None:
    world, later = World(tmp_path_factory.mktemp("world")), Later()
    coordinator = SteppedCoordinator(world, merge=merge_here, beside=later)
    files: dict[str, str] = {}
    for kind, name, version in steps:
        if kind == "write":
            files[f"{name}.md"] = f"Version {version} of {name}."
            world.write({f"{name}.md": files[f"{name}.md"]})
        elif kind == "delete" and files.pop(f"{name}.md", None) is not None:
            (world.knowledge / f"{name}.md").unlink()
        elif kind == "merge":
            later.run()
        elif kind == "new leader":
            world.clock.sleep(10)
            later = Later()
            coordinator = SteppedCoordinator(world, merge=merge_here, beside=later)
        coordinator.settle()
        assert world.texts() == [files[name] for name in sorted(files)]
        assert segments(world) <= limits.SEGMENTS_HARD_MAX


def sources_of(world: World, coordinator: SteppedCoordinator) -> list[MergeSource]:
    manifest = world.manifest()
    return [
        MergeSource(
            entry,
            coordinator.builder.local_files("default", entry),
            [it.document for it in manifest.documents if it.segment == entry.name],
        )
        for entry in manifest.segments
    ]


def test_a_child_writes_what_we_would_write(
    world: World, coordinator: SteppedCoordinator, tmp_path: Path
) -> None:
    sources = sources_of(world, coordinator)
    for name in ("here", "child"):
        (tmp_path / name).mkdir()
    here = merge_here(tmp_path / "here", sources, lambda: None)
    assert merge_in_child(tmp_path / "child", sources, lambda: None) == here


def test_a_child_that_is_killed_or_not_wanted_is_gone(
    world: World, coordinator: SteppedCoordinator, tmp_path: Path
) -> None:
    sources = sources_of(world, coordinator)

    begin_with_none()

    def kill() -> None:
        for child in own_children():
            child.kill()

    def unwanted() -> None:
        if own_children():
            raise InterruptedError

    (tmp_path / "killed").mkdir()
    with pytest.raises(MergeFailed, match="-9"):
        merge_in_child(tmp_path / "killed", sources, kill)
    (tmp_path / "unwanted").mkdir()
    with pytest.raises(InterruptedError):
        merge_in_child(tmp_path / "unwanted", sources, unwanted)
    assert not own_children()


def test_a_child_tells_of_a_damaged_segment(
    world: World, coordinator: SteppedCoordinator, tmp_path: Path
) -> None:
    sources = sources_of(world, coordinator)
    sources[0].files["lengths.i32"].write_bytes(b"1234")
    (tmp_path / "merge").mkdir()
    with pytest.raises(CorruptArtifact, match=r"lengths\.i32"):
        merge_in_child(tmp_path / "merge", sources, lambda: None)
