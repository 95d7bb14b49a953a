"""What the leader keeps in a vector store, and what it does when that is away or has lost some."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kotaemon_node.adapters.weaviate import WeaviateStore
from kotaemon_node.domain import limits
from kotaemon_node.ports.jobs import Order
from tests.fakes.coordination import TENANT, SteppedCoordinator, World
from tests.fakes.encoder import HashingEncoder
from tests.fakes.weaviate import FakeWeaviate

COUNT_AGAIN_S = 11.0


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def server() -> Iterator[FakeWeaviate]:
    server = FakeWeaviate()
    server.start()
    yield server
    server.remove()


def coordinator_of(world: World, server: FakeWeaviate, *, name: str = "a") -> SteppedCoordinator:
    store = WeaviateStore(server.address, timeout_s=60.0)
    encoder = HashingEncoder(by_language=True)
    return SteppedCoordinator(world, name=name, encoder=encoder, vector_store=store)


@pytest.fixture
def coordinator(world: World, server: FakeWeaviate) -> SteppedCoordinator:
    return coordinator_of(world, server)


def problem(coordinator: SteppedCoordinator) -> str:
    return coordinator.board.current.problem or ""


def published(world: World) -> dict[str, int]:
    """Return the segments of the newest generation and their passages."""
    return {entry.name: entry.passages for entry in world.manifest().segments}


def test_all_vectors_lie_there_before_the_manifest_does(
    world: World,
    server: FakeWeaviate,
    coordinator: SteppedCoordinator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[dict[str, int]] = []
    put = world.store.put_if_absent

    def watched(name: str, content: bytes) -> bool:
        if "/manifests/" in name:
            seen.append(server.shards())
        return put(name, content)

    monkeypatch.setattr(world.store, "put_if_absent", watched)
    world.write({"a.md": "Three days.\n\n" * 3, "b.md": "保修两年。"})
    coordinator.settle()
    assert seen == [server.shards()]
    # A passage in each language, so the one segment has a set in each of two spaces.
    assert len(server.collections) == 2
    assert {*server.shards()} == {*published(world)}
    assert coordinator.board.current.ready
    assert not problem(coordinator)


def test_nothing_is_built_while_the_store_is_away(
    world: World, server: FakeWeaviate, coordinator: SteppedCoordinator
) -> None:
    server.kill()
    world.write({"a.md": "Three days."})
    coordinator.settle()
    assert not list(world.store.list("tenants/"))
    assert "does not answer" in problem(coordinator)
    assert not coordinator.board.current.ready

    server.start()
    coordinator.settle()
    assert world.texts() == ["Three days."]
    assert server.shards() == published(world)


def test_a_server_that_is_too_old_is_told_in_a_sentence(
    world: World, server: FakeWeaviate, coordinator: SteppedCoordinator
) -> None:
    server.version = "1.19.0"
    world.write({"a.md": "Three days."})
    coordinator.settle()
    assert "of version 1.19.0, which is too old; 1.26 or newer is needed" in problem(coordinator)


def test_a_store_that_takes_a_part_leaves_nothing_published(
    world: World, server: FakeWeaviate, coordinator: SteppedCoordinator
) -> None:
    coordinator.settle()
    before = world.manifest()
    server.refuse_objects = 10**9
    world.write({"a.md": "Three days.", "b.md": "Four days."})
    coordinator.settle()
    assert world.manifest() == before
    assert "did not take vectors" in problem(coordinator)

    server.refuse_objects = 0
    coordinator.settle()
    assert world.texts() == ["Three days.", "Four days."]
    assert server.shards() == published(world)


def test_what_the_store_took_is_counted_before_anything_is_published(
    world: World, server: FakeWeaviate, coordinator: SteppedCoordinator
) -> None:
    coordinator.settle()
    before = world.manifest()
    server.forget_objects = 10**9
    world.write({"a.md": "Three days."})
    coordinator.settle()
    assert world.manifest() == before
    assert "does not have what it took" in problem(coordinator)

    server.forget_objects = 0
    coordinator.settle()
    assert world.texts() == ["Three days."]


def test_a_deletion_does_not_wait_for_the_store(
    world: World, server: FakeWeaviate, coordinator: SteppedCoordinator
) -> None:
    world.write({f"{at}.md": f"Fact number {at}." for at in range(9)})
    coordinator.settle()
    server.kill()
    world.jobs.submit(Order("job-1", "delete", TENANT, "default", {"document": "3.md"}))
    coordinator.settle()
    assert len(world.texts()) == 8
    assert world.jobs.find(TENANT, "job-1").state == "done"


def test_a_wiped_store_is_filled_from_the_segments(
    world: World, server: FakeWeaviate, coordinator: SteppedCoordinator
) -> None:
    world.write({"a.md": "Three days.", "shop/b.md": "Four days."})
    coordinator.settle()
    held = server.shards()
    encoded = len(coordinator.encoder.calls)
    server.wipe()
    world.clock.sleep(COUNT_AGAIN_S)
    coordinator.settle()
    assert server.shards() == held
    assert world.manifest().generation == 1
    assert len(coordinator.encoder.calls) == encoded


@pytest.mark.parametrize("change", ["lost", "strange"])
def test_a_set_of_another_size_is_made_whole(
    world: World, server: FakeWeaviate, coordinator: SteppedCoordinator, change: str
) -> None:
    world.write({"a.md": "Three days.", "b.md": "Four days."})
    coordinator.settle()
    ((shard,),) = [tuple(made.values()) for made in server.collections.values()]
    right = dict(shard)
    if change == "lost":
        shard.popitem()
    else:
        shard["00000000-0000-0000-0000-00000000ffff"] = next(iter(shard.values()))
    world.clock.sleep(COUNT_AGAIN_S)
    coordinator.settle()
    ((shard,),) = [tuple(made.values()) for made in server.collections.values()]
    assert shard.keys() == right.keys()


def test_a_store_that_goes_away_later_is_told_and_found_again(
    world: World, server: FakeWeaviate, coordinator: SteppedCoordinator
) -> None:
    world.write({"a.md": "Three days."})
    coordinator.settle()
    server.kill()
    world.clock.sleep(COUNT_AGAIN_S)
    coordinator.settle()
    assert "does not answer" in problem(coordinator)
    # What is published is served, so nobody need wait for this process.
    assert coordinator.board.current.ready
    server.start()
    world.clock.sleep(COUNT_AGAIN_S)
    coordinator.settle()
    assert not problem(coordinator)


def test_no_merge_begins_that_could_not_be_published(
    world: World,
    server: FakeWeaviate,
    coordinator: SteppedCoordinator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world.write({"a.md": "Three days."})
    coordinator.settle()
    server.kill()
    world.clock.sleep(COUNT_AGAIN_S)
    coordinator.settle()
    begun: list[int] = []
    monkeypatch.setattr("coordinator.merges.Merges.step", lambda *_, **how: begun.append(1))
    coordinator.settle()
    assert not begun
    server.start()
    world.clock.sleep(COUNT_AGAIN_S)
    coordinator.settle()
    assert begun


def test_what_was_published_without_a_store_is_brought_there(
    world: World, server: FakeWeaviate
) -> None:
    world.write({"a.md": "Three days."})
    SteppedCoordinator(world, encoder=HashingEncoder(by_language=True)).settle()
    world.clock.sleep(60.0)
    coordinator_of(world, server, name="b").settle()
    assert world.manifest().generation == 1
    assert server.shards() == published(world)


def test_sets_go_with_the_files_of_their_segments_and_not_before(
    world: World,
    server: FakeWeaviate,
    coordinator: SteppedCoordinator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "GENERATIONS_KEPT", 2)
    world.write({"a.md": "Three days."})
    coordinator.settle()
    (first,) = published(world)
    for number in range(limits.GENERATIONS_KEPT + 1):
        world.write({"a.md": f"{number} days."})
        coordinator.settle()
    world.clock.sleep(limits.ARTIFACT_GRACE_S)
    coordinator.settle()
    assert first in server.shards()
    coordinator.retention.sweep("default")
    world.clock.sleep(limits.ARTIFACT_GRACE_S)
    coordinator.retention.sweep("default")
    coordinator.settle()
    stored = {name.split("/")[5] for name in world.store.list("tenants/default/kb/default/seg")}
    assert first not in stored
    assert {*server.shards()} == stored


def test_a_purge_leaves_no_vector_of_the_document(
    world: World, server: FakeWeaviate, coordinator: SteppedCoordinator
) -> None:
    world.write({"secret.md": "Xylophone.", "a.md": "Beside it."})
    coordinator.settle()
    (old,) = published(world)
    world.jobs.submit(Order("job-1", "purge", TENANT, "default", {"document": "secret.md"}))
    coordinator.settle()
    assert world.jobs.find(TENANT, "job-1").state == "done"
    assert old not in server.shards()
    assert server.shards() == published(world)


def test_a_rollback_finds_its_vectors_or_writes_them(
    world: World, server: FakeWeaviate, coordinator: SteppedCoordinator
) -> None:
    world.write({"a.md": "Three days."})
    coordinator.settle()
    (old,) = published(world)
    world.write({"a.md": "Four days."})
    coordinator.settle()
    for made in server.collections.values():
        made.pop(old)
    world.clock.sleep(COUNT_AGAIN_S)
    coordinator.settle()
    world.jobs.submit(Order("job-1", "rollback", TENANT, "default", {"generation": 1}))
    coordinator.settle()
    assert published(world) == {old: 1}
    assert server.shards()[old] == 1
