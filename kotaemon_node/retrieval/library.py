"""The knowledge of one tenant on a pod: what is asked of it, and of the generations kept."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from kotaemon_node.domain.errors import NotFound
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
from kotaemon_node.ports.artifacts import ArtifactStore
from kotaemon_node.ports.encoder import Encoder
from kotaemon_node.ports.knowledge import GenerationPointer
from kotaemon_node.ports.memory import Memory
from kotaemon_node.ports.runtime import Clock, Tasks
from kotaemon_node.ports.segments import SegmentFormat
from kotaemon_node.ports.signing import Verifier
from kotaemon_node.retrieval.loading import GenerationLoader
from kotaemon_node.retrieval.opening import SearcherFactory
from kotaemon_node.retrieval.reranking import Reranking
from kotaemon_node.retrieval.searcher import Look, Searcher
from kotaemon_node.retrieval.shelves import Shelves
from kotaemon_node.retrieval.sources import SourceReader


class KnowledgeLibrary:
    """``api.knowledge_services.KnowledgeService`` of one tenant; lends pinned generations."""

    def __init__(
        self,
        *,
        store: ArtifactStore,
        segment_format: SegmentFormat,
        verifier: Verifier,
        pointer: GenerationPointer,
        encoder_for: Callable[[str], Encoder],
        tasks: Tasks,
        clock: Clock,
        tenant: str,
        memory: Memory | None = None,
        look: Look | None = None,
        reranking: Reranking | None = None,
        count_refused: Callable[[str, str], None] = lambda kb, reason: None,
        count_loaded: Callable[[float], None] = lambda took_s: None,
        make_room: Callable[[], bool] = lambda: False,
        may_be_empty: bool = False,
    ) -> None:
        """``encoder_for`` gives the encoder of that name, or raises where this pod has none.

        ``memory`` tells whether a generation fits; None: it does. ``look``: as ``Searcher``.
        ``reranking`` orders what ``search`` finds. ``count_refused`` is told knowledge base and
        kind of reason of each refusal, ``count_loaded`` how long each new generation took.
        ``make_room``: as ``GenerationLoader``. ``may_be_empty``: a tenant that has no knowledge is
        none that still loads. Nothing is read before the first ``reconcile``.
        """
        self._loader = GenerationLoader(
            store,
            segment_format,
            verifier,
            tasks=tasks,
            tenant=tenant,
            memory=memory,
            make_room=make_room,
        )
        self._shelves = Shelves(
            self._loader,
            SearcherFactory(encoder_for, tasks=tasks, look=look),
            pointer=pointer,
            tasks=tasks,
            clock=clock,
            tenant=tenant,
            count_refused=count_refused,
            count_loaded=count_loaded,
            may_be_empty=may_be_empty,
        )
        self._reranking = reranking
        self._sources = SourceReader(store, verifier, tenant=tenant, compute=tasks.compute)
        self._clock = clock

    # What this pod serves.

    def served(self) -> Mapping[str, GenerationRef]:
        return self._shelves.served()

    @property
    def loaded(self) -> bool:
        """Every knowledge base that there was at the start has been served, or refused."""
        return self._shelves.loaded

    @property
    def refused(self) -> Mapping[str, str]:
        """Knowledge base to the reason why its newest generation is not served here."""
        return self._shelves.refused

    def manifest(self, kb: str) -> Manifest:
        return self._shelves.reader(kb).current.manifest

    def generations(self, kb: str) -> Sequence[GenerationRow]:
        rows = self._loader.rows(kb)
        if not rows:
            raise NotFound(f"there is no knowledge base {kb}")
        return rows

    def complete(self, kb: str) -> Sequence[int]:
        return self._loader.complete(kb)

    def held(self, kb: str) -> HeldBuild | None:
        return self._loader.held(kb)

    # Reading.

    @contextmanager
    def pinned(self, kb: str, *, min_generation: int = 0) -> Iterator[Searcher]:
        """Lend a searcher of one generation, open until the block ends; errors as ``search``."""
        with self._shelves.reader(kb, min_generation=min_generation).searcher() as searcher:
            yield searcher

    def search(
        self, kb: str, question: str, *, top_k: int, min_generation: int = 0
    ) -> SearchResult:
        with self.pinned(kb, min_generation=min_generation) as searcher:
            if self._reranking is None:
                return searcher.search(question, top_k=top_k)
            return self._reranking.best(searcher, question, top_k=top_k)

    def source(self, kb: str, generation: int, passage: str) -> Source:
        return self._sources.source(kb, generation, passage)

    def document(self, kb: str, document: str) -> tuple[str, Sequence[Passage]]:
        with self.pinned(kb) as searcher:
            for entry in searcher.manifest.documents:
                if entry.document == document and entry.status == "indexed":
                    return self._sources.text(kb, entry), searcher.passages_of(document)
        raise NotFound(f"{kb} has no indexed document of this name")

    def revision(self, kb: str, document: str, revision: str) -> OldRevision:
        return self._sources.revision(kb, document, revision, clock=self._clock)

    # Coming to newer generations: see ``Shelves``.

    def wake(self, kb: str, generation: int) -> None:
        """Hear that ``generation`` was published: look soon, in a task. Repeats cost nothing."""
        self._shelves.wake(kb, generation)

    def reload(self, kb: str) -> None:
        """Come to the generation that ``kb`` points to, as ``reconcile`` does for all."""
        self._shelves.reload(kb)

    def reconcile(self) -> None:
        """Come to the generation that each knowledge base points to. Never raises."""
        self._shelves.reconcile()

    def close(self) -> None:
        """Let go of all generations, once nobody is lent this library. Waits for nothing."""
        self._shelves.close()
