"""The hard PDFs of the public data through real children: text or a reason, and nothing else."""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from coordinator.folder import FileState
from coordinator.metrics import CoordinatorMetrics
from coordinator.reading.pool import ChildReader
from kotaemon_node.adapters.system import SystemClock

pytestmark = pytest.mark.data
FOLDER = Path(os.environ.get("KOTAEMON_TEST_DATA", "")) / "pdf_hard" / "dev"
PATIENCE_S = 250.0
MB = 1024**2


def rows() -> list[dict[str, Any]]:
    lines = (FOLDER / "manifest.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture
def reader() -> Iterator[ChildReader]:
    def load(state: FileState) -> bytes:
        return (FOLDER / state.document).read_bytes()

    reader = ChildReader(load, metrics=CoordinatorMetrics(), clock=SystemClock())
    yield reader
    reader.close()


@pytest.mark.long
def test_every_hard_pdf_has_text_or_a_reason_and_the_coordinator_stays_small(
    reader: ChildReader,
) -> None:
    if not (FOLDER / "manifest.jsonl").exists():
        pytest.skip("KOTAEMON_TEST_DATA names no folder with pdf_hard")
    before = psutil.Process().memory_info().rss
    begun = {}
    for row in rows():
        content = (FOLDER / row["file"]).read_bytes()
        revision = hashlib.sha256(content).hexdigest()
        begun[row["file"]] = reader.begin("kb", FileState(row["file"], revision, len(content)))
    found = {name: it.result(timeout=PATIENCE_S) for name, it in begun.items()}
    wrong = []
    for row in rows():
        it = found[row["file"]]
        assert it is not None
        print(f"{row['file']}: {row['expect']}: {it.reason or len(it.text)}")
        if "internal error" in (it.reason or ""):
            wrong.append(row["file"])
        if it.reason is None and not it.passages:
            wrong.append(row["file"])
    assert wrong == []
    assert psutil.Process().memory_info().rss - before < 128 * MB
