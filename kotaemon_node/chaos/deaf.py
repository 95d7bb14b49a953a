"""Clients that ask for a stream and never take a byte of it."""

import json
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit

_RECEIVE_BYTES = 2048
_RESETTING = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends a reset at once


class DeafClients:
    """Some of them, each with a turn in a session of its own; at the end all vanish at once."""

    def __init__(self, url: str, sessions: Sequence[str]) -> None:
        """One client for each of these sessions."""
        address = urlsplit(url)
        self._address = (address.hostname or "127.0.0.1", address.port or 80)
        self._sessions = sessions
        self._sockets: list[socket.socket] = []

    @property
    def opened(self) -> int:
        """How many could connect and ask."""
        return len(self._sockets)

    def __enter__(self) -> Self:
        for session in self._sessions:
            connection = socket.socket()
            # Before connecting: the window that the other side may fill is told then.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
            connection.settimeout(5)
            try:
                connection.connect(self._address)
                connection.sendall(self._request(session))
            except OSError:
                connection.close()
            else:
                self._sockets.append(connection)
        return self

    def _request(self, session: str) -> bytes:
        body = json.dumps({"message": "How do I return a cup?", "turn_id": f"{session}-t"}).encode()
        head = (
            f"POST /v1/sessions/{session}/turns HTTP/1.1\r\nHost: {self._address[0]}\r\n"
            "Accept: text/event-stream\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    def __exit__(self, *_: object) -> None:
        for connection in self._sockets:
            with suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESETTING)
            connection.close()
