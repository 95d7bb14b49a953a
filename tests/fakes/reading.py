"""Reads documents in the test's own process, one at a time and at once."""

from collections.abc import Callable, Collection

from coordinator.folder import FileChanged, FileState
from coordinator.ingest import Ingested, ingest
from coordinator.reading.pool import done
from coordinator.reading.reader import Begun, Load


class ReaderHere:
    """``coordinator.reading.reader.Reader``."""

    room = 1
    starting = False

    def __init__(self, load: Callable[[FileState], bytes]) -> None:
        self._load = load

    def warm(self) -> None:
        pass

    def begin(self, kb: str, state: FileState) -> Begun:
        return self.begin_of("default", kb, state, self._load)

    def begin_of(self, tenant: str, kb: str, state: FileState, load: Load) -> Begun:
        try:
            return done(ingest(state.document, load(state)))
        except FileChanged:
            return done(None)

    def drop(self, begun: Begun) -> None:
        pass

    def published(self, kb: str, documents: Collection[Ingested]) -> None:
        pass

    def published_of(self, tenant: str, kb: str, documents: Collection[Ingested]) -> None:
        pass

    def idle(self, kb: str) -> None:
        pass

    def idle_of(self, tenant: str, kb: str) -> None:
        pass

    def close(self) -> None:
        pass
