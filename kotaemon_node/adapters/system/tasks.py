"""Tasks on plain threads."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog

_log = structlog.get_logger(__name__)


def guarded(name: str, work: Callable[[], None]) -> Callable[[], None]:
    """Return ``work`` so that an exception which escapes it is logged under ``name``."""

    def run() -> None:
        try:
            work()
        except Exception:  # noqa: BLE001 - a task is the top of its stack; nobody is above it
            _log.exception("task_failed", task=name)

    return run


class ThreadTasks:
    """``ports.runtime.Tasks`` on plain threads: for the coordinator, the library and tests."""

    def __init__(self, *, native_threads: int = 2) -> None:
        self._pool = ThreadPoolExecutor(native_threads, thread_name_prefix="native")

    def spawn(self, name: str, work: Callable[[], None]) -> None:
        """See the port."""
        threading.Thread(target=guarded(name, work), name=name, daemon=True).start()

    def compute(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """See the port."""
        return self._pool.submit(work, *arguments).result()
