"""The publish gate: a build that finds less stays out, and says what it lost."""

import json
from pathlib import Path

import pytest

from coordinator.build import Build
from kotaemon_node.domain import limits
from kotaemon_node.domain.artifact_names import segment_file_name
from kotaemon_node.domain.held import HeldBuild
from kotaemon_node.domain.lineage import mean_recall
from tests.fakes.coordination import TENANT, SteppedCoordinator, World
from tests.fakes.encoder import HashingEncoder

RETURNS = "# Returns\n\nA lamp may be returned within 30 days."
SHIPPING = "# Shipping\n\nParcels arrive after four days."
PROBES = """
probes:
- question: within how many days may a lamp be returned
  documents: [returns.md]
  phrase: 30 DAYS
- question: when do parcels arrive
  documents: [shipping.md]
"""


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.write({"returns.md": RETURNS, "shipping.md": SHIPPING, ".probes.yaml": PROBES})
    return world


@pytest.fixture
def coordinator(world: World) -> SteppedCoordinator:
    coordinator = SteppedCoordinator(world)
    coordinator.settle()
    return coordinator


def held(coordinator: SteppedCoordinator) -> HeldBuild:
    found = coordinator.board.current.knowledge["default"].held
    assert found is not None
    return found


def test_the_first_generation_passes_and_its_recall_is_known(
    world: World, coordinator: SteppedCoordinator
) -> None:
    assert mean_recall(world.manifest()) == 1.0
    shown = coordinator.metrics.exposition().decode()
    assert 'kotaemon_probe_recall{generation="1",kb="default"} 1.0' in shown


