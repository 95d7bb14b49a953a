"""A purge leaves no trace of a document in the artifact store, and nothing else is lost."""

from pathlib import Path

import pytest

from kotaemon_node.domain import limits
from kotaemon_node.domain.artifact_names import building_prefix
from kotaemon_node.domain.errors import NotFound, Withdrawn
from kotaemon_node.domain.knowledge import Passage
from kotaemon_node.ports.jobs import Order
from kotaemon_node.retrieval.sources import SourceReader
from tests.fakes.coordination import TENANT, SteppedCoordinator, World
from tests.fakes.signing import VERIFIER

MARK = "Xylophone77"
SECRET = f"# {MARK} in the title\n\nThe secret is {MARK}."


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def coordinator(world: World) -> SteppedCoordinator:
    """Seven generations: the document alone, with others, changed, merged, deleted, back again."""
    coordinator = SteppedCoordinator(world)
    for files in (
        {"secret.md": SECRET, "a.md": "Beside it."},
        {"b.md": "More."},
        {"secret.md": SECRET + f" And {MARK} again.", "a.md": "Beside it, changed."},
        {"c.md": "And more."},
    ):
        world.write(files)
        coordinator.settle()
    (world.knowledge / "secret.md").unlink()
    coordinator.settle()
    world.write({"secret.md": SECRET, "d.md": f"Twice {MARK}.\n"})
    coordinator.settle()
    world.write({"d.md": "Nothing here.\n"})
    coordinator.settle()
    assert world.manifest().generation == 7
    return coordinator


def purge(world: World, *, document: str = "secret.md", job: str = "job-1") -> None:
    world.jobs.submit(Order(job, "purge", TENANT, "default", {"document": document}))


def marked(world: World) -> list[str]:
    """Return the files of the store in which the mark stands, byte by byte."""
    root = world.knowledge.parent / "artifacts"
    files = [path for path in root.rglob("*") if path.is_file()]
    assert files
    return [
        path.relative_to(root).as_posix()
        for path in files
        if MARK.lower() in path.read_bytes().decode("latin-1").lower()
    ]


def cited(world: World, generation: int, document: str) -> Passage:
    """Return a passage of the newest generation, as an answer cites it."""
    return next(it for it in world.passages() if it.document == document)


def test_no_file_of_the_store_holds_the_text_afterwards(
    world: World, coordinator: SteppedCoordinator
) -> None:
    # "d.md" held the mark once as well: it is a document of its own, purged on its own.
    assert len(marked(world)) > 10
    # What a build worker was given and has made lies in the store, too.
    place = building_prefix(TENANT, "default")
    for part in ("source", "piece"):
        world.store.put_if_absent(f"{place}{'0' * 64}.{part}", SECRET.encode())
    purge(world)
    purge(world, document="d.md", job="job-2")
    coordinator.settle(steps=5)
    assert marked(world) == []
    assert world.jobs.find(TENANT, "job-1").state == "done"
    assert not (world.knowledge / "secret.md").exists()
    assert world.texts() == ["Beside it, changed.", "More.", "And more."]


def test_citations_of_it_are_withdrawn_and_those_of_others_open(
    world: World, coordinator: SteppedCoordinator
) -> None:
    sources = SourceReader(world.store, VERIFIER, tenant=TENANT)
    secret, other = (cited(world, 7, name) for name in ("secret.md", "a.md"))
    assert MARK in sources.source("default", 7, secret.id).text
    purge(world)
    coordinator.settle()
    again = SourceReader(world.store, VERIFIER, tenant=TENANT)
    for reader in (sources, again):
        for generation in (1, 2, 6, 7):
            with pytest.raises(Withdrawn):
                reader.source("default", generation, secret.id)
        for generation in (3, 4, 5, 6, 7, 8):
            source = reader.source("default", generation, other.id)
            assert source.text[slice(*source.span)] == "Beside it, changed."
    with pytest.raises(NotFound):
        again.source("default", 2, other.id)


def test_a_document_that_comes_back_is_cited_again(
    world: World, coordinator: SteppedCoordinator
) -> None:
    secret = cited(world, 7, "secret.md")
    purge(world)
    coordinator.settle()
    world.write({"secret.md": SECRET})
    coordinator.settle()
    sources = SourceReader(world.store, VERIFIER, tenant=TENANT)
    assert MARK in sources.source("default", 9, secret.id).text
    with pytest.raises(Withdrawn):
        sources.source("default", 7, secret.id)


def test_a_document_whose_file_went_long_ago_can_be_purged(
    world: World, coordinator: SteppedCoordinator
) -> None:
    (world.knowledge / "secret.md").unlink()
    coordinator.settle()
    purge(world)
    purge(world, document="d.md", job="job-2")
    coordinator.settle()
    assert marked(world) == []
    purge(world, document="never.md", job="job-3")
    coordinator.settle()
    assert world.jobs.find(TENANT, "job-3").reason == "there is no document never.md"


def test_a_purged_generation_is_not_one_to_go_back_to(
    world: World, coordinator: SteppedCoordinator
) -> None:
    purge(world)
    world.jobs.submit(Order("job-2", "rollback", TENANT, "default", {"generation": 3}))
    coordinator.settle()
    told = world.jobs.find(TENANT, "job-2")
    assert told.state == "failed"
    assert "generation 3 is not one to go back to" in str(told.reason)


def test_a_text_that_another_document_has_as_well_stays_for_it(world: World) -> None:
    coordinator = SteppedCoordinator(world)
    world.write({"one.md": "The same text.", "two.md": "The same text."})
    coordinator.settle()
    purge(world, document="one.md")
    coordinator.settle()
    assert world.texts() == ["The same text."]
    assert [it.document for it in world.manifest().documents] == ["two.md"]
    sources = SourceReader(world.store, VERIFIER, tenant=TENANT)
    assert sources.source("default", 1, cited(world, 2, "two.md").id).text == "The same text."


def test_whoever_has_the_old_generation_open_reads_on(
    world: World, coordinator: SteppedCoordinator
) -> None:
    loader = coordinator.loop._jobs._orders._loader
    generation = loader.open(world.manifest())
    purge(world)
    coordinator.settle()
    rows = generation.rows_of("secret.md")
    assert MARK in generation.passage(rows[0]).text
    generation.close()


def test_a_held_build_leaves_no_trace_either(world: World, coordinator: SteppedCoordinator) -> None:
    probe = "probes:\n- {question: beside it changed, documents: [a.md], phrase: beside}\n"
    world.write({".probes.yaml": probe, "a.md": "Gone.", "e.md": f"Held {MARK}."})
    coordinator.settle()
    assert coordinator.board.current.knowledge["default"].held is not None
    for at, name in enumerate(("secret.md", "d.md", "e.md")):
        purge(world, document=name, job=f"job-{at}")
    coordinator.settle()
    assert marked(world) == []


def test_what_is_left_goes_when_the_manifests_would_have_gone(
    world: World, coordinator: SteppedCoordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "GENERATIONS_KEPT", 1)
    purge(world)
    coordinator.settle()
    left = list(world.store.list("tenants/default/kb/default/redacted/"))
    assert len(left) >= 6
    coordinator.retention.sweep("default")
    assert list(world.store.list("tenants/default/kb/default/redacted/")) == left
    world.clock.sleep(3 * 24 * 3600)
    coordinator.retention.sweep("default")
    assert list(world.store.list("tenants/default/kb/default/redacted/")) == []
    assert len(world.texts()) == 4
