"""``python -m coordinator.main``: one process that keeps the knowledge of a cluster up to date.

Threads work (the loop, the lease, and what ``run`` names beside them), and the main thread serves
health checks with gevent's pywsgi server: a production server that the project depends on anyway,
in the same process, so that the pid in ``kotaemon ps`` is the coordinator. Nothing is patched: the
work runs on real threads, and the server's own loop only reads memory.
"""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import gevent
import structlog
from pydantic import ValidationError

from coordinator.composing import Coordinator, compose
from coordinator.priority import lower_this_thread
from coordinator.settings import CoordinatorSettings
from coordinator.standing import encoder_of, signer_of
from kotaemon_node.adapters.encoder.errors import EncoderSetupError
from kotaemon_node.adapters.signing import read_trusted_keys
from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.adapters.system.tasks import ThreadTasks
from kotaemon_node.telemetry.logs import configure_logs

_log = structlog.get_logger(__name__)

_STOP_WAIT_S: Final = 8.0


class _Part(Protocol):
    """What works in a thread of its own."""

    def run(self) -> None: ...
    def stop(self) -> None: ...


def run(coordinator: Coordinator) -> bool:
    """Work and serve until SIGTERM or SIGINT; then give up the lead.

    Return whether all threads have ended; else one is still computing.
    """
    stop = threading.Event()
    lease = _thread("lease", lambda: coordinator.lease.keep(stop))
    work = _thread("work", lambda: _work(coordinator))
    beside: Mapping[str, _Part] = {
        "watch": coordinator.watch,
        "orders": coordinator.orders,
        "archiving": coordinator.archiving,
        "plugins": coordinator.plugins,
        "questions": coordinator.questions,
        "data-keys": coordinator.data_keys,
        "audit": coordinator.auditing,
    }
    threads = [_thread(name, part.run) for name, part in beside.items()]
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, coordinator.server.stop)
    coordinator.tracing.start(ThreadTasks())
    coordinator.server.start()
    coordinator.reader.warm()
    for thread in (lease, *threads, work):
        thread.start()
    coordinator.server.serve_forever()

    _log.info("stopping")
    coordinator.tenants.stop()
    for part in beside.values():
        part.stop()
    coordinator.reader.close()
    work.join(_STOP_WAIT_S)
    # Last: a lead given up while we still publish would let two publish.
    stop.set()
    for thread in (lease, *threads):
        thread.join(_STOP_WAIT_S)
    coordinator.tracing.finish(SystemClock())
    _log.info("stopped", work_ended=not work.is_alive())
    return not any(thread.is_alive() for thread in (lease, *threads, work))


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
