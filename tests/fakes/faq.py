"""A knowledge base of FAQ documents in memory: read by the real parsers, lent as a library does."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from coordinator.build import entry_of
from coordinator.ingest import ingest
from kotaemon_node.domain.errors import KnowledgeBehind, NotFound
from kotaemon_node.domain.knowledge import GenerationRef, Manifest, Passage
from tests.fakes.knowledge_base import FakeKnowledge


class FaqShelf:
    """What ``FaqReader`` is lent: the manifest of a ``FakeKnowledge`` and its documents' passages.

    ``reads`` are the documents whose passages were asked for.
    """

    def __init__(self, knowledge: FakeKnowledge) -> None:
        self._knowledge = knowledge
        self._passages: dict[str, tuple[Passage, ...]] = {}
        self._day = 1
        self.reads: list[str] = []

    def publish(self, documents: Mapping[str, str]) -> None:
        """Serve a generation more, which also has these documents; "" removes one."""
        self._day += 1
        before = self._knowledge.current
        entries = {entry.document: entry for entry in before.documents}
        for name, text in documents.items():
            entries.pop(name, None)
            if text:
                read = ingest(name, text.encode())
                self._passages[name] = read.passages
                at = f"2026-01-{self._day:02}T00:00:00.000Z"
                entries[name] = entry_of(read, segment="seg-1", at=at)
        self._knowledge.current = replace(
            before,
            generation=before.generation + 1,
            documents=tuple(sorted(entries.values(), key=lambda entry: entry.document)),
        )

    @contextmanager
    def lend(self, kb: str, *, min_generation: int = 0) -> Iterator["_Lent"]:
        if kb != "default":
            raise NotFound(f"there is no knowledge base {kb}")
        if min_generation > self._knowledge.current.generation:
            raise KnowledgeBehind("this pod is behind")
        yield _Lent(self, self._knowledge.current, self._passages)


class _Lent:
    def __init__(
        self, shelf: FaqShelf, manifest: Manifest, passages: Mapping[str, tuple[Passage, ...]]
    ) -> None:
        self._shelf = shelf
        self.manifest = manifest
        self.ref = GenerationRef(manifest.kb, manifest.generation, manifest.digest, "m.json")
        self._passages = passages

    def passages_of(self, document: str) -> tuple[Passage, ...]:
        self._shelf.reads.append(document)
        return self._passages.get(document, ())
