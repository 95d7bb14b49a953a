"""Which generations a pod serves of one tenant, and how it comes to newer ones.

Law 1: the pod acts on what it reads of pointer and store; an event only says that it is time.
Law 2: a generation is served only after it is verified, open and warm. Whatever fails, the old one
stays and ``refused`` says why.
Law 3: a knowledge base never goes back to an older generation.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from threading import Condition, Lock
from typing import Final

import structlog

from kotaemon_node.domain.errors import (
    CorruptArtifact,
    KnowledgeBehind,
    NotFound,
    StoreUnavailable,
    Unavailable,
)
from kotaemon_node.domain.knowledge import GenerationRef
from kotaemon_node.domain.limits import BEHIND_WAIT_S
from kotaemon_node.domain.signed_manifest import UntrustedArtifact
from kotaemon_node.ports.knowledge import GenerationPointer
from kotaemon_node.ports.runtime import Clock, Tasks
from kotaemon_node.ports.traces import Span, current
from kotaemon_node.retrieval.loading import GenerationLoader
from kotaemon_node.retrieval.opening import SearcherFactory
from kotaemon_node.retrieval.slot import IndexReader, is_newer

_log = structlog.get_logger(__name__)

# A pod that starts while the newest generation is broken serves an older one: so many are tried.
_OLDER_TRIED_MAX: Final = 3
# A load beside the first one takes less than a second; who publishes more often is not waited for.
_CATCHING_UP_MAX: Final = 3


@dataclass(slots=True)
class _Shelf:
    """A knowledge base of this pod; ``loading`` is held by whoever brings a generation to it."""

    loading: Lock = field(default_factory=Lock)
    reader: IndexReader | None = None


class Shelves:
    """A shelf for each knowledge base of one tenant. Thread safe."""

    def __init__(
        self,
        loader: GenerationLoader,
        searchers: SearcherFactory,
        *,
        pointer: GenerationPointer,
        tasks: Tasks,
        clock: Clock,
        tenant: str,
        count_refused: Callable[[str, str], None],
        count_loaded: Callable[[float], None],
        may_be_empty: bool,
    ) -> None:
        """The last three: as ``KnowledgeLibrary``."""
        self._loader = loader
        self._searchers = searchers
        self._pointer = pointer
        self._tasks = tasks
        self._clock = clock
        self._tenant = tenant
        self._count_refused = count_refused
        self._count_loaded = count_loaded
        self._may_be_empty = may_be_empty
        self._closed = False
        self.loaded = False
        """Every knowledge base that there was at the start has been served, or refused."""
        self._changed = Condition()
        """Guards what follows; notified when a generation begins to be served."""
        self._shelves: dict[str, _Shelf] = {}
        self._refused: dict[str, str] = {}
        self._wanted: dict[str, int] = {}

    def served(self) -> Mapping[str, GenerationRef]:
        """Return what is served of each knowledge base."""
        with self._changed:
            shelves = sorted(self._shelves.items())
        return {kb: at.reader.current.ref for kb, at in shelves if at.reader is not None}

    @property
    def refused(self) -> Mapping[str, str]:
        """Knowledge base to the reason why its newest generation is not served here."""
        with self._changed:
            return dict(self._refused)

    def reader(self, kb: str, *, min_generation: int = 0) -> IndexReader:
        """Return what lends searchers of ``kb``; errors as ``KnowledgeService.search``."""
        if min_generation > 0:
            self._wait_for(kb, min_generation)
        with self._changed:
            shelf = self._shelves.get(kb)
            reason = self._refused.get(kb)
        if shelf is not None and shelf.reader is not None:
            return shelf.reader
        if reason is not None:
            raise Unavailable(f"this pod could not load {kb}: {reason}")
        if not self.loaded:
            raise Unavailable("this pod is still loading its knowledge")
        raise NotFound(f"there is no knowledge base {kb}")

    def _wait_for(self, kb: str, generation: int) -> None:
        if self._serves(kb, generation):
            return
        if kb not in self.served() and kb not in self._pointer.current(self._tenant):
            raise NotFound(f"there is no knowledge base {kb}")
        self.wake(kb, generation)
        with self._changed:
            arrived = self._changed.wait_for(
                lambda: self._serves(kb, generation), timeout=BEHIND_WAIT_S
            )
        if not arrived:
            raise KnowledgeBehind(f"this pod does not serve generation {generation} of {kb} yet")

    def _serves(self, kb: str, generation: int) -> bool:
        shelf = self._shelves.get(kb)
        reader = shelf.reader if shelf is not None else None
        return reader is not None and reader.current.ref.generation >= generation

    # Coming to newer generations.

    def wake(self, kb: str, generation: int) -> None:
        """Hear that ``generation`` was published: look soon, in a task. Repeats cost nothing."""
        with self._changed:
            if self._serves(kb, generation):
                return
            running = kb in self._wanted
            self._wanted[kb] = max(generation, self._wanted.get(kb, 0))
        if not running:
            told = current()  # goes on in the trace of the event that told of it
            self._tasks.spawn(f"load {kb}", lambda: self._answer_wakes(kb, told))

    def _answer_wakes(self, kb: str, told: Span) -> None:
        """Reload until nobody asked for more while we did."""
        while True:
            with self._changed:
                wanted = self._wanted[kb]
            try:
                with told.begin("swap", {"kotaemon.kb": kb, "kotaemon.generation": wanted}):
                    self.reload(kb)
            finally:
                with self._changed:
                    done = self._wanted[kb] == wanted
                    if done:
                        del self._wanted[kb]
            if done:
                return

    def reload(self, kb: str) -> None:
        """Come to the generation that ``kb`` points to, as ``reconcile`` does for all."""
        ref = self._read_pointer().get(kb)
        if ref is not None:
            self._bring(ref)

    def reconcile(self) -> None:
        """Come to the generation that each knowledge base points to; what is current stays.

        With nothing served and nothing pointed to, the newest that the store has are taken. Never
        raises for what is broken or away: ``refused`` tells, and the next call tries again.
        """
        pointed = self._read_pointer()
        for ref in pointed.values():
            self._bring(ref)
        if not self.loaded:
            self._catch_up(pointed)
        if not pointed and not self.served():
            for kb in self._loader.knowledge_bases():
                self._bring_stored(kb)
        self.loaded = self.loaded or bool(self.served()) or self._may_be_empty

    def _catch_up(self, pointed: Mapping[str, GenerationRef]) -> None:
        """Come to what was published since ``pointed`` was read: the first load takes seconds.

        A pod that starts would else begin to serve with what all others have left behind.
        """
        for _ in range(_CATCHING_UP_MAX):
            before, pointed = pointed, self._read_pointer()
            newer = [ref for kb, ref in pointed.items() if before.get(kb) != ref]
            if not newer:
                return
            for ref in newer:
                self._bring(ref)

    def close(self) -> None:
        """Let go of all generations, once nobody is lent this library. Waits for nothing.

        A load that is under way lets go of what it brings.
        """
        with self._changed:
            self._closed = True
            shelves = list(self._shelves.values())
        for shelf in shelves:
            self._let_go(shelf)

    def _let_go(self, shelf: _Shelf) -> None:
        # Two that release each other's library to load must not wait for each other.
        if shelf.loading.acquire(blocking=False):
            try:
                reader, shelf.reader = shelf.reader, None
            finally:
                shelf.loading.release()
            if reader is not None:
                reader.close()

    def _read_pointer(self) -> Mapping[str, GenerationRef]:
        try:
            return self._pointer.current(self._tenant)
        except StoreUnavailable as error:
            _log.warning("pointer_unavailable", error=str(error))
            return {}

    def _bring(self, ref: GenerationRef) -> None:
        if not self._take(ref) and ref.kb not in self.served():
            self._bring_stored(ref.kb, below=ref.generation)

    def _bring_stored(self, kb: str, *, below: int | None = None) -> None:
        """Serve the newest generation of the store that can be served."""
        older = (ref for ref in self._loader.stored(kb) if below is None or ref.generation < below)
        for ref in islice(older, _OLDER_TRIED_MAX):
            if self._take(ref, keep_reason=below is not None):
                return

    def _take(self, ref: GenerationRef, *, keep_reason: bool = False) -> bool:
        """Serve ``ref`` unless as new a one is served; False when it was refused."""
        with self._changed:
            shelf = self._shelves.setdefault(ref.kb, _Shelf())
        with shelf.loading:
            if self._closed or not is_newer(ref, shelf.reader):
                return True
            started_s = self._clock.monotonic_s()
            try:
                self._swap(shelf, ref)
            except Exception as error:  # noqa: BLE001 - law 2: whatever it was, the old one stays
                self._refuse(ref, error, keep_reason=keep_reason)
                return False
        if self._closed:
            self._let_go(shelf)
            return True
        took_s = self._clock.monotonic_s() - started_s
        self._count_loaded(took_s)
        told = {"tenant": self._tenant, "kb": ref.kb, "generation": ref.generation}
        _log.info("generation_served", **told, took_s=took_s)
        with self._changed:
            if not keep_reason:
                self._refused.pop(ref.kb, None)
            self._changed.notify_all()
        return True

    def _swap(self, shelf: _Shelf, ref: GenerationRef) -> None:
        generation = self._loader.load(ref)
        try:
            searcher = self._searchers.warmed(generation)
        except BaseException:
            generation.close()
            raise
        if shelf.reader is None:
            shelf.reader = IndexReader(generation, searcher)
        else:
            shelf.reader.swap(generation, searcher)

    def _refuse(self, ref: GenerationRef, error: Exception, *, keep_reason: bool) -> None:
        told = {"tenant": self._tenant, "kb": ref.kb, "generation": ref.generation}
        _log.error("generation_refused", **told, exc_info=error)
        self._count_refused(ref.kb, _kind_of(error))
        with self._changed:
            if not (keep_reason and ref.kb in self._refused):
                reason = str(error) or type(error).__name__
                self._refused[ref.kb] = f"generation {ref.generation}: {reason}"


def _kind_of(error: Exception) -> str:
    """Return why a generation was refused, in one of few words for a metric."""
    if isinstance(error, UntrustedArtifact):
        return error.reason
    return "corrupt" if isinstance(error, CorruptArtifact) else "unusable"
