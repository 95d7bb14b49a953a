"""Removes every trace of a document from the artifact store, once it is found no more.

Safe to repeat and to be interrupted anywhere: what withdraws citations is written before what they
need is removed, and what a manifest becomes before the manifest goes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import structlog

from coordinator.build import Builder
from coordinator.catalog import Catalog
from coordinator.update import Leading
from kotaemon_node.domain.artifact_names import (
    building_prefix,
    held_prefix,
    knowledge_base_prefix,
    manifest_name,
    redacted_name,
    redacted_prefix,
    withdrawal_name,
)
from kotaemon_node.domain.errors import CorruptArtifact
from kotaemon_node.domain.knowledge import Manifest, SegmentEntry, document_id
from kotaemon_node.domain.lineage import REDACTED_BY
from kotaemon_node.ports.artifacts import ArtifactStore
from kotaemon_node.ports.signing import Signer
from kotaemon_node.retrieval.manifests import signed

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Traces:
    """Where a document is found in what the store keeps."""

    manifests: frozenset[int]
    """Generations that name the document or one of ``segments``."""
    redacted: frozenset[int]
    """Generations of which an earlier purge left something that names it."""
    segments: frozenset[str]
    """Segments that hold a row of it, dead or alive, or that cannot be read."""


class Purge:
    """Purges documents. Used by one thread, and only by the leader."""

    def __init__(
        self,
        *,
        store: ArtifactStore,
        catalog: Catalog,
        builder: Builder,
        signer: Signer,
        tenant: str,
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._builder = builder
        self._signer = signer
        self._tenant = tenant

    def traces(self, kb: str, document: str, leading: Leading) -> Traces:
        """Look through all that is kept of ``kb``."""
        manifests = self._manifests(kb, self._catalog.numbers(kb), self._catalog.manifest)
        entries = {it.name: it for manifest in manifests.values() for it in manifest.segments}
        stored = self._stored_segments(kb)
        segments: set[str] = set()
        for name in entries.keys() & stored:
            leading.alive()
            if self._holds(kb, entries[name], document):
                segments.add(name)
        redacted = self._manifests(kb, self._catalog.redacted(kb), self._catalog.cited)
        return Traces(
            manifests=frozenset(
                number
                for number, manifest in manifests.items()
                if _names(manifest, document)
                or any(entry.name in segments for entry in manifest.segments)
            ),
            redacted=frozenset(
                number for number, manifest in redacted.items() if _names(manifest, document)
            ),
            segments=frozenset(segments),
        )

    def clean(self, kb: str, document: str, purged: Manifest, leading: Leading) -> None:
        """Remove all traces from below ``purged``, the generation that has none of them."""
        traces = self.traces(kb, document, leading)
        if purged.generation in traces.manifests:
            raise CorruptArtifact(f"generation {purged.generation} still holds {document}")
        leading.still()
        for number in self._catalog.numbers(kb):
            if number < purged.generation and self._catalog.manifest(kb, number) is None:
                # Nobody can tell what it names, and nobody can serve or cite it.
                self._store.delete(manifest_name(self._tenant, kb, number))
        for number in sorted(traces.redacted | traces.manifests):
            leading.alive()
            if number < purged.generation:
                self._redact(kb, number, document, by=purged.generation)
        removed = self._remove_unnamed(kb)
        # The note of a held build, and what build workers were given or have made.
        for prefix in (held_prefix(self._tenant, kb), building_prefix(self._tenant, kb)):
            for name in list(self._store.list(prefix)):
                self._store.delete(name)
        _log.info(
            "document_purged",
            kb=kb,
            generation=purged.generation,
            manifests=len(traces.manifests),
            segments=len(traces.segments),
            files=removed,
        )

    def _redact(self, kb: str, number: int, document: str, *, by: int) -> None:
        """Replace what is kept of a generation by the same without ``document``."""
        whole = self._catalog.manifest(kb, number)
        manifest = whole or self._catalog.cited(kb, number)
        older = list(self._store.list(redacted_prefix(self._tenant, kb, number)))
        if manifest is not None:
            for entry in manifest.documents:
                if entry.document == document:
                    part = document_id(document=entry.document, revision=entry.revision)
                    name = withdrawal_name(self._tenant, kb, part, below=by)
                    self._store.put_if_absent(name, b"{}\n")
            left = redacted_name(self._tenant, kb, number, by=by)
            self._store.put_if_absent(left, signed(_redacted(manifest, document, by), self._signer))
            older = [name for name in older if name != left]
        self._store.delete(manifest_name(self._tenant, kb, number))
        for name in older:
            self._store.delete(name)

    def _remove_unnamed(self, kb: str) -> int:
        """Remove segments and texts that nothing names: of this document, or of dead builds.

        Nobody else builds: what another leader may still be writing has a number that is taken.
        """
        kept = self._manifests(kb, self._catalog.numbers(kb), self._catalog.manifest)
        cited = self._manifests(kb, self._catalog.redacted(kb), self._catalog.cited)
        segments = {entry.name for manifest in kept.values() for entry in manifest.segments}
        texts = {
            f"{entry.text}.txt"
            for manifest in (*kept.values(), *cited.values())
            for entry in manifest.documents
        }
        doomed = [
            name
            for folder, named in (("segments", segments), ("texts", texts))
            for name in self._store.list(f"{knowledge_base_prefix(self._tenant, kb)}{folder}/")
            if self._step(kb, folder, name) not in named
        ]
        for name in doomed:
            self._store.delete(name)
        return len(doomed)

    def _stored_segments(self, kb: str) -> set[str]:
        prefix = f"{knowledge_base_prefix(self._tenant, kb)}segments/"
        return {self._step(kb, "segments", name) for name in self._store.list(prefix)}

    def _step(self, kb: str, folder: str, name: str) -> str:
        prefix = f"{knowledge_base_prefix(self._tenant, kb)}{folder}/"
        return name.removeprefix(prefix).partition("/")[0]

    def _holds(self, kb: str, entry: SegmentEntry, document: str) -> bool:
        try:
            return document in self._builder.documents_in(kb, entry)
        except CorruptArtifact as error:
            # What nobody can read may hold it; then it has to go.
            _log.warning("segment_unreadable", kb=kb, segment=entry.name, error=str(error))
            return True

    def _manifests(
        self, kb: str, numbers: Sequence[int], read: Callable[[str, int], Manifest | None]
    ) -> dict[int, Manifest]:
        found = ((number, read(kb, number)) for number in numbers)
        return {number: manifest for number, manifest in found if manifest is not None}


def _names(manifest: Manifest, document: str) -> bool:
    return any(entry.document == document for entry in manifest.documents)


def _redacted(manifest: Manifest, document: str, by: int) -> Manifest:
    kept = [entry for entry in manifest.documents if entry.document != document]
    return replace(
        manifest,
        segments=(),
        documents=tuple(replace(entry, segment=None) for entry in kept),
        extra={REDACTED_BY: by},
    )
