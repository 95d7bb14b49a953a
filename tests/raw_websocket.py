"""A WebSocket client that sends exactly the bytes it is told, right or wrong."""

import base64
import contextlib
import os
import socket
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


@dataclass(frozen=True, slots=True)
class Got:
    """One frame that was received; ``code`` is that of a close, None where it has none."""

    opcode: int
    payload: bytes
    fin: bool = True

    @property
    def code(self) -> int | None:
        if self.opcode != CLOSE or len(self.payload) < 2:
            return None
        return int(struct.unpack("!H", self.payload[:2])[0])


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0) -> bytes:
    """Return a frame as clients send it, masked."""
    head = bytes([fin << 7 | rsv << 4 | opcode])
    length = len(payload)
    if length < 126:
        head += bytes([0x80 | length])
    elif length < 1 << 16:
        head += bytes([0x80 | 126]) + struct.pack("!H", length)
    else:
        head += bytes([0x80 | 127]) + struct.pack("!Q", length)
    mask = os.urandom(4)
    repeated = (mask * (length // 4 + 1))[:length]
    masked = int.from_bytes(payload) ^ int.from_bytes(repeated)
    return head + mask + masked.to_bytes(length)


class RawSocket:
    """A connection after its handshake, unless that was refused: then ``status`` is not 101."""

    def __init__(
        self,
        port: int,
        path: str,
        headers: Mapping[str, str] | None = None,
        *,
        receive_buffer: int | None = None,
    ) -> None:
        self.sock = socket.socket()
        if receive_buffer is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.connect(("127.0.0.1", port))
        self.sock.settimeout(60)
        asked = {
            "Host": f"127.0.0.1:{port}",
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
            "Sec-WebSocket-Version": "13",
            **(headers or {}),
        }
        lines = [f"{name}: {value}" for name, value in asked.items() if value]
        self.sock.sendall("\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]).encode())
        self._arrived = b""
        head = self._until_blank_line()
        self.status = int(head.split(b" ", 2)[1])
        self.head = head.decode("latin-1")

    def send(self, data: bytes, *, chop: int | None = None) -> None:
        """Send bytes as they are; a peer that has closed meanwhile is no error."""
        with contextlib.suppress(ConnectionError):
            for start in range(0, len(data), chop or len(data) or 1):
                self.sock.sendall(data[start : start + (chop or len(data))])

    def receive(self, timeout_s: float = 60.0) -> Got | None:
        """Return the next frame, None at the end of the connection. ``TimeoutError``."""
        end_s = time.monotonic() + timeout_s
        first, second = self._take(2, end_s) or (None, None)
        if first is None or second is None:
            return None
        length = second & 0x7F
        if length == 126:
            length = struct.unpack("!H", self._take(2, end_s))[0]
        elif length == 127:
            length = struct.unpack("!Q", self._take(8, end_s))[0]
        payload = self._take(length, end_s)
        if len(payload) < length:
            return None  # it was cut off in the middle of a frame
        return Got(first & 0x0F, payload, bool(first & 0x80))

    def rest(self, timeout_s: float = 60.0) -> list[Got]:
        """Return all frames up to the end of the connection."""
        found = []
        while (got := self.receive(timeout_s)) is not None:
            found.append(got)
        return found

    @property
    def arrived(self) -> bool:
        """Whether bytes are here that were not taken yet."""
        return bool(self._arrived)

    def close(self) -> None:
        self.sock.close()

    def _take(self, count: int, end_s: float) -> bytes:
        """Return so many bytes; fewer only at the end of the connection."""
        while len(self._arrived) < count:
            self.sock.settimeout(max(0.001, end_s - time.monotonic()))
            try:
                piece = self.sock.recv(65_536)
            except ConnectionError:
                piece = b""
            if not piece:
                break
            self._arrived += piece
        taken, self._arrived = self._arrived[:count], self._arrived[count:]
        return taken if len(taken) == count else b""

    def _until_blank_line(self) -> bytes:
        while b"\r\n\r\n" not in self._arrived:
            piece = self.sock.recv(65_536)
            assert piece, f"no answer to the handshake: {self._arrived!r}"
            self._arrived += piece
        head, _, self._arrived = self._arrived.partition(b"\r\n\r\n")
        return head
