"""How much memory this process may still take."""

from typing import Protocol


class Memory(Protocol):
    """The memory of the machine, or of the container, that this process runs in."""

    def available_bytes(self) -> int | None:
        """Return what can be taken before somebody is killed; None where nobody can tell.

        Pages of files that the kernel would give up first count as available.
        """
        ...
