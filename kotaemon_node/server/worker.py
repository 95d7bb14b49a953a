"""gunicorn's gevent worker, leaving as a pod should."""

import contextlib
import mmap
import os
import socket
import struct
import sys
from types import FrameType
from typing import Any

import gevent
from gunicorn.workers.ggevent import GeventWorker

from kotaemon_node.domain import limits
from kotaemon_node.domain.trace_context import new_trace_id
from kotaemon_node.server import lasting
from kotaemon_node.server.refusals import failure, refusal

_AT_ONCE = struct.pack("ii", 1, 0)  # close now and drop what was not sent


class _Listener:
    """Stands for the socket that a connection came by, whose name is all that is asked of it."""

    def __init__(self, name: Any) -> None:
        self._name = name

    def getsockname(self) -> Any:
        return self._name


class PodWorker(GeventWorker):  # type: ignore[misc]
    """Drains on SIGTERM while it goes on serving, then ends at once.

    gunicorn's own way closes the listener first, so that the balancer sees a dead pod, and then
    waits for connections to close; but the balancer keeps idle ones open for reuse, for ever.
    """

    left = mmap.mmap(-1, 1)
    """Shared with the parent: not zero once the serving process has left as it should."""
    _apart = 0
    """Connections that tasks of their own serve, since an answer went on there."""

    def load_wsgi(self) -> None:
        """Build and start the pod; where that fails, say why and end at once.

        An ordinary exit runs the destructors of native libraries. They wait for threads that only
        the parent has, because it loaded the libraries before it forked: for ever.
        """
        try:
            super().load_wsgi()
        except SystemExit as error:
            sys.stderr.write(f"{error}\n")
        except Exception:
            self.log.exception("the pod cannot start")
        else:
            return
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> Any:
        """Answer one request; a client that takes or sends nothing for a while is cut off."""
        sock.settimeout(limits.CLIENT_STALL_S)
        try:
            try:
                answered = super().handle_request(listener_name, req, sock, addr)
            except lasting.Lasts as lasts:
                self._go_on_apart(lasts, listener_name, sock, addr)
                raise StopIteration from None
        except TimeoutError:
            self._cut_off(sock)
            raise StopIteration from None
        sock.settimeout(None)
        return answered

    def is_already_handled(self, respiter: Any) -> bool:
        """Leave the handling of a request whose answer goes on in a task of its own."""
        # What is apart does not count among the connections that gunicorn bounds.
        if self._apart < self.worker_connections and lasting.may_last(respiter):
            raise lasting.Lasts(respiter)
        return bool(super().is_already_handled(respiter))

    def _go_on_apart(self, lasts: lasting.Lasts, listener_name: Any, sock: Any, addr: Any) -> None:
        def next_request(connection: Any) -> None:
            try:
                self.handle(_Listener(listener_name), connection, addr)
            finally:
                self._apart -= 1

        def went_wrong(connection: Any, error: BaseException) -> None:
            self._apart -= 1
            if isinstance(error, TimeoutError):
                self._cut_off(connection)
            elif not isinstance(error, OSError):  # a client may leave at any time
                self.log.error("a stream failed", exc_info=error)
            connection.close()

        def over(connection: Any) -> None:
            self._apart -= 1
            connection.close()

        lasting.begin(lasts, sock, went_wrong=went_wrong, over=over, next_request=next_request)
        self._apart += 1

    def _cut_off(self, sock: Any) -> None:
        # What it did not take would stay in the kernel for minutes; it can resume.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        self.log.warning("a client was cut off: it took nothing for a while")

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Answer what the application never saw, in the form of all other errors."""
        trace_id = new_trace_id()
        answer = refusal(exc, trace_id=trace_id)
        if answer is None:
            self.log.error("a request failed, trace_id %s", trace_id, exc_info=exc)
            answer = failure(trace_id=trace_id)
        with contextlib.suppress(OSError):  # who sent that may have left
            client.settimeout(limits.CLIENT_STALL_S)
            client.sendall(answer)

    def handle_exit(self, _signal: int, _frame: FrameType | None) -> None:
        """Begin to leave; a second signal changes nothing."""
        if not getattr(self, "_leaving", False):
            self._leaving = True
            gevent.spawn(self._leave)

    def _leave(self) -> None:
        from kotaemon_node.server.wsgi import drain  # noqa: PLC0415 - exists in this process only

        status = 1
        try:
            drain()
            self.left[0] = 1
            status = 0
        finally:
            sys.stdout.flush()
            os._exit(status)
