"""The knowledge of all tenants on a pod: a library for each, opened when it is asked for.

Law 1: one library holds one tenant's generations. Nothing is searched for several and sorted out
       afterwards, so no search can be answered with what belongs to somebody else.
Law 2: a library that is lent is not released. The one that was lent the longest ago makes room:
       beyond ``open_max``, and where a generation would else not fit into memory.
Law 3: ``default`` is always open; the pod is ready by it alone.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from kotaemon_node.domain.errors import NodeError
from kotaemon_node.domain.held import HeldBuild
from kotaemon_node.domain.ids import DEFAULT_TENANT
from kotaemon_node.domain.knowledge import (
    GenerationRef,
    GenerationRow,
    Manifest,
    OldRevision,
    Passage,
    SearchResult,
    Source,
)
from kotaemon_node.ports.runtime import Tasks
from kotaemon_node.retrieval.library import KnowledgeLibrary
from kotaemon_node.retrieval.searcher import Searcher

_log = structlog.get_logger(__name__)

MakeRoom = Callable[[], bool]
"""Gives memory back if anything can; tells whether something could."""


class Make(Protocol):
    """Makes the library of a tenant; reads nothing yet."""

    def __call__(self, tenant: str, *, make_room: MakeRoom) -> KnowledgeLibrary: ...


@dataclass(slots=True)
class _Open:
    library: KnowledgeLibrary
    loading: threading.Lock = field(default_factory=threading.Lock)
    """Held by who looks for the first time which generations there are."""
    ready: bool = False
    borrowers: int = 0


class TenantLibraries:
    """Lends the libraries of tenants. Thread safe."""

    def __init__(
        self,
        make: Make,
        *,
        open_max: int,
        tasks: Tasks,
        count_open: Callable[[int], None] = lambda count: None,
    ) -> None:
        self.default = make(DEFAULT_TENANT, make_room=self.release_one)
        self._make = make
        self._open_max = open_max
        self._tasks = tasks
        self._count_open = count_open
        self._lock = threading.Lock()
        self._open: OrderedDict[str, _Open] = OrderedDict()
        """All but ``default``; the one that was lent last at the end."""

    @contextmanager
    def lent(self, tenant: str) -> Iterator[KnowledgeLibrary]:
        """Lend a tenant's library, which stays open until the block ends.

        The first who asks waits until what the tenant has now is loaded, or was refused. Raises
        ``Unavailable`` where that cannot be found out.
        """
        if tenant == DEFAULT_TENANT:
            yield self.default
            return
        entry = self._borrow(tenant)
        try:
            if not entry.ready:
                with entry.loading:
                    if not entry.ready:
                        entry.library.reconcile()
                        entry.ready = True
            yield entry.library
        finally:
            with self._lock:
                entry.borrowers -= 1

    def of(self, tenant: str) -> "TenantKnowledge":
        """Return a tenant's knowledge, which is opened by whatever is asked of it."""
        return TenantKnowledge(self, tenant)

    def wake(self, tenant: str, kb: str, generation: int) -> None:
        """Hear of a tenant's generation. One that is not open is opened where there is room."""
        if tenant == DEFAULT_TENANT:
            self.default.wake(kb, generation)
            return
        with self._lock:
            entry = self._open.get(tenant)
            room = len(self._open) < self._open_max
        if entry is not None and entry.ready:
            entry.library.wake(kb, generation)
        elif room:
            self._tasks.spawn(f"open {tenant}", lambda: self._open_ahead(tenant, kb, generation))

    def _open_ahead(self, tenant: str, kb: str, generation: int) -> None:
        try:
            with self.lent(tenant) as library:
                library.wake(kb, generation)
        except NodeError as error:
            # Its first question tries again, and is told.
            _log.warning("tenant_not_opened", tenant=tenant, reason=str(error))

    def reconcile(self) -> None:
        """Come to the generations that are pointed to, of all that is open."""
        self.default.reconcile()
        with self._lock:
            tenants = list(self._open)
        for tenant in tenants:
            if self._still_open(tenant):
                self._reconcile_one(tenant)

    def _reconcile_one(self, tenant: str) -> None:
        with self._lock:
            entry = self._open.get(tenant)
            if entry is None:
                return
            entry.borrowers += 1
        try:
            entry.library.reconcile()
            entry.ready = True
        except NodeError as error:
            _log.warning("tenant_not_reconciled", tenant=tenant, reason=str(error))
        finally:
            with self._lock:
                entry.borrowers -= 1

    def _still_open(self, tenant: str) -> bool:
        with self._lock:
            return tenant in self._open

    def served(self) -> Mapping[str, Mapping[str, GenerationRef]]:
        """Return what is served of the tenants that are open, without ``default``."""
        with self._lock:
            entries = list(self._open.items())
        return {tenant: entry.library.served() for tenant, entry in entries}

    def release_one(self) -> bool:
        """Release what was lent the longest ago; False where all that holds any is lent."""
        with self._lock:
            tenant = self._idle(lambda entry: bool(entry.library.served()))
            entry = self._open.pop(tenant) if tenant is not None else None
            self._count_open(len(self._open))
        if entry is None:
            return False
        _log.info("tenant_released", tenant=tenant, cause="memory")
        entry.library.close()
        return True

    def _borrow(self, tenant: str) -> _Open:
        surplus: list[tuple[str, _Open]] = []
        with self._lock:
            entry = self._open.get(tenant)
            if entry is None:
                entry = _Open(self._make(tenant, make_room=self.release_one))
                self._open[tenant] = entry
            entry.borrowers += 1
            self._open.move_to_end(tenant)
            while len(self._open) > self._open_max:
                idle = self._idle(lambda entry: True)
                if idle is None:
                    break  # each answers somebody: they are as few as the questions at once
                surplus.append((idle, self._open.pop(idle)))
            self._count_open(len(self._open))
        for name, old in surplus:
            _log.info("tenant_released", tenant=name, cause="surplus")
            old.library.close()
        return entry

    def _idle(self, wanted: Callable[[_Open], bool]) -> str | None:
        """Return who was lent the longest ago and is not lent now."""
        entries = self._open.items()
        found = (name for name, entry in entries if not entry.borrowers and wanted(entry))
        return next(found, None)


