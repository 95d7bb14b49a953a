"""The double buffer: a new generation takes the place of the old one while readers go on.

Law 1: a lent searcher reads one generation from beginning to end, whatever is swapped meanwhile.
Law 2: a generation is closed exactly once: out of the slot, and its last searcher back.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from kotaemon_node.domain.knowledge import GenerationRef
from kotaemon_node.retrieval.generation import OpenGeneration
from kotaemon_node.retrieval.searcher import Searcher


class _Slot:
    """A generation and how many hold it: the slot itself, and each searcher that is out."""

    __slots__ = ("generation", "holders", "searcher")

    def __init__(self, generation: OpenGeneration, searcher: Searcher) -> None:
        self.generation = generation
        self.searcher = searcher
        self.holders = 1


class IndexReader:
    """Lends searchers of the generation that is current when they are asked for. Thread safe."""

    def __init__(self, generation: OpenGeneration, searcher: Searcher) -> None:
        """``searcher`` is one of ``generation``, and lent to everybody."""
        self._lock = Lock()
        self._current = _Slot(generation, searcher)

    @property
    def current(self) -> OpenGeneration:
        """The generation served now. It may be closed at any time: read its identity only."""
        return self._current.generation

    @contextmanager
    def searcher(self) -> Iterator[Searcher]:
        """Lend a searcher; its generation stays open until the block ends."""
        with self._lock:
            slot = self._current
            slot.holders += 1
        try:
            yield slot.searcher
        finally:
            self._drop(slot)

    def swap(self, generation: OpenGeneration, searcher: Searcher) -> None:
        """Serve ``generation`` from now on; the old one is closed after its last searcher."""
        new = _Slot(generation, searcher)
        with self._lock:
            old, self._current = self._current, new
        self._drop(old)

    def close(self) -> None:
        """Let go of the generation; called once, by who lends this reader to nobody any more."""
        self._drop(self._current)

    def _drop(self, slot: _Slot) -> None:
        with self._lock:
            slot.holders -= 1
            last = slot.holders == 0
        if last:
            # Outside the lock: closing files must not make readers of the new generation wait.
            slot.generation.close()


def is_newer(ref: GenerationRef, reader: IndexReader | None) -> bool:
    """Tell whether ``ref`` is to replace what ``reader`` serves.

    The same number with another digest is: the store was restored, and this pod has what is lost.
    """
    if reader is None:
        return True
    served = reader.current.ref
    if ref.generation == served.generation:
        return ref.digest != served.digest
    return ref.generation > served.generation
