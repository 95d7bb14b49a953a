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
        found, error = self._pool.apply(_attempted, (work, arguments))
        if error is not None:
            raise error
        return found


def _attempted(
    work: Callable[..., Any], arguments: tuple[Any, ...]
) -> tuple[Any, BaseException | None]:
    """Return what was computed, or what it raised: gevent writes what leaves a thread into the log.

    Whoever asked knows whether that is a fault of ours or a file that cannot be read.
    """
    try:
        return work(*arguments), None
    except BaseException as error:  # noqa: BLE001 - raised again where it was asked for
        return None, error
