"""Serves health checks and metrics beside a build worker, whose main program is no server."""

import socket
import threading
from collections.abc import Callable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    timeout = 10.0  # seconds for a client that says nothing

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: a check comes every second."""

    def address_string(self) -> str:
        """Return the address as it is, without asking a name server."""
        return str(self.client_address[0])


def serve_beside(app: Callable[..., Any], *, host: str, port: int) -> int:
    """Serve ``app`` on a thread until the process ends; return its port. Raises ``OSError``.

    ``host``: of IPv4, or of IPv6 (``::`` is every address of both).
    """
    kind = _Server6 if ":" in host else _Server
    server = make_server(host, port, app, server_class=kind, handler_class=_Handler)
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    return int(server.server_port)
