"""Measures what watching a folder of 10,000 small files costs, and how soon changes are published.

    python -m load.bench.folder --out load/results/folder

One coordinator works on a real folder, store and segments, woken by the system's notifications;
pointer and bus are in memory, and the encoder only hashes words, so that what is measured is the
watching and the publishing, not the model. Each change is timed from the file to the pointer.
"""

import argparse
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from coordinator.folder import KnowledgeFolder
from coordinator.tenants import Led, Tenants
from coordinator.watch import FolderWatch
from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.domain.document_names import TENANTS_FOLDER
from kotaemon_node.domain.knowledge import Manifest
from load import surroundings
from load.kept import keep
from tests.fakes.coordination import TENANT, SteppedCoordinator, World
from tests.fakes.knowledge_ports import MemoryLeadership

KB = "articles"
FOLDERS = 100
NEW_FILES = 10
BURST = 1_000
IDLE_S = 10.0
SCANS = 5
PATIENCE_S = 600.0
SCAN_GOAL_S = 1.0


class Running:
    """A coordinator at work."""

    def __init__(self, root: Path) -> None:
        self.world = World(root)
        self.world.clock = SystemClock()  # type: ignore[assignment]
        self.world.leadership = MemoryLeadership(self.world.clock)
        self.coordinator = SteppedCoordinator(self.world)
        self.home = self.world.knowledge / KB
        self._stop = threading.Event()
        led = Led(self.coordinator.loop, self.coordinator.board, lambda _: None)
        self._tenants = Tenants(
            led,
            make=lambda _: led,
            folder=self.world.knowledge / TENANTS_FOLDER,
            orders=self.world.jobs,
            leads=lambda: False,
            show=lambda _: None,
            clock=self.world.clock,
        )
        self._watch = FolderWatch(self.world.knowledge, hint=self._tenants.hint)
        works = (lambda: self.coordinator.lease.keep(self._stop), self._watch.run)
        self._threads = [threading.Thread(target=work) for work in works]
        self._loop = threading.Thread(target=self._tenants.run)

    def __enter__(self) -> "Running":
        for thread in (*self._threads, self._loop):
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._tenants.stop()
        self._loop.join()
        self._watch.stop()
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def until(self, holds: Callable[[Manifest], bool]) -> float:
        """Wait until what is pointed to ``holds``; return the seconds."""
        began_s, seen = time.monotonic(), 0
        while time.monotonic() - began_s < PATIENCE_S:
            ref = self.world.pointer.current(TENANT).get(KB)
            if ref is not None and ref.generation != seen:
                at_s = time.monotonic()
                seen = ref.generation
                manifest = self.coordinator.catalog.manifest(KB, seen)
                if manifest is not None and holds(manifest):
                    return at_s - began_s
            time.sleep(0.01)
        raise TimeoutError("it was not published")


