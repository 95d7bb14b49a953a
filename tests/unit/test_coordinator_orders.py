"""Orders to the leader: rollback, publish, delete; each once, whoever dies meanwhile."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from coordinator.jobs import JobWatch
from kotaemon_node.domain import limits
from kotaemon_node.domain.artifact_names import segment_file_name
from kotaemon_node.domain.errors import StoreUnavailable
from kotaemon_node.domain.lineage import refused_of, rolled_back_to
from kotaemon_node.ports.jobs import Job, Order
from tests.fakes.coordination import TENANT, SteppedCoordinator, World
from tests.fakes.encoder import HashingEncoder

PROBES = "probes:\n- {question: which days is it open, documents: [a.md], phrase: monday}\n"


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.write({"a.md": "Good days: Monday.", "b.md": "Beside it."})
    return world


@pytest.fixture
def coordinator(world: World) -> SteppedCoordinator:
    coordinator = SteppedCoordinator(world)
    coordinator.settle()
    return coordinator


def give(world: World, kind: str, /, job: str = "job-1", **fields: Any) -> None:
    world.jobs.submit(Order(job, kind, TENANT, "default", fields))


def ended(world: World, job: str = "job-1") -> Job:
    found = world.jobs.find(TENANT, job)
    assert found.state in ("done", "failed"), found
    return found


def spoil(world: World, coordinator: SteppedCoordinator) -> None:
    """Publish generation 2 with a bad document, a new one, and one that was removed."""
    world.write({"a.md": "Bad days: none.", "c.md": "Spam."})
    (world.knowledge / "b.md").unlink()
    coordinator.settle()
    assert (world.manifest().generation, world.texts()) == (2, ["Bad days: none.", "Spam."])


def test_a_rollback_is_a_new_generation_with_the_content_of_the_old(
    world: World, coordinator: SteppedCoordinator
) -> None:
    first = world.manifest()
    spoil(world, coordinator)
    second = world.manifest()
    give(world, "rollback", generation=1)
    coordinator.settle()

    third = world.manifest()
    assert (third.generation, third.parent) == (3, second.digest)
    assert (third.segments, third.documents) == (first.segments, first.documents)
    assert rolled_back_to(third) == 1
    assert ended(world).result == {"generation": 3}
    assert world.pointer.current(TENANT)["default"].digest == third.digest
    assert json.loads(world.bus.messages[-1].value)["generation"] == 3
    shown = coordinator.board.current.knowledge["default"]
    assert (shown.rolled_back_to, shown.refused) == (1, 3)


def test_what_was_refused_stays_out_until_that_file_changes(
    world: World, coordinator: SteppedCoordinator
) -> None:
    spoil(world, coordinator)
    give(world, "rollback", generation=1)
    coordinator.settle(steps=6)
    SteppedCoordinator(world).settle()
    assert world.manifest().generation == 3

    # Another file is followed; what was refused stays refused in the generations after it.
    world.write({"d.md": "Another matter."})
    coordinator.settle()
    assert world.texts() == ["Good days: Monday.", "Beside it.", "Another matter."]
    assert sorted(refused_of(world.manifest())) == ["a.md", "b.md", "c.md"]

    # The bad file changes and is followed, alone.
    world.write({"a.md": "Good days: Monday, Tuesday."})
    coordinator.settle()
    assert world.texts() == ["Good days: Monday, Tuesday.", "Beside it.", "Another matter."]
    assert sorted(refused_of(world.manifest())) == ["b.md", "c.md"]

    # A refused absence ends when the file is there, a refused presence when it is gone.
    world.write({"b.md": "Beside it, again."})
    (world.knowledge / "c.md").unlink()
    coordinator.settle()
    assert "Beside it, again." in world.texts()
    world.write({"c.md": "Ham."})
    coordinator.settle()
    assert "Ham." in world.texts()
    assert refused_of(world.manifest()) == {}


def test_publish_follows_the_whole_folder_again(
    world: World, coordinator: SteppedCoordinator
) -> None:
    spoil(world, coordinator)
    give(world, "rollback", generation=1)
    coordinator.settle()
    give(world, "publish", job="job-2")
    coordinator.settle()
    assert world.texts() == ["Bad days: none.", "Spam."]
    assert refused_of(world.manifest()) == {}
    assert ended(world, "job-2").result == {"generation": 4}


def test_publish_obeys_the_gate_unless_it_is_forced(
    world: World, coordinator: SteppedCoordinator
) -> None:
    world.write({".probes.yaml": PROBES})
    world.write({"a.md": "Bad days: none."})
    coordinator.settle()
    assert world.manifest().generation == 1
    give(world, "publish")
    coordinator.settle()
    assert ended(world).state == "failed"
    assert "the gate holds it: recall on 1 probes falls" in str(ended(world).reason)
    assert world.manifest().generation == 1

    give(world, "publish", job="job-2", force=True)
    coordinator.settle()
    assert ended(world, "job-2").result == {"generation": 2}
    assert world.texts() == ["Bad days: none.", "Beside it."]
    assert coordinator.board.current.knowledge["default"].held is None


def test_a_rollback_to_what_is_not_kept_names_what_is(
    world: World, coordinator: SteppedCoordinator
) -> None:
    spoil(world, coordinator)
    for entry in coordinator.catalog.manifest("default", 1).segments:  # type: ignore[union-attr]
        for file in entry.files:
            world.store.delete(segment_file_name(TENANT, "default", entry.name, file))
    world.write({"e.md": "More."})
    coordinator.settle()
    for job, generation in (("a", 1), ("b", 99), ("c", 3)):
        give(world, "rollback", job=job, generation=generation)
    coordinator.settle()
    assert world.manifest().generation == 3
    for job in "abc":
        assert ended(world, job).state == "failed"
        assert "Possible: 2." in str(ended(world, job).reason)


def test_a_rollback_to_another_encoder_is_refused(world: World) -> None:
    SteppedCoordinator(world).settle()
    world.clock.sleep(10)
    heir = SteppedCoordinator(world, name="b", encoder=HashingEncoder("other"))
    heir.settle()
    assert world.manifest().generation == 2
    give(world, "rollback", generation=1)
    heir.settle()
    assert "another encoder" in str(ended(world).reason)


def test_a_rebuild_leaves_out_what_was_refused_and_says_so(
    world: World, coordinator: SteppedCoordinator
) -> None:
    spoil(world, coordinator)
    give(world, "rollback", generation=1)
    coordinator.settle()
    world.clock.sleep(10)
    heir = SteppedCoordinator(world, name="b", encoder=HashingEncoder("other"))
    heir.settle(steps=6)
    states = {it.document: (it.status, it.reason) for it in world.manifest().documents}
    assert set(states) == {"a.md", "c.md"}
    assert {status for status, _ in states.values()} == {"failed"}
    assert "a rollback refused this revision" in str(states["a.md"][1])
    assert world.manifest().generation == 4

    world.write({"a.md": "Good days: Monday."})
    heir.settle()
    assert world.texts() == ["Good days: Monday."]


def test_retention_keeps_what_a_rollback_names(
    world: World, coordinator: SteppedCoordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "GENERATIONS_KEPT", 1)
    spoil(world, coordinator)
    give(world, "rollback", generation=1)
    coordinator.settle()
    for _ in range(3):
        world.clock.sleep(3 * 24 * 3600)
        coordinator.retention.sweep("default")
    assert coordinator.catalog.numbers("default") == [3]
    assert world.texts() == ["Good days: Monday.", "Beside it."]


def test_deleting_removes_the_file_and_the_retrieval(
    world: World, coordinator: SteppedCoordinator
) -> None:
    give(world, "delete", document="a.md")
    coordinator.settle(steps=6)
    assert not (world.knowledge / "a.md").exists()
    assert world.texts() == ["Beside it."]
    assert world.manifest().generation == 2
    give(world, "delete", job="again", document="a.md")
    coordinator.settle()
    assert ended(world, "again").reason == "there is no document a.md"


def test_deleting_does_not_wait_for_the_gate(world: World, coordinator: SteppedCoordinator) -> None:
    world.write({".probes.yaml": PROBES, "b.md": "Now: which days is it open."})
    world.write({"a.md": "Bad."})
    coordinator.settle()
    give(world, "delete", document="a.md")
    coordinator.settle()
    assert all(it.document != "a.md" for it in world.manifest().documents)


def test_what_a_rollback_keeps_can_be_deleted(
    world: World, coordinator: SteppedCoordinator
) -> None:
    spoil(world, coordinator)
    give(world, "rollback", generation=1)
    coordinator.settle()
    give(world, "delete", job="job-2", document="b.md")
    coordinator.settle(steps=6)
    assert world.texts() == ["Good days: Monday."]
    assert sorted(refused_of(world.manifest())) == ["a.md", "c.md"]


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ("../outside.md", "is not a document of default"),
        (".probes.yaml", "there is no document"),
        ("folder.md", "cannot be removed"),
        ("shop/x.md", "is not a document of default"),
        ("", "names no document"),
    ],
)
def test_what_is_no_document_is_not_touched(
    world: World, coordinator: SteppedCoordinator, document: str, told: str
) -> None:
    outside = world.knowledge.parent / "outside.md"
    outside.write_text("Not ours.")
    world.write({".probes.yaml": "probes: []"})
    (world.knowledge / "folder.md").mkdir()
    give(world, "delete", document=document)
    coordinator.settle()
    assert ended(world).state == "failed"
    assert told in str(ended(world).reason)
    assert outside.exists()
    assert (world.knowledge / ".probes.yaml").exists()


def test_a_folder_that_cannot_be_written_fails_the_job_with_the_reason(
    world: World, coordinator: SteppedCoordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(self: Path) -> None:
        raise PermissionError(30, "Read-only file system")

    monkeypatch.setattr(Path, "unlink", refusing)
    give(world, "delete", document="a.md")
    coordinator.settle()
    assert ended(world).reason == "the file of a.md cannot be removed: Read-only file system"
    assert world.manifest().generation == 1


def test_a_standby_continues_what_a_dead_leader_had_begun(
    world: World, coordinator: SteppedCoordinator
) -> None:
    spoil(world, coordinator)
    give(world, "rollback", generation=1)
    world.jobs.begin(TENANT)
    world.clock.sleep(10)
    SteppedCoordinator(world, name="b").settle()
    assert ended(world).result == {"generation": 3}
    assert world.jobs.find(TENANT, "job-1").attempts == 2


def test_an_order_whose_effect_is_there_is_not_repeated(
    world: World, coordinator: SteppedCoordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(world, coordinator)
    give(world, "rollback", generation=1)

    def lost(*_: object) -> None:
        raise StoreUnavailable("the session store does not answer")

    monkeypatch.setattr(world.jobs, "finish", lost)
    coordinator.settle()
    assert world.manifest().generation == 3
    monkeypatch.undo()
    world.clock.sleep(10)
    SteppedCoordinator(world, name="b").settle()
    assert ended(world).result == {"generation": 3}
    assert world.manifest().generation == 3


def test_poison_is_put_aside_and_holds_nobody_up(
    world: World, coordinator: SteppedCoordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("coordinator.orders.revision_in_folder", broken)
    spoil(world, coordinator)
    give(world, "rollback", generation=1)
    give(world, "delete", job="job-2", document="c.md")
    coordinator.settle(steps=6)
    assert world.jobs.dead == ["job-1"]
    assert "begun 3 times without an end" in str(ended(world).reason)
    assert ended(world, "job-2").state == "done"


def test_an_unknown_order_and_an_unknown_knowledge_base_fail(
    world: World, coordinator: SteppedCoordinator
) -> None:
    give(world, "dance")
    world.jobs.submit(Order("job-2", "rollback", TENANT, "none", {"generation": 1}))
    coordinator.settle()
    assert ended(world).reason == "this coordinator knows no order dance"
    assert ended(world, "job-2").reason == "there is no knowledge base none"


def test_a_lost_queue_stops_no_knowledge(world: World, coordinator: SteppedCoordinator) -> None:
    world.jobs.away = True
    world.write({"e.md": "More."})
    coordinator.settle()
    assert "More." in world.texts()


def test_an_order_wakes_the_leader(world: World) -> None:
    woken: list[str] = []
    watch = JobWatch(world.jobs, known=lambda: [TENANT], wake=woken.append, clock=world.clock)

    class Twice:
        looks = 0

        def tenants(self) -> Collection[str]:
            return world.jobs.tenants()

        def wait(self, tenants: Collection[str], *, timeout_s: float) -> Collection[str]:
            came = world.jobs.wait(tenants, timeout_s=timeout_s)
            self.looks += 1
            if self.looks == 1:
                give(world, "publish")
            else:
                watch.stop()
            return came

    watch._source = Twice()  # type: ignore[assignment]
    watch.run()
    assert woken == [TENANT]
