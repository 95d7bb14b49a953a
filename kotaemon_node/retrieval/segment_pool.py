"""Open segments by name, each opened once however many generations hold it."""

from collections.abc import Callable
from threading import Lock

from kotaemon_node.retrieval.generation import LoadedSegment


class SegmentPool:
    """Counts who holds a segment, and closes it with its last holder. Thread safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._held: dict[str, tuple[LoadedSegment, int]] = {}

    def acquire(self, name: str, open_segment: Callable[[], LoadedSegment]) -> LoadedSegment:
        """Return the segment ``name``, opened now if nobody holds it; ``release`` gives it back.

        Two callers may open one segment at once; the later copy is closed again.
        """
        held = self._hold(name)
        if held is not None:
            return held
        opened = open_segment()
        with self._lock:
            if name not in self._held:
                self._held[name] = (opened, 1)
                return opened
            held, holders = self._held[name]
            self._held[name] = (held, holders + 1)
        opened.segment.close()
        return held

    def __contains__(self, name: str) -> bool:
        with self._lock:
            return name in self._held

    def release(self, name: str) -> None:
        """Give back what ``acquire`` returned, once for each call of it."""
        with self._lock:
            loaded, holders = self._held.pop(name)
            if holders > 1:
                self._held[name] = (loaded, holders - 1)
                return
        loaded.segment.close()

    def _hold(self, name: str) -> LoadedSegment | None:
        with self._lock:
            if name not in self._held:
                return None
            loaded, holders = self._held[name]
            self._held[name] = (loaded, holders + 1)
            return loaded