def write(path: Path, number: int, *, word: str = "costs") -> None:
    """Write a small article."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"# Article {number}\n\nThe article number {number} {word} {number} dollars.\n")


def indexed(manifest: Manifest) -> dict[str, str]:
    """Return the documents that can be found, with their revisions."""
    return {it.document: it.revision for it in manifest.documents if it.status == "indexed"}


def scans(knowledge: Path) -> dict[str, float]:
    """Look at the unchanged folder a few times; return seconds and seconds of processor."""
    folder = KnowledgeFolder(knowledge, clock=SystemClock())
    folder.scan()
    time.sleep(0.3)
    began_s = time.monotonic()
    folder.scan()
    first_s = time.monotonic() - began_s
    walls: list[float] = []
    began_cpu_s = time.thread_time()
    for _ in range(SCANS):
        began_s = time.monotonic()
        folder.scan()
        walls.append(time.monotonic() - began_s)
    cpu_s = (time.thread_time() - began_cpu_s) / SCANS
    return {"first_s": first_s, "idle_s": sorted(walls)[SCANS // 2], "idle_cpu_s": cpu_s}


def measure(root: Path, files: int) -> dict[str, Any]:
    """Return every figure."""
    with Running(root) as running:
        for number in range(files):
            write(running.home / f"part {number % FOLDERS}" / f"{number}.md", number)
        all_s = running.until(lambda it: len(indexed(it)) == files)
        scanned = scans(running.world.knowledge)
        began_cpu_s = time.process_time()
        time.sleep(IDLE_S)
        idle_share = (time.process_time() - began_cpu_s) / IDLE_S
        new = [_new_file(running, files + number) for number in range(NEW_FILES)]
        renamed_s, least = _renamed_folder(running)
        burst_s = _burst(running)
        gone = running.home / "renamed"
        left = files + NEW_FILES - len(list(gone.iterdir()))
        shutil.rmtree(gone)
        gone_s = running.until(lambda it: len(indexed(it)) == left)
    return {
        "files": files,
        "all_published_s": all_s,
        "scan": scanned,
        "idle_cpu_share": idle_share,
        "new_file_s": {"p50": sorted(new)[len(new) // 2], "max": max(new)},
        "renamed_folder_s": renamed_s,
        "documents_missing_while_renamed": least,
        "burst_of_changes": BURST,
        "burst_s": burst_s,
        "folder_deleted_s": gone_s,
    }


def _new_file(running: Running, number: int) -> float:
    write(running.home / "new" / f"{number}.md", number)
    return running.until(lambda it: f"{KB}/new/{number}.md" in indexed(it))


def _renamed_folder(running: Running) -> tuple[float, int]:
    """Rename a folder; return the seconds, and how many texts were missing at worst."""
    old = running.home / "part 0"
    names = {path.relative_to(running.world.knowledge).as_posix() for path in old.iterdir()}
    revisions = set(_revisions(running, names).values())
    missing = 0

    def moved(manifest: Manifest) -> bool:
        nonlocal missing
        found = indexed(manifest)
        missing = max(missing, len(revisions - set(found.values())))
        new = [name for name in found if name.startswith(f"{KB}/renamed/")]
        return len(new) == len(names) and not names & found.keys()

    old.rename(running.home / "renamed")
    return running.until(moved), missing


def _burst(running: Running) -> float:
    paths: Sequence[Path] = sorted(running.home.glob("part */*.md"))[:BURST]
    changed = {path.relative_to(running.world.knowledge).as_posix() for path in paths}
    before = _revisions(running, changed)
    for path in paths:
        write(path, int(path.stem), word="now costs")
    return running.until(lambda it: all(indexed(it).get(name) != before[name] for name in changed))


def _revisions(running: Running, names: set[str]) -> dict[str, str]:
    ref = running.world.pointer.current(TENANT)[KB]
    manifest = running.coordinator.catalog.manifest(KB, ref.generation)
    assert manifest is not None
    return {name: revision for name, revision in indexed(manifest).items() if name in names}


def report(results: dict[str, Any]) -> str:
    """Return the report for people."""
    scan = results["scan"]
    rows = [
        ("a scan of the unchanged folder", f"{scan['idle_s'] * 1e3:.0f} ms"),
        ("of it, processor", f"{scan['idle_cpu_s'] * 1e3:.0f} ms"),
        ("the first scan, which reads every file", f"{scan['first_s']:.1f} s"),
        ("processor while nothing changes", f"{results['idle_cpu_share']:.1%} of a core"),
        ("a new file to its generation, median", f"{results['new_file_s']['p50']:.2f} s"),
        (f"the slowest of {NEW_FILES}", f"{results['new_file_s']['max']:.2f} s"),
        ("a renamed folder of a hundred files", f"{results['renamed_folder_s']:.2f} s"),
        ("texts missing meanwhile", str(results["documents_missing_while_renamed"])),
        (f"a burst of {BURST:,} changes", f"{results['burst_s']:.1f} s"),
        ("a deleted folder of a hundred files", f"{results['folder_deleted_s']:.2f} s"),
        ("all files, from nothing", f"{results['all_published_s']:.0f} s"),
    ]
    lines = [f"| {name} | {figure} |" for name, figure in rows]
    where = f"Commit {results['commit']}, {results['machine']}; load {results['load']}."
    head = f"# A folder of {results['files']:,} files\n\n{__doc__}\n{where}\n"
    return "\n".join([head, "| what | figure |", "|---|---|", *lines, ""])


def main() -> int:
    """Return 0 when a scan is as quick as it has to be and no text was missing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--files", type=int, default=10_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kotaemon-folder-") as folder:
        results = measure(Path(folder), given.files)
    results |= {
        "commit": surroundings.commit(required=False),
        "machine": surroundings.machine(),
        "load": Path("/proc/loadavg").read_text("ascii").split()[0],
    }
    keep(given.out, results, report(results))
    print(report(results))
    within = results["scan"]["idle_s"] <= SCAN_GOAL_S
    return 0 if within and not results["documents_missing_while_renamed"] else 1


if __name__ == "__main__":
    sys.exit(main())
