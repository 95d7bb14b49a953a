"""The real clock, real randomness and real tasks of the machine a pod runs on."""

import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog

_log = structlog.get_logger(__name__)


class SystemClock:
    """``ports.runtime.Clock`` on the operating system's clocks."""

    def now_s(self) -> float:
        """See the port."""
        return time.time()

    def monotonic_s(self) -> float:
        """See the port."""
        return time.monotonic()

    def sleep(self, duration_s: float) -> None:
        """See the port."""
        time.sleep(duration_s)


class RandomIds:
    """``ports.runtime.IdSource`` with 128 random bits an id, as 32 hex digits."""

    def new_id(self) -> str:
        """See the port."""
        return secrets.token_hex(16)


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
