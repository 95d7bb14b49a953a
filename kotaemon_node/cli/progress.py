"""Shows how processes start: one line each with its time, and what is still awaited."""

import time
from types import TracebackType
from typing import Self

from rich.status import Status

from kotaemon_node.cli.console import err


class StartProgress:
    """Told (process, state) by ``kotaemon_node.local``; prints to stderr."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._starting: list[str] = []
        self._status: Status = err.status("Looking around …")

    def __call__(self, name: str, state: str) -> None:
        """Take note of a change."""
        if state == "starting":
            self._starting.append(name)
        elif state == "ready":
            self._starting = [other for other in self._starting if other != name]
            seconds = time.monotonic() - self._began
            err.print(f"[green]✓[/] {name:<12} ready after {seconds:5.1f} s")
        else:
            err.print(f"• {name:<12} {state}")
        if self._starting:
            self._status.update(f"Starting {', '.join(self._starting)} …")

    def __enter__(self) -> Self:
        self._status.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._status.stop()
