"""What makes documents of files, one after the other or several at once."""

from collections.abc import Callable, Collection
from concurrent.futures import Future
from typing import Protocol

from coordinator.folder import FileState
from coordinator.ingest import Ingested

Begun = Future[Ingested | None]
"""A document being read; its result is None when the file has changed and will be met again."""
Load = Callable[[FileState], bytes]
"""Returns a file's bytes or raises ``FileChanged``. Called by any thread."""


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


class Readers(Reader, Protocol):
    """A reader of one folder, of tenant ``default``, whose means other tenants' loops use, too."""

    def begin_of(self, tenant: str, kb: str, state: FileState, load: Load) -> Begun:
        """As ``begin``, of a file that ``load`` returns."""
        ...

    def published_of(self, tenant: str, kb: str, documents: Collection[Ingested]) -> None:
        """As ``published``, of a tenant."""
        ...

    def idle_of(self, tenant: str, kb: str) -> None:
        """As ``idle``, of a tenant."""
        ...


class ReaderOfTenant:
    """``Reader`` of one tenant's files; whoever made the shared one warms and closes that."""

    def __init__(self, shared: Readers, tenant: str, load: Load) -> None:
        self._shared = shared
        self._tenant = tenant
        self._load = load

    @property
    def room(self) -> int:
        return self._shared.room

    @property
    def starting(self) -> bool:
        return self._shared.starting

    def warm(self) -> None:
        pass

    def begin(self, kb: str, state: FileState) -> Begun:
        return self._shared.begin_of(self._tenant, kb, state, self._load)

    def drop(self, begun: Begun) -> None:
        self._shared.drop(begun)

    def published(self, kb: str, documents: Collection[Ingested]) -> None:
        self._shared.published_of(self._tenant, kb, documents)

    def idle(self, kb: str) -> None:
        self._shared.idle_of(self._tenant, kb)

    def close(self) -> None:
        pass
