"""What ``ports.artifacts.ArtifactStore`` promises, asked of every store there is."""

import hashlib
import mmap
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kotaemon_node.adapters.store import file_store as file_store_module
from kotaemon_node.adapters.store.factory import StorePlace, make_artifact_store
from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.domain.errors import CorruptArtifact
from kotaemon_node.ports.artifacts import ArtifactStore
from tests.artifact_stores import ServedFolder, TestBucket, file_store


@pytest.fixture(params=["file", "http", "s3"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def store(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> ArtifactStore:
    """A store of each kind: a folder, a folder read through a coordinator, a bucket."""
    if kind == "file":
        return file_store(tmp_path)
    if kind == "http":
        served: ServedFolder = request.getfixturevalue("served_folder")
        return served.store()
    bucket: TestBucket = request.getfixturevalue("bucket")
    return bucket.store(tmp_path / "cache")


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


def test_a_folder_that_comes_and_goes_never_refuses_a_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a folder store whose flushes, which would keep the threads apart, are left out
    monkeypatch.setattr(file_store_module, "_flush", lambda path, flags: None)
    store = file_store(tmp_path)

    def churn(name: str) -> None:
        for _ in range(2_000):
            assert store.put_if_absent(name, b"x")
            store.delete(name)

    # Then each of the threads ends without an error, though they remove each other's folder
    run_all([lambda name=f"folder/{n}": churn(name) for n in range(3)])  # type: ignore[misc]


def test_a_large_file_arrives_whole(store: ArtifactStore, tmp_path: Path) -> None:
    # Given 64 MB, several parts of a multipart upload, and of no repeating pattern
    source = tmp_path / "source"
    source.write_bytes(os.urandom(LARGE_BYTES))
    with source.open("rb") as file:
        expected = hashlib.file_digest(file, "sha256").hexdigest()
    assert store.put_file_if_absent("segment/large", source)
    assert not store.put_file_if_absent("segment/large", source)
    with store.open_local("segment/large").open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == expected


def test_of_many_large_writers_one_wins(store: ArtifactStore, tmp_path: Path) -> None:
    # Given 8 writers of 17 MB, each more than a part, that end at about the same time
    sources = [tmp_path / str(number) for number in range(8)]
    for number, source in enumerate(sources):
        source.write_bytes(bytes([number]) * (17 * 1024 * 1024))
    gate = threading.Barrier(len(sources))
    won: list[Path] = []

    def write(source: Path) -> None:
        gate.wait()
        if store.put_file_if_absent("race/large", source):
            won.append(source)

    run_all([lambda source=source: write(source) for source in sources])  # type: ignore[misc]
    assert len(won) == 1
    assert store.open_local("race/large").read_bytes() == won[0].read_bytes()


def test_readers_see_all_of_it_or_nothing(store: ArtifactStore, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x" * (17 * 1024 * 1024))
    written = threading.Event()
    seen: set[int | None] = set()

    def read() -> None:
        while not written.is_set():
            content = store.get("new")
            seen.add(None if content is None else len(content))

    def write() -> None:
        try:
            store.put_file_if_absent("new", source)
        finally:
            written.set()

    run_all([read, read, write])
    assert seen <= {None, source.stat().st_size}
    assert store.get("new") == source.read_bytes()


def test_of_a_writer_killed_in_the_middle_nothing_is_seen(
    kind: str, store: ArtifactStore, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    # Given a process that is killed when about half of 40 MB are with the store
    source = tmp_path / "source"
    source.write_bytes(os.urandom(40 * 1024 * 1024))
    if kind == "s3":
        bucket: TestBucket = request.getfixturevalue("bucket")
        arguments = [bucket.url, bucket.endpoint, str(tmp_path / "child")]
    elif kind == "http":
        arguments = [request.getfixturevalue("served_folder").folder.as_uri(), "", str(tmp_path)]
    else:
        arguments = [f"file://{tmp_path}/a%20folder", "", str(tmp_path)]
    child = [sys.executable, "-c", KILLED_WRITER, *arguments, str(source)]
    done = subprocess.run(child, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    # Then no reader sees a part of it, and the next writer is the first
    assert store.get("segment/x") is None
    assert list(store.list("")) == []
    with pytest.raises(CorruptArtifact):
        store.open_local("segment/x")
    assert store.put_file_if_absent("segment/x", source)
    assert store.open_local("segment/x").read_bytes() == source.read_bytes()


LARGE_BYTES = 64 * 1024 * 1024
KILLED_WRITER = """
import os, shutil, signal, sys
from pathlib import Path
from kotaemon_node.adapters.store import file_store as file_store_module
from kotaemon_node.adapters.store.factory import StorePlace, make_artifact_store
from kotaemon_node.adapters.system import SystemClock

url, endpoint, cache, source = sys.argv[1:]

def half_a_copy(source, target):
    content = Path(source).read_bytes()
    Path(target).write_bytes(content[: len(content) // 2])
    os.kill(os.getpid(), signal.SIGKILL)

sent = 0

def in_the_second_part(event, arguments):
    global sent
    if event == "http.client.send":
        sent += len(arguments[1]) if isinstance(arguments[1], bytes) else 0
        if sent > 20 * 1024 * 1024:
            os.kill(os.getpid(), signal.SIGKILL)

shutil.copyfile = half_a_copy
sys.addaudithook(in_the_second_part)
place = StorePlace(url, Path(cache), 1 << 30, s3_endpoint=endpoint, s3_region="us-east-1")
store = make_artifact_store(place, clock=SystemClock(), writes=True)
store.put_file_if_absent("segment/x", Path(source))
"""


def run_all(work: list[Callable[[], None]]) -> None:
    """Run all at once; an exception of any is raised."""
    with ThreadPoolExecutor(len(work)) as threads:
        for done in [threads.submit(one) for one in work]:
            done.result()


def test_a_write_that_fails_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = file_store(tmp_path)

    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        store.put_if_absent("x", b"content")
    assert store.get("x") is None
    assert list(store.list("")) == []


def test_what_killed_writers_left_is_removed_after_a_day(tmp_path: Path) -> None:
    store = make_artifact_store(StorePlace(tmp_path.as_uri(), tmp_path, 1), clock=SystemClock())
    left, young = tmp_path / ".incoming" / "left", tmp_path / ".incoming" / "young"
    for path in (left, young):
        path.write_bytes(b"half of a segment")
    day_ago_s = young.stat().st_mtime - 86_500
    os.utime(left, (day_ago_s, day_ago_s))
    store.put_if_absent("x", b"content")
    assert list((tmp_path / ".incoming").iterdir()) == [young]


def test_a_file_is_never_taken_for_a_folder(tmp_path: Path) -> None:
    store = file_store(tmp_path)
    store.put_if_absent("a", b"")
    with pytest.raises(OSError, match="a"):
        store.put_if_absent("a/b", b"")


@pytest.mark.parametrize(
    ("url", "writes"),
    [
        ("/plain/path", False),
        ("file://host/x", False),
        ("file:relative", False),
        ("ftp://host/x", False),
        ("s3:///no-bucket", False),
        ("s3://user:word@bucket/x", False),
        ("http://user:word@host/artifacts", False),
        ("http://host/artifacts", True),
    ],
)
def test_a_store_we_do_not_have_is_refused_by_name(url: str, writes: bool, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="ARTIFACT_URL"):
        make_artifact_store(StorePlace(url, tmp_path, 1), clock=SystemClock(), writes=writes)
