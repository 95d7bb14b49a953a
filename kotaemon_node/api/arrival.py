"""Bounds how long a body may take to arrive: one byte now and then keeps a connection for days."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from flask import Request


@dataclass(slots=True)
class Arrival:
    """A body that is being read."""

    late: bool = False
    """Time was up: whatever reading it ended with, this is why."""


@contextlib.contextmanager
def arrival(request: Request, *, timeout_s: float) -> Iterator[Arrival]:
    """End the connection's receiving side when time is up, unless the block is left before.

    A read waits for a whole piece, so a look at the clock between two reads would come too late.
    Where the server hands over no socket, nothing is bounded here.
    """
    connection: socket.socket | None = request.environ.get("gunicorn.socket")
    found = Arrival()
    if connection is None:
        yield found
        return

    def cut_off() -> None:
        found.late = True
        with contextlib.suppress(OSError):  # it is closed already
            connection.shutdown(socket.SHUT_RD)

    timer = threading.Timer(timeout_s, cut_off)
    timer.daemon = True
    timer.start()
    try:
        yield found
    finally:
        timer.cancel()
