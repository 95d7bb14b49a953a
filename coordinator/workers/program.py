"""``COORDINATOR_ROLE=build-worker``: a process that makes pieces for the leader."""

import os
import signal
import threading
from typing import Final

import structlog

from coordinator.app import create_app
from coordinator.metrics import CoordinatorMetrics
from coordinator.reading.pool import ChildReader
from coordinator.settings import CoordinatorSettings
from coordinator.status import Status, StatusBoard
from coordinator.workers.health import serve_beside
from coordinator.workers.pieces import Pieces
from coordinator.workers.worker import BuildWorker, Sources
from kotaemon_node.adapters.kafka import KafkaAddress, KafkaBus, KafkaTaskGroup
from kotaemon_node.adapters.store.factory import StorePlace, make_artifact_store
from kotaemon_node.adapters.system import RandomIds, SystemClock
from kotaemon_node.ports.encoder import Encoder
from kotaemon_node.ports.signing import Signer, Verifier

_log = structlog.get_logger(__name__)

_STOP_WAIT_S: Final = 8.0
_BEAT_S: Final = 1.0


def run_build_worker(
    settings: CoordinatorSettings, encoder: Encoder, *, signer: Signer, verifier: Verifier
) -> None:
    """Work until SIGTERM or SIGINT. Raises ``ValueError`` or ``OSError`` where it cannot."""
    if not settings.kafka_bootstrap_servers:
        raise ValueError("a build worker needs KAFKA_BOOTSTRAP_SERVERS, where its tasks come from")
    clock = SystemClock()
    place = StorePlace.of(settings, url=settings.coordinator_artifact_url)
    store = make_artifact_store(place, clock=clock, writes=True)
    pieces = Pieces(store, encoder, signer=signer, verifier=verifier)
    sources = Sources(pieces)
    address = KafkaAddress.of(settings)
    metrics = CoordinatorMetrics()
    reader = ChildReader(sources.load, metrics=metrics, clock=clock, children=1)
    name = f"build-worker.{RandomIds().new_id()}"
    worker = BuildWorker(
        pieces, sources, reader, encoder, KafkaBus(address, clock=clock), name=name
    )
    board = StatusBoard()
    board.beat_s = clock.monotonic_s()
    board.current = Status(role="build-worker", problem=None)
    serve_beside(
        create_app(board=board, metrics=metrics, clock=clock),
        host=settings.coordinator_host,
        port=settings.coordinator_port,
    )
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    reader.warm()
    thread = threading.Thread(
        target=KafkaTaskGroup(address).run, args=(worker.work, stop), daemon=True
    )
    thread.start()
    _log.info("build_worker_started", name=name)
    while thread.is_alive() and not stop.wait(_BEAT_S):
        board.beat_s = clock.monotonic_s()
    ended = not stop.is_set()
    # A document in the middle is given up; another worker gets its task.
    reader.close()
    thread.join(_STOP_WAIT_S)
    _log.info("stopped", work_ended=not thread.is_alive())
    if thread.is_alive():
        os._exit(0)
    if ended:
        # Its log says why; whoever supervises us begins anew.
        raise OSError("the build worker's own thread has ended")
