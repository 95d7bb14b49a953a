"""Reads hostile documents in the children that read, and looks at the memory of all who take part.

Each is followed by the same good document, whose text must be there as if nothing had been.
"""

import hashlib
import statistics
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from coordinator.folder import FileState
from coordinator.ingest import Ingested
from coordinator.metrics import CoordinatorMetrics
from coordinator.reading.pool import ChildReader
from coordinator.reading.reader import Begun
from kotaemon_node.adapters.system import SystemClock
from load.bad_input.documents import Document, bombs

GOOD = Document("good.md", b"# Shipping\n\nParcels to Norway take three days.\n")
_GOOD_TEXT = "three days"
GONE = "gone"
_READ_S = 900.0
_MB = 1024**2
# A parser that failed in a way that nobody foresaw, or an answer that says nothing.
_FAULTS = ("internal error", "crashed", "cannot be used")


@dataclass(slots=True)
class Readings:
    """What became of them."""

    count: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    formats: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    slowest: tuple[str, float] = ("", 0.0)
    parent_bytes: list[int] = field(default_factory=list)
    good_s: list[float] = field(default_factory=list)
    child_bytes_max: int = 0
    """The most memory that a child was seen to have had at once."""

    @property
    def grown_mb(self) -> float:
        """By how much the parent grew from the first quarter to the last, medians."""
        quarter = max(len(self.parent_bytes) // 4, 1)
        first, last = self.parent_bytes[:quarter], self.parent_bytes[-quarter:]
        return (statistics.median(last) - statistics.median(first)) / _MB

    def told(self) -> dict[str, Any]:
        """Return it for the results."""
        return {
            "outcomes": dict(self.outcomes.most_common()),
            "formats": dict(self.formats.most_common()),
            "slowest": {"document": self.slowest[0], "seconds": round(self.slowest[1], 1)},
            "good_beside_ms": round(1000 * statistics.median(self.good_s), 1),
            "good_beside_slowest_ms": round(1000 * max(self.good_s), 1),
            "coordinator_grown_mb": round(self.grown_mb, 1),
            "child_mb_max": round(self.child_bytes_max / _MB),
            "faults": self.faults,
        }


class Children:
    """The children of a coordinator, fed from memory; a context manager."""

    def __init__(self) -> None:
        self._content: dict[str, bytes] = {}
        self._reader = ChildReader(
            lambda state: self._content[state.document],
            metrics=CoordinatorMetrics(),
            clock=SystemClock(),
        )

    def __enter__(self) -> "Children":
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()

    def read_all(self, documents: Iterable[Document]) -> Readings:
        """Read them one after the other, the good one beside each."""
        found = Readings()
        for document in documents:
            began_s = time.monotonic()
            self._content = {it.name: it.content for it in (document, GOOD)}
            hostile, good = self._begin(document), self._begin(GOOD)
            sound = good.result(timeout=_READ_S)
            found.good_s.append(time.monotonic() - began_s)
            read = hostile.result(timeout=_READ_S)
            took_s = time.monotonic() - began_s
            reason = (read.reason or "read") if read else GONE
            found.count += 1
            found.formats[document.name.rpartition(".")[2]] += 1
            found.outcomes[_kind(reason)] += 1
            found.slowest = max(found.slowest, (document.name, took_s), key=lambda it: it[1])
            if any(it in reason for it in _FAULTS) or reason == GONE:
                found.faults.append(f"{document.name}: {reason}")
            if sound is None or _GOOD_TEXT not in (sound.text or ""):
                found.faults.append(f"{document.name}: the good one beside it was not read")
            found.parent_bytes.append(psutil.Process().memory_info().rss)
            found.child_bytes_max = max(found.child_bytes_max, _child_bytes_max())
        return found

    def read(self, document: Document) -> Ingested:
        """Read one alone."""
        self._content = {document.name: document.content}
        read = self._begin(document).result(timeout=_READ_S)
        assert read is not None, f"{document.name} was dropped"
        return read

    def _begin(self, document: Document) -> Begun:
        revision = hashlib.sha256(document.content).hexdigest()
        return self._reader.begin("kb", FileState(document.name, revision, len(document.content)))


def made_bombs() -> Iterable[Document]:
    """Yield the bombs, each made when it is asked for."""
    for name, make in bombs().items():
        yield Document(name, make())


def _child_bytes_max() -> int:
    """Return the most that a child that lives had at once, by the kernel's count."""
    peaks = [0]
    for child in psutil.Process().children():
        with suppress(OSError):
            status = Path(f"/proc/{child.pid}/status").read_text("ascii", "replace")
            peaks += [1024 * int(it.split()[1]) for it in status.splitlines() if "VmHWM" in it]
    return max(peaks)


def _kind(reason: str) -> str:
    return reason.split(":", maxsplit=1)[0].split("(", maxsplit=1)[0][:60].strip()
