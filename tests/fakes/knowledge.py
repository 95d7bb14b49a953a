"""Generations of knowledge for tests: built whole, on the real segment format and store."""

import hashlib
import shutil
import tempfile
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kotaemon_node.adapters.faiss.segment_format import FaissSegmentFormat
from kotaemon_node.adapters.store.file_store import FileArtifactStore
from kotaemon_node.domain.artifact_names import manifest_name, segment_file_name, text_name
from kotaemon_node.domain.errors import StoreUnavailable
from kotaemon_node.domain.knowledge import (
    DocumentEntry,
    GenerationRef,
    Manifest,
    Passage,
    SegmentEntry,
    passage_id,
)
from kotaemon_node.domain.language import language_of
from kotaemon_node.ports.encoder import Encoder
from kotaemon_node.ports.signing import Signer
from kotaemon_node.retrieval.analysis import ANALYSIS, terms
from kotaemon_node.retrieval.background import background_of, everyday_background
from kotaemon_node.retrieval.batching import QuestionEncoder
from kotaemon_node.retrieval.generation import OpenGeneration, load_segment
from kotaemon_node.retrieval.manifests import signed
from kotaemon_node.retrieval.searcher import Searcher
from tests.fakes.encoder import HashingEncoder
from tests.fakes.signing import SIGNER

TENANT = "default"
Documents = Mapping[str, str]
"""Document name to its text; each paragraph (blank line between) is a passage."""


def passages_of(document: str, text: str) -> list[Passage]:
    """Cut a text at its blank lines."""
    revision = hashlib.sha256(text.encode()).hexdigest()
    passages: list[Passage] = []
    start = 0
    for paragraph in text.split("\n\n"):
        span = (start, start + len(paragraph))
        start = span[1] + 2
        passages.append(
            Passage(
                id=passage_id(document=document, revision=revision, span=span),
                document=document,
                revision=revision,
                title=document,
                heading=(),
                page=None,
                span=span,
                text=paragraph,
                language=language_of(paragraph),
            )
        )
    return passages


def write_segment(folder: Path, documents: Documents, encoder: Encoder) -> SegmentEntry:
    """Write a segment of these documents into the new ``folder``."""
    folder.mkdir(parents=True)
    passages = [at for name, text in documents.items() for at in passages_of(name, text)]
    texts = [passage.text for passage in passages]
    return FaissSegmentFormat().write(
        folder, passages, [terms(text) for text in texts], encoder.encode_passages(texts)
    )


def manifest_of(
    segments: Sequence[tuple[SegmentEntry, Documents]],
    *,
    kb: str = "default",
    generation: int = 1,
    parent: str | None = None,
    encoder: Encoder,
    extra: Mapping[str, str] | None = None,
    deleted: Collection[str] = (),
) -> Manifest:
    """Describe segments; a document that several hold is found in the last of them."""
    home = {
        name: (entry, text) for entry, documents in segments for name, text in documents.items()
    }
    return Manifest(
        tenant=TENANT,
        kb=kb,
        generation=generation,
        parent=parent,
        encoder=encoder.name,
        spaces=dict(encoder.spaces),
        segments=tuple(entry for entry, _ in segments),
        documents=tuple(
            DocumentEntry(
                document=name,
                revision=hashlib.sha256(text.encode()).hexdigest(),
                title=name,
                status="indexed",
                reason=None,
                file_bytes=len(text.encode()),
                text_chars=len(text),
                passages=len(passages_of(name, text)),
                text=hashlib.sha256(text.encode()).hexdigest(),
                segment=entry.name,
                indexed_at="2026-01-01T00:00:00Z",
            )
            for name, (entry, text) in sorted(home.items())
            if name not in deleted
        ),
        created_at="2026-01-01T00:00:00Z",
        extra={"analysis": ANALYSIS, **(extra or {})},
    )


