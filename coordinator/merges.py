"""Merges segments beside everything else: publishing a change never waits for a large merge.

A merge takes what is in the newest generation when it begins. Meanwhile generations come and go; at
its end the segments that it merged are replaced by the new one, in a generation of its own. Rows of
documents that changed or went meanwhile are dead in it, as in any segment: a row lives where the
manifest says that its document is found there.

Dropped is a merge whose result would be of no use: a segment of it has left the newest generation,
or a document has gone back to one (a rollback); and any merge when the lead is lost, a purge wants
every byte gone, or the process ends. A dropped or killed merge begins anew, from its start: it
takes minutes, and nothing that was published waits for it.
"""

import fcntl
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import structlog

from coordinator.build import Builder
from coordinator.merge_process import SEGMENT, Merge, MergeFailed, MergeSource
from coordinator.merging import is_quick, live_rows, segments_worth_merging
from coordinator.publish import Publisher
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import CorruptArtifact, NodeError
from kotaemon_node.domain.knowledge import Manifest, SegmentEntry
from kotaemon_node.domain.lineage import JOB
from kotaemon_node.ports.runtime import Clock

_log = structlog.get_logger(__name__)

_WORK_NICENESS: Final = 10
_DROP_WAIT_S: Final = 30.0
_PREFIX: Final = "kotaemon-merge-"
_STOP_WAIT_S: Final = 5.0

Beside = Callable[[Callable[[], SegmentEntry]], "Future[SegmentEntry]"]
"""Begins work that goes on beside its caller."""

Prepare = Callable[[str, SegmentEntry, Mapping[str, int], Callable[[], None]], None]
"""Makes a stored segment of a knowledge base ready to be named: its spaces; may be stopped."""


_EXPECTED: Final = (MergeFailed, NodeError, OSError)


class Dropped(Exception):
    """Nobody wants the merge any more."""


@dataclass(slots=True)
class _Running:
    """A merge under way."""

    kb: str
    home: Mapping[str, str]
    """Document to the segment whose rows of it are moved."""
    spaces: Mapping[str, int]
    """The encoder's spaces and their dimensions."""
    segments: frozenset[str]
    begun_s: float
    dropped: threading.Event = field(default_factory=threading.Event)
    stored: str | None = None
    """The new segment, once its files are on their way into the store."""
    result: "Future[SegmentEntry] | None" = None

    def alive(self) -> None:
        if self.dropped.is_set():
            raise Dropped

    def fits(self, newest: Manifest) -> bool:
        """Tell whether its result could stand in ``newest``."""
        if not self.segments <= {entry.name for entry in newest.segments}:
            return False
        return all(
            self.home.get(entry.document) == entry.segment
            for entry in newest.documents
            if entry.segment in self.segments
        )


