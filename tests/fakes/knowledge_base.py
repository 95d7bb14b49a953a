"""One small knowledge base in memory: a document, its passage, one that failed, two generations."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from kotaemon_node.domain.errors import KnowledgeBehind, NotFound, Withdrawn
from kotaemon_node.domain.held import HeldBuild
from kotaemon_node.domain.knowledge import (
    DocumentEntry,
    GenerationRef,
    GenerationRow,
    Hit,
    Manifest,
    OldRevision,
    Passage,
    SearchResult,
    SegmentEntry,
    Source,
    passage_id,
)

TEXT = "# Returns\n\nYou may return goods within 30 days. 运费由我们承担。\n"
SENTENCE = "You may return goods within 30 days."
SPAN = (TEXT.index(SENTENCE), TEXT.index(SENTENCE) + len(SENTENCE))
REVISION = hashlib.sha256(TEXT.encode()).hexdigest()
OLD_REVISION = hashlib.sha256(b"before").hexdigest()
DOCUMENT = "policies/returns and refunds/退货.md"
PASSAGE = Passage(
    id=passage_id(document=DOCUMENT, revision=REVISION, span=SPAN),
    document=DOCUMENT,
    revision=REVISION,
    title="Returns",
    heading=("Returns",),
    page=None,
    span=SPAN,
    text=SENTENCE,
    language="en",
)
GENERATION = 7


class FakeKnowledge:
    """One knowledge base, ``default``, with one good document and one that failed."""

    def __init__(self) -> None:
        self.current = manifest(GENERATION)
        self.questions: list[str] = []
        self.held_now: HeldBuild | None = None
        self.withdrawn = False

    def served(self) -> Mapping[str, GenerationRef]:
        ref = GenerationRef("default", self.current.generation, self.current.digest, "m.json")
        return {"default": ref}

    def manifest(self, kb: str) -> Manifest:
        if kb != "default":
            raise NotFound(f"there is no knowledge base {kb}")
        return self.current

    def generations(self, kb: str) -> Sequence[GenerationRow]:
        current = self.manifest(kb)
        return [
            GenerationRow(m.generation, m.digest, m.parent, m.encoder, 1, 1, m.created_at)
            for m in (current, manifest(current.generation - 1))
        ]

    def complete(self, kb: str) -> Sequence[int]:
        return [row.generation for row in self.generations(kb)]

    def held(self, kb: str) -> HeldBuild | None:
        return self.held_now

    def search(
        self, kb: str, question: str, *, top_k: int, min_generation: int = 0
    ) -> SearchResult:
        current = self.manifest(kb)
        if min_generation > current.generation:
            raise KnowledgeBehind(f"this pod serves generation {current.generation}")
        self.questions.append(question)
        hit = Hit(PASSAGE, score=0.9, dense=0.8, lexical=3.5, coverage=1.0)
        return SearchResult(kb, current.generation, current.digest, (hit,) * min(top_k, 2))

    def source(self, kb: str, generation: int, passage: str) -> Source:
        current = self.manifest(kb)
        if self.withdrawn:
            raise Withdrawn("the document was withdrawn")
        if passage != PASSAGE.id or generation > current.generation:
            raise NotFound("there is no such passage")
        return Source(kb, generation, DOCUMENT, REVISION, "Returns", TEXT, SPAN)

    def document(self, kb: str, document: str) -> tuple[str, Sequence[Passage]]:
        self.manifest(kb)
        if document != DOCUMENT:
            raise NotFound("there is no such document")
        return TEXT, (PASSAGE,)

    def revision(self, kb: str, document: str, revision: str) -> OldRevision:
        current = self.manifest(kb)
        if (document, revision) != (DOCUMENT, OLD_REVISION):
            raise NotFound("no generation that is kept has this revision of the document")
        entry = replace(current.documents[1], revision=OLD_REVISION)
        return OldRevision(GENERATION - 1, entry, "An older text.")


def manifest(generation: int) -> Manifest:
    """Return a small manifest with an indexed and a failed document."""
    good = DocumentEntry(
        document=DOCUMENT,
        revision=REVISION,
        title="Returns",
        status="indexed",
        reason=None,
        file_bytes=len(TEXT.encode()),
        text_chars=len(TEXT),
        passages=1,
        text=REVISION,
        segment="seg-1",
        indexed_at="2026-01-01T00:00:00Z",
    )
    bad = replace(
        good,
        document="broken.md",
        revision="0" * 64,
        status="failed",
        reason="this is not text",
        passages=0,
        text=None,
        segment=None,
    )
    return Manifest(
        tenant="default",
        kb="default",
        generation=generation,
        parent=None,
        encoder="tiny",
        spaces={"tiny": 4},
        segments=(SegmentEntry("seg-1", 1, 100, {"vectors.faiss": "0" * 64}),),
        documents=(bad, good),
        created_at="2026-01-01T00:00:00Z",
    )


def source_doc() -> dict[str, Any]:
    """Return a ``docs`` entry of a source frame."""
    return {
        "id": PASSAGE.id,
        "n": 1,
        "title": PASSAGE.title,
        "document": DOCUMENT,
        "revision": REVISION,
        "page": None,
        "heading": ["Returns"],
        "span": list(SPAN),
        "kb": "default",
        "generation": GENERATION,
        "url": f"/v1/sources/default/{GENERATION}/{PASSAGE.id}",
    }
