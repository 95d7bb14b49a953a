"""``python -m kotaemon_node.server.encoder HOST PORT``: one process that embeds for others.

It has the encoder of the settings and nothing else: no Redis, no knowledge, no keys. It is for the
cluster's own network.
"""

from kotaemon_node.server.patching import patch_all

# Before anything imports ssl or threading.
patch_all()

import signal  # noqa: E402 - after the patch
import socket  # noqa: E402
import sys  # noqa: E402
from typing import Final  # noqa: E402

import gevent  # noqa: E402
import structlog  # noqa: E402
from gevent.pool import Pool  # noqa: E402
from gevent.pywsgi import WSGIServer  # noqa: E402

from kotaemon_node.adapters.encoder.errors import EncoderSetupError  # noqa: E402
from kotaemon_node.adapters.encoder.factory import make_plain_encoders  # noqa: E402
from kotaemon_node.adapters.system import SystemClock  # noqa: E402
from kotaemon_node.adapters.system.gevent_tasks import GeventTasks  # noqa: E402
from kotaemon_node.domain import limits  # noqa: E402
from kotaemon_node.server.encoder_app import EncoderMetrics, create_encoder_app  # noqa: E402
from kotaemon_node.settings import Settings  # noqa: E402
from kotaemon_node.telemetry.logs import configure_logs  # noqa: E402

_log = structlog.get_logger(__name__)
_STOP_S: Final = 10.0


def main(host: str, port: int) -> int:
    """Serve until SIGTERM or SIGINT; then end what was asked for. Return the exit status."""
    settings = Settings()
    configure_logs(settings.log_level)
    metrics = EncoderMetrics()
    try:
        encoders = make_plain_encoders(
            settings.encoder_model,
            settings.encoder_backend,
            settings.model_dir,
            settings.encoder_threads,
            told=metrics.agreement,
        )
        app = create_encoder_app(
            encoders,
            tasks=GeventTasks(native_threads=settings.native_threads),
            clock=SystemClock(),
            metrics=metrics,
        )
        pool = Pool(limits.EMBEDDING_REQUESTS_MAX)
        server = WSGIServer((host, port), app, spawn=pool, log=None)
        server.stop_timeout = _STOP_S
        for number in (signal.SIGTERM, signal.SIGINT):
            gevent.signal_handler(number, server.stop)
        server.init_socket()
        # Head and body are written apart: the second would wait 40 ms for the first's receipt.
        # Connections inherit it.
        server.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server.start()
    except (EncoderSetupError, OSError) as error:
        _log.error("cannot_start", reason=str(error))
        return 1
    _log.info("started", models=list(encoders), port=server.server_port)
    server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
