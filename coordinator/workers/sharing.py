"""The leader's side of build workers: documents are shared out, and nobody waits for a worker long.

The first documents of a generation are read here, as without workers; what else may be begun is
offered to the group, and its piece is waited for. A piece that was made before, for a leader that
died, is used at once. What takes too long, what is damaged, and everything while no worker is
there or Kafka is away, is read here.
"""

import queue
import threading
from collections.abc import Callable, Collection
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final

import orjson
import structlog

from coordinator.folder import FileChanged, FileState
from coordinator.ingest import Ingested
from coordinator.metrics import CoordinatorMetrics
from coordinator.reading.bounds import Bounds
from coordinator.reading.reader import Begun, Load, Readers
from coordinator.workers.pieces import Pieces
from kotaemon_node.domain.errors import CorruptArtifact, NodeError
from kotaemon_node.domain.events import BUILD_DONE, BuildTask
from kotaemon_node.domain.ids import DEFAULT_TENANT
from kotaemon_node.ports.build_tasks import TaskOffers
from kotaemon_node.ports.events import Bus
from kotaemon_node.ports.runtime import Clock

_log = structlog.get_logger(__name__)

_TICK_S: Final = 0.5
# Between looks into the store for pieces of which nobody told.
_LOOK_S: Final = 5.0
_SWEEP_S: Final = 60.0
_AHEAD: Final = 4
"""Tasks that each worker may have, so that none waits for the leader."""


@dataclass(slots=True)
class _Offered:
    """A document that a worker is to make."""

    task: BuildTask
    state: FileState
    load: Load
    begun: Begun
    until_s: float


