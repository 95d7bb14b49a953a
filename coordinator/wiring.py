"""Puts the parts of the work together, for the process and for the tests alike."""

from coordinator.audit import Audit
from coordinator.build import Builder
from coordinator.catalog import Catalog
from coordinator.folder import KnowledgeFolder
from coordinator.gate import Gate
from coordinator.holding import HeldNotes
from coordinator.jobs import Jobs
from coordinator.leader import Lease
from coordinator.loop import CoordinatorLoop
from coordinator.merge_process import Merge, merge_in_child
from coordinator.merges import Beside, Merges, in_thread
from coordinator.metrics import CoordinatorMetrics
from coordinator.orders import Orders
from coordinator.publish import Publisher
from coordinator.purge import Purge
from coordinator.reading.desk import Desk
from coordinator.reading.reader import Reader
from coordinator.retention import Retention
from coordinator.status import StatusBoard
from coordinator.update import Updater
from coordinator.uploads import Uploads
from coordinator.vectors import VectorKeeper
from kotaemon_node.domain.errors import Unavailable
from kotaemon_node.ports.artifacts import ArtifactStore
from kotaemon_node.ports.encoder import Encoder
from kotaemon_node.ports.jobs import JobSource
from kotaemon_node.ports.knowledge import GenerationPointer
from kotaemon_node.ports.runtime import Clock, Tasks
from kotaemon_node.ports.segments import SegmentFormat
from kotaemon_node.ports.signing import Signer, Verifier
from kotaemon_node.ports.traces import NO_TRACES, Traces
from kotaemon_node.ports.vectors import VectorStore
from kotaemon_node.retrieval.loading import GenerationLoader
from kotaemon_node.retrieval.opening import SearcherFactory


def make_loop(
    *,
    folder: KnowledgeFolder,
    reader: Reader,
    store: ArtifactStore,
    catalog: Catalog,
    audit: Audit,
    builder: Builder,
    publisher: Publisher,
    retention: Retention,
    pointer: GenerationPointer,
    lease: Lease,
    jobs: JobSource,
    encoder: Encoder,
    segment_format: SegmentFormat,
    signer: Signer,
    verifier: Verifier,
    gate_tolerance: float,
    board: StatusBoard,
    metrics: CoordinatorMetrics,
    tasks: Tasks,
    clock: Clock,
    tenant: str,
    vector_store: VectorStore | None = None,
    merge: Merge = merge_in_child,
    beside: Beside = in_thread,
    traces: Traces = NO_TRACES,
) -> CoordinatorLoop:
    """Return the loop with its gate and its orders.

    ``vector_store`` None: segments are searched in their own files.
    """

    def encoder_for(name: str) -> Encoder:
        if name != encoder.name:
            raise Unavailable(f"we encode with {encoder.name}, the generation with {name}")
        return encoder

    loader = GenerationLoader(store, segment_format, verifier, tasks=tasks, tenant=tenant)
    searchers = SearcherFactory(encoder_for, tasks=tasks)
    vectors = VectorKeeper(
        vector_store, store=store, segment_format=segment_format, clock=clock, tenant=tenant
    )
    merges = Merges(
        builder=builder,
        publisher=publisher,
        merge=merge,
        prepare=vectors.fill_ahead,
        beside=beside,
        clock=clock,
    )
    updater = Updater(
        folder=folder,
        desk=Desk(reader, metrics=metrics, clock=clock),
        builder=builder,
        publisher=publisher,
        gate=Gate(loader, searchers, clock=clock, tolerance=gate_tolerance),
        vectors=vectors,
        merges=merges,
        metrics=metrics,
        clock=clock,
    )
    orders = Orders(
        folder=folder,
        catalog=catalog,
        builder=builder,
        loader=loader,
        publisher=publisher,
        updater=updater,
        purge=Purge(store=store, catalog=catalog, builder=builder, signer=signer, tenant=tenant),
        vectors=vectors,
        merges=merges,
    )
    uploads = Uploads(store=store, folder=folder, clock=clock, tenant=tenant)
    return CoordinatorLoop(
        folder=folder,
        catalog=catalog,
        audit=audit,
        updater=updater,
        merges=merges,
        publisher=publisher,
        retention=retention,
        vectors=vectors,
        notes=HeldNotes(store, tenant=tenant),
        jobs=Jobs(jobs, orders, uploads, metrics=metrics, clock=clock, tenant=tenant),
        pointer=pointer,
        lease=lease,
        board=board,
        metrics=metrics,
        clock=clock,
        tenant=tenant,
        traces=traces,
    )
