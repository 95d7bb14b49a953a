"""What the leader does when its store no longer holds what it published: it publishes anew."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kotaemon_node.domain import limits
from kotaemon_node.domain.artifact_names import manifest_name, segment_file_name, text_name
from kotaemon_node.domain.knowledge import Manifest
from kotaemon_node.retrieval.manifests import signed
from tests.fakes.coordination import TENANT, SteppedCoordinator, World
from tests.fakes.signing import SIGNER, STRANGER

_LONG_S = 15.0  # longer than the leader goes without a look


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def coordinator(world: World) -> SteppedCoordinator:
    """A leader that published two documents in two generations, hence two segments."""
    coordinator = SteppedCoordinator(world)
    world.write({"a.md": "One. " * 20})
    coordinator.settle()
    world.write({"b.md": "Two."})
    coordinator.settle(steps=4)
    assert (world.manifest().generation, len(world.manifest().segments)) == (2, 2)
    return coordinator


def later(coordinator: SteppedCoordinator) -> None:
    """Let the leader go on leading until it has looked again."""
    begin_s = coordinator.world.clock.monotonic_s()
    while coordinator.world.clock.monotonic_s() < begin_s + _LONG_S:
        coordinator.settle(steps=1)
        coordinator.world.clock.sleep(1.0)


def write(world: World, name: str, content: bytes) -> None:
    """Put a file in the place of another, as a restore or a sync does."""
    world.store.delete(name)
    world.store.put_if_absent(name, content)


def overwrite(world: World, name: str, content: bytes) -> None:
    """Change a file where it lies, as a disk or an editor does."""
    world.store.open_local(name).write_bytes(content)


def a_segment_file(world: World) -> str:
    entry = world.manifest().segments[0]
    file = next(name for name in entry.files if name.endswith(".faiss"))
    return segment_file_name(TENANT, "default", entry.name, file)


def a_text(world: World) -> str:
    digest = world.manifest().documents[0].text
    assert digest is not None
    return text_name(TENANT, "default", digest)


def the_manifest(world: World) -> str:
    return manifest_name(TENANT, "default", 2)


def flip(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.mark.parametrize("place", [a_segment_file, a_text, the_manifest])
@pytest.mark.parametrize(
    "harm", [flip, lambda content: content[: len(content) // 2], lambda _: b""]
)
@pytest.mark.parametrize("put", [write, overwrite])
def test_what_is_damaged_is_published_anew(
    world: World,
    coordinator: SteppedCoordinator,
    place: Callable[[World], str],
    harm: Callable[[bytes], bytes],
    put: Callable[[World, str, bytes], None],
) -> None:
    texts = world.texts()
    name = place(world)
    put(world, name, harm(world.store.get(name) or b""))
    later(coordinator)
    # A new number, for pods refuse or do not look at the old one; all of it is whole again
    assert world.manifest().generation == 3
    assert world.texts() == texts
    assert world.pointer.current(TENANT)["default"].digest == world.manifest().digest
    found = b'kotaemon_coordinator_damage_found_total{kb="default"} 1.0'
    assert found in coordinator.metrics.exposition()
    # And then there is peace
    later(coordinator)
    assert world.manifest().generation == 3


def test_a_file_named_by_its_content_is_replaced_when_it_has_another(world: World) -> None:
    # Given a single segment, so that it is built again under its old name
    coordinator = SteppedCoordinator(world)
    world.write({"a.md": "One."})
    coordinator.settle()
    name, segments = a_segment_file(world), world.manifest().segments
    overwrite(world, name, flip(world.store.get(name) or b""))
    later(coordinator)
    assert (world.manifest().generation, world.manifest().segments) == (2, segments)
    assert world.texts() == ["One."]
    later(coordinator)
    assert world.manifest().generation == 2


@pytest.mark.parametrize("place", [a_segment_file, a_text, the_manifest])
def test_what_is_lost_is_published_anew(
    world: World, coordinator: SteppedCoordinator, place: Callable[[World], str]
) -> None:
    texts = world.texts()
    world.store.delete(place(world))
    later(coordinator)
    assert world.manifest().generation == 3
    assert world.texts() == texts


def unsigned(manifest: Manifest) -> bytes:
    return manifest.to_json()


def of_a_stranger(manifest: Manifest) -> bytes:
    return signed(manifest, STRANGER)


@pytest.mark.parametrize("raw_of", [unsigned, of_a_stranger])
def test_generations_that_nobody_vouches_for_are_built_again_under_new_numbers(
    world: World, coordinator: SteppedCoordinator, raw_of: Callable[[Manifest], bytes]
) -> None:
    # Given a store from before there were signatures, or of another cluster
    for number in (1, 2):
        manifest = coordinator.catalog.manifest("default", number)
        assert manifest is not None
        write(world, manifest_name(TENANT, "default", number), raw_of(manifest))
    # When a coordinator begins to lead there
    world.clock.sleep(limits.LEADER_TTL_S)
    successor = SteppedCoordinator(world, name="b")
    successor.settle(steps=4)
    # Then it makes a generation of its own from the documents, and trusts nothing of the old ones
    assert world.manifest().generation == 3
    assert world.manifest().parent is None
    assert world.texts() == ["One. " * 19 + "One.", "Two."]


def test_an_old_manifest_under_a_new_number_is_no_generation(
    world: World, coordinator: SteppedCoordinator
) -> None:
    first = world.store.get(manifest_name(TENANT, "default", 1))
    assert first is not None
    world.store.put_if_absent(manifest_name(TENANT, "default", 7), first)
    world.clock.sleep(limits.LEADER_TTL_S)
    SteppedCoordinator(world, name="b").settle(steps=4)
    assert world.manifest().generation == 8
    assert len(world.texts()) == 2


def test_a_damaged_segment_is_not_carried_into_the_next_generation(
    world: World, coordinator: SteppedCoordinator
) -> None:
    # Given that the leader has just looked, and a document that brings another segment
    name = a_segment_file(world)
    overwrite(world, name, flip(world.store.get(name) or b""))
    world.write({"c.md": "Three."})
    coordinator.settle(steps=6)
    # Then every generation that was published since is whole
    assert len(world.texts()) == 3
    assert coordinator.board.current.problem is None


def test_an_untouched_store_is_read_once_and_left_alone(
    world: World, coordinator: SteppedCoordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    later(coordinator)
    monkeypatch.setattr("coordinator.audit._pieces", lambda _: pytest.fail("read again"))
    for _ in range(3):
        later(coordinator)
    assert coordinator.board.current.problem is None
    assert world.manifest().generation == 2


def test_after_an_hour_files_are_read_again_however_untouched_they_look(
    world: World, coordinator: SteppedCoordinator
) -> None:
    later(coordinator)
    # Given a disk that changed a bit and nothing else
    path = world.store.open_local(a_segment_file(world))
    before = path.stat()
    path.write_bytes(flip(path.read_bytes()))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    later(coordinator)
    assert world.manifest().generation == 2
    world.clock.sleep(3600)
    later(coordinator)
    assert world.manifest().generation == 3
    world.texts()


def test_signed_again_with_another_key_it_is_the_same_generation(
    world: World, coordinator: SteppedCoordinator
) -> None:
    manifest = world.manifest()
    assert signed(manifest, SIGNER) != signed(manifest, STRANGER)
    assert signed(manifest, SIGNER) == signed(manifest, SIGNER)
    assert world.store.get(the_manifest(world)) == signed(manifest, SIGNER)
