"""Brings one knowledge base up to date: plan, read, build, publish."""

import tempfile
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import structlog

from coordinator.build import Build, Builder, Change, iso_time, queued_entry
from coordinator.catalog import Newest
from coordinator.folder import FileState, KnowledgeFolder, Scan
from coordinator.gate import Gate, Verdict
from coordinator.holding import held_build, state_key
from coordinator.ingest import Ingested
from coordinator.merges import Merges
from coordinator.merging import part_passages
from coordinator.metrics import CoordinatorMetrics
from coordinator.plan import Plan, plan_for
from coordinator.probes import read_probes
from coordinator.progress import Progress
from coordinator.publish import Publisher
from coordinator.reading.desk import Desk
from coordinator.vectors import VectorKeeper
from kotaemon_node.domain.document_names import knowledge_base_of
from kotaemon_node.domain.errors import CorruptArtifact
from kotaemon_node.domain.held import HeldBuild
from kotaemon_node.domain.knowledge import DocumentEntry, Manifest
from kotaemon_node.domain.lineage import PROBES, lineage, refused_of
from kotaemon_node.ports.runtime import Clock

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an update made. ``published`` is None when nothing had to be done."""

    published: Manifest | None
    waiting: int
    """Files that are left for the next generation."""
    held: HeldBuild | None = None
    """What the gate keeps out, now or since an earlier call."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What an update is to do beyond following the folder."""

    forced: bool = False
    """Publish even without a change."""
    follow_all: bool = False
    """Follow also the files that a rollback refused."""
    ungated: bool = False
    """Publish whatever the gate would say."""
    job: str | None = None
    """The order that this is for."""


@dataclass(frozen=True, slots=True)
class Leading:
    """How work asks whether it may go on. ``alive`` is called often and raises to stop it."""

    still: Callable[[], None]
    """Raises when we may not publish."""
    alive: Callable[[], None]


NO_WISH: Final = Wish()


