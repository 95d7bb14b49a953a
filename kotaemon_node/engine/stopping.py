"""Why a turn must not go on here, and what is to be broken off then."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from kotaemon_node.domain.errors import Draining, Fenced, Gone, NodeError

_log = structlog.get_logger(__name__)


class HandedOver(Draining):
    """The pod leaves before the turn's end: another pod is to go on with it."""


class Stop:
    """``ports.runtime.StopSignal`` of one execution of a turn. Thread safe; the first stop counts.

    A task cannot be killed where it waits, so it says what wakes it: ``breaking_off``.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reason: NodeError | None = None
        self._break_offs: list[Callable[[], None]] = []

    def request(self, reason: NodeError) -> None:
        """Stop the turn here; whoever executes it gets ``reason`` raised."""
        with self._lock:
            if self._reason is not None:
                return
            self._reason = reason
            break_offs, self._break_offs = self._break_offs, []
        for break_off in break_offs:
            try:
                break_off()
            except Exception as error:  # noqa: BLE001 - whoever stops a turn must not fail with it
                _log.info(
                    "break_off_failed", error=str(error)
                )  # mostly it ended by itself just now

    @property
    def lost(self) -> bool:
        """True when the turn is another's by now, or nobody's."""
        return isinstance(self._reason, Fenced | Gone)

    def check(self) -> None:
        """Raise the reason, if a stop was requested."""
        if self._reason is not None:
            raise self._reason

    @contextmanager
    def breaking_off(self, break_off: Callable[[], None]) -> Iterator[None]:
        """See the port."""
        with self._lock:
            self._break_offs.append(break_off)
        try:
            self.check()
            yield
        except Exception:
            self.check()  # what broke off is no failure of the work
            raise
        else:
            self.check()
        finally:
            with self._lock:
                if break_off in self._break_offs:
                    self._break_offs.remove(break_off)
