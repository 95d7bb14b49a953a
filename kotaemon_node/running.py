"""A composed pod as it runs: what is started with it, and how it leaves."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog
from flask import Flask

from kotaemon_node.adapters.redis import RedisStore
from kotaemon_node.adapters.redis.durability import NeverDurable
from kotaemon_node.adapters.redis.schema import SchemaTooNew, check_schema
from kotaemon_node.audit_log.writer import AuditWriter
from kotaemon_node.composition.acting import Acting
from kotaemon_node.composition.effects import Effects
from kotaemon_node.composition.limiting import Limiting
from kotaemon_node.composition.outside import GuardedEndpoint
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import StoreUnavailable
from kotaemon_node.engine.handing import HandoffDesk
from kotaemon_node.engine.later import LaterWorker
from kotaemon_node.engine.owners import Owners
from kotaemon_node.engine.pod import Pod
from kotaemon_node.engine.recovery import Recovery
from kotaemon_node.engine.turns import TurnEngine
from kotaemon_node.listeners.dispatch import Dispatch
from kotaemon_node.ports.artifacts import ArtifactsUnavailable
from kotaemon_node.ports.runtime import Clock, Tasks
from kotaemon_node.retrieval.tenants import TenantLibraries
from kotaemon_node.telemetry.tracing import Tracing

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RunningPod:
    """A composed pod: its WSGI application and the loops beside it."""

    app: Flask
    store: RedisStore
    pod: Pod
    recovery: Recovery
    libraries: TenantLibraries
    dispatch: Dispatch
    engine: TurnEngine
    owners: Owners
    tasks: Tasks
    clock: Clock
    tracing: Tracing
    guarded: GuardedEndpoint | None = None
    later: LaterWorker | None = None
    acting: Acting | None = None
    effects: Effects | None = None
    people: HandoffDesk | None = None
    limiting: Limiting = field(default_factory=Limiting)
    audit: AuditWriter | None = None

    def start(self) -> None:
        """Start the loops; requests are served as soon as knowledge is loaded.

        Ends the process where the store can never be as durable as it is asked to be, or where a
        newer program has written what this one would misread.
        """
        self._check_store()
        self.tasks.spawn("durability", self._keep_checking_durability)
        self.tracing.start(self.tasks)
        if (guarded := self.guarded) is not None:
            self.tasks.spawn("breaker", lambda: guarded.keep_looking(self.clock, self.pod))
        if self.acting is not None:
            self.acting.start()
        if (effects := self.effects) is not None:
            self.tasks.spawn("tool breakers", lambda: effects.breakers.keep_looking(self.pod))
        if (people := self.people) is not None:
            self.tasks.spawn(
                "handoffs", lambda: people.keep_counted(leaving=lambda: self.pod.draining)
            )
        if self.later is not None:
            self.tasks.spawn("later", self.later.run)
        if self.audit is not None:
            self.tasks.spawn("audit", self.audit.run)
        self.limiting.start(self.tasks)
        self.engine.listen()
        self.tasks.spawn(
            "events", lambda: self.dispatch.run(on_positioned=self.libraries.reconcile)
        )
        self.tasks.spawn("reconcile", self._keep_reconciling)
        self.tasks.spawn("heartbeat", lambda: self.pod.keep_present(self.owners))
        self.tasks.spawn(
            "sweep", lambda: self.pod.keep_sweeping(self.recovery, jitter=random.random)
        )

    def drain(self, *, idle: Callable[[], bool]) -> None:
        """Take no new work, end what runs and leave; returns when the process may end.

        ``idle`` tells whether no request is being answered. Turns that outlast ``DRAIN_FINISH_S``
        are handed over to other pods, and their readers are told to go there.
        """
        self.pod.drain()
        self.clock.sleep(limits.DRAIN_SETTLE_S)
        self._wait(idle, limits.DRAIN_FINISH_S)
        self.engine.hand_over()
        self._wait(idle, limits.DRAIN_MAX_S - limits.DRAIN_FINISH_S)
        if self.acting is not None:
            self.acting.stop()
        self.pod.leave()
        self.limiting.left.set()
        if self.audit is not None:
            self.audit.stop()
            self.audit.finish()
        self.tracing.finish(self.clock)

    def _check_store(self) -> None:
        try:
            self.store.check_durability()
            check_schema(self.store)
        except (NeverDurable, SchemaTooNew) as error:
            raise SystemExit(str(error)) from error
        except StoreUnavailable:
            self.tasks.spawn("schema", self._keep_looking_at_schema)

    def _wait(self, idle: Callable[[], bool], timeout_s: float) -> None:
        deadline_s = self.clock.monotonic_s() + timeout_s
        while self.clock.monotonic_s() < deadline_s and not (idle() and self._quiet):
            self.clock.sleep(0.02)

    @property
    def _quiet(self) -> bool:
        return self.engine.quiet and not (self.later is not None and self.later.running)

    def _keep_checking_durability(self) -> None:
        """Look until the store gives what is asked: a replica may come, a primary be found."""
        try:
            while self.store.check_durability():
                self.clock.sleep(limits.POD_HEARTBEAT_S)
        except NeverDurable as error:
            # It was away when this pod started. The pod stays unready, as it would after a restart.
            _log.error("never_durable", reason=str(error))

    def _keep_looking_at_schema(self) -> None:
        """Look until the store answers, which was away when this pod started."""
        while not self.pod.draining:
            try:
                check_schema(self.store)
                break
            except StoreUnavailable:
                self.clock.sleep(limits.POD_HEARTBEAT_S)
            except SchemaTooNew as error:
                _log.error("schema_too_new", reason=str(error))
                self.pod.drain()  # it takes no work, as after a restart

    def _keep_reconciling(self) -> None:
        """Read the truth now and then, so that a lost event costs time and nothing else."""
        while not self.pod.draining:
            try:
                self.libraries.reconcile()
            except ArtifactsUnavailable as error:
                # A cluster that begins, or a coordinator that is replaced: nothing is broken.
                _log.warning("artifacts_unreachable", error=str(error))
            except Exception:  # noqa: BLE001 - a pod that looks no more is behind for ever
                _log.exception("reconcile_broken")
            # Soon while there is nothing to serve, else rarely, at the promised time at the latest,
            # and not all pods at once.
            period_s = limits.RECONCILE_S if self.libraries.default.served() else 1.0
            self.clock.sleep(period_s * (1 + random.random()) / 2)
