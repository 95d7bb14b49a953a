"""The clients of the streams: one process, one epoll, thousands of connections.

Opens the streams and prints a line of JSON, then obeys lines on its standard input: ``reset``
begins a window, ``report`` prints what the window saw, ``stop`` ends.
"""

import argparse
import json
import re
import select
import socket
import struct
import sys
import time
from collections import deque
from typing import Any

from concurrency_figures import spread

_BEAT = re.compile(rb": (\d+\.\d+)\n")
_OPENING_AT_ONCE = 256
_HANG_UP = struct.pack("ii", 1, 0)
"""Close by reset: ten thousand ports in TIME_WAIT would be missing in the next round."""


class Streams:
    """All open streams and what they received in the current window."""

    def __init__(self, port: int, *, interval_s: float) -> None:
        self._port = port
        self._request = (
            f"GET /stream?interval_s={interval_s:g} HTTP/1.1\r\nHost: bench\r\n\r\n".encode()
        )
        self._epoll = select.epoll()
        self._opening: dict[int, socket.socket] = {}
        self._open: dict[int, socket.socket] = {}
        self.lost = 0
        self._late_ms: list[float] = []
        self._own_ms: list[float] = []
        self._epoll.register(sys.stdin, select.EPOLLIN)

    def open(self, count: int, *, within_s: float) -> dict[str, Any]:
        """Open ``count`` streams; one counts when its first bytes are there."""
        started_s = time.monotonic()
        wanted = deque(range(count))
        while len(self._open) + self.lost < count:
            if time.monotonic() - started_s > within_s:
                break
            while wanted and len(self._opening) < _OPENING_AT_ONCE:
                wanted.popleft()
                self._connect()
            self.turn(0.5)
        took_s = time.monotonic() - started_s
        return {"asked": count, "open": len(self._open), "took_s": took_s}

    def turn(self, timeout_s: float) -> bool:
        """Handle what arrives; return True when there is a line on standard input."""
        events = self._epoll.poll(timeout_s)
        woken_s = time.monotonic()
        command = False
        for descriptor, event in events:
            if descriptor == sys.stdin.fileno():
                command = True
            elif event & select.EPOLLOUT:
                self._ask(descriptor)
            else:
                self._receive(descriptor, woken_s=woken_s)
        return command

    def reset(self) -> None:
        """Begin a window."""
        self._late_ms, self._own_ms, self.lost = [], [], 0

    def report(self) -> dict[str, Any]:
        """Return what the window saw. ``own_ms`` is the delay that this process itself adds."""
        return {
            "open": len(self._open),
            "lost": self.lost,
            "beats": len(self._late_ms),
            "late_ms": spread(self._late_ms),
            "own_ms": spread(self._own_ms),
        }

    def _connect(self) -> None:
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _HANG_UP)
        connection.setblocking(False)
        connection.connect_ex(("127.0.0.1", self._port))
        self._opening[connection.fileno()] = connection
        self._epoll.register(connection, select.EPOLLOUT)

    def _ask(self, descriptor: int) -> None:
        connection = self._opening[descriptor]
        if connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._drop(descriptor)
            return
        connection.send(self._request)
        self._epoll.modify(descriptor, select.EPOLLIN)

    def _receive(self, descriptor: int, *, woken_s: float) -> None:
        connection = self._open.get(descriptor) or self._opening[descriptor]
        try:
            received = connection.recv(65536)
        except OSError:
            received = b""
        if not received:
            self._drop(descriptor)
            return
        if descriptor in self._opening:
            self._open[descriptor] = self._opening.pop(descriptor)
        now_s = time.monotonic()
        for due in _BEAT.findall(received):
            self._late_ms.append((now_s - float(due)) * 1000)
            self._own_ms.append((now_s - woken_s) * 1000)

    def _drop(self, descriptor: int) -> None:
        self.lost += 1
        self._epoll.unregister(descriptor)
        connection = self._open.pop(descriptor, None) or self._opening.pop(descriptor)
        connection.close()


def main() -> None:
    """Open the streams, then obey."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--interval-s", type=float, required=True)
    parser.add_argument("--open-within-s", type=float, default=120.0)
    asked = parser.parse_args()
    streams = Streams(asked.port, interval_s=asked.interval_s)
    print(json.dumps(streams.open(asked.count, within_s=asked.open_within_s)), flush=True)
    while True:
        if not streams.turn(1.0):
            continue
        command = sys.stdin.readline().strip()
        if command == "reset":
            streams.reset()
        elif command == "report":
            print(json.dumps(streams.report()), flush=True)
        else:
            return


if __name__ == "__main__":
    main()
