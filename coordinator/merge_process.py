"""``python -m coordinator.merge_process FOLDER``: writes the segment that ``FOLDER`` describes.

A merge of a million rows computes for minutes. In a process of its own it has the lowest priority,
gives all its memory back, can be dropped at any moment, and takes nobody along if it is killed. It
reads the files it is told and writes below ``FOLDER``; it knows no store, no secret, no setting.
"""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson

from kotaemon_node.adapters.faiss import FaissSegmentFormat
from kotaemon_node.domain.errors import CorruptArtifact
from kotaemon_node.domain.knowledge import SegmentEntry
from kotaemon_node.ports.segments import SegmentFormat
from kotaemon_node.settings import environment_value

ORDER: Final = "order.json"
SEGMENT: Final = "segment"
_RESULT: Final = "result.json"
_ROOT: Final = Path(__file__).parents[1]
_PR_SET_PDEATHSIG: Final = 1
_NICENESS: Final = 19
_TICK_S: Final = 0.1


class MergeFailed(Exception):
    """The process ended without a segment."""


@dataclass(frozen=True, slots=True)
class MergeSource:
    """An old segment: its files here, and the documents whose rows are moved."""

    entry: SegmentEntry
    files: Mapping[str, Path]
    documents: Sequence[str]


Merge = Callable[[Path, Sequence[MergeSource], Callable[[], None]], SegmentEntry]
"""Writes the segment into ``SEGMENT`` below an empty folder; calls often what may raise to stop."""


def write_merged_segment(
    form: SegmentFormat,
    folder: Path,
    sources: Sequence[MergeSource],
    alive: Callable[[], None],
) -> SegmentEntry:
    """Write one segment of the living rows of ``sources``. Raises ``CorruptArtifact``."""
    (folder / SEGMENT).mkdir()
    writer = form.writer(folder / SEGMENT, alive=alive)
    for source in sources:
        living = frozenset(source.documents)
        with closing(form.open(source.files, source.entry)) as segment:
            lives = np.array([name in living for name in segment.documents], dtype=np.bool_)
            writer.copy(segment, lives[segment.document_of_row])
    return writer.finish()


def merge_in_child(
    folder: Path, sources: Sequence[MergeSource], alive: Callable[[], None]
) -> SegmentEntry:
    """As ``write_merged_segment``, in a child that is killed when ``alive`` raises.

    Raises ``MergeFailed`` and ``CorruptArtifact``. The calling thread must outlive the child.
    """
    (folder / ORDER).write_bytes(orjson.dumps([_told(source) for source in sources]))
    child = subprocess.Popen(
        [sys.executable, "-m", "coordinator.merge_process", str(folder), str(os.getpid())],
        stdin=subprocess.DEVNULL,
        env=_environment(),
        cwd="/",
        process_group=0,
    )
    try:
        while True:
            alive()
            try:
                status = child.wait(_TICK_S)
                break
            except subprocess.TimeoutExpired:
                continue
    finally:
        child.kill()
        child.wait()
    if status != 0:
        raise MergeFailed(f"it ended with status {status}")
    said = orjson.loads((folder / _RESULT).read_bytes())
    if "corrupt" in said:
        raise CorruptArtifact(said["corrupt"])
    return SegmentEntry(**said)


def _environment() -> Mapping[str, str]:
    """Return what the child sees: no secret; threads that wait without spinning for each other."""
    told = {
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(_ROOT),
        "MALLOC_ARENA_MAX": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    libraries = environment_value("LD_LIBRARY_PATH")
    return {**told, "LD_LIBRARY_PATH": libraries} if libraries else told


def _told(source: MergeSource) -> Mapping[str, Any]:
    return {
        "entry": asdict(source.entry),
        "files": {name: str(path) for name, path in source.files.items()},
        "documents": list(source.documents),
    }


def _source(said: Mapping[str, Any]) -> MergeSource:
    files = {name: Path(path) for name, path in said["files"].items()}
    return MergeSource(SegmentEntry(**said["entry"]), files, said["documents"])


def main() -> int:
    """Run the program."""
    folder, parent = Path(sys.argv[1]), int(sys.argv[2])
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        return 0  # it ended before we had asked to be told
    os.setpriority(os.PRIO_PROCESS, 0, _NICENESS)
    sources = [_source(said) for said in orjson.loads((folder / ORDER).read_bytes())]
    try:
        entry = write_merged_segment(FaissSegmentFormat(), folder, sources, lambda: None)
        said: Any = asdict(entry)
    except CorruptArtifact as error:
        said = {"corrupt": str(error)}
    (folder / _RESULT).write_bytes(orjson.dumps(said))
    return 0


if __name__ == "__main__":
    sys.exit(main())
