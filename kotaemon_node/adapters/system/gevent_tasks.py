"""Tasks of a pod: greenlets for what waits, gevent's own native threads for what computes."""

from collections.abc import Callable
from typing import Any

import gevent
from gevent.threadpool import ThreadPool

from kotaemon_node.adapters.system.tasks import guarded


class GeventTasks:
    """``ports.runtime.Tasks`` for a process whose standard library gevent has patched.

    ``native_threads`` bounds what computes at once; further calls wait in order.
    """

    def __init__(self, *, native_threads: int) -> None:
        self._pool = ThreadPool(native_threads)

    def spawn(self, name: str, work: Callable[[], None]) -> None:
        """See the port."""
        gevent.spawn(guarded(name, work))

    def compute(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """See the port."""
        return self._pool.apply(work, arguments)
