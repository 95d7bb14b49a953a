"""A pod whose knowledge lies elsewhere: wrong copies, a full disk, too little memory."""

import shutil
from pathlib import Path

import pytest

from kotaemon_node.adapters.faiss import FaissSegmentFormat
from kotaemon_node.adapters.system import SystemClock, ThreadTasks
from kotaemon_node.adapters.system.memory import SystemMemory
from kotaemon_node.ports.memory import Memory
from kotaemon_node.retrieval.library import KnowledgeLibrary
from tests.artifact_stores import ServedFolder, reader, small_disk
from tests.fakes.knowledge import TENANT, Publisher
from tests.fakes.signing import VERIFIER

LAMPS = {"lamps.md": "Lamps ship in two days."}
CHAIRS = {"chairs.md": "Chairs have a warranty of five years."}
MANY = {f"{n}.md": f"Chair {n} has a warranty of {n} years.\n\n" * 400 for n in range(10)}


class FixedMemory:
    """``ports.memory.Memory`` that has what the test says."""

    def __init__(self, available_bytes: int | None) -> None:
        self.available = available_bytes

    def available_bytes(self) -> int | None:
        return self.available


@pytest.fixture
def publisher(served_folder: ServedFolder) -> Publisher:
    return Publisher(served_folder.folder.parent)


def pod(
    publisher: Publisher, place: ServedFolder, cache: Path, *, memory: Memory | None = None
) -> KnowledgeLibrary:
    """Return the knowledge of a pod that reads over HTTP."""
    return KnowledgeLibrary(
        store=reader(place.url, cache, token=place.token),
        segment_format=FaissSegmentFormat(),
        verifier=VERIFIER,
        pointer=publisher.pointer,
        encoder_for=lambda name: publisher.encoder,
        tasks=ThreadTasks(),
        clock=SystemClock(),
        tenant=TENANT,
        memory=memory,
    )


def served(library: KnowledgeLibrary) -> int:
    library.reconcile()
    refs = library.served()
    return refs["default"].generation if "default" in refs else 0


def test_a_wrong_copy_is_fetched_again(publisher: Publisher, served_folder: ServedFolder) -> None:
    publisher.publish(LAMPS, CHAIRS)
    cache = served_folder.cache
    assert served(pod(publisher, served_folder, cache)) == 1
    # Given a disk that turned a bit of one file, and lost another
    damaged, *_ = sorted(cache.rglob("vectors.*.faiss"))
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(content)
    sorted(cache.rglob("postings.i32"))[0].unlink()
    # Then a pod that starts there serves all the same
    again = pod(publisher, served_folder, cache)
    assert served(again) == 1
    assert again.search("default", "warranty of chairs", top_k=1).hits


def test_what_is_wrong_in_the_store_itself_is_refused_and_not_fetched_for_ever(
    publisher: Publisher, served_folder: ServedFolder
) -> None:
    publisher.publish(LAMPS)
    library = pod(publisher, served_folder, served_folder.cache)
    assert served(library) == 1
    publisher.publish(LAMPS, CHAIRS)
    newest = max(served_folder.folder.rglob("postings.i32"), key=lambda it: it.stat().st_mtime_ns)
    newest.write_bytes(b"\0" * newest.stat().st_size)
    assert served(library) == 1
    assert "sha256" in library.refused["default"]
    copy = next(
        it for it in served_folder.cache.rglob("postings.i32") if it.parent.name in str(newest)
    )
    fetched = copy.stat().st_ino
    for _ in range(3):
        assert served(library) == 1
    assert copy.stat().st_ino == fetched


def test_on_a_full_disk_the_old_generation_serves_on(
    publisher: Publisher, served_folder: ServedFolder, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", 24):
        # Given a disk that somebody else fills after the first generation
        library = pod(publisher, served_folder, tmp_path / "disk" / "cache")
        publisher.publish(LAMPS)
        assert served(library) == 1
        hog = tmp_path / "disk" / "hog"
        hog.write_bytes(b"x" * (shutil.disk_usage(tmp_path / "disk").free - 1024 * 1024))
        # When a larger one is published
        publisher.publish(LAMPS, MANY)
        # Then it is refused for this reason, and questions are answered by the old one
        assert served(library) == 1
        assert "no room on disk" in library.refused["default"]
        assert library.search("default", "when do lamps ship", top_k=1).hits
        # And once there is room it is served
        hog.unlink()
        assert served(library) == 2
        assert library.refused == {}


def test_what_does_not_fit_into_memory_is_refused_and_the_old_one_stays(
    publisher: Publisher, served_folder: ServedFolder
) -> None:
    memory = FixedMemory(64 * 1024 * 1024)
    library = pod(publisher, served_folder, served_folder.cache, memory=memory)
    publisher.publish(MANY)
    assert served(library) == 1
    # Given too little for a second generation of its own, but not for a small change of it
    memory.available = 2_600_000
    publisher.publish(MANY, LAMPS)
    assert served(library) == 2
    publisher.publish(CHAIRS, {**MANY, "other.md": "Another."})
    assert served(library) == 2
    assert "does not fit into memory" in library.refused["default"]
    assert "2.6 are available" in library.refused["default"]
    # And once there is memory, or nobody can tell, it is served
    memory.available = None
    assert served(library) == 3


def test_available_is_the_scarcest_of_machine_and_control_groups(tmp_path: Path) -> None:
    proc, groups = tmp_path / "proc", tmp_path / "groups"
    own = groups / "pods" / "one"
    (proc / "self").mkdir(parents=True)
    own.mkdir(parents=True)
    memory = SystemMemory(proc=proc, groups=groups)
    assert memory.available_bytes() is None

    (proc / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable:    5000 kB\n")
    (proc / "self" / "cgroup").write_text("1:name=systemd:/x\n0::/pods/one\n")
    assert memory.available_bytes() == 5_000 * 1024

    # A limit of its own: what is used counts, but for pages that are given up first
    (own / "memory.max").write_text("4000000\n")
    (own / "memory.current").write_text("3500000\n")
    (own / "memory.stat").write_text("anon 1\ninactive_file 1000000\nactive_file 700000\n")
    assert memory.available_bytes() == 1_500_000

    # A limit of the group above is shared with others, and may be the scarcer one
    (own.parent / "memory.max").write_text("9000000\n")
    (own.parent / "memory.current").write_text("8900000\n")
    assert memory.available_bytes() == 100_000
    (own.parent / "memory.max").write_text("max\n")
    assert memory.available_bytes() == 1_500_000
