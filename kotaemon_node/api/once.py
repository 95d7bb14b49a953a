"""A value that is costly to make and never changes: made when it is first asked for, once."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Once(Generic[Value]):
    """Holds such a value. Who asks while it is being made waits for it, and makes no other."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: list[Value] = []

    def get(self, make: Callable[[], Value]) -> Value:
        """Return the value; ``make`` makes it, where nobody has. One that fails is tried again."""
        if not self._made:
            with self._lock:
                if not self._made:
                    self._made.append(make())
        return self._made[0]
