"""The connections of a pod that are open, so that they hear when it leaves.

They wait for their clients, some for a long time. One task looks for all of them whether the pod is
leaving; when it is, each that is not in the middle of an answer gets a task that says goodbye.
"""

import threading
from collections.abc import Callable
from typing import Final, Protocol

_LOOK_S: Final = 0.5


class Leaver(Protocol):
    """A connection that can be asked to go elsewhere."""

    @property
    def busy(self) -> bool:
        """True while a turn is told on it."""
        ...

    def leave(self) -> None:
        """Send the client to another pod; returns when the connection is over."""
        ...


class OpenSockets:
    """Thread safe. The task that looks lives as long as there is somebody to look after."""

    def __init__(self, *, leaving: Callable[[], bool]) -> None:
        self._leaving = leaving
        self._lock = threading.Lock()
        self._open: set[Leaver] = set()
        self._looking = False

    def add(self, connection: Leaver) -> None:
        """Look after a connection until it is removed."""
        with self._lock:
            self._open.add(connection)
            if self._looking:
                return
            self._looking = True
        threading.Thread(target=self._look, name="open sockets", daemon=True).start()

    def remove(self, connection: Leaver) -> None:
        """It is over."""
        with self._lock:
            self._open.discard(connection)

    def _look(self) -> None:
        pause = threading.Event()
        told: set[Leaver] = set()
        while True:
            pause.wait(_LOOK_S)
            with self._lock:
                if not self._open:
                    self._looking = False
                    return
                here = list(self._open)
            if not self._leaving():
                continue
            for connection in here:
                if connection not in told and not connection.busy:
                    told.add(connection)
                    threading.Thread(target=connection.leave, daemon=True).start()