def test_a_worse_build_stays_out_with_the_reason_and_is_not_built_again(
    world: World, coordinator: SteppedCoordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = world.manifest()
    events = len(world.bus.messages)
    world.write({"returns.md": "# Nothing\n\nTo be written."})
    coordinator.settle()

    assert world.manifest() == before
    assert len(world.bus.messages) == events
    found = held(coordinator)
    assert "recall on 2 probes falls from 1.000 to 0.500" in found.reason
    (lost,) = found.lost
    assert (lost.documents, lost.before, lost.now) == (("returns.md",), 1.0, 0.0)
    shown = coordinator.metrics.exposition().decode()
    assert 'kotaemon_generations_held_total{kb="default"} 1.0' in shown
    assert 'kotaemon_probe_recall{generation="held",kb="default"} 0.5' in shown

    def building(*_: object, **__: object) -> None:
        raise AssertionError("it was built again")

    for one in (coordinator, heir := SteppedCoordinator(world, name="b")):
        monkeypatch.setattr(one.builder, "build", building)
    coordinator.settle()
    world.clock.sleep(10)
    heir.settle()
    assert held(heir) == found


def test_a_later_change_is_tried_again_and_uses_the_number(
    world: World, coordinator: SteppedCoordinator
) -> None:
    world.write({"returns.md": "# Nothing\n\nTo be written."})
    coordinator.settle()
    world.write({"returns.md": RETURNS + " A chair, too."})
    coordinator.settle()
    assert world.manifest().generation == 2
    assert coordinator.board.current.knowledge["default"].held is None
    assert list(world.store.list("tenants/default/kb/default/held/")) == []


def test_what_is_put_back_is_held_no_more(world: World, coordinator: SteppedCoordinator) -> None:
    world.write({"returns.md": "# Nothing\n\nTo be written."})
    coordinator.settle()
    world.write({"returns.md": RETURNS})
    coordinator.settle()
    assert world.manifest().generation == 1
    assert coordinator.board.current.knowledge["default"].held is None


def test_a_deletion_is_a_wish_and_makes_its_probe_unanswerable(
    world: World, coordinator: SteppedCoordinator
) -> None:
    (world.knowledge / "returns.md").unlink()
    coordinator.settle()
    assert [it.document for it in world.manifest().documents] == ["shipping.md"]
    assert coordinator.board.current.knowledge["default"].held is None
    assert mean_recall(world.manifest()) == 1.0


def test_deletions_do_not_wait_for_what_is_held(
    world: World, coordinator: SteppedCoordinator
) -> None:
    world.write({"returns.md": "# Nothing\n\nTo be written."})
    (world.knowledge / "shipping.md").unlink()
    coordinator.settle(steps=5)
    assert world.texts() == ["A lamp may be returned within 30 days."]
    assert world.manifest().generation == 2
    assert held(coordinator).generation == 2
    assert len(held(coordinator).unanswerable) == 1


def test_a_tolerance_lets_a_small_loss_pass(world: World) -> None:
    coordinator = SteppedCoordinator(world, tolerance=0.5)
    coordinator.settle()
    world.write({"returns.md": "# Nothing\n\nTo be written."})
    coordinator.settle()
    assert world.manifest().generation == 2
    assert mean_recall(world.manifest()) == 0.5


def test_a_phrase_must_be_in_what_is_found(world: World, coordinator: SteppedCoordinator) -> None:
    world.write({"returns.md": RETURNS.replace("30", "40")})
    coordinator.settle()
    assert held(coordinator).lost[0].now == 0.0


def test_probes_that_cannot_be_read_hold_all_but_deletions(
    world: World, coordinator: SteppedCoordinator
) -> None:
    world.write({".probes.yaml": "probes: [", "new.md": "New."})
    (world.knowledge / "shipping.md").unlink()
    coordinator.settle(steps=5)
    assert "the probe set cannot be used" in held(coordinator).reason
    assert world.texts() == ["A lamp may be returned within 30 days."]

    (world.knowledge / ".probes.yaml").unlink()
    coordinator.settle()
    assert "New." in world.texts()
    assert coordinator.board.current.knowledge["default"].held is None


def test_probes_that_cannot_be_read_do_not_keep_pods_without_any_knowledge(
    tmp_path: Path,
) -> None:
    world = World(tmp_path)
    world.write({".probes.yaml": "probes: [", "a.md": "One."})
    SteppedCoordinator(world).settle()
    assert world.texts() == ["One."]


def test_the_gate_judges_by_what_it_could_ask_in_time(
    world: World, coordinator: SteppedCoordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "GATE_TIMEOUT_S", 0.0)
    world.write({"returns.md": "# Nothing\n\nTo be written."})
    coordinator.settle()
    assert world.manifest().generation == 2


def test_another_encoder_is_compared_with_what_is_on_record(
    world: World, coordinator: SteppedCoordinator
) -> None:
    world.write({"returns.md": "# Nothing\n\nTo be written."})
    world.clock.sleep(10)
    heir = SteppedCoordinator(world, name="b", encoder=HashingEncoder("other"))
    heir.settle()
    assert world.manifest().encoder != "other"
    assert "falls from 1.000" in held(heir).reason
    world.write({"returns.md": RETURNS})
    heir.settle()
    assert world.manifest().encoder == "other"


def test_files_of_a_held_build_go_as_those_of_any_dead_build(
    world: World, coordinator: SteppedCoordinator
) -> None:
    def segments() -> set[str]:
        prefix = "tenants/default/kb/default/segments/"
        return {name.removeprefix(prefix).split("/")[0] for name in world.store.list(prefix)}

    served = segments()
    world.write({"returns.md": "# Nothing\n\nTo be written."})
    coordinator.settle()
    assert len(segments()) == len(served) + 1
    coordinator.retention.sweep("default")
    world.clock.sleep(limits.ARTIFACT_GRACE_S)
    coordinator.retention.sweep("default")
    assert segments() == served


def test_what_is_not_as_it_was_signed_for_is_not_even_asked(
    world: World, coordinator: SteppedCoordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_files = coordinator.publisher.store_files

    def damaging(build: Build) -> None:
        store_files(build)
        assert build.segment is not None
        file = next(iter(build.segment.files))
        name = segment_file_name(TENANT, "default", build.segment.name, file)
        path = world.store.open_local(name)
        path.write_bytes(path.read_bytes()[:-1] + b"x")

    monkeypatch.setattr(coordinator.publisher, "store_files", damaging)
    world.write({"returns.md": RETURNS + " Better still."})
    coordinator.settle()
    assert world.manifest().generation == 1
    assert "sha256" in str(coordinator.board.current.problem)
    monkeypatch.undo()
    coordinator.settle()
    assert world.manifest().generation == 2


def test_a_note_reads_back_as_it_was(world: World, coordinator: SteppedCoordinator) -> None:
    world.write({"returns.md": "# Nothing\n\nTo be written."})
    coordinator.settle()
    (name,) = world.store.list("tenants/default/kb/default/held/")
    raw = world.store.get(name)
    assert raw is not None
    assert HeldBuild.from_json(raw) == held(coordinator)
    assert json.loads(raw)["generation"] == 1
