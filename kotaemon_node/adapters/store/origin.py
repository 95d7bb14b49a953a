"""Where artifacts come from that are not on this machine: what a cached store asks of it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final, Protocol

CONNECT_TIMEOUT_S: Final = 3.0
SILENT_TIMEOUT_S: Final = 10.0  # not one byte came for so long
CHUNK_BYTES: Final = 64 * 1024


class OriginAway(Exception):
    """Not reached, broken off, overloaded or nonsense: the same request may succeed soon."""


@dataclass(frozen=True, slots=True)
class Body:
    """A content on its way, or its end from ``start`` on."""

    start: int
    """Number of its first byte: as asked for, or 0 where the origin could not continue there."""
    size_bytes: int
    """Of the whole content."""
    tag: str
    """Equal tags of a name, equal content. Empty: the origin has none, so nothing is continued."""
    chunks: Iterator[bytes]
    """Raises ``OriginAway`` when the connection breaks; may end early without a word."""


class Origin(Protocol):
    """Reads immutable contents by name, elsewhere. Safe for many tasks at once.

    Every call may raise ``OriginAway``, or ``ArtifactsUnavailable`` where trying again is useless
    before a person changes something (a refused credential).
    """

    def open(
        self, name: str, *, start: int = 0, tag: str = ""
    ) -> AbstractContextManager[Body | None]:
        """Lend the content of ``name``; None where there is none.

        ``start`` and ``tag``: we have the bytes before ``start`` of the content with this tag.
        """
        ...

    def names(self, prefix: str) -> Iterator[str]:
        """Yield the names that begin with ``prefix``, sorted, asking page by page."""
        ...
