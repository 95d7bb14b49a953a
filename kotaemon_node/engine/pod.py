"""One pod: who it is, whether it can serve, and the loops that keep it in the cluster."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import NodeError, StoreUnavailable
from kotaemon_node.domain.knowledge import GenerationRef
from kotaemon_node.engine.aside import Aside
from kotaemon_node.engine.cut_off import CutOff
from kotaemon_node.engine.owners import Owners
from kotaemon_node.engine.recovery import Recovery
from kotaemon_node.engine.turns import TurnEngine
from kotaemon_node.ports.knowledge import PodReport, Presence
from kotaemon_node.ports.peers import Peers
from kotaemon_node.ports.runtime import Clock
from kotaemon_node.telemetry.metrics import Metrics

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Identity:
    """Names one start of one pod."""

    name: str
    incarnation: str
    address: str
    pid: int
    version: str
    settings: str = ""
    """Equal where the settings are that answers depend on."""


class Pod:
    """``api.services.PodState``, and the heartbeat that other pods judge this one by.

    The heartbeat is sent by the loop that serves requests, so that a stuck loop shows.
    """

    def __init__(
        self,
        identity: Identity,
        *,
        served: Callable[[], Mapping[str, GenerationRef]],
        loaded: Callable[[], bool],
        refused: Callable[[], Mapping[str, str]],
        presence: Presence,
        peers: Peers,
        lacking: Callable[[], str] = lambda: "",
        vector_store: Callable[[], str] = lambda: "",
        plugins: Callable[[], Mapping[str, object]] = lambda: {},
        tenants: Callable[[], Mapping[str, Mapping[str, GenerationRef]]] = lambda: {},
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._identity = identity
        self._served = served
        self._loaded = loaded
        self._refused = refused
        self._presence = presence
        self._lacking = lacking
        self._vector_store = vector_store
        self._plugins = plugins
        self._tenants = tenants
        self._aside = Aside(mine=identity.incarnation, clock=clock)
        self._cut_off = CutOff(mine=identity.incarnation, peers=peers, clock=clock)
        self._looked_at_s: float | None = None
        self._beaten_at_s: float | None = None
        self._clock = clock
        self._metrics = metrics
        self._started_at_s = clock.now_s()
        self._draining = threading.Event()
        self._left = threading.Event()
        self._running: Callable[[], int] = lambda: 0
        self._serving_since_s: dict[str, tuple[str, float]] = {}

    @property
    def name(self) -> str:
        """See the protocol."""
        return self._identity.name

    @property
    def incarnation(self) -> str:
        """See the protocol."""
        return self._identity.incarnation

    @property
    def draining(self) -> bool:
        """See the protocol."""
        return self._draining.is_set()

    def unready_reasons(self) -> Sequence[str]:
        """See the protocol. Ready means able to serve: a pod that is behind is, for a while."""
        unable = self._unable()
        aside = self._aside.reason(self._served())
        return [*unable, aside] if aside else unable

    def _unable(self) -> list[str]:
        """Return why this pod could not serve, whatever others do."""
        reasons = []
        if self.draining:
            reasons.append("the pod is leaving")
        if lacking := self._lacking():
            reasons.append(lacking)
        if cut_off := self._cut_off.reason:
            reasons.append(cut_off)
        if not self._served():
            reasons.append("no knowledge generation is loaded yet")
        elif not self._loaded():
            reasons.append("not all knowledge bases are loaded yet")
        return reasons

    def report(self) -> PodReport:
        """See the protocol."""
        reasons = list(self.unready_reasons())
        return PodReport(
            name=self._identity.name,
            incarnation=self._identity.incarnation,
            address=self._identity.address,
            pid=self._identity.pid,
            version=self._identity.version,
            settings=self._identity.settings,
            started_at=self._started_at_s,
            ready=not reasons,
            able=not self._unable(),
            store=self._cut_off.store_answers,
            vector_store=self._vector_store(),
            reasons=reasons,
            running_turns=self._running(),
            taken_over=self._metrics.taken_over,
            generations={
                kb: {
                    "generation": ref.generation,
                    "digest": ref.digest,
                    "since": self._since_s(kb, ref.digest),
                }
                for kb, ref in self._served().items()
            },
            refused=dict(self._refused()),
            behind=dict(self._aside.behind(self._served())),
            plugins=dict(self._plugins()),
            **self._of_tenants(),
        )

    def _of_tenants(self) -> dict[str, object]:
        """Return what is open of other tenants; a heartbeat has room for so many, and the count."""
        served = self._tenants()
        shown = sorted(served)[: limits.TENANTS_SHOWN_MAX]
        told = {
            tenant: {
                kb: {"generation": ref.generation, "digest": ref.digest}
                for kb, ref in served[tenant].items()
            }
            for tenant in shown
        }
        return {"tenants": told, "tenants_open": len(served)} if served else {}

    def _since_s(self, kb: str, digest: str) -> float:
        """Return when this pod was first seen to serve the generation, within a heartbeat."""
        known, since_s = self._serving_since_s.get(kb, ("", 0.0))
        if known != digest:
            since_s = self._clock.now_s()
            self._serving_since_s[kb] = (digest, since_s)
        return since_s

    def count_turns_of(self, engine: TurnEngine) -> None:
        """Report the turns that ``engine`` runs; set once, when the engine is made."""
        self._running = lambda: engine.running

    def keep_present(self, owners: Owners) -> None:
        """Send heartbeats until the pod has left; while it drains its turns are still its own."""
        while not self._left.is_set():
            self.beat(owners)
            before_s = self._clock.monotonic_s()
            if not self._left.wait(limits.POD_HEARTBEAT_S):
                waited_s = self._clock.monotonic_s() - before_s
                self._metrics.loop_lag(waited_s - limits.POD_HEARTBEAT_S)

    def beat(self, owners: Owners) -> None:
        """Send one heartbeat and note whether the store took it."""
        report = self.report()
        self._metrics.ready(bool(report["ready"]))
        self._metrics.draining(self.draining)
        self._metrics.turns_running(self._running())
        self._metrics.knowledge.generations(
            {kb: ref.generation for kb, ref in self._served().items()}
        )
        try:
            self._presence.beat(report, ttl_s=limits.POD_TTL_S)
        except Exception as error:  # noqa: BLE001 - a heart that stops for one error kills the pod
            owners.store_silent()
            self._aside.forget()
            self._cut_off.silent()
            if isinstance(error, StoreUnavailable):
                self._metrics.store_refused(error.refusal)
            _log.warning("heartbeat_failed", error=str(error))
        else:
            self._beaten()
            owners.store_answered()
            self._cut_off.answered()
            self._look_at_others(owners)

    def _beaten(self) -> None:
        now_s = self._clock.monotonic_s()
        if self._beaten_at_s is not None:
            self._metrics.heartbeat_gap(now_s - self._beaten_at_s)
        self._beaten_at_s = now_s

    def _look_at_others(self, owners: Owners) -> None:
        """Read what all pods say, so rarely that it costs the store no more the more they are."""
        now_s = self._clock.monotonic_s()
        period_s = max(limits.BEHIND_LOOK_S, owners.pods / limits.PODS_READ_PER_S)
        if self._looked_at_s is not None and now_s - self._looked_at_s < period_s:
            return
        self._looked_at_s = now_s
        try:
            living = self._presence.pods()
            owners.learn(living)
            pods = [pod for pod in living if not pod.get("guest")]
            self._cut_off.learn(pods)
            self._aside.look(pods)
        except Exception:  # noqa: BLE001 - a heart that stops for one error kills the pod
            _log.exception("look_broken")
            self._aside.forget()

    def keep_sweeping(self, recovery: Recovery, *, jitter: Callable[[], float]) -> None:
        """Sweep the running turns until the pod drains; ``jitter`` returns a number in [0, 1)."""
        while not self._draining.wait(limits.SWEEP_S * (0.5 + jitter())):
            try:
                recovery.sweep(chance=jitter)
            except Exception:  # noqa: BLE001 - a pod that sweeps no more strands turns for ever
                _log.exception("sweep_broken")

    def drain(self) -> None:
        """Take no new work; what runs goes on."""
        self._draining.set()

    def leave(self) -> None:
        """Tell the others that what runs here is theirs now, so that they need not wait."""
        self._draining.set()
        self._left.set()
        try:
            self._presence.leave(self._identity.incarnation)
        except NodeError as error:
            _log.warning("leave_not_told", error=str(error))
