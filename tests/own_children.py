"""The child processes that a test started itself, told apart from servers of other tests."""

import psutil

_others: set[int] = set()


def begin_with_none() -> None:
    """From now on only those count that are started later. Call it first in a test."""
    _others.clear()
    _others.update(child.pid for child in psutil.Process().children())


def own_children() -> list[psutil.Process]:
    """Return the test's own, also those that have ended and nobody has waited for."""
    return [child for child in psutil.Process().children() if child.pid not in _others]
