"""Old generations go, what somebody may still read stays."""

from pathlib import Path

import pytest

from coordinator.retention import kept_generations
from kotaemon_node.domain import limits
from kotaemon_node.domain.artifact_names import knowledge_base_prefix
from tests.fakes.coordination import TENANT, SteppedCoordinator, World

DAY_S = 24 * 3600.0
LIFE_S = 2 * DAY_S


def test_the_newest_are_kept_however_old() -> None:
    ages = {number: 100 * DAY_S for number in range(1, 101)}
    keeping = kept_generations(ages, session_life_s=LIFE_S)
    newest = set(range(101 - limits.GENERATIONS_KEPT, 101))
    assert keeping.manifests == keeping.segments == newest


def test_what_a_running_turn_may_read_is_kept_whole_however_many() -> None:
    ages = {number: limits.TURN_TIMEOUT_S for number in range(1, 101)}
    keeping = kept_generations(ages, session_life_s=LIFE_S)
    assert keeping.segments == set(range(1, 101))


def test_manifests_open_citations_as_long_as_sessions_live() -> None:
    ages = {number: LIFE_S - 1 for number in range(2, 101)} | {1: LIFE_S + 1}
    keeping = kept_generations(ages, session_life_s=LIFE_S)
    assert keeping.manifests == set(range(2, 101))
    assert len(keeping.segments) == limits.GENERATIONS_KEPT


def test_even_young_manifests_are_bounded() -> None:
    ages = dict.fromkeys(range(1, 3 * limits.MANIFESTS_KEPT_MAX), 0.0)
    keeping = kept_generations(ages, session_life_s=LIFE_S)
    assert len(keeping.manifests) == limits.MANIFESTS_KEPT_MAX


def names(world: World, kind: str) -> set[str]:
    prefix = f"{knowledge_base_prefix(TENANT, 'default')}{kind}/"
    return {name.removeprefix(prefix).split("/")[0] for name in world.store.list(prefix)}


def test_sweeping_forgets_old_generations_step_by_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "GENERATIONS_KEPT", 2)
    world = World(tmp_path)
    coordinator = SteppedCoordinator(world)
    for at in range(4):
        world.write({"a.md": f"Version {at}."})
        coordinator.settle(steps=4)
    assert len(names(world, "manifests")) == 4

    world.clock.sleep(limits.ARTIFACT_GRACE_S)
    coordinator.retention.sweep("default")
    # Segments are noted as unnamed now, and removed when they stay so.
    assert len(names(world, "segments")) == 4
    world.clock.sleep(limits.ARTIFACT_GRACE_S)
    coordinator.retention.sweep("default")
    assert len(names(world, "segments")) == 2
    assert len(names(world, "manifests")) == 4
    assert len(names(world, "texts")) == 4

    world.clock.sleep(LIFE_S)
    coordinator.retention.sweep("default")
    assert len(names(world, "manifests")) == 2
    world.clock.sleep(limits.ARTIFACT_GRACE_S)
    coordinator.retention.sweep("default")
    assert len(names(world, "texts")) == 2
    assert world.texts() == ["Version 3."]


def test_files_of_a_generation_that_is_just_being_published_are_left(tmp_path: Path) -> None:
    world = World(tmp_path)
    coordinator = SteppedCoordinator(world)
    coordinator.settle()
    name = f"{knowledge_base_prefix(TENANT, 'default')}segments/new/rows"
    world.store.put_if_absent(name, b"x")
    coordinator.retention.sweep("default")
    world.clock.sleep(limits.TURN_TIMEOUT_S)
    assert coordinator.retention.sweep("default") == 0
    world.clock.sleep(limits.ARTIFACT_GRACE_S)
    assert coordinator.retention.sweep("default") == 1


def test_what_was_seen_in_an_earlier_lead_counts_no_more(tmp_path: Path) -> None:
    world = World(tmp_path)
    coordinator = SteppedCoordinator(world)
    coordinator.settle()
    world.store.put_if_absent(f"{knowledge_base_prefix(TENANT, 'default')}segments/new/rows", b"x")
    coordinator.retention.sweep("default")
    world.clock.sleep(limits.ARTIFACT_GRACE_S)
    # Meanwhile another leader may have begun to publish just this.
    coordinator.retention.begin()
    assert coordinator.retention.sweep("default") == 0
    world.clock.sleep(limits.ARTIFACT_GRACE_S)
    assert coordinator.retention.sweep("default") == 1
