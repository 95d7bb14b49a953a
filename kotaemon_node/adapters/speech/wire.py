"""What a pod and a process of speech say to each other: JSON and sound, each behind its length.

The standard library only: the process imports nothing else of ours.
"""

import json
import socket
import struct
from typing import Any, Final

ORDER: Final = b"J"
SOUND: Final = b"S"
_HEAD: Final = struct.Struct("<cI")
_BYTES_MAX: Final = 4 * 1024 * 1024
"""Of one message: seconds of sound are a hundredth of that."""


class WireBroken(Exception):
    """The other side has ended, or says what is no message."""


def packed(message: dict[str, Any] | bytes) -> bytes:
    """Return a message as it is sent."""
    if isinstance(message, bytes):
        return _HEAD.pack(SOUND, len(message)) + message
    body = json.dumps(message).encode()
    return _HEAD.pack(ORDER, len(body)) + body


class Reader:
    """Takes messages out of what has arrived."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._buffer = bytearray()

    def next(self) -> dict[str, Any] | bytes:
        """Return the next message; raises ``WireBroken``, and ``OSError`` as the socket does."""
        while (message := self.waiting()) is None:
            self.read()
        return message

    def waiting(self) -> dict[str, Any] | bytes | None:
        """Return a message that has arrived whole, None where none has."""
        if len(self._buffer) < _HEAD.size:
            return None
        kind, size = _HEAD.unpack_from(self._buffer)
        if size > _BYTES_MAX or kind not in (ORDER, SOUND):
            raise WireBroken("no message")
        if len(self._buffer) < _HEAD.size + size:
            return None
        body = bytes(self._buffer[_HEAD.size : _HEAD.size + size])
        del self._buffer[: _HEAD.size + size]
        if kind == SOUND:
            return body
        try:
            message = json.loads(body)
        except ValueError:
            raise WireBroken("no JSON") from None
        if not isinstance(message, dict):
            raise WireBroken("no object")
        return message

    def read(self) -> None:
        """Wait for bytes, as long as the socket does. Raises as ``next``."""
        data = self._line.recv(64 * 1024)
        if not data:
            raise WireBroken("it has ended")
        self._buffer += data
