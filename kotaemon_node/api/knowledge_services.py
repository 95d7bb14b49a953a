"""What the routes are given of knowledge: generations, passages, sources, FAQs; by tenant."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from kotaemon_node.domain.faq_entries import FaqPage, FaqRow
from kotaemon_node.domain.held import HeldBuild
from kotaemon_node.domain.knowledge import (
    GenerationRef,
    GenerationRow,
    Manifest,
    OldRevision,
    Passage,
    SearchResult,
    Source,
)


class KnowledgeService(Protocol):
    """Reads knowledge; implemented by ``retrieval.library.KnowledgeLibrary``. Thread safe."""

    def served(self) -> Mapping[str, GenerationRef]:
        """Return the generation that this pod serves of each knowledge base."""
        ...

    def manifest(self, kb: str) -> Manifest:
        """Return the manifest of the generation served; ``NotFound`` for an unknown kb."""
        ...

    def generations(self, kb: str) -> Sequence[GenerationRow]:
        """Return the generations that are kept, newest first; ``NotFound`` for an unknown kb."""
        ...

    def complete(self, kb: str) -> Sequence[int]:
        """Return the numbers of those whose index is kept, too, newest first."""
        ...

    def held(self, kb: str) -> HeldBuild | None:
        """Return the build that the publish gate keeps out, if there is one."""
        ...

    def search(
        self, kb: str, question: str, *, top_k: int, min_generation: int = 0
    ) -> SearchResult:
        """Return the best passages. ``NotFound`` for an unknown kb.

        Waits up to ``BEHIND_WAIT_S`` for ``min_generation``, then raises ``KnowledgeBehind``.
        """
        ...

    def source(self, kb: str, generation: int, passage: str) -> Source:
        """Return where a citation points.

        ``NotFound`` for what never was or is no longer kept, ``Withdrawn`` for what was purged.
        """
        ...

    def document(self, kb: str, document: str) -> tuple[str, Sequence[Passage]]:
        """Return the canonical text of an indexed document and its passages; ``NotFound``."""
        ...

    def revision(self, kb: str, document: str, revision: str) -> OldRevision:
        """Return a document as an older generation had it.

        ``NotFound`` for a revision that no generation that is kept has, or that was not found in
        time; ``Withdrawn`` for what was purged.
        """
        ...


class FaqService(Protocol):
    """Reads the entries of FAQs; implemented by ``retrieval.faq_reader.FaqReader``. Thread safe."""

    def page(
        self, kb: str, *, wanted: str, offset: int, limit: int, min_generation: int = 0
    ) -> FaqPage:
        """Return entries, newest first, that hold all words of ``wanted``; errors as ``search``."""
        ...

    def row(self, kb: str, entry_id: str, *, min_generation: int = 0) -> FaqRow | None:
        """Return the entry of this id, None where there is none; errors as ``search``."""
        ...


class TenantsService(Protocol):
    """The knowledge of tenants besides ``default``, opened when it is asked for. Thread safe."""

    def knowledge(self, tenant: str) -> KnowledgeService:
        """Return a tenant's; whatever is asked of it is ``NotFound`` where it has none."""
        ...

    def faq(self, tenant: str) -> FaqService:
        """Return a tenant's; as ``knowledge``."""
        ...
