"""Copies of artifacts that lie elsewhere: bounded, shared, resumed, and thrown away when wrong."""

import hashlib
import mmap
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from kotaemon_node.adapters.store import cache as caching
from kotaemon_node.adapters.store.cache import LocalCache
from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.domain.artifact_names import manifest_name
from kotaemon_node.ports.artifacts import ArtifactsUnavailable
from tests.artifact_stores import ServedFolder, TestBucket, reader
from tests.fakes.artifact_origin import MB, QuickClock, ScriptedOrigin, copies, store_of

MANIFEST = manifest_name("default", "default", 1)


def test_a_download_goes_on_where_it_broke_off(tmp_path: Path) -> None:
    origin = ScriptedOrigin(os.urandom(8 * MB), breaks_after=2 * MB)
    path = store_of(origin, tmp_path).open_local("x")
    assert path.read_bytes() == origin.content
    assert origin.starts == [0, 2 * MB, 4 * MB, 6 * MB]


@pytest.mark.parametrize("kind", ["http", "s3"])
def test_what_a_dead_process_fetched_is_not_fetched_again(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given the first half of a content, fetched by a process that is gone
    content = os.urandom(6 * MB)
    place: Any = request.getfixturevalue("served_folder" if kind == "http" else "bucket")
    store = place.store() if kind == "http" else place.store(tmp_path / "cache")
    store.put_if_absent("x", content)
    assert isinstance(place, ServedFolder | TestBucket)
    cut = tmp_path / "cut"
    remote = reading(place, cut)
    whole = remote.open_local("x")
    tag = origin_tag(remote)
    whole.unlink()
    aside = cut_cache(remote).aside("x")
    aside.write_bytes(content[: 3 * MB])
    aside.with_suffix(".tag").write_text(f'{{"tag": {quoted(tag)}, "size_bytes": {6 * MB}}}')
    # Then only the second half comes over the wire
    came = 0
    real = os.write

    def counted(descriptor: int, block: Any) -> int:
        nonlocal came
        came += len(block) if len(block) > 1000 else 0
        return real(descriptor, block)

    monkeypatch.setattr(os, "write", counted)
    assert remote.open_local("x").read_bytes() == content
    assert came == 3 * MB


def test_a_beginning_of_another_content_is_dropped(served_folder: ServedFolder) -> None:
    store = served_folder.store()
    store.put_if_absent("x", b"the right content")
    remote = reading(served_folder, served_folder.cache)
    aside = cut_cache(remote).aside("x")
    aside.write_bytes(b"another")
    aside.with_suffix(".tag").write_text('{"tag": "\\"of-old\\"", "size_bytes": 17}')
    assert remote.open_local("x").read_bytes() == b"the right content"


def test_a_content_of_another_size_than_announced_is_none(tmp_path: Path) -> None:
    for announced in (2 * MB, 4 * MB):
        origin = ScriptedOrigin(os.urandom(3 * MB))
        origin.announced = announced
        with pytest.raises(ArtifactsUnavailable, match=r"announced|bytes came"):
            store_of(origin, tmp_path / str(announced)).open_local("x")
        assert copies(tmp_path / str(announced)) == []


def test_an_origin_that_drips_is_broken_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kotaemon_node.adapters.store import download

    monkeypatch.setattr(download, "_SLOW_WINDOW_S", 0.0)
    origin = ScriptedOrigin(b"x" * 100, chunk=1)
    with pytest.raises(ArtifactsUnavailable, match="bytes in"):
        store_of(origin, tmp_path).open_local("x")
    assert len(origin.starts) == download.BREAKS_MAX


def test_one_of_several_processes_fetches(served_folder: ServedFolder, tmp_path: Path) -> None:
    # Given 4 processes of a machine that want the same 32 MB at once
    content = os.urandom(32 * MB)
    served_folder.store().put_if_absent("x", content)
    cache = tmp_path / "shared"
    script = """
import sys
from pathlib import Path
from kotaemon_node.adapters.store.factory import StorePlace, make_artifact_store
from kotaemon_node.adapters.system import SystemClock
place = StorePlace(sys.argv[1], Path(sys.argv[2]), 1 << 30, token=sys.argv[3])
make_artifact_store(place, clock=SystemClock()).open_local("x")
"""
    command = [sys.executable, "-c", script, served_folder.url, str(cache), served_folder.token]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
        for _ in range(4)
    ]
    said = "".join(child.communicate(timeout=60)[0] for child in running)
    assert [child.returncode for child in running] == [0] * 4
    # Then one of them did, and nothing is left aside
    assert said.count("artifact_fetched") == 1
    (folder,) = cache.iterdir()
    assert (folder / "files" / "x").read_bytes() == content
    assert list((folder / "aside").iterdir()) == []


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    cache = LocalCache(tmp_path, bytes_max=1, clock=SystemClock())
    script = """
import sys, time
from pathlib import Path
from kotaemon_node.adapters.store.cache import LocalCache
from kotaemon_node.adapters.system import SystemClock
with LocalCache(Path(sys.argv[1]), bytes_max=1, clock=SystemClock()).sole("x"):
    print("held", flush=True)
    time.sleep(600)
"""
    child = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    held = threading.Event()

    def take() -> None:
        with cache.sole("x"):
            held.set()

    waiting = threading.Thread(target=take)
    waiting.start()
    assert not held.wait(0.2)
    child.send_signal(signal.SIGKILL)
    assert held.wait(30)
    waiting.join()
    child.wait()


