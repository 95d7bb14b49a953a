"""gunicorn's gevent worker, leaving as a pod should."""

import os
import sys
from types import FrameType

import gevent
from gunicorn.workers.ggevent import GeventWorker


class PodWorker(GeventWorker):  # type: ignore[misc]
    """Drains on SIGTERM while it goes on serving, then ends at once.

    gunicorn's own way closes the listener first, so that the balancer sees a dead pod, and then
    waits for connections to close; but the balancer keeps idle ones open for reuse, for ever.
    """

    def handle_exit(self, _signal: int, _frame: FrameType | None) -> None:
        """Begin to leave; a second signal changes nothing."""
        if not getattr(self, "_leaving", False):
            self._leaving = True
            gevent.spawn(self._leave)

    def _leave(self) -> None:
        from kotaemon_node.server.wsgi import drain  # noqa: PLC0415 - exists in this process only

        try:
            drain()
        finally:
            sys.stdout.flush()
            os._exit(0)
