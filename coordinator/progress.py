"""A line in the log now and then while a generation is being made."""

from collections.abc import Callable, Mapping
from typing import Final

import structlog

from kotaemon_node.ports.runtime import Clock

_log = structlog.get_logger(__name__)

_PROGRESS_S: Final = 2.0


class Progress:
    """Tells how far it is, and whether to go on."""

    def __init__(self, kb: str, *, clock: Clock, alive: Callable[[], None]) -> None:
        self._kb = kb
        self._clock = clock
        self._alive = alive
        self._next_s = clock.monotonic_s() + _PROGRESS_S

    def read(self, done: int, total: int) -> None:
        """Tell how many documents of how many are read."""
        self._tell({"phase": "reading", "documents": done, "of": total})

    def encoded(self, done: int, total: int) -> None:
        """Tell how many passages of how many are encoded and written."""
        self._tell({"phase": "encoding", "passages": done, "of": total})

    def _tell(self, figures: Mapping[str, object]) -> None:
        self._alive()
        if self._clock.monotonic_s() >= self._next_s:
            self._next_s = self._clock.monotonic_s() + _PROGRESS_S
            _log.info("ingesting", kb=self._kb, **figures)
