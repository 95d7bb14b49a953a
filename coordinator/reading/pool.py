"""Reads documents in a few children at once; the death of one is the fate of one document."""

import threading
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor, wait
from contextlib import suppress
from itertools import count
from typing import Any, Final

import structlog

from coordinator.folder import FileChanged, FileState
from coordinator.ingest import BROKE, Ingested, refused
from coordinator.metrics import CoordinatorMetrics
from coordinator.reading.answers import Nonsense, unpacked
from coordinator.reading.bounds import Bounds, Cause
from coordinator.reading.lanes import Lanes, PutOff, Reading
from coordinator.reading.process import PROGRAM, Child, GivenUp
from coordinator.reading.reader import Begun, Load
from kotaemon_node.domain import limits
from kotaemon_node.domain.ids import DEFAULT_TENANT
from kotaemon_node.ports.runtime import Clock

_log = structlog.get_logger(__name__)

# Twice, because what an earlier document left in a child, or somebody's signal, may have killed it.
_ATTEMPTS: Final = 2
_CLOSE_S: Final = 2.0
_AGAIN: Final[frozenset[Cause]] = frozenset({"crash", "memory", "nonsense"})


class _Dropped(Exception):
    """Nobody wants this reading any more."""


class ChildReader:
    """``Reader`` with ``children`` processes, each behind a thread of its own."""

    def __init__(
        self,
        load: Load,
        *,
        metrics: CoordinatorMetrics,
        clock: Clock,
        bounds: Bounds | None = None,
        children: int = limits.READING_CHILDREN,
        program: Sequence[str] = PROGRAM,
    ) -> None:
        """``load`` returns a file's bytes or raises ``FileChanged``; it is called by any thread."""
        self._load = load
        self._metrics = metrics
        self._clock = clock
        self._bounds = bounds or Bounds()
        self._children = children
        self._program = program
        self._threads = ThreadPoolExecutor(children, thread_name_prefix="reading")
        self._mine = threading.local()
        self._alive: set[Child] = set()
        self._starting: set[Child] = set()
        self._closed = threading.Event()
        self._lanes = Lanes(children)
        self._readings: dict[Begun, Reading] = {}

    @property
    def room(self) -> int:
        # What is slow takes nobody's place.
        return 2 * self._children + self._lanes.slow

    @property
    def starting(self) -> bool:
        return bool(self._starting)

    def warm(self) -> None:
        """Start the children, so that the first document need not wait for them."""
        for _ in range(self._children):
            self._threads.submit(self._warm)

    def begin(self, kb: str, state: FileState) -> Begun:
        return self.begin_of(DEFAULT_TENANT, kb, state, self._load)

    def begin_of(self, tenant: str, kb: str, state: FileState, load: Load) -> Begun:
        reading = Reading(state, load)
        self._readings[reading.begun] = reading
        reading.begun.add_done_callback(lambda it: self._readings.pop(it, None))
        self._lanes.enter(reading)
        self._threads.submit(self._run, reading)
        return reading.begun

    def drop(self, begun: Begun) -> None:
        reading = self._readings.get(begun)
        if reading is not None and not begun.cancel():
            reading.unwanted.set()
            if self._lanes.leave_queue(reading):
                begun.set_result(None)

    def published(self, kb: str, documents: Collection[Ingested]) -> None:
        pass  # nothing was kept

    def published_of(self, tenant: str, kb: str, documents: Collection[Ingested]) -> None:
        pass

    def idle(self, kb: str) -> None:
        pass

    def idle_of(self, tenant: str, kb: str) -> None:
        pass

    def close(self) -> None:
        self._closed.set()
        self._threads.shutdown(wait=False, cancel_futures=True)
        for begun in list(self._readings):
            self.drop(begun)
        # Readings under way end within a tick, and their children with them.
        wait(list(self._readings), timeout=_CLOSE_S)
        for begun in list(self._readings):
            # It was to begin again, and no thread will.
            with suppress(InvalidStateError):
                begun.set_result(None)
        for child in list(self._alive):
            child.end()

    def _warm(self) -> None:
        with suppress(_Dropped):
            self._child(self._closed)

    def _run(self, reading: Reading) -> None:
        """Read, or put off; then see to what was put off before."""
        wanted = self._lanes.start(reading)
        try:
            if wanted:
                reading.begun.set_result(self._read(reading))
        except PutOff:
            _log.info("reading_put_off", document=reading.state.document)
            self._lanes.put_off(reading)
            if reading.unwanted.is_set() and self._lanes.leave_queue(reading):
                reading.begun.set_result(None)
        except BaseException as error:  # noqa: BLE001 - whoever waits for the result is told
            reading.begun.set_exception(error)
        finally:
            for slow in self._lanes.finish(reading):
                with suppress(RuntimeError):  # closed meanwhile: ``close`` has ended it
                    self._threads.submit(self._run, slow)

    def _read(self, reading: Reading) -> Ingested | None:
        try:
            content = reading.load(reading.state)
        except FileChanged:
            return None
        try:
            return self._read_content(reading, content)
        except _Dropped:
            return None

    def _read_content(self, reading: Reading, content: bytes) -> Ingested:
        state = reading.state
        for attempt in count(1):
            child = self._child(reading.unwanted)
            used = child.read > 0
            try:
                return self._attempt(child, reading, content)
            except GivenUp as error:
                self._check(reading.unwanted)  # we may have killed it ourselves
                _log.warning("reading_given_up", document=state.document, cause=str(error))
                self._metrics.reading_given_up(error.cause)
                again = error.killed or (used and error.cause in _AGAIN)
                if not again or attempt == _ATTEMPTS:
                    reason = self._bounds.reason(error.cause, len(content))
                    break
        return refused(state.document, state.revision, file_bytes=len(content), reason=reason)

    def _attempt(self, child: Child, reading: Reading, content: bytes) -> Ingested:
        """Read with the child of this thread. Raises ``GivenUp``; the child is then gone."""
        quick_until_s = self._clock.monotonic_s() + self._bounds.quick_s_for(len(content))

        def check() -> None:
            self._check(reading.unwanted)
            if reading.was_put_off or self._clock.monotonic_s() > quick_until_s:
                self._lanes.require(reading)

        try:
            head, body = child.ask(reading.state.document, content, check)
            ingested = _understood(reading.state, len(content), head, body)
        except BaseException:
            # Whatever it was, a child in the middle of a document is of no further use.
            self._end_child()
            raise
        if child.worn:
            self._end_child()
        return ingested

    def _child(self, unwanted: threading.Event) -> Child:
        child: Child | None = getattr(self._mine, "child", None)
        if child is not None and not child.alive:
            self._end_child()
            child = None
        if child is None:
            self._check(unwanted)
            child = Child(self._bounds, clock=self._clock, program=self._program)
            self._mine.child = child
            self._alive.add(child)
            self._starting.add(child)
            try:
                child.await_ready(lambda: self._check(unwanted))
            except BaseException:
                self._end_child()
                raise
            finally:
                self._starting.discard(child)
        return child

    def _end_child(self) -> None:
        child: Child | None = getattr(self._mine, "child", None)
        if child is not None:
            self._mine.child = None
            self._alive.discard(child)
            child.end()

    def _check(self, unwanted: threading.Event) -> None:
        if self._closed.is_set() or unwanted.is_set():
            raise _Dropped


def _understood(
    state: FileState, file_bytes: int, head: Mapping[str, Any], body: bytes
) -> Ingested:
    """Return what a child has answered. Raises ``GivenUp`` where it is no document."""
    if head.get("cause") == "memory":
        raise GivenUp("memory")
    if "broke" in head:
        _log.error(
            "document_broke_its_parser",
            document=state.document,
            revision=state.revision,
            traceback=str(head["broke"]),
        )
        return refused(state.document, state.revision, file_bytes=file_bytes, reason=BROKE)
    try:
        return unpacked(state.document, state.revision, file_bytes, head.get("read") or {}, body)
    except Nonsense as error:
        raise GivenUp("nonsense", str(error)) from error


def done(result: Ingested | None) -> Begun:
    """Return a reading that has ended."""
    begun: Begun = Future()
    begun.set_result(result)
    return begun
