"""From the artifact store to an open generation: fetch what is missing, verify, open."""

import hashlib
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from kotaemon_node.domain.artifact_names import (
    knowledge_base_prefix,
    manifest_name,
    segment_file_name,
)
from kotaemon_node.domain.errors import CorruptArtifact
from kotaemon_node.domain.knowledge import GenerationRef, GenerationRow, Manifest, SegmentEntry
from kotaemon_node.ports.artifacts import ArtifactStore
from kotaemon_node.ports.runtime import Tasks
from kotaemon_node.ports.segments import SegmentFormat
from kotaemon_node.retrieval.analysis import ANALYSIS
from kotaemon_node.retrieval.generation import LoadedSegment, OpenGeneration, load_segment
from kotaemon_node.retrieval.segment_pool import SegmentPool

_ROWS_KEPT: Final = 256


class GenerationLoader:
    """Opens generations of one tenant; generations share the segments that they have in common."""

    def __init__(
        self, store: ArtifactStore, segment_format: SegmentFormat, *, tasks: Tasks, tenant: str
    ) -> None:
        self._store = store
        self._format = segment_format
        self._tasks = tasks
        self._tenant = tenant
        self._pool = SegmentPool()
        # Manifests never change, so what was read of one stays right.
        self._row = lru_cache(maxsize=_ROWS_KEPT)(self._read_row)

    def load(self, ref: GenerationRef) -> OpenGeneration:
        """Open the generation ``ref``; whoever gets it must close it.

        Raises ``CorruptArtifact`` where a file is missing or not what the manifest says.
        """
        manifest = self._manifest(ref)
        acquired: list[str] = []

        def give_back() -> None:
            for name in acquired:
                self._pool.release(name)

        try:
            segments = []
            for entry in manifest.segments:
                segments.append(self._segment(manifest.kb, entry))
                acquired.append(_pool_name(manifest.kb, entry))
            generation: OpenGeneration = self._tasks.compute(
                lambda: OpenGeneration(manifest, segments, on_close=give_back)
            )
        except BaseException:
            give_back()
            raise
        return generation

    def stored(self, kb: str) -> Iterator[GenerationRef]:
        """Yield the generations of ``kb`` that the store has, newest first."""
        prefix = f"{knowledge_base_prefix(self._tenant, kb)}manifests/"
        for name in sorted(self._store.list(prefix), reverse=True):
            raw = self._store.get(name)
            number = name.removeprefix(prefix).removesuffix(".json")
            if raw is not None and number.isdecimal():
                yield GenerationRef(
                    kb=kb,
                    generation=int(number),
                    digest=hashlib.sha256(raw).hexdigest(),
                    manifest=name,
                )

    def rows(self, kb: str) -> list[GenerationRow]:
        """Return what the store's manifests of ``kb`` say of themselves, newest first."""
        prefix = f"{knowledge_base_prefix(self._tenant, kb)}manifests/"
        names = sorted(self._store.list(prefix), reverse=True)
        # Removed by retention between listing and reading: no longer kept.
        return [row for row in map(self._row, names) if row is not None]

    def knowledge_bases(self) -> list[str]:
        """Return the knowledge bases of which the store has a manifest."""
        prefix = knowledge_base_prefix(self._tenant, "").removesuffix("/")
        steps = (name.removeprefix(prefix).split("/") for name in self._store.list(prefix))
        return sorted({kb for kb, *below in steps if below[:1] == ["manifests"]})

    def _read_row(self, name: str) -> GenerationRow | None:
        raw = self._store.get(name)
        if raw is None:
            return None
        row: GenerationRow = self._tasks.compute(_row, raw)
        return row

    def _manifest(self, ref: GenerationRef) -> Manifest:
        raw = self._store.get(ref.manifest)
        if raw is None:
            raise CorruptArtifact(f"the artifact store has no {ref.manifest}")
        if hashlib.sha256(raw).hexdigest() != ref.digest:
            raise CorruptArtifact(f"{ref.manifest} is not the manifest of digest {ref.digest}")
        manifest = read_manifest(raw)
        named = manifest_name(self._tenant, ref.kb, ref.generation)
        if named != manifest_name(manifest.tenant, manifest.kb, manifest.generation):
            raise CorruptArtifact(f"{ref.manifest} is of another knowledge base or generation")
        analysis = manifest.extra.get("analysis", ANALYSIS)
        if analysis != ANALYSIS:
            raise CorruptArtifact(f"its terms were made by {analysis}, ours are by {ANALYSIS}")
        return manifest

    def _segment(self, kb: str, entry: SegmentEntry) -> LoadedSegment:
        def open_segment() -> LoadedSegment:
            files = {
                file: self._store.open_local(segment_file_name(self._tenant, kb, entry.name, file))
                for file in entry.files
            }
            # Checksums and numbering of a large segment take long: not on the serving loop.
            loaded: LoadedSegment = self._tasks.compute(
                lambda: load_segment(self._format.open(files, entry))
            )
            return loaded

        return self._pool.acquire(_pool_name(kb, entry), open_segment)


def _row(raw: bytes) -> GenerationRow:
    manifest = read_manifest(raw)
    return GenerationRow(
        generation=manifest.generation,
        digest=hashlib.sha256(raw).hexdigest(),
        parent=manifest.parent,
        encoder=manifest.encoder,
        documents=len(manifest.documents),
        passages=sum(entry.passages for entry in manifest.documents),
        created_at=manifest.created_at,
    )


def read_manifest(raw: bytes) -> Manifest:
    """Return the manifest in ``raw``; ``CorruptArtifact`` where there is none."""
    try:
        return Manifest.from_json(raw)
    except (ValueError, LookupError, TypeError) as error:
        raise CorruptArtifact(f"a manifest cannot be read: {error!r}") from error


def _pool_name(kb: str, entry: SegmentEntry) -> str:
    return f"{kb}/{entry.name}"
