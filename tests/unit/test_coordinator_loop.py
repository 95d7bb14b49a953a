"""From files to generations: what one coordinator does, and what two do to each other."""

import json
from pathlib import Path

import pytest

from kotaemon_node.adapters.documents.reading import parse_document
from kotaemon_node.adapters.faiss import FaissSegmentFormat
from kotaemon_node.domain import limits
from kotaemon_node.domain.artifact_names import manifest_name, segment_file_name
from kotaemon_node.domain.events import KNOWLEDGE_UPDATED
from tests.fakes.coordination import TENANT, SteppedCoordinator, World
from tests.fakes.encoder import HashingEncoder
from tests.fakes.knowledge_ports import MemoryLeadership


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def coordinator(world: World) -> SteppedCoordinator:
    return SteppedCoordinator(world)


def test_files_become_a_generation_that_pods_can_open(
    world: World, coordinator: SteppedCoordinator
) -> None:
    world.write({"a.md": "# Returns\n\nWithin 30 days.", "shop/b.txt": "保修两年。"})
    coordinator.settle()

    assert world.texts() == ["Within 30 days."]
    assert world.texts("shop") == ["保修两年。"]
    manifest = world.manifest()
    assert (manifest.generation, manifest.parent) == (1, None)
    (entry,) = manifest.documents
    assert (entry.document, entry.title, entry.status) == ("a.md", "Returns", "indexed")
    assert world.pointer.current(TENANT)["default"].digest == manifest.digest
    assert coordinator.board.current.ready


def test_an_event_names_the_generation_after_the_pointer_does(
    world: World, coordinator: SteppedCoordinator
) -> None:
    coordinator.settle()
    (message,) = world.bus.messages
    manifest = world.manifest()
    assert (message.topic, message.key) == (KNOWLEDGE_UPDATED, "default")
    event = json.loads(message.value)
    assert event["generation"] == 1
    assert event["sha256"] == manifest.digest
    assert event["manifest"] == manifest_name(TENANT, "default", 1)
    assert event["parent"] is None
    assert event["at"].endswith("+00:00")


def test_an_empty_folder_still_gives_pods_something_to_serve(
    world: World, coordinator: SteppedCoordinator
) -> None:
    coordinator.settle()
    assert world.manifest().documents == ()
    assert world.manifest().generation == 1
    coordinator.settle()
    assert world.manifest().generation == 1


def test_a_change_a_deletion_and_a_rename_are_a_new_generation_each(
    world: World, coordinator: SteppedCoordinator
) -> None:
    world.write({"a.md": "Three days.", "b.md": "Free."})
    coordinator.settle()
    first = world.manifest()

    world.write({"a.md": "Four days now."})
    coordinator.settle()
    assert world.texts() == ["Four days now.", "Free."]
    assert world.manifest().parent == first.digest

    (world.knowledge / "b.md").unlink()
    coordinator.settle()
    assert world.texts() == ["Four days now."]

    (world.knowledge / "a.md").rename(world.knowledge / "c.md")
    coordinator.settle()
    assert [entry.document for entry in world.manifest().documents] == ["c.md"]
    assert world.texts() == ["Four days now."]


def test_what_has_the_same_content_is_not_built_again(
    world: World, coordinator: SteppedCoordinator
) -> None:
    world.write({"a.md": "Three days."})
    coordinator.settle()
    world.write({"a.md": "Three days."})
    coordinator.settle()
    SteppedCoordinator(world).settle()
    assert world.manifest().generation == 1


