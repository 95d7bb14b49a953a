"""``python -m coordinator.main``: one process that keeps the knowledge of a cluster up to date.

Eight threads work (the loop, the lease, two watches, the archive of sessions, the plugin folder,
the questions told as metrics, the data keys), and the main thread serves health checks with
gevent's pywsgi server: a production server that the project depends on anyway, in the same process,
so that the pid in ``kotaemon ps`` is the coordinator. Nothing is patched: the work runs on real
threads, and the server's own loop only reads memory.
"""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import gevent
import structlog
from gevent.pool import Pool
from gevent.pywsgi import WSGIServer
from pydantic import ValidationError

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
from coordinator.priority import lower_this_thread
from coordinator.reading.reader import Reader
from coordinator.settings import CoordinatorSettings
from coordinator.sharing import Shared
from coordinator.standing import bus_of, encoder_of, reader_of, signer_of
from coordinator.status import StatusBoard
from coordinator.tenants import Led, Tenants
from coordinator.top_questions import TopQuestions
from coordinator.watch import FolderWatch
from coordinator.workers.pieces import Pieces
from kotaemon_node.adapters.encoder.errors import EncoderSetupError
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
from kotaemon_node.adapters.weaviate import write_store
from kotaemon_node.composition.sealing import cipher_of, keeper_of, tell_keys_changed
from kotaemon_node.domain.document_names import TENANTS_FOLDER
from kotaemon_node.domain.errors import StoreUnavailable
from kotaemon_node.domain.ids import DEFAULT_TENANT
from kotaemon_node.telemetry.logs import configure_logs
from kotaemon_node.telemetry.tracing import Tracing

_log = structlog.get_logger(__name__)

_REQUESTS_AT_ONCE_MAX: Final = 256
_STOP_WAIT_S: Final = 8.0


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
    bus = bus_of(settings, redis=redis, clock=clock)
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


def run(coordinator: Coordinator) -> bool:
    """Work and serve until SIGTERM or SIGINT; then give up the lead.

    Return whether all threads have ended; else one is still computing.
    """
    stop = threading.Event()
    lease = _thread("lease", lambda: coordinator.lease.keep(stop))
    watch = _thread("watch", coordinator.watch.run)
    orders = _thread("orders", coordinator.orders.run)
    archiving = _thread("archiving", coordinator.archiving.run)
    plugins = _thread("plugins", coordinator.plugins.run)
    questions = _thread("questions", coordinator.questions.run)
    data_keys = _thread("data-keys", coordinator.data_keys.run)
    auditing = _thread("audit", coordinator.auditing.run)
    work = _thread("work", lambda: _work(coordinator))
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, coordinator.server.stop)
    coordinator.tracing.start(ThreadTasks())
    coordinator.server.start()
    coordinator.reader.warm()
    for thread in (lease, watch, orders, archiving, plugins, questions, data_keys, auditing, work):
        thread.start()
    coordinator.server.serve_forever()

    _log.info("stopping")
    coordinator.tenants.stop()
    coordinator.watch.stop()
    coordinator.orders.stop()
    coordinator.archiving.stop()
    coordinator.plugins.stop()
    coordinator.questions.stop()
    coordinator.data_keys.stop()
    coordinator.auditing.stop()
    coordinator.reader.close()
    work.join(_STOP_WAIT_S)
    # Last: a lead given up while we still publish would let two publish.
    stop.set()
    lease.join(_STOP_WAIT_S)
    watch.join(_STOP_WAIT_S)
    orders.join(_STOP_WAIT_S)
    archiving.join(_STOP_WAIT_S)
    plugins.join(_STOP_WAIT_S)
    questions.join(_STOP_WAIT_S)
    data_keys.join(_STOP_WAIT_S)
    auditing.join(_STOP_WAIT_S)
    coordinator.tracing.finish(SystemClock())
    _log.info("stopped", work_ended=not work.is_alive())
    threads = (lease, watch, orders, archiving, plugins, questions, data_keys, auditing, work)
    return not any(thread.is_alive() for thread in threads)


def _told(problem: Mapping[str, Any]) -> str:
    """Return one line about a setting that is wrong; never its value, which may be a secret."""
    name = "_".join(str(step) for step in problem["loc"]).upper()
    return f"{name}: {problem['msg']}"


def _thread(name: str, work: Callable[[], None]) -> threading.Thread:
    """Return a thread whose unexpected end ends the process, so that it is started anew."""

    def run() -> None:
        try:
            work()
        except Exception:
            _log.exception("thread_failed", thread=name)
            os.kill(os.getpid(), signal.SIGTERM)
            raise

    return threading.Thread(target=run, name=name, daemon=True)


def _work(coordinator: Coordinator) -> None:
    if coordinator.low:
        lower_this_thread()
    coordinator.tenants.run()


def _build_worker(settings: CoordinatorSettings) -> int:
    if settings.work_priority == "low":
        lower_this_thread()  # before it has started another
    signer = signer_of(settings)
    verifier = read_trusted_keys(settings.trusted_keys, own=signer)
    from coordinator.workers.program import run_build_worker  # noqa: PLC0415 - brings Kafka

    run_build_worker(settings, encoder_of(settings), signer=signer, verifier=verifier)
    return 0


def main() -> int:
    """Run the program; return its exit status."""
    try:
        settings = CoordinatorSettings()
    except ValidationError as error:
        configure_logs("info")
        _log.error("settings_wrong", problems=[_told(row) for row in error.errors()])
        return 2
    configure_logs(settings.log_level)
    logging.getLogger("watchfiles").setLevel(logging.WARNING)  # it counts changes, line by line
    try:
        if settings.coordinator_role == "build-worker":
            return _build_worker(settings)
        coordinator = compose(settings)
        coordinator.server.init_socket()
    except (EncoderSetupError, ValueError, OSError) as error:
        _log.error("cannot_start", reason=str(error))
        return 1
    _log.info("started", knowledge=str(settings.knowledge_dir), port=settings.coordinator_port)
    if not run(coordinator):
        # Native code on a thread aborts when the interpreter is taken down around it. Nothing is
        # lost: what was not published is found again in the folder.
        logging.shutdown()
        sys.stdout.flush()
        os._exit(0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