class SharedReader:
    """``Reader`` that shares documents out. Its own thread speaks with the store and the bus."""

    def __init__(
        self,
        here: Readers,
        pieces: Pieces,
        offers: TaskOffers,
        bus: Bus,
        *,
        load: Load,
        metrics: CoordinatorMetrics,
        clock: Clock,
        bounds: Bounds | None = None,
    ) -> None:
        self._here = here
        self._pieces = pieces
        self._offers = offers
        self._bus = bus
        self._load = load
        self._metrics = metrics
        self._clock = clock
        self._bounds = bounds or Bounds()
        self._near: set[Begun] = set()
        """What is being read here."""
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._offered: dict[str, _Offered] = {}
        """By the name of the piece. Only of our own thread."""
        self._fallen_back: dict[Begun, Begun] = {}
        """What is read here after all, by what its reader waits for."""
        self._used: dict[tuple[str, str, str], BuildTask] = {}
        """By tenant, knowledge base and document: pieces that were used."""
        self._swept_s: dict[tuple[str, str], float] = {}

    def start(self) -> None:
        """Begin to listen."""
        threading.Thread(target=self._run, name="pieces", daemon=True).start()
        threading.Thread(target=self._listen, name="pieces-told", daemon=True).start()

    @property
    def room(self) -> int:
        return self._here.room + _AHEAD * self._offers.workers()

    @property
    def starting(self) -> bool:
        return self._here.starting

    def warm(self) -> None:
        self._here.warm()

    def begin(self, kb: str, state: FileState) -> Begun:
        return self.begin_of(DEFAULT_TENANT, kb, state, self._load)

    def begin_of(self, tenant: str, kb: str, state: FileState, load: Load) -> Begun:
        self._near = {begun for begun in self._near if not begun.done()}
        if not self._offers.workers() or len(self._near) < self._here.room:
            begun = self._here.begin_of(tenant, kb, state, load)
            self._near.add(begun)
            return begun
        outer: Begun = Future()
        until_s = self._clock.monotonic_s() + self._bounds.wall_s_for(state.size_bytes)
        offered = _Offered(self._pieces.task(tenant, kb, state), state, load, outer, until_s)
        self._work.put(lambda: self._offer(offered))
        return outer

    def drop(self, begun: Begun) -> None:
        if not begun.cancel():
            self._here.drop(self._fallen_back.get(begun, begun))

    def published(self, kb: str, documents: Collection[Ingested]) -> None:
        self.published_of(DEFAULT_TENANT, kb, documents)

    def published_of(self, tenant: str, kb: str, documents: Collection[Ingested]) -> None:
        for it in documents:
            task = self._used.pop((tenant, kb, it.document), None)
            if task is not None:
                self._work.put(lambda task=task: self._pieces.remove(task))  # type: ignore[misc]

    def idle(self, kb: str) -> None:
        self.idle_of(DEFAULT_TENANT, kb)

    def idle_of(self, tenant: str, kb: str) -> None:
        now_s = self._clock.monotonic_s()
        if now_s - self._swept_s.get((tenant, kb), -_SWEEP_S) >= _SWEEP_S:
            self._swept_s[tenant, kb] = now_s
            self._work.put(lambda: self._sweep(tenant, kb))

    def close(self) -> None:
        self._here.close()
        self._work.put(None)

    def _run(self) -> None:
        looked_s = self._clock.monotonic_s()
        while True:
            try:
                work = self._work.get(timeout=_TICK_S)
            except queue.Empty:
                work = self._nothing
            if work is None:
                return
            now_s = self._clock.monotonic_s()
            look = now_s - looked_s >= _LOOK_S
            looked_s = now_s if look else looked_s
            for step in (work, lambda look=look: self._look(all_of_them=look)):
                try:
                    step()
                except (NodeError, OSError) as error:
                    _log.warning("pieces_trouble", error=str(error))
                except Exception:  # noqa: BLE001 - the top of this thread; it must go on
                    _log.exception("pieces_failed")

    def _nothing(self) -> None:
        pass

    def _listen(self) -> None:
        for message in self._bus.subscribe((BUILD_DONE,), on_positioned=self._nothing):
            try:
                piece = str(orjson.loads(message.value)["piece"])
            except (ValueError, KeyError, TypeError):
                _log.warning("build_done_unreadable")
                continue
            self._work.put(lambda piece=piece: self._told(piece))  # type: ignore[misc]

    def _offer(self, offered: _Offered) -> None:
        """Use the piece if it is there, else ask the group for it, else read here."""
        if offered.begun.cancelled():
            return
        self._offered[offered.task.piece] = offered
        if self._take(offered):
            return
        if not self._offers.workers():
            self._fall_back(offered, "late")
            return
        try:
            self._pieces.put_source(offered.task, offered.load(offered.state))
            self._offers.offer(offered.task)
        except FileChanged:
            self._end(offered, None)
        except (NodeError, OSError) as error:
            _log.info("build_task_not_offered", error=str(error))
            self._fall_back(offered, "not_offered")

    def _told(self, piece: str) -> None:
        offered = self._offered.get(piece)
        if offered is not None and not self._take(offered):
            # A worker with another encoder or other rules, or one that met a bug.
            self._fall_back(offered, "declined")

    def _look(self, *, all_of_them: bool) -> None:
        """Take back what is late; now and then look for what nobody told."""
        now_s = self._clock.monotonic_s()
        nobody = not self._offers.workers()
        for offered in list(self._offered.values()):
            if offered.begun.cancelled():
                del self._offered[offered.task.piece]
            elif (all_of_them or nobody) and self._take(offered):
                continue
            elif nobody or now_s > offered.until_s:
                self._fall_back(offered, "late")

    def _take(self, offered: _Offered) -> bool:
        """Use a piece if it is there; return whether it was."""
        try:
            it = self._pieces.get(offered.task)
        except CorruptArtifact as error:
            _log.warning("piece_damaged", piece=offered.task.piece, error=str(error))
            self._pieces.remove(offered.task)
            self._fall_back(offered, "damaged")
            return True
        if it is None:
            return False
        self._use(offered.task)
        self._metrics.piece("used")
        self._end(offered, it)
        return True

    def _end(self, offered: _Offered, it: Ingested | None) -> None:
        self._offered.pop(offered.task.piece, None)
        if offered.begun.set_running_or_notify_cancel():
            offered.begun.set_result(it)

    def _fall_back(self, offered: _Offered, outcome: str) -> None:
        """Read here what no worker makes."""
        self._offered.pop(offered.task.piece, None)
        self._metrics.piece(outcome)
        # The worker may still make it; it goes when the document has been published.
        self._use(offered.task)
        if not offered.begun.set_running_or_notify_cancel():
            return
        task = offered.task
        here = self._here.begin_of(task.tenant, task.kb, offered.state, offered.load)
        self._fallen_back[offered.begun] = here
        here.add_done_callback(lambda it: self._pass_on(it, offered.begun))

    def _use(self, task: BuildTask) -> None:
        self._used[task.tenant, task.kb, task.document] = task

    def _sweep(self, tenant: str, kb: str) -> None:
        tasks = (offered.task for offered in self._offered.values())
        if any((task.tenant, task.kb) == (tenant, kb) for task in tasks):
            return
        if removed := self._pieces.remove_all(tenant, kb):
            _log.info("pieces_removed", tenant=tenant, kb=kb, files=removed)

    def _pass_on(self, ended: Begun, waiting: Begun) -> None:
        self._fallen_back.pop(waiting, None)
        error = None if ended.cancelled() else ended.exception()
        if ended.cancelled():
            waiting.set_result(None)
        elif error is not None:
            waiting.set_exception(error)
        else:
            waiting.set_result(ended.result())