def open_generation(
    folder: Path,
    segments: Sequence[Documents],
    encoder: Encoder | None = None,
    *,
    deleted: Collection[str] = (),
) -> OpenGeneration:
    """Write and open a generation of these segments below ``folder``, some documents deleted."""
    encoder = encoder or HashingEncoder()
    written = []
    loaded = []
    for documents in segments:
        at = Path(tempfile.mkdtemp(dir=folder)) / "segment"
        entry = write_segment(at, documents, encoder)
        written.append((entry, documents))
        files = {path.name: path for path in at.iterdir()}
        loaded.append(load_segment(FaissSegmentFormat().open(files, entry)))
    manifest = manifest_of(written, encoder=encoder, deleted=deleted)

    def close() -> None:
        for one in loaded:
            one.segment.close()

    return OpenGeneration(manifest, loaded, on_close=close)


def searcher_of(
    folder: Path,
    *segments: Documents,
    encoder: Encoder | None = None,
    deleted: Collection[str] = (),
) -> Searcher:
    """Return what searches such a generation, in the thread of the caller."""
    folder.mkdir(exist_ok=True)
    used = encoder or HashingEncoder()
    generation = open_generation(folder, segments, used, deleted=deleted)
    return Searcher(
        generation,
        encode=QuestionEncoder(used, compute=_here).encode,
        compute=_here,
        background=background_of(generation, everyday_background(used)),
    )


def _here(work: Callable[..., Any], *arguments: Any) -> Any:
    return work(*arguments)


@dataclass
class FakePointer:
    """``ports.knowledge.GenerationPointer`` in memory, which can be away."""

    refs: dict[str, GenerationRef] = field(default_factory=dict)
    away: bool = False
    reads: int = 0

    def current(self, tenant: str) -> Mapping[str, GenerationRef]:
        assert tenant == TENANT
        self.reads += 1
        if self.away:
            raise StoreUnavailable("Redis does not answer")
        return dict(self.refs)

    def publish(self, tenant: str, ref: GenerationRef) -> bool:
        known = self.refs.get(ref.kb)
        if known is not None and known.generation >= ref.generation:
            return False
        self.refs[ref.kb] = ref
        return True


class Publisher:
    """Publishes generations as the coordinator does: segments, texts, manifest, pointer."""

    def __init__(self, root: Path, *, encoder: Encoder | None = None, kb: str = "default") -> None:
        self.encoder: Encoder = encoder or HashingEncoder()
        self.store = FileArtifactStore(root / "artifacts")
        self.signer: Signer = SIGNER
        self.pointer = FakePointer()
        self.kb = kb
        self.generation = 0
        self._work = root / "work"
        self._lock = threading.Lock()

    def publish(
        self, *segments: Documents, point: bool = True, extra: Mapping[str, str] | None = None
    ) -> GenerationRef:
        """Publish the next generation, made of these segments."""
        with self._lock:
            self.generation += 1
            written = [(self._segment(documents), documents) for documents in segments]
            manifest = manifest_of(
                written,
                kb=self.kb,
                generation=self.generation,
                encoder=self.encoder,
                extra=extra,
            )
            name = manifest_name(TENANT, self.kb, self.generation)
            self.store.put_if_absent(name, signed(manifest, self.signer))
            ref = GenerationRef(self.kb, self.generation, manifest.digest, name)
            if point:
                self.pointer.refs[self.kb] = ref
            return ref

    def _segment(self, documents: Documents) -> SegmentEntry:
        folder = self._work / "segment"
        shutil.rmtree(folder, ignore_errors=True)
        entry = write_segment(folder, documents, self.encoder)
        for file in entry.files:
            name = segment_file_name(TENANT, self.kb, entry.name, file)
            self.store.put_file_if_absent(name, folder / file)
        for text in documents.values():
            digest = hashlib.sha256(text.encode()).hexdigest()
            self.store.put_if_absent(text_name(TENANT, self.kb, digest), text.encode())
        return entry
