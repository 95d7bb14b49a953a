"""The work of the coordinator: lead, look at the folder, keep every knowledge base up to date.

All state that matters lies outside (folder, artifact store, pointer): a coordinator that dies at
any moment is replaced by one that compares them again.
"""

import threading
from dataclasses import dataclass, replace
from typing import Final

import structlog

from coordinator.audit import Audit
from coordinator.catalog import Catalog, Newest, reference
from coordinator.folder import KnowledgeFolder, Scan
from coordinator.holding import HeldNotes
from coordinator.jobs import Jobs
from coordinator.leader import LeadLost, Lease, Stopping
from coordinator.merges import Merges
from coordinator.metrics import CoordinatorMetrics
from coordinator.orders import Scene
from coordinator.publish import NumberTaken, Publisher
from coordinator.retention import Retention
from coordinator.status import Status, StatusBoard, summary
from coordinator.update import Leading, Updater, Wish
from coordinator.uploads import Standing
from coordinator.vectors import VectorKeeper
from coordinator.walking import FolderMissing
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import NodeError
from kotaemon_node.domain.held import HeldBuild
from kotaemon_node.domain.ids import DEFAULT_KNOWLEDGE_BASE, DEFAULT_TENANT
from kotaemon_node.domain.knowledge import Manifest
from kotaemon_node.domain.trace_context import new_trace_id
from kotaemon_node.ports.knowledge import GenerationPointer
from kotaemon_node.ports.runtime import Clock
from kotaemon_node.ports.traces import NO_TRACES, Traces

_log = structlog.get_logger(__name__)

_RETENTION_S: Final = 60.0
_POINTER_CHECK_S: Final = 5.0
_STANDBY_LOOK_S: Final = 0.5
_AFTER_TROUBLE_S: Final = 1.0
_EVERYBODYS: Final = (DEFAULT_TENANT, DEFAULT_KNOWLEDGE_BASE)
# The periodic scan takes at most this share of the time, however large the folder is.
_SCAN_SHARE_MAX: Final = 0.05


@dataclass(slots=True)
class _Base:
    """A knowledge base as this leader knows it."""

    newest: Newest
    held: HeldBuild | None = None
    pointed: int = 0
    """The highest number that the pointer was seen to name."""
    announced: bool = False
    orphaned: bool = False
    """The pointer names a generation that the artifact store does not have."""
    waiting: int = 0


