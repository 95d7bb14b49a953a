"""What ``ports.artifacts.ArtifactStore`` promises, asked of every store there is."""

import mmap
import os
import threading
from pathlib import Path

import pytest

from kotaemon_node.adapters.store.factory import make_artifact_store
from kotaemon_node.domain.errors import CorruptArtifact
from kotaemon_node.ports.artifacts import ArtifactStore


@pytest.fixture(params=["file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    return make_artifact_store(f"{request.param}://{tmp_path}/a%20folder")


def test_what_was_put_is_read_back(store: ArtifactStore) -> None:
    assert store.put_if_absent("tenants/a/x", b"one")
    assert store.get("tenants/a/x") == b"one"
    assert store.open_local("tenants/a/x").read_bytes() == b"one"


def test_a_name_never_changes_its_content(store: ArtifactStore, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"two")
    assert store.put_if_absent("x", b"one")
    assert not store.put_if_absent("x", b"two")
    assert not store.put_file_if_absent("x", other)
    assert store.get("x") == b"one"


def test_a_file_is_put_whole_and_later_writes_to_its_source_do_not_reach_it(
    store: ArtifactStore, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"content")
    with source.open("r+b") as still_open:
        assert store.put_file_if_absent("deep/er/x", source)
        still_open.write(b"CHANGED")
    assert store.get("deep/er/x") == b"content"


def test_of_many_writers_one_wins_and_all_read_its_content(store: ArtifactStore) -> None:
    # Given 16 writers that start together
    gate = threading.Barrier(16)
    won: list[bytes] = []

    def write(number: int) -> None:
        content = bytes([number]) * 100_000
        gate.wait()
        if store.put_if_absent("race/x", content):
            won.append(content)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Then exactly one was first
    assert len(won) == 1
    assert store.get("race/x") == won[0]


def test_what_is_not_there_is_none_or_corrupt(store: ArtifactStore) -> None:
    store.put_if_absent("folder/x", b"")
    assert store.get("folder/x") == b""
    for name in ("y", "folder", "folder/x/y"):
        assert store.get(name) is None
        with pytest.raises(CorruptArtifact):
            store.open_local(name)


@pytest.mark.parametrize("name", ["", "/x", "x/", "a//b", "..", "a/../b", "./a", "a\0b"])
def test_a_name_cannot_leave_the_store(store: ArtifactStore, name: str) -> None:
    for call in (store.get, store.open_local, store.delete):
        with pytest.raises(ValueError, match="not the name"):
            call(name)
    with pytest.raises(ValueError, match="not the name"):
        store.put_if_absent(name, b"")


def test_names_are_listed_in_order_by_prefix(store: ArtifactStore) -> None:
    names = ["a.b", "a/b", "a/b-c/d", "a/b/c", "a0", "b/a"]
    for name in reversed(names):
        if name != "a/b":  # a file cannot be a folder as well
            store.put_if_absent(name, b"")
    assert list(store.list("")) == ["a.b", "a/b-c/d", "a/b/c", "a0", "b/a"]
    assert list(store.list("a/b")) == ["a/b-c/d", "a/b/c"]
    assert list(store.list("a/b/")) == ["a/b/c"]
    assert list(store.list("none/")) == []


def test_a_deleted_name_is_gone_yet_readable_for_who_has_it_open(store: ArtifactStore) -> None:
    store.put_if_absent("segment/x", b"content")
    with store.open_local("segment/x").open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    store.delete("segment/x")
    store.delete("segment/x")
    assert mapped[:] == b"content"
    assert store.get("segment/x") is None
    assert list(store.list("")) == []
    # And the name is free again.
    assert store.put_if_absent("segment/x", b"new")


def test_put_and_delete_of_neighbours_do_not_disturb_each_other(store: ArtifactStore) -> None:
    # Given a writer and a deleter in one folder, which comes and goes with its last file
    failures: list[Exception] = []

    def churn(name: str) -> None:
        try:
            for _ in range(50):
                assert store.put_if_absent(name, b"x")
                store.delete(name)
        except Exception as error:  # noqa: BLE001 - shown by the assertion below
            failures.append(error)

    threads = [threading.Thread(target=churn, args=(f"folder/{n}",)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_write_that_fails_leaves_nothing_behind(
    store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        store.put_if_absent("x", b"content")
    assert store.get("x") is None
    assert list(store.list("")) == []


def test_a_file_is_never_taken_for_a_folder(store: ArtifactStore) -> None:
    store.put_if_absent("a", b"")
    with pytest.raises(OSError, match="a"):
        store.put_if_absent("a/b", b"")


@pytest.mark.parametrize("url", ["s3://bucket/x", "/plain/path", "file://host/x", "file:relative"])
def test_a_store_we_do_not_have_is_refused_by_name(url: str) -> None:
    with pytest.raises(ValueError, match="ARTIFACT_URL"):
        make_artifact_store(url)
