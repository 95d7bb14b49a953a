"""What the loops of all tenants share, and how the loop of one is made of it."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

from coordinator.audit import Audit
from coordinator.build import Builder
from coordinator.catalog import Catalog
from coordinator.folder import KnowledgeFolder
from coordinator.leader import Lease
from coordinator.loop import CoordinatorLoop
from coordinator.merges import Beside, in_thread
from coordinator.metrics import CoordinatorMetrics
from coordinator.publish import Publisher
from coordinator.reading.reader import Reader, ReaderOfTenant, Readers
from coordinator.retention import Retention
from coordinator.status import StatusBoard, TenantBoard
from coordinator.tenants import Led
from coordinator.wiring import make_loop
from kotaemon_node.domain.artifact_names import knowledge_bases_prefix
from kotaemon_node.domain.knowledge import SegmentEntry
from kotaemon_node.ports.artifacts import ArtifactStore
from kotaemon_node.ports.audit import AuditLog, NoAuditLog
from kotaemon_node.ports.encoder import Encoder
from kotaemon_node.ports.events import Bus
from kotaemon_node.ports.jobs import JobSource
from kotaemon_node.ports.knowledge import GenerationPointer
from kotaemon_node.ports.runtime import Clock, IdSource, Tasks
from kotaemon_node.ports.segments import SegmentFormat
from kotaemon_node.ports.signing import Signer, Verifier
from kotaemon_node.ports.traces import NO_TRACES, Traces
from kotaemon_node.ports.vectors import VectorStore


def one_at_a_time() -> Beside:
    """Return what begins merges beside their callers: a merge takes a processor and memory."""
    lock = threading.Lock()

    def begin(work: Callable[[], SegmentEntry]) -> "Future[SegmentEntry]":
        def in_turn() -> SegmentEntry:
            with lock:
                return work()

        return in_thread(in_turn)

    return begin


@dataclass(frozen=True, slots=True)
class Shared:
    """The means of one coordinator, for whichever tenant."""

    store: ArtifactStore
    pointer: GenerationPointer
    bus: Bus
    jobs: JobSource
    lease: Lease
    encoder: Encoder
    segment_format: SegmentFormat
    signer: Signer
    verifier: Verifier
    session_life_s: float
    gate_tolerance: float
    tasks: Tasks
    clock: Clock
    ids: IdSource
    vector_store: VectorStore | None = None
    traces: Traces = NO_TRACES
    beside: Beside = field(default_factory=one_at_a_time)
    acts: AuditLog = field(default_factory=NoAuditLog)
    """The log of what was done."""

    def led(
        self,
        tenant: str,
        root: Path,
        readers: Readers,
        *,
        board: StatusBoard,
        metrics: CoordinatorMetrics,
    ) -> Led:
        """Make the loop of a tenant besides ``default``, whose documents lie in ``root``.

        The folder is made for a tenant that has no knowledge yet. Where it has, a folder that is
        not there was lost, and an empty one would say that all documents were deleted.
        """
        if not root.is_dir() and not any(self.store.list(knowledge_bases_prefix(tenant))):
            root.mkdir(parents=True, exist_ok=True)
        folder = KnowledgeFolder(root, clock=self.clock)
        own = TenantBoard(board)
        reader = ReaderOfTenant(readers, tenant, folder.read)
        loop = self.loop(tenant, folder, reader, board=own, metrics=metrics.of_tenant())
        return Led(loop, own, folder.hint)

    def loop(
        self,
        tenant: str,
        folder: KnowledgeFolder,
        reader: Reader,
        *,
        board: StatusBoard,
        metrics: CoordinatorMetrics,
    ) -> CoordinatorLoop:
        """Make the loop that keeps a tenant's knowledge as ``folder`` says."""
        catalog = Catalog(self.store, self.verifier, tenant=tenant)
        audit = Audit(store=self.store, catalog=catalog, clock=self.clock, tenant=tenant)
        return make_loop(
            folder=folder,
            reader=reader,
            store=self.store,
            catalog=catalog,
            audit=audit,
            builder=Builder(
                encoder=self.encoder,
                segment_format=self.segment_format,
                store=self.store,
                clock=self.clock,
                tenant=tenant,
            ),
            publisher=Publisher(
                store=self.store,
                signer=self.signer,
                audit=audit,
                pointer=self.pointer,
                bus=self.bus,
                clock=self.clock,
                ids=self.ids,
                tenant=tenant,
                acts=self.acts,
            ),
            retention=Retention(
                store=self.store,
                catalog=catalog,
                clock=self.clock,
                tenant=tenant,
                session_life_s=self.session_life_s,
            ),
            pointer=self.pointer,
            lease=self.lease,
            jobs=self.jobs,
            encoder=self.encoder,
            segment_format=self.segment_format,
            signer=self.signer,
            verifier=self.verifier,
            gate_tolerance=self.gate_tolerance,
            board=board,
            metrics=metrics,
            tasks=self.tasks,
            clock=self.clock,
            tenant=tenant,
            vector_store=self.vector_store,
            beside=self.beside,
            traces=self.traces,
        )
