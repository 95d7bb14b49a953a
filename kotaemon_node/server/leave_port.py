"""A port on which a pod is told that it is about to be stopped, before it is told to stop.

Kubernetes takes a pod out of service and sends SIGTERM at the same moment, and balancers learn of
either a little later. So it calls this port first (``preStop``): the pod answers the balancer's
check with "leaving" and goes on with what it has; when the answer comes, no balancer sends it
anything new, and SIGTERM finds only work that is to be finished or handed over.
"""

import socket
from collections.abc import Callable, Iterable
from typing import Any, Final

import gevent
import structlog
from gevent.pool import Pool
from gevent.pywsgi import WSGIServer

from kotaemon_node.domain import limits
from kotaemon_node.ports.runtime import Clock

_PATH: Final = "/leave"
# Who calls is one process of the same machine; more than a few connections are somebody's mistake.
_CALLS_MAX: Final = 16

_log = structlog.get_logger(__name__)

StartResponse = Callable[..., Any]


class Leaving:
    """The WSGI application: ``GET /leave`` takes the pod out of service and answers when it is.

    It may be called again, at any time: every call is answered when the first one is. A pod that
    nobody stops within ``LEAVE_ENDS_S`` calls ``end``: it takes no more work, so it is of no use,
    and whoever supervises it starts another.
    """

    def __init__(
        self,
        *,
        take_no_more: Callable[[], None],
        end: Callable[[], None],
        clock: Clock,
        later: Callable[[float, Callable[[], None]], Any] = gevent.spawn_later,
    ) -> None:
        self._take_no_more = take_no_more
        self._end = end
        self._clock = clock
        self._later = later
        self._told_at_s: float | None = None

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        if environ["PATH_INFO"] != _PATH:
            return _answer(start_response, "404 Not Found", f"only {_PATH} is here")
        if environ["REQUEST_METHOD"] != "GET":
            return _answer(start_response, "405 Method Not Allowed", "only GET")
        told_at_s = self._begin()
        remaining_s = told_at_s + limits.LEAVE_WAIT_S - self._clock.monotonic_s()
        if remaining_s > 0:
            self._clock.sleep(remaining_s)
        return _answer(start_response, "200 OK", "no new work comes")

    def _begin(self) -> float:
        if self._told_at_s is None:
            self._told_at_s = self._clock.monotonic_s()
            _log.info("told_to_leave")
            self._take_no_more()
            self._later(limits.LEAVE_ENDS_S, self._end)
        return self._told_at_s


def _answer(start_response: StartResponse, status: str, text: str) -> Iterable[bytes]:
    body = f"{text}\n".encode()
    headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
    start_response(status, [*headers, ("Connection", "close")])
    return [body]


class LeavePort(WSGIServer):
    """The server of ``Leaving``, in the pod's own loop: what is stuck there cannot leave either."""

    def __init__(self, host: str, port: int, application: Leaving) -> None:
        super().__init__(
            (host, port), application, spawn=Pool(_CALLS_MAX), log=None, error_log=None
        )

    def handle(self, connection: socket.socket, address: Any) -> None:
        """Answer a connection; one that says nothing makes room for others."""
        connection.settimeout(limits.CLIENT_STALL_S)
        super().handle(connection, address)
