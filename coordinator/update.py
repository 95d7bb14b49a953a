"""Brings one knowledge base up to date: plan, read, build, publish."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from coordinator.build import Builder, Change, iso_time, queued_entry
from coordinator.catalog import Newest
from coordinator.folder import FileChanged, FileState, KnowledgeFolder, Scan
from coordinator.ingest import Ingested, ingest, refused
from coordinator.metrics import CoordinatorMetrics
from coordinator.plan import Plan, plan_for
from coordinator.publish import Publisher
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import CorruptArtifact
from kotaemon_node.domain.knowledge import DocumentEntry, Manifest
from kotaemon_node.ports.runtime import Clock

_log = structlog.get_logger(__name__)

_PROGRESS_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an update made. ``published`` is None when nothing had to be done."""

    published: Manifest | None
    waiting: int
    """Files that are left for the next generation."""


class Updater:
    """Updates knowledge bases, one at a time."""

    def __init__(
        self,
        *,
        folder: KnowledgeFolder,
        builder: Builder,
        publisher: Publisher,
        metrics: CoordinatorMetrics,
        clock: Clock,
    ) -> None:
        self._folder = folder
        self._builder = builder
        self._publisher = publisher
        self._metrics = metrics
        self._clock = clock
        self._damaged: set[str] = set()
        """Knowledge bases of which an old segment was found unreadable."""

    def damaged(self, kb: str) -> None:
        """Have all of ``kb`` built anew: an old segment cannot be read."""
        self._damaged.add(kb)

    def update(
        self,
        kb: str,
        scan: Scan,
        newest: Newest,
        *,
        above: int,
        forced: bool,
        still_leading: Callable[[], None],
        alive: Callable[[], None],
    ) -> Outcome:
        """Publish what the folder holds, numbered above ``above``; the manifest exists afterwards.

        ``forced`` publishes even without a change. ``still_leading`` raises when we may not
        publish, ``alive`` is called often and raises to stop the work. Also raises ``NumberTaken``,
        and ``CorruptArtifact`` once: the next call builds all anew.
        """
        files = scan.files.get(kb, {})
        plan = plan_for(
            kb, files, scan.pending, newest.manifest, rebuild=self._must_rebuild(kb, newest)
        )
        if plan.idle and not forced:
            return Outcome(None, waiting=0)
        started_s = self._clock.monotonic_s()
        progress = _Progress(kb, clock=self._clock, alive=alive)
        ingested, waiting = self._read(plan, progress)
        if not (ingested or plan.deleted or plan.rebuild or forced):
            return Outcome(None, waiting=len(waiting))
        change = Change(ingested, deleted=plan.deleted, queued=self._queued(waiting))
        with tempfile.TemporaryDirectory(prefix="kotaemon-build-") as folder:
            try:
                build = self._builder.build(
                    kb,
                    max(newest.number, above) + 1,
                    newest.manifest,
                    change,
                    rebuild=plan.rebuild,
                    folder=Path(folder),
                    proceed=progress.encoded,
                )
            except CorruptArtifact:
                # The files are the truth: what cannot be merged is made again from them.
                self._damaged.add(kb)
                raise
            self._publisher.store_files(build)
            still_leading()
            self._publisher.store_manifest(build.manifest)
        self._damaged.discard(kb)
        duration_s = self._clock.monotonic_s() - started_s
        self._metrics.generation_built(duration_s)
        _log.info(
            "generation_published",
            kb=kb,
            generation=build.manifest.generation,
            read=len(ingested),
            refused=sum(1 for it in ingested if it.reason is not None),
            deleted=len(plan.deleted),
            waiting=len(waiting),
            passages=sum(len(it.passages) for it in ingested),
            segments=len(build.manifest.segments),
            duration_s=round(duration_s, 3),
        )
        return Outcome(build.manifest, waiting=len(waiting))

    def _must_rebuild(self, kb: str, newest: Newest) -> bool:
        known = newest.manifest
        return known is not None and (kb in self._damaged or not self._builder.can_extend(known))

    def _read(
        self, plan: Plan, progress: "_Progress"
    ) -> tuple[Sequence[Ingested], Sequence[FileState]]:
        """Return the documents of this generation and the files left for the next one."""
        ingested: list[Ingested] = []
        passages = 0
        for at, state in enumerate(plan.to_read):
            if passages >= limits.GENERATION_PASSAGES_MAX and not plan.rebuild:
                return ingested, plan.to_read[at:]
            progress.read(at, len(plan.to_read))
            document = self._read_one(state)
            if document is not None:
                ingested.append(document)
                passages += len(document.passages)
        return ingested, ()

    def _read_one(self, state: FileState) -> Ingested | None:
        """Return the document; None when its file changed and will be met again."""
        if state.problem is not None:
            document = refused(
                state.document, "", file_bytes=state.size_bytes, reason=state.problem
            )
        else:
            try:
                document = ingest(state.document, self._folder.read(state))
            except FileChanged:
                return None
        if document.reason is not None:
            _log.warning("document_refused", document=document.document, reason=document.reason)
        self._metrics.document_read(refused=document.reason is not None)
        return document

    def _queued(self, waiting: Sequence[FileState]) -> Sequence[DocumentEntry]:
        at = iso_time(self._clock.now_s())
        return [
            queued_entry(it.document, it.revision, file_bytes=it.size_bytes, at=at)
            for it in waiting
        ]


class _Progress:
    """Logs a line now and then while a generation is being made."""

    def __init__(self, kb: str, *, clock: Clock, alive: Callable[[], None]) -> None:
        self._kb = kb
        self._clock = clock
        self._alive = alive
        self._next_s = clock.monotonic_s() + _PROGRESS_S

    def read(self, done: int, total: int) -> None:
        self._tell({"phase": "reading", "documents": done, "of": total})

    def encoded(self, done: int, total: int) -> None:
        self._tell({"phase": "encoding", "passages": done, "of": total})

    def _tell(self, figures: Mapping[str, object]) -> None:
        self._alive()
        if self._clock.monotonic_s() >= self._next_s:
            self._next_s = self._clock.monotonic_s() + _PROGRESS_S
            _log.info("ingesting", kb=self._kb, **figures)
