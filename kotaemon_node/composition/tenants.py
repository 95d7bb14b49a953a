"""Composes the knowledge of all tenants of a pod."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from kotaemon_node.adapters.faiss import VERIFIED, FaissSegmentFormat, VerifiedMarks
from kotaemon_node.adapters.redis import RedisGenerationPointer, RedisStore
from kotaemon_node.adapters.signing import read_trusted_keys
from kotaemon_node.adapters.system import SystemMemory
from kotaemon_node.domain.ids import DEFAULT_TENANT
from kotaemon_node.engine.lending import KnowledgeOf
from kotaemon_node.ports.artifacts import ArtifactStore
from kotaemon_node.ports.encoder import Encoder
from kotaemon_node.ports.runtime import Clock, Tasks
from kotaemon_node.retrieval.faq_reader import FaqReader
from kotaemon_node.retrieval.found_before import FoundBefore, RememberedKnowledge
from kotaemon_node.retrieval.library import KnowledgeLibrary
from kotaemon_node.retrieval.reranking import Reranking
from kotaemon_node.retrieval.searcher import Look
from kotaemon_node.retrieval.tenants import MakeRoom, TenantKnowledge, TenantLibraries
from kotaemon_node.settings import Settings
from kotaemon_node.telemetry.knowledge_metrics import ANY_TENANTS
from kotaemon_node.telemetry.metrics import Metrics

_FAQS_KEPT: Final = 16
"""Tenants whose lists of entries are kept; one that is not is read again."""


@dataclass(frozen=True, slots=True)
class TenantsOfPod:
    """``api.knowledge_services.TenantsService``; also lends knowledge to other parts of the pod."""

    libraries: TenantLibraries
    faq: Callable[[str], FaqReader]
    remembered: KnowledgeOf
    """That of a tenant for turns: what was found before is not sought again."""

    def knowledge(self, tenant: str) -> TenantKnowledge:
        """See the protocol."""
        return self.libraries.of(tenant)


def tenants_of(
    settings: Settings,
    *,
    store: RedisStore,
    artifacts: ArtifactStore,
    encoder_for: Callable[[str], Encoder],
    look: Look | None,
    reranking: Reranking | None,
    clock: Clock,
    tasks: Tasks,
    metrics: Metrics,
) -> TenantsOfPod:
    """Return the knowledge of all tenants; nothing of it is read yet."""
    segment_format = FaissSegmentFormat(
        marks=VerifiedMarks(settings.artifact_cache_dir / VERIFIED, clock=clock)
    )
    verifier = read_trusted_keys(settings.trusted_keys)
    pointer, memory = RedisGenerationPointer(store), SystemMemory()

    def make(tenant: str, *, make_room: MakeRoom) -> KnowledgeLibrary:
        ours = tenant == DEFAULT_TENANT
        return KnowledgeLibrary(
            store=artifacts,
            segment_format=segment_format,
            verifier=verifier,
            pointer=pointer,
            encoder_for=encoder_for,
            tasks=tasks,
            clock=clock,
            memory=memory,
            look=look,
            reranking=reranking,
            tenant=tenant,
            count_refused=lambda kb, reason: metrics.knowledge.generation_refused(
                kb if ours else ANY_TENANTS, reason
            ),
            count_loaded=metrics.knowledge.generation_loaded,
            make_room=make_room,
            may_be_empty=not ours,
        )

    libraries = TenantLibraries(
        make,
        open_max=settings.tenants_open_max,
        tasks=tasks,
        count_open=metrics.knowledge.tenants_open,
    )
    found = FoundBefore()

    def remembered(tenant: str) -> RememberedKnowledge:
        knowledge = libraries.default if tenant == DEFAULT_TENANT else libraries.of(tenant)
        return RememberedKnowledge(knowledge, found, metrics.retrieval_cache)

    @lru_cache(maxsize=_FAQS_KEPT)
    def faq(tenant: str) -> FaqReader:
        return FaqReader(libraries.of(tenant).pinned, compute=tasks.compute)

    return TenantsOfPod(libraries, faq, remembered)