class Updater:
    """Updates knowledge bases, one at a time."""

    def __init__(
        self,
        *,
        folder: KnowledgeFolder,
        desk: Desk,
        builder: Builder,
        publisher: Publisher,
        gate: Gate,
        vectors: VectorKeeper,
        merges: Merges,
        metrics: CoordinatorMetrics,
        clock: Clock,
    ) -> None:
        self._folder = folder
        self._desk = desk
        self._builder = builder
        self._publisher = publisher
        self._gate = gate
        self._vectors = vectors
        self._merges = merges
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
        leading: Leading,
        wish: Wish = NO_WISH,
        held: HeldBuild | None = None,
    ) -> Outcome:
        """Publish what the folder holds, numbered above ``above``; the manifest exists afterwards.

        ``held`` is the build that the gate held before: the same one is not made again. Raises
        what ``leading`` raises, ``NumberTaken``, and ``CorruptArtifact`` once: the next call builds
        all anew.
        """
        files = scan.files.get(kb, {})
        plan = plan_for(
            kb,
            files,
            scan.pending,
            newest.manifest,
            rebuild=self.must_rebuild(kb, newest),
            refused={} if wish.follow_all else refused_of(newest.manifest),
        )
        if plan.idle and not wish.forced:
            self._desk.idle(kb)
            # Of files that are just looked at for the first time nothing is known yet.
            unsure = any(knowledge_base_of(document) == kb for document in scan.pending)
            return Outcome(None, waiting=0, held=held if unsure else None)
        probes = read_probes(self._folder, kb)
        number = max(newest.number, above) + 1
        # Reads all that is known of the folder: only where there is something to compare it with.
        same = held is not None and held.key == state_key(newest.manifest, files, probes)
        if held is not None and same and wish.job is None:
            return self._instead(held, (), newest, number, leading, forced=wish.forced)
        self._vectors.require_store()
        started_s = self._clock.monotonic_s()
        progress = Progress(kb, clock=self._clock, alive=leading.alive)
        ingested, waiting = self._desk.gather(
            kb,
            plan.to_read,
            whole=plan.rebuild,
            passages_max=part_passages(_passages_in(newest.manifest)),
            proceed=progress.read,
            first=newest.manifest is None,
        )
        plan = plan.with_moves_kept(waiting, newest.manifest)
        # Pods are not to begin to answer without all that is about to be there.
        wished = wish.forced and not self._desk.hopes(kb)
        if not (ingested or plan.deleted or plan.rebuild or wished):
            return Outcome(None, waiting=len(waiting), held=held)
        made = lineage(job=wish.job, refused=plan.refused)
        change = Change(ingested, deleted=plan.deleted, queued=self._queued(waiting), lineage=made)
        with tempfile.TemporaryDirectory(prefix="kotaemon-build-") as folder:
            place = _Place(kb, number, Path(folder))
            build = self._build(place, newest, change, progress, rebuild=plan.rebuild)
            self._publisher.store_files(build)
            verdict = Verdict()
            if not wish.ungated:
                verdict = self._gate.judge(
                    build.manifest,
                    newest.manifest,
                    probes,
                    in_folder={*files, *scan.pending},
                    alive=leading.alive,
                )
            if verdict.reason is not None and newest.manifest is not None:
                self._metrics.generation_held(kb)
                at = iso_time(self._clock.now_s())
                key = state_key(newest.manifest, files, probes)
                held = held_build(key, newest.manifest, verdict, at=at)
                _log.warning("generation_held", kb=kb, reason=held.reason, lost=held.lost)
                deleted = () if plan.rebuild else plan.deleted
                forced = wish.forced and wish.job is None
                return self._instead(held, deleted, newest, number, leading, forced=forced)
            manifest = self._judged(build.manifest, verdict)
            self._vectors.fill(manifest, alive=leading.alive)
            leading.still()
            self._publisher.store_manifest(manifest)
        self._damaged.discard(kb)
        self._desk.published(kb, ingested)
        self._tell(manifest, plan, ingested, waiting=len(waiting), started_s=started_s)
        return Outcome(manifest, waiting=len(waiting))

    def merge(self, newest: Manifest, *, number: int, leading: Leading) -> Manifest | None:
        """Publish generation ``number`` where a merge beside us has ended; begin one that is due.

        It finds what ``newest`` finds, so nothing gates it. Raises as ``update``.
        """
        if self._vectors.problem is not None:
            # What it made could not be published, and would have to be made again.
            return None
        try:
            manifest = self._merges.step(newest, number=number)
        except CorruptArtifact:
            self._damaged.add(newest.kb)
            raise
        if manifest is None:
            return None
        self._vectors.fill(manifest, alive=leading.alive)
        leading.still()
        self._publisher.store_manifest(manifest)
        _log.info(
            "segments_merged",
            kb=manifest.kb,
            generation=manifest.generation,
            segments=len(manifest.segments),
        )
        return manifest

    def forget(
        self,
        kb: str,
        documents: Collection[str],
        newest: Manifest,
        *,
        number: int,
        leading: Leading,
        job: str | None = None,
        rewrite: Collection[str] = (),
    ) -> Manifest:
        """Publish generation ``number``: the newest without ``documents``; nothing gates it.

        ``rewrite`` names segments whose files nothing may need afterwards. Raises as ``update``.
        """
        refused = {
            name: revision for name, revision in refused_of(newest).items() if name not in documents
        }
        recalls = newest.extra.get(PROBES)
        made = lineage(job=job, refused=refused, **{PROBES: recalls})
        change = Change((), deleted=tuple(documents), rewrite=rewrite, lineage=made)
        progress = Progress(kb, clock=self._clock, alive=leading.alive)
        before = Newest(number - 1, newest)
        with tempfile.TemporaryDirectory(prefix="kotaemon-build-") as folder:
            place = _Place(kb, number, Path(folder))
            build = self._build(place, before, change, progress, rebuild=False)
            self._publisher.store_files(build)
            self._vectors.fill(build.manifest, alive=leading.alive)
            leading.still()
            self._publisher.store_manifest(build.manifest)
        _log.info(
            "documents_forgotten", kb=kb, generation=number, documents=len(documents), job=job
        )
        return build.manifest

    def _instead(
        self,
        held: HeldBuild,
        deleted: Sequence[str],
        newest: Newest,
        number: int,
        leading: Leading,
        *,
        forced: bool,
    ) -> Outcome:
        """Publish, of a build that is held, the deletions alone: they are somebody's wish.

        Where a generation has to be published in any case, that is the newest one again.
        """
        if newest.manifest is None or not (deleted or forced):
            return Outcome(None, waiting=0, held=held)
        manifest = self.forget(held.kb, deleted, newest.manifest, number=number, leading=leading)
        return Outcome(manifest, waiting=0, held=held)

    def _build(
        self,
        place: "_Place",
        newest: Newest,
        change: Change,
        progress: Progress,
        *,
        rebuild: bool,
    ) -> Build:
        try:
            return self._builder.build(
                place.kb,
                place.number,
                newest.manifest,
                change,
                rebuild=rebuild,
                folder=place.folder,
                proceed=progress.encoded,
                spared=self._merges.spared(place.kb),
            )
        except CorruptArtifact:
            # The files are the truth: what cannot be merged is made again from them.
            self._damaged.add(place.kb)
            raise

    def _judged(self, manifest: Manifest, verdict: Verdict) -> Manifest:
        """Return the manifest with what the gate found in it."""
        recalls = {name: round(recall, 6) for name, recall in verdict.recalls.items()}
        return replace(manifest, extra={**manifest.extra, **({PROBES: recalls} if recalls else {})})

    def _tell(
        self,
        manifest: Manifest,
        plan: Plan,
        ingested: Sequence[Ingested],
        *,
        waiting: int,
        started_s: float,
    ) -> None:
        duration_s = self._clock.monotonic_s() - started_s
        self._metrics.generation_built(duration_s)
        _log.info(
            "generation_published",
            kb=manifest.kb,
            generation=manifest.generation,
            read=len(ingested),
            refused=sum(1 for it in ingested if it.reason is not None),
            deleted=len(plan.deleted),
            waiting=waiting,
            passages=sum(len(it.passages) for it in ingested),
            segments=len(manifest.segments),
            duration_s=round(duration_s, 3),
        )

    def must_rebuild(self, kb: str, newest: Newest) -> bool:
        """Tell whether the newest generation cannot be extended, so that nothing can follow it."""
        known = newest.manifest
        return known is not None and (kb in self._damaged or not self._builder.can_extend(known))

    def _queued(self, waiting: Sequence[FileState]) -> Sequence[DocumentEntry]:
        at = iso_time(self._clock.now_s())
        return [
            queued_entry(it.document, it.revision, file_bytes=it.size_bytes, at=at)
            for it in waiting
        ]


def _passages_in(manifest: Manifest | None) -> int:
    return sum(entry.passages for entry in manifest.documents) if manifest else 0


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a build goes."""

    kb: str
    number: int
    folder: Path
