"""The one connection of a call: when it was opened, and how it is cut from another task."""

import socket
import threading
import time
from typing import Any

import requests
from requests.adapters import HTTPAdapter


class Line:
    """Whoever holds it may hang up at any time, also before the connection is there."""

    def __init__(self, timeout_s: float) -> None:
        """``timeout_s``: from now on; a process that was frozen for longer sends nothing."""
        self._over_at_s = time.monotonic() + timeout_s
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._cut = False
        self.opened = False
        """The other side accepted: from now on it may have got the request."""
        self.late = False
        """The time was over."""

    def connected(self, opened: socket.socket) -> None:
        """Note the socket of a connection that was just made."""
        with self._lock:
            self._socket = opened
            self.opened = True
            self.late = self.late or time.monotonic() > self._over_at_s
            if self._cut or self.late:
                _shut(opened)

    def hang_up(self) -> None:
        """Cut the connection under whoever waits for it."""
        with self._lock:
            self._cut = True
            if self._socket is not None:
                _shut(self._socket)

    def run_out(self) -> None:
        """Hang up because the time is over."""
        self.late = True
        self.hang_up()


def _shut(opened: socket.socket) -> None:
    try:
        opened.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it ended by itself just now


class LineAdapter(HTTPAdapter):
    """Tells a ``Line`` of the connection that it makes; repeats nothing. For one call."""

    def __init__(self, line: Line) -> None:
        self._line = line
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def get_connection_with_tls_context(
        self,
        request: requests.PreparedRequest,
        verify: bool | str | None,
        proxies: Any = None,
        cert: Any = None,
    ) -> Any:
        pool: Any = super().get_connection_with_tls_context(request, verify, proxies, cert)
        make, line = pool.ConnectionCls, self._line

        def made(*arguments: Any, **options: Any) -> Any:
            connection = make(*arguments, **options)
            connect = connection.connect

            def connect_and_tell() -> None:
                connect()
                line.connected(connection.sock)

            connection.connect = connect_and_tell
            return connection

        pool.ConnectionCls = made
        return pool