class CoordinatorLoop:
    """Takes one step after the other until it is told to stop."""

    def __init__(
        self,
        *,
        folder: KnowledgeFolder,
        catalog: Catalog,
        audit: Audit,
        updater: Updater,
        merges: Merges,
        publisher: Publisher,
        retention: Retention,
        vectors: VectorKeeper,
        notes: HeldNotes,
        jobs: Jobs,
        pointer: GenerationPointer,
        lease: Lease,
        board: StatusBoard,
        metrics: CoordinatorMetrics,
        clock: Clock,
        tenant: str,
        traces: Traces = NO_TRACES,
    ) -> None:
        self._traces = traces
        self._folder = folder
        self._catalog = catalog
        self._audit = audit
        self._updater = updater
        self._merges = merges
        self._publisher = publisher
        self._retention = retention
        self._vectors = vectors
        self._notes = notes
        self._jobs = jobs
        self._pointer = pointer
        self._lease = lease
        self._board = board
        self._metrics = metrics
        self._clock = clock
        self._tenant = tenant
        self._fence: int | None = None
        self._bases: dict[str, _Base] = {}
        self._pointer_check_s = 0.0
        self._retention_s = 0.0
        self._complained: dict[str, str] = {}
        self._stop = threading.Event()

    def stop(self) -> None:
        """End the step that is taken soon, also in the middle of a build."""
        self._stop.set()

    def end(self) -> None:
        """End what goes on beside the steps; none is taken any more."""
        self._merges.stop()

    def guarded_step(self) -> float:
        """Take a step; return after how many seconds the next is due, whatever happened."""
        try:
            return self.step()
        except Stopping:
            return 0.0
        except (LeadLost, NumberTaken) as error:
            _log.warning("build_dropped", reason=str(error))
            self._fence = None
            return 0.0
        except (NodeError, FolderMissing, OSError) as error:
            self._trouble(str(error))
        except Exception as error:  # noqa: BLE001 - the top of this thread; it must go on
            _log.exception("step_failed")
            self._trouble(f"internal error: {type(error).__name__}")
        return _AFTER_TROUBLE_S

    def step(self) -> float:
        """Do what is due now; return after how many seconds the next step is due."""
        self._alive()
        fence = self._lease.fence
        if fence is None:
            self._stand_by()
            return _STANDBY_LOOK_S
        if fence != self._fence:
            self._begin_lead()
            self._fence = fence
        started_s = self._clock.monotonic_s()
        scan = self._folder.scan()
        took_s = self._clock.monotonic_s() - started_s
        self._look_for_damage()
        self._look_at_vectors()
        self._check_pointers()
        self._carry_out_orders(scan, fence)
        for kb in sorted({*self._bases, *scan.files, DEFAULT_KNOWLEDGE_BASE}):
            with self._traces.begin_known("build", trace_id=new_trace_id()):
                self._keep_up_to_date(kb, scan, fence)
            self._keep_merged(kb, fence)
            self._report(scan, unfinished=True)
        self._jobs.settle(
            lambda kb: Standing(self._base(kb).newest.manifest, self._bases[kb].held, scan)
        )
        unfinished = any(base.waiting for base in self._bases.values())
        self._report(scan, unfinished=unfinished)
        self._sweep_when_due(idle=not unfinished)
        if unfinished or self._jobs.placed:
            return 0.0
        if scan.pending:
            return limits.FILE_STABLE_S
        return max(limits.FOLDER_SCAN_S, took_s / _SCAN_SHARE_MAX)

    def _begin_lead(self) -> None:
        """Forget what we knew: another leader may have published meanwhile."""
        self._bases = {}
        self._merges.drop()
        self._retention.begin()
        self._vectors.begin()
        self._jobs.begin()
        for kb, ref in self._pointer.current(self._tenant).items():
            self._base(kb).pointed = ref.generation
        self._pointer_check_s = 0.0
        self._board.current = replace(self._board.current, role="leader", up_to_date=False)

    def _base(self, kb: str) -> _Base:
        if kb not in self._bases:
            self._bases[kb] = _Base(self._catalog.newest(kb), self._notes.read(kb))
        return self._bases[kb]

    def _keep_up_to_date(self, kb: str, scan: Scan, fence: int) -> None:
        base = self._base(kb)
        # Pods are ready once they serve the default knowledge base, be it empty.
        missing = base.newest.manifest is None and (self._tenant, kb) == _EVERYBODYS
        outcome = self._updater.update(
            kb,
            scan,
            base.newest,
            above=base.pointed,
            leading=self._leading(fence),
            wish=Wish(forced=(missing or base.orphaned or base.newest.broken) and not scan.pending),
            held=base.held,
        )
        base.waiting = outcome.waiting
        if outcome.held != base.held:
            self._notes.write(kb, outcome.held)
            base.held = outcome.held
        if outcome.published is not None:
            self._take(base, outcome.published)
        self._announce(base)

    def _keep_merged(self, kb: str, fence: int) -> None:
        base = self._base(kb)
        newest = base.newest
        if newest.manifest is None or newest.broken or self._updater.must_rebuild(kb, newest):
            self._merges.drop(kb)
            return
        number = max(newest.number, base.pointed) + 1
        leading = self._leading(fence)
        merged = self._updater.merge(newest.manifest, number=number, leading=leading)
        if merged is not None:
            self._take(base, merged)
            self._announce(base)

    def _announce(self, base: _Base) -> None:
        if not base.announced and base.newest.manifest is not None:
            # A bus that is away must not keep the other knowledge bases from being looked at.
            base.announced = self._publisher.announce(base.newest.manifest)
            base.pointed = max(base.pointed, base.newest.manifest.generation)

    def _take(self, base: _Base, manifest: Manifest) -> None:
        """Go on from a generation that was just published."""
        base.newest = Newest(manifest.generation, manifest)
        base.orphaned = False
        base.announced = False

    def _leading(self, fence: int) -> Leading:
        return Leading(still=lambda: self._lease.require(fence), alive=self._alive)

    def _carry_out_orders(self, scan: Scan, fence: int) -> None:
        """Do what was ordered, before the folder: a deletion must not wait for a build."""

        def scene(kb: str) -> Scene:
            self._alive()
            base = self._base(kb)
            return Scene(kb, base.newest, base.pointed, scan, self._leading(fence))

        def done(kb: str, manifest: Manifest) -> None:
            base = self._base(kb)
            if manifest.generation > base.newest.number:
                self._take(base, manifest)
            base.held = self._notes.read(kb)

        self._jobs.carry_out(scene, done)

    def _look_for_damage(self) -> None:
        """See that the newest generations still lie in the store as they were signed."""
        for kb, base in self._bases.items():
            damage = self._audit.look(base.newest.manifest) if base.newest.manifest else None
            if damage is None:
                continue
            _log.error("generation_damaged", kb=kb, reason=damage.reason)
            self._metrics.damage_found(kb)
            if not damage.in_manifest:
                self._updater.damaged(kb)
            base.newest = self._catalog.newest(kb)

    def _look_at_vectors(self) -> None:
        """See that the vector store has what pods ask of it; it may have been lost."""
        for kb, base in self._bases.items():
            if base.newest.manifest is not None and not self._updater.must_rebuild(kb, base.newest):
                self._vectors.look(base.newest.manifest, alive=self._alive)

    def _check_pointers(self) -> None:
        """See that the quick copy says what the artifact store says; it may have been lost."""
        now_s = self._clock.monotonic_s()
        if now_s < self._pointer_check_s:
            return
        self._pointer_check_s = now_s + _POINTER_CHECK_S
        pointers = self._pointer.current(self._tenant)
        for kb, base in self._bases.items():
            ref, manifest = pointers.get(kb), base.newest.manifest
            if ref is not None:
                base.pointed = max(base.pointed, ref.generation)
            if manifest is None or ref == reference(manifest):
                base.orphaned = manifest is None and ref is not None
            elif ref is None or ref.generation < manifest.generation:
                base.announced = False
            else:
                base.orphaned = True

    def _sweep_when_due(self, *, idle: bool) -> None:
        now_s = self._clock.monotonic_s()
        if idle and now_s >= self._retention_s:
            self._retention_s = now_s + _RETENTION_S
            for kb in self._bases:
                self._retention.sweep(kb, spared=self._merges.storing(kb))
                self._vectors.sweep(kb)
            self._jobs.sweep()

    def _alive(self) -> None:
        """Show that the loop turns, and leave it when the process is to end."""
        self._board.beat_s = self._clock.monotonic_s()
        if self._stop.is_set():
            raise Stopping

    def _stand_by(self) -> None:
        self._fence = None
        self._merges.drop()
        if self._lease.answered:
            self._show(Status(role="standby", problem=None))
        else:
            self._show(Status(role="starting", problem="the session store does not answer"))

    def _report(self, scan: Scan, *, unfinished: bool) -> None:
        current = self._board.current
        for path, reason in scan.ignored.items():
            if self._complained.get(path) != reason:
                _log.warning("path_ignored", path=path, reason=reason)
        self._complained = dict(scan.ignored)
        self._show(
            Status(
                role="leader",
                up_to_date=current.up_to_date or not (unfinished or scan.pending),
                problem=self._vectors.problem,
                knowledge={
                    kb: summary(base.newest.manifest, waiting=base.waiting, held=base.held)
                    for kb, base in self._bases.items()
                    if base.newest.manifest is not None
                },
                ignored=scan.ignored,
            )
        )

    def _trouble(self, problem: str) -> None:
        self._metrics.step_failed()
        if self._board.current.problem != problem:
            _log.warning("trouble", problem=problem)
        self._show(replace(self._board.current, problem=problem))

    def _show(self, status: Status) -> None:
        self._board.current = status
        self._metrics.show(status)