class Merges:
    """At most one merge at a time, of all knowledge bases. Used by one thread."""

    def __init__(
        self,
        *,
        builder: Builder,
        publisher: Publisher,
        merge: Merge,
        prepare: Prepare,
        beside: Beside,
        clock: Clock,
    ) -> None:
        self._builder = builder
        self._publisher = publisher
        self._merge = merge
        self._prepare = prepare
        self._beside = beside
        self._clock = clock
        self._running: _Running | None = None
        self._ending: list[Future[SegmentEntry]] = []
        """Merges that were dropped and may still be at their last step."""
        self._failures: dict[str, int] = {}
        self._not_before_s: dict[str, float] = {}

    def spared(self, kb: str) -> frozenset[str]:
        """Return the segments that are being merged: who moves one makes the merge useless."""
        running = self._running
        return running.segments if running and running.kb == kb else frozenset()

    def storing(self, kb: str) -> frozenset[str]:
        """Return the segment that is being stored: it is wanted before a manifest names it."""
        running = self._running
        if running is None or running.kb != kb or running.stored is None:
            return frozenset()
        return frozenset({running.stored})

    def step(self, newest: Manifest, *, number: int) -> Manifest | None:
        """Return generation ``number`` where a merge has ended, and begin one that is due.

        The files of what is returned are stored. Raises ``CorruptArtifact`` where an old segment
        cannot be read.
        """
        kb, running = newest.kb, self._running
        if running is None:
            self._begin_when_due(newest)
            return None
        if running.kb != kb:
            return None
        if not running.fits(newest):
            _log.info("merge_dropped", kb=kb, segments=len(running.segments))
            self.drop(kb)
            return None
        if running.result is None or not running.result.done():
            return None
        self._running = None
        entry = self._ended(running)
        return None if entry is None else self._with_merged(running, newest, entry, number)

    def stop(self) -> None:
        """End the merge, and give it a moment to put its files away."""
        try:
            self.drop(wait=True, wait_s=_STOP_WAIT_S)
        except TimeoutError:
            _log.warning("merge_left_behind")  # its lock goes with us; the next merge removes it

    def drop(
        self, kb: str | None = None, *, wait: bool = False, wait_s: float = _DROP_WAIT_S
    ) -> None:
        """Have the merge (of ``kb``) end soon.

        With ``wait`` nothing of any dropped merge appears in the store once this has returned.
        Raises ``TimeoutError`` where a copy to the store takes longer than ``wait_s``.
        """
        running = self._running
        if running is not None and kb in (None, running.kb):
            self._running = None
            running.dropped.set()
            if running.result is not None:
                self._ending.append(running.result)
        if wait:
            for result in self._ending:
                if not result.cancel():
                    result.exception(timeout=wait_s)

    def _begin_when_due(self, newest: Manifest) -> None:
        self._ending = [result for result in self._ending if not result.done()]
        if self._ending:
            return
        kb = newest.kb
        live = live_rows(newest.documents)
        names = segments_worth_merging(newest.segments, live, new=False)
        # A few rows are moved with the next change.
        if not names or is_quick(newest.segments, names):
            return
        if self._clock.monotonic_s() < self._not_before_s.get(kb, 0.0):
            return
        home = {
            entry.document: entry.segment
            for entry in newest.documents
            if entry.segment is not None and entry.segment in names
        }
        running = _Running(kb, home, newest.spaces, names, self._clock.monotonic_s())
        merged = [entry for entry in newest.segments if entry.name in names]
        running.result = self._beside(lambda: self._work(running, merged))
        self._running = running
        _log.info("merge_begun", kb=kb, segments=len(names), rows=sum(live[it] for it in names))

    def _work(self, running: _Running, merged: Sequence[SegmentEntry]) -> SegmentEntry:
        """Write and store the segment. Runs beside the thread that uses the rest of this class."""
        living: dict[str, list[str]] = {}
        for document, segment in running.home.items():
            living.setdefault(segment, []).append(document)
        with _folder() as folder:
            sources = [(entry, living[entry.name]) for entry in merged]
            entry, made = self._merged(folder / "0", running, sources, again=True)
            running.stored = entry.name
            self._publisher.store_segment(running.kb, entry, made, alive=running.alive)
        self._prepare(running.kb, entry, running.spaces, running.alive)
        return entry

    def _merged(
        self,
        folder: Path,
        running: _Running,
        sources: Sequence[tuple[SegmentEntry, Sequence[str]]],
        *,
        again: bool,
    ) -> tuple[SegmentEntry, Path]:
        """Return the new segment and where its files are; ``sources`` are old ones and documents.

        It is written once more where copies of this machine were wrong, not the store's files.
        """
        kb = running.kb
        folder.mkdir()
        try:
            told = [
                MergeSource(entry, self._builder.local_files(kb, entry), living)
                for entry, living in sources
            ]
            return self._merge(folder, told, running.alive), folder / SEGMENT
        except CorruptArtifact:
            dropped = [self._builder.discard_wrong(kb, entry) for entry, _ in sources]
            if not (again and any(dropped)):
                raise
        shutil.rmtree(folder)
        return self._merged(folder.with_name("1"), running, sources, again=False)

    def _ended(self, running: _Running) -> SegmentEntry | None:
        kb = running.kb
        assert running.result is not None
        try:
            entry = running.result.result()
        except Exception as error:
            self._put_off(kb)
            if isinstance(error, CorruptArtifact) or not isinstance(error, _EXPECTED):
                raise
            _log.warning("merge_failed", kb=kb, reason=str(error))
            return None
        self._failures.pop(kb, None)
        took_s = round(self._clock.monotonic_s() - running.begun_s, 1)
        _log.info("merge_done", kb=kb, rows=entry.passages, duration_s=took_s)
        return entry

    def _with_merged(
        self, running: _Running, newest: Manifest, entry: SegmentEntry, number: int
    ) -> Manifest:
        """Return ``newest`` as generation ``number``, the merged segments replaced by ``entry``."""
        documents = tuple(
            replace(it, segment=entry.name) if it.segment in running.segments else it
            for it in newest.documents
        )
        segments = {it.name: it for it in newest.segments if it.name not in running.segments}
        # Where the living rows of all of them died meanwhile, nothing takes their place.
        if any(it.segment == entry.name for it in documents):
            segments[entry.name] = entry
        kept = {name: value for name, value in newest.extra.items() if name != JOB}
        repeated = self._builder.repeated(newest, number, newest, kept)
        return replace(repeated, segments=tuple(segments.values()), documents=documents)

    def _put_off(self, kb: str) -> None:
        failures = self._failures[kb] = self._failures.get(kb, 0) + 1
        wait_s = min(limits.MERGE_RETRY_S * 2 ** (failures - 1), limits.MERGE_RETRY_S_MAX)
        self._not_before_s[kb] = self._clock.monotonic_s() + wait_s


@contextmanager
def _folder() -> Iterator[Path]:
    """Lend a folder that is locked as long as this process lives; remove what others left."""
    _remove_abandoned()
    made = Path(tempfile.mkdtemp(prefix=f"new-{_PREFIX}"))
    locked = os.open(made, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(locked, fcntl.LOCK_EX)
        # Under this name others look whether it is locked.
        yield (made := made.rename(made.with_name(made.name.removeprefix("new-"))))
    finally:
        shutil.rmtree(made, ignore_errors=True)
        os.close(locked)


def _remove_abandoned() -> None:
    """Remove what leaders left that were killed while they merged: it may be gigabytes."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):  # locked by its owner, gone meanwhile, or another user's
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(descriptor)


def in_thread(work: Callable[[], SegmentEntry]) -> "Future[SegmentEntry]":
    """Begin ``work`` on a thread of low priority that does not keep the process from ending."""
    future: Future[SegmentEntry] = Future()

    def run() -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _WORK_NICENESS)
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - whoever asks for the result gets it
            future.set_exception(error)

    threading.Thread(target=run, name="merge", daemon=True).start()
    return future
