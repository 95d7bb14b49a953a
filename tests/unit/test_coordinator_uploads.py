"""Uploads: into the folder once, read like any other file, whoever dies meanwhile."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from kotaemon_node.domain import limits
from kotaemon_node.domain.artifact_names import upload_name, uploads_prefix
from kotaemon_node.ports.jobs import UPLOAD, Job, Order
from tests.fakes.coordination import TENANT, SteppedCoordinator, World

PROBES = "probes:\n- {question: which days is it open, documents: [a.md], phrase: monday}\n"


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


def upload(
    world: World, document: str, text: str, *, job: str = "job-1", kb: str = "default"
) -> str:
    content = text.encode()
    revision = hashlib.sha256(content).hexdigest()
    world.store.put_if_absent(upload_name(TENANT, job, revision), content)
    fields = {"document": document, "revision": revision, "bytes": len(content)}
    world.jobs.submit(Order(job, UPLOAD, TENANT, kb, fields))
    return revision


def found(world: World, job: str = "job-1") -> Job:
    return world.jobs.find(TENANT, job)


def stored(world: World) -> list[str]:
    return list(world.store.list(uploads_prefix(TENANT)))


def test_an_upload_ends_with_the_generation_that_holds_it(
    world: World, coordinator: SteppedCoordinator
) -> None:
    revision = upload(world, "guides/卡.md", "Cups hold 350 ml.", kb="guides")
    coordinator.settle(steps=5)

    job = found(world)
    assert (job.state, job.result) == ("done", {"generation": 1, "passages": 1})
    assert world.texts("guides") == ["Cups hold 350 ml."]
    assert [it.revision for it in world.manifest("guides").documents] == [revision]
    assert (world.knowledge / "guides" / "卡.md").read_text() == "Cups hold 350 ml."
    assert stored(world) == []


def test_many_uploads_share_a_generation(world: World, coordinator: SteppedCoordinator) -> None:
    for number in range(10):
        upload(world, f"{number}.md", f"Sentence {number} of ten.", job=f"job-{number}")
    coordinator.settle(steps=5)
    assert {found(world, f"job-{number}").result["generation"] for number in range(10)} == {2}


def test_what_cannot_be_read_fails_with_the_documents_reason(
    world: World, coordinator: SteppedCoordinator
) -> None:
    upload(world, "b.md", "")
    coordinator.settle(steps=5)
    assert (found(world).state, found(world).reason) == ("failed", "the file is empty")
    assert stored(world) == []


def test_the_same_bytes_again_change_nothing(world: World, coordinator: SteppedCoordinator) -> None:
    before = (world.knowledge / "a.md").stat()
    upload(world, "a.md", "Good days: Monday.")
    coordinator.settle(steps=2)
    assert (found(world).state, found(world).result["generation"]) == ("done", 1)
    assert (world.knowledge / "a.md").stat() == before
    assert world.manifest().generation == 1
    assert stored(world) == []


def test_an_upload_that_a_later_one_replaced_says_so(
    world: World, coordinator: SteppedCoordinator
) -> None:
    upload(world, "b.md", "The first.")
    upload(world, "b.md", "The second.", job="job-2")
    coordinator.settle(steps=5)
    assert (found(world).state, found(world, "job-2").state) == ("failed", "done")
    assert "changed again" in str(found(world).reason)
    assert world.texts() == ["Good days: Monday.", "The second."]


def test_a_deletion_behind_an_upload_ends_both(
    world: World, coordinator: SteppedCoordinator
) -> None:
    upload(world, "b.md", "The first.")
    world.jobs.submit(Order("job-2", "delete", TENANT, "default", {"document": "b.md"}))
    coordinator.settle(steps=5)
    assert (found(world).state, found(world, "job-2").state) == ("failed", "done")
    assert "removed before it was read" in str(found(world).reason)
    assert not (world.knowledge / "b.md").exists()


def test_what_the_gate_holds_ends_with_the_gates_reason(
    world: World, coordinator: SteppedCoordinator
) -> None:
    world.write({".probes.yaml": PROBES})
    upload(world, "a.md", "Bad days: none.")
    coordinator.settle(steps=5)
    assert found(world).state == "failed"
    assert "the gate holds it: recall on 1 probes falls" in str(found(world).reason)


def test_what_a_rollback_refused_says_so(world: World, coordinator: SteppedCoordinator) -> None:
    world.write({"a.md": "Bad days: none."})
    coordinator.settle()
    world.jobs.submit(Order("back", "rollback", TENANT, "default", {"generation": 1}))
    coordinator.settle()
    upload(world, "a.md", "Bad days: none.")
    coordinator.settle(steps=5)
    assert "a rollback refused this revision" in str(found(world).reason)
    assert world.texts() == ["Good days: Monday."]


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ("../out.md", "is not a document of default"),
        (".hidden.md", "not followed"),
        ("elsewhere/x.md", "is not a document of default"),
        ("a.md/x.md", "is not a document of default"),
        ("default/link/x.md", "is a link"),
        ("default/file/x.md", "exists"),
        ("default/folder", "folder has this name"),
        ("default/../out.md", "not followed"),
    ],
)
def test_a_name_that_cannot_be_written_is_refused(
    world: World, coordinator: SteppedCoordinator, tmp_path: Path, document: str, told: str
) -> None:
    (tmp_path / "outside").mkdir()
    home = world.knowledge / "default"
    (home / "folder").mkdir(parents=True)
    (home / "link").symlink_to(tmp_path / "outside")
    world.write({"default/file": "x"})
    upload(world, document, "Text.")
    coordinator.settle(steps=2)
    assert found(world).state == "failed"
    assert told in str(found(world).reason).lower()
    assert not list((tmp_path / "outside").iterdir())
    assert stored(world) == []


def test_bytes_that_no_job_names_are_removed_after_a_while(
    world: World, coordinator: SteppedCoordinator
) -> None:
    name = upload_name(TENANT, "lost", "0" * 64)
    world.store.put_if_absent(name, b"x")
    world.clock.sleep(120)
    coordinator.settle()
    assert stored(world) == [name]
    world.clock.sleep(limits.UPLOAD_ORPHANED_S)
    coordinator.settle()
    assert stored(world) == []


def test_bytes_of_a_job_that_has_ended_are_removed_soon(
    world: World, coordinator: SteppedCoordinator
) -> None:
    upload(world, "b.md", "The first.")
    coordinator.settle(steps=5)
    revision = str(found(world).order.fields["revision"])
    world.store.put_if_absent(upload_name(TENANT, "job-1", revision), b"repeated")
    world.clock.sleep(120)
    coordinator.settle()
    assert stored(world) == []


class Crash(BaseException):
    """The process dies here."""


@pytest.mark.parametrize("calls", range(1, 16, 2))
def test_wherever_a_leader_dies_the_next_one_ends_the_upload(
    world: World,
    coordinator: SteppedCoordinator,
    monkeypatch: pytest.MonkeyPatch,
    calls: int,
) -> None:
    """It dies at its n-th step: copying, flushing, renaming, removing the bytes, ending the job."""
    upload(world, "b.md", "The first.")
    made = 0

    def deadly(target: Any, name: str) -> None:
        whole = getattr(target, name)

        def step(*arguments: Any, **options: Any) -> Any:
            nonlocal made
            made += 1
            if made == calls:
                raise Crash
            return whole(*arguments, **options)

        monkeypatch.setattr(target, name, step)

    deadly(__import__("shutil"), "copyfileobj")
    deadly(__import__("os"), "fsync")
    deadly(Path, "replace")
    deadly(world.store, "delete")
    deadly(world.jobs, "finish")
    with pytest.raises(Crash):
        coordinator.settle(steps=8)
    monkeypatch.undo()
    assert found(world).state == "running"

    world.clock.sleep(limits.LEADER_TTL_S + 1)
    SteppedCoordinator(world, name="b").settle(steps=6)
    assert found(world).state == "done"
    assert world.texts() == ["Good days: Monday.", "The first."]
    assert stored(world) == []
    assert sorted(path.name for path in world.knowledge.iterdir()) == ["a.md", "b.md"]


def test_a_repeated_upload_does_not_undo_a_later_change(
    world: World, coordinator: SteppedCoordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The leader dies after the file stood there; somebody edits it; the next leader begins."""
    upload(world, "b.md", "The first.")

    def dies(*_: Any) -> None:
        raise Crash

    with monkeypatch.context() as patched:
        patched.setattr(world.jobs, "finish", dies)
        with pytest.raises(Crash):
            coordinator.settle(steps=8)
    world.write({"b.md": "Edited since."})
    world.clock.sleep(limits.LEADER_TTL_S + 1)
    SteppedCoordinator(world, name="b").settle(steps=6)
    assert world.texts() == ["Good days: Monday.", "Edited since."]
    assert found(world).state == "failed"