def test_who_waits_for_a_holder_that_comes_no_further_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caching, "WAIT_MAX_S", 0.05)
    cache = LocalCache(tmp_path, bytes_max=1, clock=QuickClock())
    with (
        cache.sole("x"),
        pytest.raises(ArtifactsUnavailable, match="comes no further"),
        cache.sole("x"),
    ):
        pass


def test_beyond_the_bound_the_least_recently_used_goes(served_folder: ServedFolder) -> None:
    written, folder = served_folder.store(), served_folder.cache / "own"
    for name in "abcd":
        written.put_if_absent(name, name.encode() * MB)
    store = store_of(origin_of(served_folder), folder, bytes_max=3 * MB + 10, spared_s=0.0)
    for number, name in enumerate("abc"):
        os.utime(store.open_local(name), (number, number))
    store.open_local("a")
    store.open_local("d")
    assert copies(folder) == ["a", "c", "d"]


def test_what_is_mapped_or_was_just_asked_for_stays(served_folder: ServedFolder) -> None:
    written, folder = served_folder.store(), served_folder.cache / "own"
    for name in "abc":
        written.put_if_absent(name, name.encode() * MB)
    # Given one file that is mapped, and not asked for in a long time
    store = store_of(origin_of(served_folder), folder, bytes_max=MB + 10, spared_s=60.0)
    path = store.open_local("a")
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    os.utime(path, (1, 1))
    # Then it stays, and so does what was just asked for: the bound gives way
    store.open_local("b")
    store.open_local("c")
    assert copies(folder) == ["a", "b", "c"]
    # And without the mapping it goes
    mapped.close()
    store.open_local("a")
    for name in "ab":
        os.utime(folder / "files" / name, (1, 1))
    written.put_if_absent("d", b"d")
    store.open_local("d")
    assert copies(folder) == ["c", "d"]


def test_a_copy_that_is_used_looks_unchanged(tmp_path: Path) -> None:
    store = store_of(ScriptedOrigin(b"content"), tmp_path)
    path = store.open_local("x")
    os.utime(path, (1, 1))
    assert store.open_local("x") == path
    used = path.stat()
    assert used.st_mtime == 1
    assert used.st_atime > 1


def test_a_wrong_copy_is_fetched_again_once(served_folder: ServedFolder) -> None:
    served_folder.store().put_if_absent("x", b"right")
    store = reading(served_folder, served_folder.cache / "own")
    right = hashlib.sha256(b"right").hexdigest()
    path = store.open_local("x")
    assert not store.discard_local("x", sha256=right)
    path.write_bytes(b"wrong")
    assert store.discard_local("x", sha256=right)
    assert store.open_local("x").read_bytes() == b"right"
    # Where the store's own content is the wrong one, it is not fetched for ever
    assert not store.discard_local("x", sha256=hashlib.sha256(b"other").hexdigest())


def test_without_its_store_a_pod_has_manifests_and_segments_but_no_texts(tmp_path: Path) -> None:
    origin = ScriptedOrigin(b"content")
    store = store_of(origin, tmp_path)
    for name in (MANIFEST, "x"):
        assert store.get(name) == b"content"
    store.open_local("segment")
    origin.away = True
    assert store.get(MANIFEST) == b"content"
    assert store.open_local("segment").read_bytes() == b"content"
    assert list(store.list("tenants/")) == [MANIFEST]
    # A text may have been withdrawn meanwhile
    with pytest.raises(ArtifactsUnavailable, match="nobody there"):
        store.get("x")
    with pytest.raises(ArtifactsUnavailable, match="nobody there"):
        list(store.list("none/"))


def test_a_manifest_that_was_removed_is_forgotten(served_folder: ServedFolder) -> None:
    written = served_folder.store()
    written.put_if_absent(MANIFEST, b"{}")
    store = reading(served_folder, served_folder.cache / "own")
    assert store.get(MANIFEST) == b"{}"
    written.delete(MANIFEST)
    assert store.get(MANIFEST) is None
    assert list(cut_cache(store).names("")) == []


def test_a_wrong_token_is_told_and_not_repeated(served_folder: ServedFolder) -> None:
    store = reader(served_folder.url, served_folder.cache, token="another")
    with pytest.raises(ArtifactsUnavailable, match="ARTIFACT_TOKEN"):
        store.open_local("x")


def test_nobody_listening_is_told_soon(tmp_path: Path) -> None:
    store = reader("http://127.0.0.1:9/artifacts", tmp_path)
    with pytest.raises(ArtifactsUnavailable, match="does not answer"):
        store.open_local("x")


def reading(place: Any, cache: Path) -> Any:
    if isinstance(place, TestBucket):
        return place.store(cache, writes=False)
    return reader(place.url, cache, token=place.token)


def cut_cache(store: Any) -> LocalCache:
    found: LocalCache = store._cache
    return found


def origin_of(place: ServedFolder) -> Any:
    return reading(place, place.cache / "unused")._origin


def origin_tag(store: Any) -> str:
    with store._origin.open("x") as body:
        tag: str = body.tag
        return tag


def quoted(tag: str) -> str:
    return '"' + tag.replace('"', '\\"') + '"'
