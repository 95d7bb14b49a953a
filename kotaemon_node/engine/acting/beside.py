"""A search that goes on while a plugin is called; it writes nothing of the turn."""

import threading
from collections.abc import Callable

import structlog

from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import NodeError, Unavailable
from kotaemon_node.domain.knowledge import SearchResult
from kotaemon_node.ports.runtime import Clock, StopSignal, Tasks

_log = structlog.get_logger(__name__)


class SearchBeside:
    """One search, begun when this is made."""

    def __init__(self, search: Callable[[], SearchResult], *, tasks: Tasks, clock: Clock) -> None:
        self._search = search
        self._clock = clock
        self._over = threading.Event()
        self._found: SearchResult | None = None
        self._error: NodeError | None = None
        tasks.spawn("search beside a call", self._run)

    def found(self, stop: StopSignal) -> SearchResult:
        """Wait for what was found. Raises what the search raised, or the reason of the stop."""
        with stop.breaking_off(self._over.set):
            self._clock.wait(self._over, 2 * limits.PROGRESS_TIMEOUT_S)
        if self._error is not None:
            raise self._error
        if self._found is None:
            raise Unavailable("the search did not end")
        return self._found

    def _run(self) -> None:
        try:
            self._found = self._search()
        except NodeError as error:
            self._error = error
        finally:
            self._over.set()
