"""What pod and plugin say to each other: JSON objects, each behind its length (4 bytes).

Laws of the talk:
1. The pod asks, the plugin answers; while a call runs the plugin may ask for services.
2. Nothing of a message can make the reader run code, whatever the writer is.
"""

import json
import os
import socket
import struct
import threading
from typing import Any, Final

LENGTH: Final = struct.Struct(">I")


def packed(message: dict[str, Any]) -> bytes:
    """Return the bytes of a message. ``TypeError`` or ``ValueError`` for what JSON cannot say."""
    said = json.dumps(message, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    raw = said.encode()
    return LENGTH.pack(len(raw)) + raw


class Channel:
    """The plugin's end. ``ask`` may be called by any thread, the rest by the main one."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._lock = threading.Lock()
        self._open = False

    def send(self, raw: bytes) -> None:
        """Send what ``packed`` returned; from now on nothing may be asked for."""
        with self._lock:
            self._open = False
            self._line.sendall(raw)

    def receive(self) -> dict[str, Any] | None:
        """Return the next order; None where the pod has gone."""
        message, _ = self._receive()
        return message

    def allow_asking(self) -> None:
        """From now on services may be asked for: a call runs."""
        self._open = True

    def ask(self, message: dict[str, Any]) -> tuple[dict[str, Any], int | None]:
        """Ask the pod for a service; return what it says, and the descriptor that came with it.

        Raises ``PermissionError`` while no call runs, ``ConnectionError`` where the pod has gone.
        """
        raw = packed(message)
        with self._lock:
            if not self._open:
                raise PermissionError("no call is running: there is nobody to ask for")
            self._line.sendall(raw)
            answer, descriptor = self._receive()
        if answer is None:
            raise ConnectionError("the pod has gone")
        return answer, descriptor

    def _receive(self) -> tuple[dict[str, Any] | None, int | None]:
        head, descriptors, _, _ = socket.recv_fds(self._line, LENGTH.size, 1)
        for spare in descriptors[1:]:
            os.close(spare)
        descriptor = descriptors[0] if descriptors else None
        if not head:
            return None, None
        head += self._exactly(LENGTH.size - len(head))
        message = json.loads(self._exactly(LENGTH.unpack(head)[0]))
        return message, descriptor

    def _exactly(self, size: int) -> bytes:
        pieces = bytearray()
        while len(pieces) < size:
            piece = self._line.recv(min(size - len(pieces), 1 << 20))
            if not piece:
                raise ConnectionError("the pod has gone")
            pieces += piece
        return bytes(pieces)