def test_bad_files_are_failed_with_a_reason_and_stop_nobody(
    world: World, coordinator: SteppedCoordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(document: str, content: bytes) -> object:
        if document == "bug.md":
            raise RuntimeError("a bug in a parser")
        return parse_document(document, content)

    monkeypatch.setattr("coordinator.ingest.parse_document", broken)
    world.write(
        {"ok.md": "Good.", "empty.md": "", "binary.md": b"%PDF-1.4", "x.pdf": "x", "bug.md": "b"}
    )
    coordinator.settle()
    reasons = {it.document: (it.status, it.reason) for it in world.manifest().documents}
    assert reasons["ok.md"] == ("indexed", None)
    assert reasons["empty.md"] == ("failed", "the file is empty")
    assert reasons["binary.md"] == ("failed", "the PDF is broken: it could not be read")
    assert "it is not a PDF" in str(reasons["x.pdf"])
    assert "internal error" in str(reasons["bug.md"])
    assert world.texts() == ["Good."]

    coordinator.settle()
    assert world.manifest().generation == 1
    world.write({"empty.md": "Not empty."})
    coordinator.settle()
    assert world.texts() == ["Not empty.", "Good."]


def test_many_small_changes_stay_few_segments_and_encode_nothing_twice(
    world: World, coordinator: SteppedCoordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[str] = []
    encode = coordinator.encoder.encode_passages

    def counting(texts: list[str]) -> object:
        encoded.extend(texts)
        return encode(texts)

    monkeypatch.setattr(coordinator.encoder, "encode_passages", counting)
    for at in range(3 * limits.SEGMENTS_MAX):
        world.write({f"{at:02}.md": f"Fact number {at}."})
        coordinator.settle()
        assert len(world.manifest().segments) <= limits.SEGMENTS_MAX
    assert world.texts() == [f"Fact number {at}." for at in range(3 * limits.SEGMENTS_MAX)]
    assert len(encoded) == 3 * limits.SEGMENTS_MAX


def test_merged_rows_keep_their_vectors(world: World, coordinator: SteppedCoordinator) -> None:
    world.write({f"{at}.md": f"Fact {at} of many." for at in range(3)})
    coordinator.settle()
    for at in (0, 1):
        (world.knowledge / f"{at}.md").unlink()
    coordinator.settle()
    manifest = world.manifest()
    (entry,) = manifest.segments
    assert entry.passages == 1
    paths = {
        file: world.store.open_local(segment_file_name(TENANT, "default", entry.name, file))
        for file in entry.files
    }
    opened = FaissSegmentFormat().open(paths, entry)
    expected = HashingEncoder().encode_passages(["2\nFact 2 of many."])["all"].vectors[0]
    assert opened.vector(0)["all"] == pytest.approx(expected)


def test_another_encoder_builds_all_anew_under_the_next_number(world: World) -> None:
    world.write({"a.md": "One.", "b.md": "Two."})
    SteppedCoordinator(world).settle()
    world.clock.sleep(limits.LEADER_TTL_S)

    other = SteppedCoordinator(world, name="b", encoder=HashingEncoder("other", dimension=32))
    other.settle()
    manifest = world.manifest()
    assert (manifest.generation, manifest.encoder) == (2, "other")
    assert dict(manifest.spaces) == {"all": 32}
    assert world.texts() == ["One.", "Two."]
    assert len(manifest.segments) == 1


def test_a_large_drop_is_published_in_parts_small_files_first(
    world: World, coordinator: SteppedCoordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "GENERATION_PASSAGES_MAX", 2)
    world.write({f"{at}.md": f"Fact. {'x' * at}" for at in range(5)})
    coordinator.settle(steps=2)
    states = {it.document: it.status for it in world.manifest().documents}
    assert states == {
        "0.md": "indexed", "1.md": "indexed", "2.md": "queued", "3.md": "queued", "4.md": "queued",
    }  # fmt: skip
    assert not coordinator.board.current.ready
    coordinator.settle()
    assert {it.status for it in world.manifest().documents} == {"indexed"}
    assert coordinator.board.current.ready


def test_a_standby_takes_over_and_goes_on_with_the_numbers(world: World) -> None:
    first, second = SteppedCoordinator(world), SteppedCoordinator(world, name="b")
    world.write({"a.md": "One."})
    first.settle()
    second.settle()
    assert second.board.current.role == "standby"
    assert second.board.current.ready

    first.lease.resign()
    world.write({"a.md": "Two."})
    second.settle(steps=4)
    assert second.board.current.role == "leader"
    assert world.texts() == ["Two."]
    assert world.manifest().generation == 2


def test_a_leader_that_lost_the_lead_while_building_publishes_nothing(
    world: World, coordinator: SteppedCoordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    coordinator.settle()
    encode = coordinator.encoder.encode_passages

    def slow(texts: list[str]) -> object:
        world.clock.sleep(limits.LEADER_TTL_S)
        SteppedCoordinator(world, name="b").lease.renew()
        return encode(texts)

    monkeypatch.setattr(coordinator.encoder, "encode_passages", slow)
    world.write({"a.md": "One."})
    coordinator.settle()
    assert world.manifest().generation == 1


def test_a_number_taken_by_another_is_read_and_built_upon(
    world: World, coordinator: SteppedCoordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    coordinator.settle()
    # The rival believes to lead as well, as after a pause that outlasted its lease unnoticed.
    world.leadership = MemoryLeadership(world.clock)
    rival = SteppedCoordinator(world, name="b")
    world.write({"a.md": "One."})
    require = coordinator.lease.require
    raced: list[int] = []

    def overtaken(fence: int) -> None:
        require(fence)
        if not raced:
            raced.append(fence)
            world.write({"rival.md": "Three."})
            rival.settle()

    monkeypatch.setattr(coordinator.lease, "require", overtaken)
    coordinator.settle()
    second = world.manifest()
    world.write({"b.md": "Two."})
    coordinator.settle(steps=5)
    assert raced
    assert world.texts() == ["One.", "Two.", "Three."]
    assert world.manifest().generation == 3
    assert world.manifest().parent == second.digest


@pytest.mark.parametrize("lost", ["pointer", "bus"])
def test_a_generation_that_could_not_be_announced_is_announced_later(
    world: World, coordinator: SteppedCoordinator, lost: str
) -> None:
    coordinator.settle()
    part = getattr(world, lost)
    world.write({"a.md": "One."})
    coordinator.settle(steps=2)
    part.away = True
    world.write({"a.md": "Two."})
    coordinator.settle()
    part.away = False
    coordinator.settle()
    newest = world.manifest()
    assert world.texts() == ["Two."]
    assert world.pointer.current(TENANT)["default"].generation == newest.generation
    assert json.loads(world.bus.messages[-1].value)["generation"] == newest.generation
    assert coordinator.board.current.problem is None


def test_without_the_bus_every_knowledge_base_is_kept_up_to_date(
    world: World, coordinator: SteppedCoordinator
) -> None:
    world.write({"a.md": "One.", "staff/b.md": "One."})
    coordinator.settle()

    world.bus.away = True
    world.write({"a.md": "Two.", "staff/b.md": "Two."})
    coordinator.settle()

    pointed = world.pointer.current(TENANT)
    assert {kb: ref.generation for kb, ref in pointed.items()} == {"default": 2, "staff": 2}
    assert coordinator.board.current.problem is None
    world.bus.away = False
    coordinator.settle()
    told = [json.loads(message.value) for message in world.bus.messages[-2:]]
    assert {(event["kb"], event["generation"]) for event in told} == {("default", 2), ("staff", 2)}


def test_a_lost_pointer_is_made_again_from_the_store(
    world: World, coordinator: SteppedCoordinator
) -> None:
    world.write({"a.md": "One."})
    coordinator.settle()
    world.pointer.refs.clear()
    world.clock.sleep(30)
    coordinator.settle()
    assert world.pointer.current(TENANT)["default"].digest == world.manifest().digest
    assert world.manifest().generation == 1


def test_a_store_that_was_emptied_gets_numbers_above_the_pointer(
    world: World, tmp_path: Path
) -> None:
    world.write({"a.md": "One."})
    SteppedCoordinator(world).settle()
    world.write({"a.md": "Two."})
    SteppedCoordinator(world).settle(steps=4)
    assert world.pointer.current(TENANT)["default"].generation == 2
    for name in list(world.store.list("")):
        world.store.delete(name)

    SteppedCoordinator(world).settle(steps=4)
    assert world.manifest().generation == 3
    assert world.pointer.current(TENANT)["default"].digest == world.manifest().digest
    assert world.texts() == ["Two."]


def test_a_pointer_to_a_lost_generation_is_moved_to_a_new_one(world: World) -> None:
    world.write({"a.md": "One."})
    SteppedCoordinator(world).settle()
    world.write({"a.md": "Two."})
    SteppedCoordinator(world).settle(steps=4)
    world.store.delete(manifest_name(TENANT, "default", 2))
    world.write({"a.md": "One."})

    SteppedCoordinator(world).settle(steps=4)
    assert world.manifest().generation == 3
    assert world.pointer.current(TENANT)["default"].digest == world.manifest().digest
    assert world.texts() == ["One."]


def test_a_knowledge_base_whose_folder_is_gone_becomes_empty(
    world: World, coordinator: SteppedCoordinator
) -> None:
    world.write({"shop/a.md": "One."})
    coordinator.settle()
    (world.knowledge / "shop/a.md").unlink()
    (world.knowledge / "shop").rmdir()
    world.clock.sleep(limits.LEADER_TTL_S)
    successor = SteppedCoordinator(world, name="b")
    successor.settle()
    assert world.manifest("shop").documents == ()
    assert world.manifest("shop").generation == 2


def test_a_missing_folder_is_told_and_deletes_nothing(
    world: World, coordinator: SteppedCoordinator
) -> None:
    world.write({"a.md": "One."})
    coordinator.settle()
    away = world.knowledge.with_name("away")
    world.knowledge.rename(away)
    coordinator.settle()
    assert "is not there" in str(coordinator.board.current.problem)
    assert world.texts() == ["One."]
    away.rename(world.knowledge)
    coordinator.settle()
    assert coordinator.board.current.problem is None


def test_a_damaged_segment_is_made_again_from_the_files(
    world: World, coordinator: SteppedCoordinator
) -> None:
    world.write({f"{at}.md": f"Fact {at}." for at in range(3)})
    coordinator.settle()
    (entry,) = world.manifest().segments
    for file in entry.files:
        path = world.store.open_local(segment_file_name(TENANT, "default", entry.name, file))
        path.write_bytes(b"damaged")
    for at in (0, 1):
        (world.knowledge / f"{at}.md").unlink()
    coordinator.settle(steps=5)
    assert world.texts() == ["Fact 2."]


def test_an_unreadable_manifest_keeps_its_number(world: World) -> None:
    world.write({"a.md": "One."})
    SteppedCoordinator(world).settle()
    world.store.put_if_absent(manifest_name(TENANT, "default", 2), b"{broken")
    world.write({"a.md": "Two."})
    SteppedCoordinator(world).settle(steps=4)
    assert world.manifest().generation == 3
    assert world.texts() == ["Two."]


def test_stopping_ends_a_build_in_the_middle(
    world: World, coordinator: SteppedCoordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    coordinator.settle()
    encode = coordinator.encoder.encode_passages

    def stopping(texts: list[str]) -> object:
        coordinator.loop.stop()
        return encode(texts)

    monkeypatch.setattr(coordinator.encoder, "encode_passages", stopping)
    world.write({"a.md": "One."})
    coordinator.settle()
    assert world.manifest().generation == 1
