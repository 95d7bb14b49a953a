"""Documents that others read and encode: tasks shared out to a group of build workers."""

import threading
from collections.abc import Callable
from typing import Protocol

from kotaemon_node.domain.events import BuildTask


class TaskOffers(Protocol):
    """The leader's side. Thread safe."""

    def offer(self, task: BuildTask) -> None:
        """Give a task to the group, at least once; tasks of one document keep their order.

        Raises ``Unavailable`` where it is not taken in time.
        """
        ...

    def workers(self) -> int:
        """Return how many build workers there were a few seconds ago; never waits."""
        ...


class TaskGroup(Protocol):
    """A build worker's side: each task goes to one member, and to another if that one dies."""

    def run(self, work: Callable[[BuildTask], None], stop: threading.Event) -> None:
        """Call ``work`` for one task after the other until ``stop``; reconnects by itself.

        A task counts as done when ``work`` returns. Where it raises ``Unavailable`` or ``OSError``
        it comes again, here or elsewhere; so it does after a crash, and now and then for no reason.
        After any other exception it does not: it would be met for ever.
        """
        ...
