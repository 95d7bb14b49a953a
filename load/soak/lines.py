"""Connections of many clients in one process: one epoll, no threads, nothing blocks."""

import errno
import select
import socket
import struct
import time
from typing import Final, Protocol

from load.soak.wire import Broken, Response

_READ_BYTES: Final = 65_536
_HANG_UP: Final = struct.pack("ii", 1, 0)
"""Close by reset: thousands of ports in TIME_WAIT would be missing later."""


class Taker(Protocol):
    """What an answer is for."""

    def piece(self, line: "Line", body: bytes, now_s: float) -> None:
        """Take a piece of the body; ``line.response`` has the head. Empty: only the head came."""

    def over(self, line: "Line", why: str, now_s: float) -> None:
        """The line is closed: the answer is whole, or ``why`` not."""


class Line:
    """One connection, one request, one answer."""

    __slots__ = ("heard_s", "opened_s", "out", "response", "socket", "taker")

    def __init__(self, request: bytes, taker: Taker) -> None:
        self.out = request
        self.taker = taker
        self.response = Response()
        self.opened_s = self.heard_s = time.monotonic()
        self.socket = socket.socket()


class Lines:
    """All of them."""

    def __init__(self, port: int) -> None:
        self._address = ("127.0.0.1", port)
        self._epoll = select.epoll()
        self._open: dict[int, Line] = {}

    def open(self, request: bytes, taker: Taker) -> Line:
        """Send a request on a connection of its own."""
        line = Line(request, taker)
        line.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _HANG_UP)
        line.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line.socket.setblocking(False)
        self._open[line.socket.fileno()] = line
        failed = line.socket.connect_ex(self._address)
        self._epoll.register(line.socket, select.EPOLLIN | select.EPOLLOUT)
        if failed not in {0, errno.EINPROGRESS}:
            self.close(line)
            raise OSError(failed, errno.errorcode.get(failed, "connect"))
        return line

    def turn(self, timeout_s: float) -> None:
        """Take what came within so long."""
        for descriptor, ready in self._epoll.poll(timeout_s):
            line = self._open.get(descriptor)
            if line is None:
                continue
            try:
                if line.out and ready & (select.EPOLLOUT | select.EPOLLERR | select.EPOLLHUP):
                    self._send(line)
                if ready & ~select.EPOLLOUT:
                    self._receive(line)
            except BlockingIOError:
                continue
            except (OSError, Broken) as error:
                self._end(line, f"the connection failed ({type(error).__name__})")

    def close(self, line: Line) -> None:
        """Hang up; nobody is told. Harmless where it is closed."""
        descriptor = line.socket.fileno()
        if self._open.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)
        line.socket.close()

    def close_all(self) -> None:
        """Hang up everywhere."""
        for line in list(self._open.values()):
            self.close(line)

    def _send(self, line: Line) -> None:
        failed = line.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failed:
            raise OSError(failed, errno.errorcode.get(failed, "connect"))
        line.out = line.out[line.socket.send(line.out) :]
        if not line.out:
            self._epoll.modify(line.socket, select.EPOLLIN)

    def _receive(self, line: Line) -> None:
        received = line.socket.recv(_READ_BYTES)
        line.heard_s = time.monotonic()
        if not received:
            self._end(line, "the line was cut")
            return
        headless = line.response.status == 0
        bodies = list(line.response.feed(received))
        if headless and line.response.status and not bodies:
            bodies = [b""]
        for body in bodies:
            if line.socket.fileno() < 0:  # hung up over the piece before
                return
            line.taker.piece(line, body, line.heard_s)
        if line.response.whole and line.socket.fileno() >= 0:
            self._end(line, "")

    def _end(self, line: Line, why: str) -> None:
        self.close(line)
        line.taker.over(line, why, time.monotonic())