class TenantKnowledge:
    """``api.knowledge_services.KnowledgeService``, ``engine.lending.Knowledge`` of one tenant."""

    def __init__(self, libraries: TenantLibraries, tenant: str) -> None:
        self._libraries = libraries
        self._tenant = tenant

    def served(self) -> Mapping[str, GenerationRef]:
        with self._libraries.lent(self._tenant) as library:
            return library.served()

    def manifest(self, kb: str) -> Manifest:
        with self._libraries.lent(self._tenant) as library:
            return library.manifest(kb)

    def generations(self, kb: str) -> Sequence[GenerationRow]:
        with self._libraries.lent(self._tenant) as library:
            return library.generations(kb)

    def complete(self, kb: str) -> Sequence[int]:
        with self._libraries.lent(self._tenant) as library:
            return library.complete(kb)

    def held(self, kb: str) -> HeldBuild | None:
        with self._libraries.lent(self._tenant) as library:
            return library.held(kb)

    def search(
        self, kb: str, question: str, *, top_k: int, min_generation: int = 0
    ) -> SearchResult:
        with self._libraries.lent(self._tenant) as library:
            return library.search(kb, question, top_k=top_k, min_generation=min_generation)

    def source(self, kb: str, generation: int, passage: str) -> Source:
        with self._libraries.lent(self._tenant) as library:
            return library.source(kb, generation, passage)

    def document(self, kb: str, document: str) -> tuple[str, Sequence[Passage]]:
        with self._libraries.lent(self._tenant) as library:
            return library.document(kb, document)

    def revision(self, kb: str, document: str, revision: str) -> OldRevision:
        with self._libraries.lent(self._tenant) as library:
            return library.revision(kb, document, revision)

    @contextmanager
    def pinned(self, kb: str, *, min_generation: int = 0) -> Iterator[Searcher]:
        with (
            self._libraries.lent(self._tenant) as library,
            library.pinned(kb, min_generation=min_generation) as searcher,
        ):
            yield searcher
