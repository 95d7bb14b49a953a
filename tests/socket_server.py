"""Serves an application's WebSocket routes on a real port inside the test's own process.

As gunicorn does in a pod, it hands the connection's socket over in the environment and writes
nothing where the application ends with ``StopIteration``. A thread per connection, no gevent: what
is true of a pod's loop is tested on a pod.
"""

import contextlib
import io
import socket
import threading
from collections.abc import Callable, Iterable
from typing import Any, Self

Application = Callable[..., Iterable[bytes]]


class SocketServer:
    """Serves while the block runs; connections that are open then are cut."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        self.served: list[threading.Thread] = []

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in list(self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self.served:
            thread.join(60)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(sock,), daemon=True)
            self.served.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        self._open.add(sock)
        try:
            self._answer(sock)
        finally:
            self._open.discard(sock)
            sock.close()

    def _answer(self, sock: socket.socket) -> None:
        environ = read_head(sock)
        if environ is None:
            return
        started: list[Any] = []

        def start_response(
            status: str, headers: list[tuple[str, str]], _info: object = None
        ) -> None:
            started[:] = [status, headers]

        try:
            body = b"".join(self._application(environ, start_response))
        except StopIteration:
            return
        status, headers = started
        lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers)]
        head = "\r\n".join([*lines, "Connection: close", "", ""])
        sock.sendall(head.encode("latin-1") + body)


def read_head(sock: socket.socket) -> dict[str, Any] | None:
    """Return the environment of the request, None where the peer left before its end."""
    raw = b""
    while b"\r\n\r\n" not in raw:
        piece = sock.recv(1)  # what is behind the head is the application's
        if not piece:
            return None
        raw += piece
    first, *lines = raw.decode("latin-1").strip().split("\r\n")
    method, target, _ = first.split(" ")
    path, _, query = target.partition("?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": str(sock.getsockname()[1]),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "gunicorn.socket": sock,
    }
    for line in lines:
        name, _, value = line.partition(":")
        key = name.upper().replace("-", "_")
        environ[key if key.startswith("CONTENT_") else f"HTTP_{key}"] = value.strip()
    return environ
