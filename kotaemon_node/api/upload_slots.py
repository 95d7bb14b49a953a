"""How many uploads may arrive at a pod at once."""

from collections.abc import Iterator
from contextlib import contextmanager

from kotaemon_node.domain.errors import Overloaded


class UploadSlots:
    """Counts them; greenlets switch only where they wait, so plain addition is exact."""

    def __init__(self, slots_max: int) -> None:
        self._slots_max = slots_max
        self._taken = 0

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Hold a place until the block ends; ``Overloaded`` where all are taken."""
        if self._taken >= self._slots_max:
            raise Overloaded(f"{self._slots_max} uploads arrive at this pod already")
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1
