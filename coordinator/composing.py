"""Composes the coordinator: every part of it, and which adapter stands behind which port."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from gevent.pool import Pool
from gevent.pywsgi import WSGIServer

from coordinator.app import create_app
from coordinator.archiving import Archiving
from coordinator.artifacts import ArtifactService
from coordinator.auditing import Auditing
from coordinator.data_keys import DataKeyCare
from coordinator.folder import KnowledgeFolder
from coordinator.jobs import JobWatch
from coordinator.leader import Lease
from coordinator.metrics import CoordinatorMetrics
from coordinator.plugins import PluginFolder
from coordinator.reading.reader import Reader
from coordinator.settings import CoordinatorSettings
from coordinator.sharing import Shared
from coordinator.standing import encoder_of, reader_of, signer_of
from coordinator.status import StatusBoard
from coordinator.tenants import Led, Tenants
from coordinator.top_questions import TopQuestions
from coordinator.watch import FolderWatch
from coordinator.workers.pieces import Pieces
from kotaemon_node.adapters.faiss import VERIFIED, FaissSegmentFormat, VerifiedMarks
from kotaemon_node.adapters.redis import (
    RedisAnalytics,
    RedisColdSessions,
    RedisGenerationPointer,
    RedisJobs,
    RedisLeadership,
    RedisPlugins,
    connect,
)
from kotaemon_node.adapters.redis.schema import check_schema
from kotaemon_node.adapters.signing import read_trusted_keys
from kotaemon_node.adapters.store.factory import StorePlace, make_artifact_store
from kotaemon_node.adapters.store.file_store import FileArtifactStore
from kotaemon_node.adapters.system import RandomIds, SystemClock
from kotaemon_node.adapters.system.gevent_tasks import GeventTasks
from kotaemon_node.adapters.system.tasks import ThreadTasks
from kotaemon_node.composition.buses import bus_of
from kotaemon_node.composition.sealing import cipher_of, keeper_of, tell_keys_changed
from kotaemon_node.composition.vector_stores import write_store
from kotaemon_node.domain.document_names import TENANTS_FOLDER
from kotaemon_node.domain.errors import StoreUnavailable
from kotaemon_node.domain.ids import DEFAULT_TENANT
from kotaemon_node.telemetry.tracing import Tracing

_REQUESTS_AT_ONCE_MAX: Final = 256


@dataclass(frozen=True, slots=True)
class Coordinator:
    """A composed coordinator."""

    tenants: Tenants
    reader: Reader
    lease: Lease
    watch: FolderWatch
    orders: JobWatch
    archiving: Archiving
    plugins: PluginFolder
    questions: TopQuestions
    data_keys: DataKeyCare
    auditing: Auditing
    tracing: Tracing
    server: WSGIServer
    low: bool
    """Whether the work gets the processor behind the pods of the machine."""


def compose(settings: CoordinatorSettings) -> Coordinator:
    """Return the coordinator of these settings.

    Raises ``EncoderSetupError``, ``ValueError`` or ``OSError`` for settings that cannot work.
    """
    clock, ids, tenant = SystemClock(), RandomIds(), DEFAULT_TENANT
    settings.knowledge_dir.mkdir(parents=True, exist_ok=True)
    place = StorePlace.of(settings, url=settings.coordinator_artifact_url)
    store = make_artifact_store(place, clock=clock, writes=True)
    redis = connect(settings.redis_url)
    with suppress(StoreUnavailable):  # it may come later; pods look as well
        check_schema(redis)
    pointer = RedisGenerationPointer(redis)
    board, metrics = StatusBoard(), CoordinatorMetrics()
    encoder = encoder_of(settings, told=metrics.encoder_agreement)
    name = f"coordinator.{ids.new_id()}"
    tracing = Tracing.of(settings, instance=name, count=metrics.spans, clock=clock)
    board.beat_s = clock.monotonic_s()
    signer = signer_of(settings)
    verifier = read_trusted_keys(settings.trusted_keys, own=signer)
    folder = KnowledgeFolder(settings.knowledge_dir, clock=clock)
    bus = bus_of(settings, store=redis, waiting=redis, clock=clock)
    pieces = Pieces(store, encoder, signer=signer, verifier=verifier)
    reader = reader_of(settings, folder, pieces, bus, metrics=metrics, clock=clock)
    lease = Lease(RedisLeadership(redis, "coordinator"), clock=clock, holder=name)
    segment_format = FaissSegmentFormat(
        marks=VerifiedMarks(settings.artifact_cache_dir / VERIFIED, clock=clock)
    )
    # What people have ordered and asked is sealed, as pods keep it.
    cipher = cipher_of(settings, store=redis, artifacts=store, clock=clock)
    sealed = connect(settings.redis_url, cipher=cipher)
    jobs = RedisJobs(sealed)
    auditing = Auditing.of(
        settings,
        store,
        signer=signer,
        verifier=verifier,
        leads=lambda: lease.fence is not None,
        clock=clock,
        ids=ids,
        counts=metrics.audit,
    )
    shared = Shared(
        store=store,
        pointer=pointer,
        bus=bus,
        jobs=jobs,
        lease=lease,
        encoder=encoder,
        segment_format=segment_format,
        signer=signer,
        verifier=verifier,
        vector_store=write_store(settings),
        session_life_s=settings.session_ttl_s,
        gate_tolerance=settings.gate_tolerance,
        traces=tracing.traces,
        tasks=ThreadTasks(),
        clock=clock,
        ids=ids,
        acts=auditing.log,
    )
    loop = shared.loop(tenant, folder, reader, board=board, metrics=metrics)
    tenants_folder = settings.knowledge_dir / TENANTS_FOLDER

    def show(boards: Mapping[str, StatusBoard]) -> None:
        board.tenants = boards
        metrics.tenants([it.current for it in boards.values()])

    tenants = Tenants(
        Led(loop, board, folder.hint),
        make=lambda name: shared.led(
            name, tenants_folder / name, reader, board=board, metrics=metrics
        ),
        folder=tenants_folder,
        orders=jobs,
        leads=lambda: lease.fence is not None,
        show=show,
        clock=clock,
    )
    address = (settings.coordinator_host, settings.coordinator_port)
    # In a bucket workers read for themselves.
    artifacts = (
        ArtifactService(
            store, token=settings.artifact_token, native=GeventTasks(native_threads=2).compute
        )
        if isinstance(store, FileArtifactStore)
        else None
    )
    app = create_app(board=board, metrics=metrics, clock=clock, artifacts=artifacts)
    server = WSGIServer(address, app, spawn=Pool(_REQUESTS_AT_ONCE_MAX), log=None)
    watch = FolderWatch(settings.knowledge_dir, hint=tenants.hint)
    orders = JobWatch(jobs, known=tenants.known, wake=tenants.wake, clock=clock)
    data_keys = DataKeyCare(
        keeper_of(settings, store=redis, artifacts=store, clock=clock),
        age_s=settings.encryption_data_key_age_s,
        leads=lambda: lease.fence is not None,
        told=lambda of: tell_keys_changed(bus, of, clock=clock, ids=ids),
        acts=auditing.log,
    )
    archiving = Archiving(
        RedisColdSessions(connect(settings.redis_url, pool_max=2, durability=settings.durability)),
        store,
        leads=lambda: lease.fence is not None,
        metrics=metrics.archive,
        clock=clock,
        known=tenants.known,
        after_s=settings.archived_after_s,
        kept_s=settings.archive_kept_s,
        keys_copied=data_keys.copied,
    )
    plugins = PluginFolder(
        settings.plugins_dir,
        registry=RedisPlugins(redis),
        store=store,
        signer=signer,
        bus=bus,
        leads=lambda: lease.fence is not None,
        clock=clock,
        ids=ids,
        tenant=tenant,
    )
    questions = TopQuestions(
        RedisAnalytics(sealed),
        wished=settings.questions_in_metrics,
        leads=lambda: lease.fence is not None,
        show=metrics.top_questions,
        clock=clock,
        tenants=tenants.known,
    )
    low = settings.work_priority == "low"
    return Coordinator(
        tenants,
        reader,
        lease,
        watch,
        orders,
        archiving,
        plugins,
        questions,
        data_keys,
        auditing,
        tracing,
        server,
        low,
    )
