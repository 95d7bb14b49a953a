"""Whose generations a turn may read: those of its own tenant, lent by that tenant's knowledge."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Protocol

from kotaemon_node.domain.errors import NotFound
from kotaemon_node.domain.ids import DEFAULT_KNOWLEDGE_BASE, DEFAULT_TENANT
from kotaemon_node.domain.knowledge import BOTH_LEGS, GenerationRef, Leg, SearchResult


class PinnedKnowledge(Protocol):
    """One generation of one knowledge base, for as long as it is lent."""

    @property
    def ref(self) -> GenerationRef:
        """Which one."""

    def search(
        self, question: str, *, top_k: int, legs: frozenset[Leg] = BOTH_LEGS
    ) -> SearchResult:
        """Return the best passages that the ``legs`` find."""
        ...

    def closeness(self, one: str, other: str) -> float:
        """Return how close two questions are: their cosine."""


class Knowledge(Protocol):
    """Lends generations of one tenant; implemented by ``retrieval.library.KnowledgeLibrary``."""

    def pinned(
        self, kb: str, *, min_generation: int = 0
    ) -> AbstractContextManager[PinnedKnowledge]:
        """Lend the generation served now; ``NotFound``, ``KnowledgeBehind`` as ``search``."""
        ...


KnowledgeOf = Callable[[str], Knowledge]
"""Returns the knowledge of a tenant."""


@dataclass(frozen=True, slots=True)
class Lending:
    """The knowledge of all tenants. Thread safe."""

    default: Knowledge
    """That of the tenant ``default``."""
    of: KnowledgeOf | None = None
    """That of the others; None: they have none."""

    @contextmanager
    def pinned(self, kb: str, *, tenant: str, min_generation: int = 0) -> Iterator[PinnedKnowledge]:
        """Lend a generation of the tenant's; errors as ``Knowledge.pinned``.

        A tenant need not have anything: its default knowledge base is then an empty one.
        """
        with ExitStack() as stack:
            try:
                asked = self._knowledge(tenant).pinned(kb, min_generation=min_generation)
                lent = stack.enter_context(asked)
            except NotFound:
                needs_none = tenant != DEFAULT_TENANT and kb == DEFAULT_KNOWLEDGE_BASE
                if not needs_none or min_generation > 0:
                    raise
                lent = Nothing(kb)
            yield lent

    def served(self, kb: str, *, tenant: str, min_generation: int) -> GenerationRef:
        """Return the generation that is served now; errors as ``pinned``."""
        with self.pinned(kb, tenant=tenant, min_generation=min_generation) as lent:
            return lent.ref

    def _knowledge(self, tenant: str) -> Knowledge:
        if tenant == DEFAULT_TENANT:
            return self.default
        if self.of is None:
            raise NotFound("this tenant has no knowledge")
        return self.of(tenant)


@dataclass(frozen=True, slots=True)
class Nothing:
    """``PinnedKnowledge`` of a tenant that has none: generation 0, in which nothing is found."""

    kb: str

    @property
    def ref(self) -> GenerationRef:
        return GenerationRef(self.kb, generation=0, digest="", manifest="")

    def search(
        self, question: str, *, top_k: int, legs: frozenset[Leg] = BOTH_LEGS
    ) -> SearchResult:
        return SearchResult(self.kb, generation=0, digest="", hits=())

    def closeness(self, one: str, other: str) -> float:
        return 0.0
