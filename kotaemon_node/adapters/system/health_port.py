"""A port that says how a process without routes of its own is: ``/healthz`` and ``/readyz``."""

import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class HealthPort:
    """Answers on a thread of its own; for supervisors and probes."""

    def __init__(self, host: str, port: int, *, told: Callable[[], Mapping[str, Any]]) -> None:
        """``told`` returns JSON; while its ``problem`` is not empty, the process is not ready.

        Raises ``OSError`` where the port is taken.
        """

        class Handler(BaseHTTPRequestHandler):
            timeout = 5

            def do_GET(self) -> None:
                """Tell."""
                if self.path not in {"/healthz", "/readyz"}:
                    self.send_error(404)
                    return
                state = dict(told())
                ready = self.path == "/healthz" or not state.get("problem")
                body = json.dumps(state).encode()
                self.send_response(200 if ready else 503)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Say nothing: it is asked several times a second."""

        self._server = ThreadingHTTPServer((host, port), Handler)
        self._server.daemon_threads = True

    @property
    def port(self) -> int:
        """The port, also where 0 was asked for."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Begin to answer."""
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
