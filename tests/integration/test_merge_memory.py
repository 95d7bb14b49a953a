"""A merge of many rows takes memory that does not follow them."""

from pathlib import Path

import numpy as np
import pytest

from coordinator.merge_process import MergeSource, merge_in_child
from kotaemon_node.adapters.faiss import FaissSegmentFormat
from kotaemon_node.domain.knowledge import Passage, SegmentEntry
from kotaemon_node.ports.encoder import SpaceVectors

SEGMENTS, ROWS, DIMENSION, BLOCK = 2, 100_000, 384, 2_000
# The sample that lists are trained on, twice, and what Python and FAISS take; the segment has 400.
PEAK_MB_MAX = 330


def write(folder: Path, number: int) -> MergeSource:
    folder.mkdir()
    rng = np.random.default_rng(number)
    topics = np.random.default_rng(0).standard_normal((1_000, DIMENSION), dtype=np.float32)
    writer = FaissSegmentFormat().writer(folder)
    for start in range(0, ROWS, BLOCK):
        first = number * ROWS + start
        vectors = topics[rng.integers(1_000, size=BLOCK)]
        vectors = vectors + 0.5 * rng.standard_normal(vectors.shape, dtype=np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        writer.add(
            [row(first + at) for at in range(BLOCK)],
            [{f"w{(first + at) % 977}": 1, f"id{first + at}": 2} for at in range(BLOCK)],
            {"all": SpaceVectors(np.arange(BLOCK), vectors)},
        )
    entry = writer.finish()
    documents = sorted({f"{(number * ROWS + at) // 20}.md" for at in range(ROWS)})
    return MergeSource(entry, {path.name: path for path in folder.iterdir()}, documents)


def row(number: int) -> Passage:
    return Passage(
        id=f"{number}",
        document=f"{number // 20}.md",
        revision="r",
        title="A title",
        heading=(),
        page=None,
        span=(0, 400),
        text=f"text {number} " * 30,
        language="en",
    )


@pytest.mark.long
@pytest.mark.timeout(1_800)
def test_what_a_merge_takes_is_bounded(tmp_path: Path) -> None:
    sources = [write(tmp_path / f"old-{number}", number) for number in range(SEGMENTS)]
    peak_kb = 0

    def look() -> None:
        nonlocal peak_kb
        for pid in Path("/proc/thread-self/children").read_text().split():
            status = Path(f"/proc/{pid}/status").read_text()
            anonymous = [line for line in status.splitlines() if line.startswith("RssAnon")]
            peak_kb = max(peak_kb, *(int(line.split()[1]) for line in anonymous), 0)

    (tmp_path / "new").mkdir()
    entry: SegmentEntry = merge_in_child(tmp_path / "new", sources, look)
    assert entry.passages == SEGMENTS * ROWS
    assert entry.size_bytes > PEAK_MB_MAX * 1e6
    print(
        f"peak of anonymous memory: {peak_kb / 1e3:.0f} MB; segment: {entry.size_bytes / 1e6:.0f}"
    )
    assert peak_kb / 1e3 < PEAK_MB_MAX
