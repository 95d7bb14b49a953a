"""Clients that are slow on purpose, thousands of them, beside one that is not.

What must hold: who sends slowly is cut off, the pod's memory stays where it was, and the healthy
client's answers take no more than ``RATIO_MAX`` times as long as without the others.
"""

import contextlib
import selectors
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import requests

from load.bad_input.site import Site

RATIO_MAX = 3.0
_ASKED = 200
_HEALTHY = "/v1/me"
_SLOW_S = 60.0
HEAD = b"POST /v1/login HTTP/1.1\r\nHost: pod\r\nContent-Type: application/json\r\n"


@dataclass(frozen=True, slots=True)
class Beside:
    """What a healthy client and the pod noticed of a crowd."""

    crowd: str
    connections: int
    alone_ms: float
    beside_ms: float
    failed: int
    grown_bytes: int
    requests_read: int
    """By the pod, of the crowd: 0 where the balancer kept it all away."""
    cut_off_after_s: float
    """Until all of the crowd were cut off; 0 where they may stay."""

    @property
    def ratio(self) -> float:
        """How many times as long as alone."""
        return self.beside_ms / self.alone_ms


@contextmanager
def crowd(port: int, count: int, begin: bytes) -> Iterator[list[socket.socket]]:
    """Open so many connections, each of which has sent ``begin``."""
    with ExitStack() as stack:
        found = []
        for _ in range(count):
            client = socket.create_connection(("127.0.0.1", port), timeout=30)
            stack.enter_context(client).sendall(begin)
            found.append(client)
        yield found


def beside(site: Site, name: str, count: int, begin: bytes, drip: bytes = b"") -> Beside:
    """Ask beside a crowd that sent ``begin`` and goes on with ``drip``, a byte at a time."""
    alone_ms, _ = _asked(site)
    rss, read = site.pod.rss_bytes(), len(site.read())
    with crowd(site.balancer_port, count, begin) as clients:
        began_s = time.monotonic()
        beside_ms, failed = _asked(site)
        cut_s = _cut_off_after(clients, drip, began_s=began_s) if drip else 0.0
        grown = site.pod.rss_bytes() - rss
    of_crowd = [line for line in site.read(after=read) if line["target"] != _HEALTHY]
    return Beside(name, count, alone_ms, beside_ms, failed, grown, len(of_crowd), cut_s)


def _asked(site: Site) -> tuple[float, int]:
    took, failed = [], 0
    with requests.Session() as client:
        for _ in range(_ASKED):
            began_s = time.monotonic()
            failed += client.get(f"{site.url}{_HEALTHY}", timeout=30).status_code != 200
            took.append((time.monotonic() - began_s) * 1000)
    return statistics.median(took), failed


def _cut_off_after(clients: list[socket.socket], drip: bytes, *, began_s: float) -> float:
    """Send a byte a second on each connection until the other side has closed all of them."""
    with selectors.DefaultSelector() as waiting:
        for client in clients:
            waiting.register(client, selectors.EVENT_READ)
        for place in range(int(_SLOW_S)):
            for key in list(waiting.get_map().values()):
                with contextlib.suppress(OSError):
                    key.fileobj.send(drip[place % len(drip) : place % len(drip) + 1])  # type: ignore[union-attr]
            until_s = time.monotonic() + 1
            while (left_s := until_s - time.monotonic()) > 0:
                _forget_closed(waiting, left_s)
                if not waiting.get_map():
                    return time.monotonic() - began_s
    raise AssertionError(f"{len(waiting.get_map() or ())} were not cut off in {_SLOW_S:.0f} s")


def _forget_closed(waiting: selectors.BaseSelector, left_s: float) -> None:
    for key, _ in waiting.select(left_s):
        gone = True
        with contextlib.suppress(ConnectionError):
            gone = not key.fileobj.recv(65_536)  # type: ignore[union-attr]
        if gone:
            waiting.unregister(key.fileobj)


CROWDS: dict[str, Callable[[Site, int], Beside]] = {
    "idle": lambda site, count: beside(site, "idle", count, b""),
    "slow heads": lambda site, count: beside(
        site, "slow heads", count, b"GET / HTTP/1.1\r\nHost: pod\r\nX-", b"a: b\r\nX-"
    ),
    "slow bodies": lambda site, count: beside(
        site, "slow bodies", count, HEAD + b'Content-Length: 10000\r\n\r\n{"key": "', b"a"
    ),
    "slow chunks": lambda site, count: beside(
        site, "slow chunks", count, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"
    ),
}
