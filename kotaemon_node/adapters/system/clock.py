"""The clocks of the operating system."""

import threading
import time


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

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """See the port."""
        return event.wait(timeout_s)
