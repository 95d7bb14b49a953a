"""What makes documents of files, one after the other or several at once."""

from collections.abc import Collection
from concurrent.futures import Future
from typing import Protocol

from coordinator.folder import FileState
from coordinator.ingest import Ingested

Begun = Future[Ingested | None]
"""A document being read; its result is None when the file has changed and will be met again."""


class Reader(Protocol):
    """Reads documents beside its caller, which is one thread."""

    @property
    def room(self) -> int:
        """How many documents are worth having begun at once; may change from call to call."""
        ...

    @property
    def starting(self) -> bool:
        """Whether it still gets ready, so that nothing can be concluded from its silence."""
        ...

    def warm(self) -> None:
        """Get ready, so that the first document need not wait."""
        ...

    def begin(self, kb: str, state: FileState) -> Begun:
        """Begin to read a file, which has no ``problem``.

        Its future ends within bounded time; it raises ``Unavailable`` or ``OSError`` where reading
        is not possible now, through no fault of the document.
        """
        ...

    def drop(self, begun: Begun) -> None:
        """Let go of a reading whose result nobody wants."""
        ...

    def published(self, kb: str, documents: Collection[Ingested]) -> None:
        """Note that nothing needs these documents any more: they are part of a generation."""
        ...

    def idle(self, kb: str) -> None:
        """Note that nothing is to be read."""
        ...

    def close(self) -> None:
        """End soon, and everything that was begun with it."""
        ...
