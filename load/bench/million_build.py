"""Writes a large knowledge base as the coordinator would: segments, texts and a signed manifest."""

import resource
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from coordinator.build import text_digest
from coordinator.ingest import INGEST_RULES
from kotaemon_node.adapters.faiss import FaissSegmentFormat
from kotaemon_node.adapters.store.file_store import FileArtifactStore
from kotaemon_node.domain.artifact_names import manifest_name, segment_file_name
from kotaemon_node.domain.ids import DEFAULT_TENANT
from kotaemon_node.domain.knowledge import DocumentEntry, GenerationRef, Manifest, SegmentEntry
from kotaemon_node.ports.encoder import Encoder
from kotaemon_node.ports.signing import Signer
from kotaemon_node.retrieval.analysis import ANALYSIS
from kotaemon_node.retrieval.manifests import signed
from load.bench.million_corpus import PASSAGES_PER_DOCUMENT, Document, Source, documents, moved
from load.kept import progress

# The first-level folder of the documents.
KB = "made"
# One large segment and a few small ones, as after a year of changes; shares of the documents.
SHARES = (0.97, 0.01, 0.01, 0.005, 0.005)
_AT = "2026-01-01T00:00:00.000+00:00"
_BATCH = 50


@dataclass(frozen=True, slots=True)
class Built:
    """What was written, and what that took."""

    manifest: Manifest
    ref: GenerationRef
    took_s: float
    writing_s: float
    """Of it, what the product's writer took; the rest is the making of texts."""
    peak_bytes: int
    """The most memory that the process had until now."""


class Site:
    """An artifact store that generations are written into."""

    def __init__(
        self,
        store: FileArtifactStore,
        source: Source,
        *,
        encoder: Encoder,
        signer: Signer,
        form: FaissSegmentFormat,
        scratch: Path,
        knowledge: Path,
    ) -> None:
        """``knowledge`` is the folder that ``build`` writes the documents into, as files."""
        self.store = store
        self.form = form
        self.source = source
        self._encoder = encoder
        self._signer = signer
        self._scratch = scratch
        self._knowledge = knowledge

    def build(self, rows: int) -> Built:
        """Write generation 1 with ``rows`` passages."""
        began_s = time.perf_counter()
        last = rows // PASSAGES_PER_DOCUMENT
        ends = [round(last * sum(SHARES[: at + 1])) for at in range(len(SHARES))]
        found = []
        for first, end in zip([0, *ends], ends, strict=False):
            if end > first:
                found.append(self.segment(first, end, files=True))
                progress(f"{end} of {last} documents, {time.perf_counter() - began_s:.0f} s")
        entries = [entry for _, of_segment, _ in found for entry in of_segment]
        entries.sort(key=lambda entry: entry.document)
        manifest = self.manifest(1, [entry for entry, _, _ in found], entries, parent=None)
        ref = self.publish(manifest)
        return Built(
            manifest,
            ref,
            took_s=time.perf_counter() - began_s,
            writing_s=sum(took_s for _, _, took_s in found),
            peak_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        )

    def followed(self, before: Manifest, number: int) -> Manifest:
        """Return the generation after ``before``, with the document ``number`` in a small segment.

        The document that ``before`` has of this kind goes: else there were soon many segments.
        """
        segment, entries, _ = self.segment(number, number + 1)
        kept = before.segments[: len(SHARES)]
        names = {entry.name for entry in kept}
        entries += [entry for entry in before.documents if entry.segment in names]
        return self.manifest(
            before.generation + 1,
            [*kept, segment],
            sorted(entries, key=lambda entry: entry.document),
            parent=before.digest,
        )

    def segment(
        self, first: int, last: int, *, files: bool = False
    ) -> tuple[SegmentEntry, list[DocumentEntry], float]:
        """Write and store the segment of some documents; return what the writer took (s), too.

        ``files``: write the documents into the knowledge folder as well.
        """
        entries: list[DocumentEntry] = []
        writing_s = 0.0
        with self._folder() as folder:
            writer = self.form.writer(folder)
            made = documents(self.source, first, last)
            for number, batch in enumerate(_batches(made)):
                vectors = moved(
                    self.source, [at for it in batch for at in it.places], seed=first + number
                )
                began_s = time.perf_counter()
                writer.add(
                    [passage for it in batch for passage in it.passages],
                    [counts for it in batch for counts in it.terms],
                    vectors,
                )
                writing_s += time.perf_counter() - began_s
                entries += map(_entry, batch)
                if files:
                    for it in batch:
                        path = self._knowledge / it.name
                        path.parent.mkdir(parents=True, exist_ok=True)
                        path.write_bytes(it.text.encode())
            began_s = time.perf_counter()
            entry = writer.finish()
            writing_s += time.perf_counter() - began_s
            for file in entry.files:
                name = segment_file_name(DEFAULT_TENANT, KB, entry.name, file)
                self.store.put_file_if_absent(name, folder / file)
        return entry, [replace(it, segment=entry.name) for it in entries], writing_s

    def manifest(
        self,
        number: int,
        segments: Sequence[SegmentEntry],
        entries: Sequence[DocumentEntry],
        *,
        parent: str | None,
    ) -> Manifest:
        """Return the manifest of a generation."""
        return Manifest(
            tenant=DEFAULT_TENANT,
            kb=KB,
            generation=number,
            parent=parent,
            encoder=self._encoder.name,
            spaces=dict(self._encoder.spaces),
            segments=tuple(segments),
            documents=tuple(entries),
            created_at=_AT,
            extra={"analysis": ANALYSIS, "ingest": INGEST_RULES},
        )

    def publish(self, manifest: Manifest) -> GenerationRef:
        """Sign and store a manifest."""
        name = manifest_name(DEFAULT_TENANT, KB, manifest.generation)
        self.store.put_if_absent(name, signed(manifest, self._signer))
        return GenerationRef(KB, manifest.generation, manifest.digest, name)

    @contextmanager
    def _folder(self) -> Iterator[Path]:
        self._scratch.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=self._scratch))
        try:
            yield folder
        finally:
            shutil.rmtree(folder)


def _batches(made: Iterator[Document]) -> Iterator[list[Document]]:
    while batch := list(islice(made, _BATCH)):
        yield batch


def _entry(document: Document) -> DocumentEntry:
    """Return the entry of a document, whose segment has no name yet."""
    return DocumentEntry(
        document=document.name,
        revision=document.revision,
        title=document.name.rpartition("/")[2],
        status="indexed",
        reason=None,
        file_bytes=len(document.text.encode()),
        text_chars=len(document.text),
        passages=len(document.passages),
        text=text_digest(document.text),
        segment=None,
        indexed_at=_AT,
    )
