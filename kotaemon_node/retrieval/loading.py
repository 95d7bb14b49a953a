"""From the artifact store to an open generation: fetch what is missing, verify, open."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final
from weakref import ReferenceType
from weakref import ref as weak_reference

import structlog

from kotaemon_node.domain import limits
from kotaemon_node.domain.artifact_names import (
    held_prefix,
    knowledge_base_prefix,
    knowledge_bases_prefix,
    segment_file_name,
)
from kotaemon_node.domain.errors import CorruptArtifact, Unavailable
from kotaemon_node.domain.held import HeldBuild
from kotaemon_node.domain.knowledge import GenerationRef, GenerationRow, Manifest, SegmentEntry
from kotaemon_node.domain.lineage import rolled_back_to
from kotaemon_node.ports.artifacts import ArtifactStore
from kotaemon_node.ports.memory import Memory
from kotaemon_node.ports.runtime import Tasks
from kotaemon_node.ports.segments import SegmentFormat
from kotaemon_node.ports.signing import Verifier
from kotaemon_node.retrieval.analysis import ANALYSIS
from kotaemon_node.retrieval.copies import open_checked
from kotaemon_node.retrieval.generation import LoadedSegment, OpenGeneration, Part, load_segment
from kotaemon_node.retrieval.manifest_pieces import ManifestPieces
from kotaemon_node.retrieval.manifests import ManifestReader
from kotaemon_node.retrieval.memory import require_room
from kotaemon_node.retrieval.segment_pool import SegmentPool

_log = structlog.get_logger(__name__)

# A list that is read from end to end profits from a cache only if all of it fits; a row has 1 KB.
_ROWS_KEPT: Final = 4 * limits.MANIFESTS_KEPT_MAX


class GenerationLoader:
    """Opens generations of one tenant; generations share the segments that they have in common."""

    def __init__(
        self,
        store: ArtifactStore,
        segment_format: SegmentFormat,
        verifier: Verifier,
        *,
        tasks: Tasks,
        tenant: str,
        memory: Memory | None = None,
        make_room: Callable[[], bool] = lambda: False,
    ) -> None:
        """``make_room`` gives memory back where a generation lacks it; False: it cannot."""
        self._store = store
        self._format = segment_format
        self._manifests = ManifestReader(store, verifier, tenant=tenant, compute=tasks.compute)
        # For those that are opened one after the other; a look at an old one must not disturb it.
        self._coming = ManifestReader(
            store, verifier, tenant=tenant, compute=tasks.compute, parse=ManifestPieces().parse
        )
        self._tasks = tasks
        self._tenant = tenant
        self._pool = SegmentPool()
        self._newest: dict[str, ReferenceType[OpenGeneration]] = {}
        self._memory = memory
        self._make_room = make_room
        # Manifests never change, so what was read of one stays right.
        self._row = lru_cache(maxsize=_ROWS_KEPT)(self._read_row)

    def load(self, ref: GenerationRef) -> OpenGeneration:
        """Open the generation ``ref``; whoever gets it must close it.

        Raises ``CorruptArtifact`` where a file is missing or not what the manifest says, and its
        kind ``UntrustedArtifact`` where no trusted key has signed the manifest for this place.
        """
        return self.open(self._manifest(ref))

    def open(self, manifest: Manifest) -> OpenGeneration:
        """Open a generation whose manifest is at hand, and perhaps in no store; as ``load``."""
        acquired: list[str] = []
        self._require_room(manifest)

        def give_back() -> None:
            for name in acquired:
                self._pool.release(name)

        try:
            segments = []
            for entry in manifest.segments:
                segments.append(self._segment(manifest.kb, entry))
                acquired.append(_pool_name(manifest.kb, entry))
            generation: OpenGeneration = self._tasks.compute(
                lambda: OpenGeneration(
                    manifest, segments, on_close=give_back, before=self._parts_before(manifest.kb)
                )
            )
        except BaseException:
            give_back()
            raise
        self._newest[manifest.kb] = weak_reference(generation)
        return generation

    def _parts_before(self, kb: str) -> Sequence[Part]:
        """Return the parts of the generation that was opened last, if anybody still has it."""
        found = self._newest.get(kb)
        generation = found() if found is not None else None
        return () if generation is None else generation.parts

    def stored(self, kb: str) -> Iterator[GenerationRef]:
        """Yield the generations of ``kb`` that the store has, newest first, none verified yet."""
        for number in reversed(self._manifests.numbers(kb)):
            ref = self._manifests.found(kb, number)
            if ref is not None:
                yield ref

    def rows(self, kb: str) -> list[GenerationRow]:
        """Return what the trusted manifests of ``kb`` say of themselves, newest first."""
        rows = (self._row(kb, number) for number in reversed(self._manifests.numbers(kb)))
        # Removed by retention between listing and reading: no longer kept.
        return [row for row in rows if row is not None]

    def complete(self, kb: str) -> list[int]:
        """Return the generations of ``kb`` whose segments are all kept, newest first."""
        prefix = f"{knowledge_base_prefix(self._tenant, kb)}segments/"
        kept = {name.removeprefix(prefix).partition("/")[0] for name in self._store.list(prefix)}
        return [row.generation for row in self.rows(kb) if kept.issuperset(row.segments)]

    def held(self, kb: str) -> HeldBuild | None:
        """Return the build that the gate holds now."""
        for name in self._store.list(held_prefix(self._tenant, kb)):
            raw = self._store.get(name)
            if raw is None:
                continue
            try:
                return HeldBuild.from_json(raw)
            except (ValueError, LookupError, TypeError) as error:
                # A note for people: what is served does not depend on it.
                _log.warning("held_note_unreadable", name=name, error=repr(error))
        return None

    def knowledge_bases(self) -> list[str]:
        """Return the knowledge bases of which the store has a manifest."""
        prefix = knowledge_bases_prefix(self._tenant)
        steps = (name.removeprefix(prefix).split("/") for name in self._store.list(prefix))
        return sorted({kb for kb, *below in steps if below[:1] == ["manifests"]})

    def _read_row(self, kb: str, number: int) -> GenerationRow | None:
        try:
            manifest = self._manifests.read(kb, number)
        except CorruptArtifact as error:
            # Of no use to anybody, and no reason to hide the others.
            _log.warning("manifest_refused", kb=kb, generation=number, reason=str(error))
            return None
        if manifest is None:
            return None
        row: GenerationRow = self._tasks.compute(_row, manifest)
        return row

    def _manifest(self, ref: GenerationRef) -> Manifest:
        manifest = self._coming.read(ref.kb, ref.generation, digest=ref.digest)
        if manifest is None:
            raise CorruptArtifact(f"the artifact store has no {ref.manifest}")
        analysis = manifest.extra.get("analysis", ANALYSIS)
        if analysis != ANALYSIS:
            raise CorruptArtifact(f"its terms were made by {analysis}, ours are by {ANALYSIS}")
        return manifest

    def _require_room(self, manifest: Manifest) -> None:
        if self._memory is not None:
            entries = manifest.segments
            new = [it for it in entries if _pool_name(manifest.kb, it) not in self._pool]
            while True:
                available = self._memory.available_bytes()
                try:
                    require_room(manifest, new, self._format, available=available)
                except Unavailable:
                    if not self._make_room():
                        raise
                else:
                    return

    def _segment(self, kb: str, entry: SegmentEntry) -> LoadedSegment:
        names = {
            file: segment_file_name(self._tenant, kb, entry.name, file) for file in entry.files
        }

        def open_files(files: Mapping[str, Path]) -> LoadedSegment:
            # Checksums and numbering of a large segment take long: not on the serving loop.
            loaded: LoadedSegment = self._tasks.compute(
                lambda: load_segment(self._format.open(files, entry))
            )
            return loaded

        def open_segment() -> LoadedSegment:
            return open_checked(self._store, names, entry.files, open_files)

        return self._pool.acquire(_pool_name(kb, entry), open_segment)


def _row(manifest: Manifest) -> GenerationRow:
    return GenerationRow(
        generation=manifest.generation,
        digest=manifest.digest,
        parent=manifest.parent,
        encoder=manifest.encoder,
        documents=len(manifest.documents),
        passages=sum(entry.passages for entry in manifest.documents),
        created_at=manifest.created_at,
        rolled_back_to=rolled_back_to(manifest),
        segments=tuple(entry.name for entry in manifest.segments),
    )


def _pool_name(kb: str, entry: SegmentEntry) -> str:
    return f"{kb}/{entry.name}"
