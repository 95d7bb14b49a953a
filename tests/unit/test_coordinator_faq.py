"""Entries of an FAQ as the coordinator sees them: documents, each change a generation."""

import hashlib
from pathlib import Path

import pytest

from kotaemon_node.domain.artifact_names import upload_name
from kotaemon_node.domain.faq_entries import FaqEntry, faq_document
from kotaemon_node.ports.jobs import UPLOAD, Order
from tests.fakes.coordination import TENANT, SteppedCoordinator, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.write({"a.md": "Good days: Monday."})
    return world


@pytest.fixture
def coordinator(world: World) -> SteppedCoordinator:
    coordinator = SteppedCoordinator(world)
    coordinator.settle()
    return coordinator


def put(world: World, entry: FaqEntry, *, job: str, kb: str = "default") -> None:
    content = entry.to_json()
    revision = hashlib.sha256(content).hexdigest()
    world.store.put_if_absent(upload_name(TENANT, job, revision), content)
    fields = {
        "document": faq_document(kb, "open"), "revision": revision, "bytes": len(content),
        "question": entry.question,
    }  # fmt: skip
    world.jobs.submit(Order(job, UPLOAD, TENANT, kb, fields))


def test_a_change_is_a_generation_and_the_same_again_is_none(
    world: World, coordinator: SteppedCoordinator
) -> None:
    first = FaqEntry.of("When is it open?", "On Monday.", tags=["days"])
    put(world, first, job="one")
    coordinator.settle(steps=5)
    assert world.jobs.find(TENANT, "one").result == {"generation": 2, "passages": 1}
    assert world.texts() == ["Good days: Monday.", "When is it open?\nOn Monday."]
    assert [it.title for it in world.manifest().documents] == ["a", "When is it open?"]

    put(world, first, job="again")
    coordinator.settle(steps=5)
    assert world.jobs.find(TENANT, "again").result["generation"] == 2
    assert world.manifest().generation == 2

    put(world, FaqEntry.of("When is it open?", "Never."), job="two")
    coordinator.settle(steps=5)
    assert world.jobs.find(TENANT, "two").result["generation"] == 3
    assert world.texts() == ["Good days: Monday.", "When is it open?\nNever."]

    fields = {"document": faq_document("default", "open")}
    world.jobs.submit(Order("gone", "delete", TENANT, "default", fields))
    coordinator.settle(steps=5)
    assert world.jobs.find(TENANT, "gone").state == "done"
    assert world.texts() == ["Good days: Monday."]


def test_a_file_that_somebody_drops_is_the_same_entry(
    world: World, coordinator: SteppedCoordinator
) -> None:
    world.write({"shop/open.faq.json": '{"question": "Open?", "answer": "Yes."}'})
    coordinator.settle(steps=5)
    assert world.texts("shop") == ["Open?\nYes."]
    put(world, FaqEntry.of("Open?", "No."), job="one", kb="shop")
    coordinator.settle(steps=5)
    assert world.texts("shop") == ["Open?\nNo."]
    world.write({"shop/open.faq.json": '{"question": "Open?"}'})
    coordinator.settle(steps=5)
    (entry,) = world.manifest("shop").documents
    assert (entry.status, "'answer' is not a text" in str(entry.reason)) == ("failed", True)
