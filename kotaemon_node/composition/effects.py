"""Composes the calls of tools: who is called, breakers before them, what is found out later."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from kotaemon_node.adapters.redis import RedisBreaker, RedisLastGood, RedisStore, connect
from kotaemon_node.adapters.tools.http import make_toolbox
from kotaemon_node.domain import limits
from kotaemon_node.domain.session import Principal
from kotaemon_node.engine.breaking import SharedBreaker
from kotaemon_node.engine.follow_ups import FollowUps
from kotaemon_node.engine.later import LaterWorker
from kotaemon_node.engine.plugin_tools import PluginToolbox
from kotaemon_node.engine.pod import Pod
from kotaemon_node.engine.reconciling import Reconciling, Settling
from kotaemon_node.engine.slow_calls import Behind
from kotaemon_node.engine.tool_steps import ToolSteps
from kotaemon_node.ports.audit import AuditLog
from kotaemon_node.ports.breakers import Breaker
from kotaemon_node.ports.cipher import FieldCipher
from kotaemon_node.ports.later import RECONCILE, SLOW_CALL, Later
from kotaemon_node.ports.plugins import Plugins
from kotaemon_node.ports.runtime import Clock, Tasks
from kotaemon_node.ports.sessions import SessionStore
from kotaemon_node.settings import Settings, environment_value
from kotaemon_node.telemetry.metrics import Metrics

_log = structlog.get_logger(__name__)

_POOL_MAX: Final = 4

Opened = Callable[[str, str], None]
"""Is told tenant and name of a plugin whose breaker opened; returns at once and never raises."""


class ToolBreakers:
    """``ports.breakers.Breakers``: one for each plugin and tool that was called in this pod."""

    def __init__(
        self, store: RedisStore, *, clock: Clock, metrics: Metrics, opened: Opened
    ) -> None:
        self._store = store
        self._opened = opened
        self._clock = clock
        self._metrics = metrics
        self._lock = threading.Lock()
        self._breakers: dict[tuple[str, str], SharedBreaker] = {}

    def of(self, tenant: str, name: str) -> Breaker:
        """See the port."""
        with self._lock:
            known = self._breakers.get((tenant, name))
            if known is None:
                known = self._breakers[tenant, name] = SharedBreaker(
                    RedisBreaker(self._store, address=f"tool:{tenant}:{name}"),
                    clock=self._clock,
                    show=_Shown(tenant, name, self._metrics, self._opened),
                )
            return known

    def keep_looking(self, pod: Pod) -> None:
        """Show which are open, also while nobody calls them in this pod."""
        while not pod.draining:
            self.look()
            self._clock.sleep(limits.BREAKER_LOOK_S)

    def look(self) -> None:
        """Show which are open now."""
        for breaker in list(self._breakers.values()):
            breaker.open_now()


class _Shown:
    """Shows and logs whether one breaker is open."""

    def __init__(self, tenant: str, name: str, metrics: Metrics, opened: Opened) -> None:
        self._tenant = tenant
        self._name = name
        self._metrics = metrics
        self._opened = opened
        self._open = False

    def __call__(self, is_open: bool) -> None:
        self._metrics.acting.plugin_breaker(self._name, is_open)
        if is_open != self._open:
            self._open = is_open
            say = _log.warning if is_open else _log.info
            say("plugin_breaker_open" if is_open else "plugin_breaker_closed", plugin=self._name)
            if is_open:
                self._opened(self._tenant, self._name)


@dataclass(frozen=True, slots=True)
class Effects:
    """What calls tools in a pod, and what looks after calls whose turn has ended."""

    steps: ToolSteps
    settle: Settling
    breakers: ToolBreakers
    later: Later
    follow_ups: FollowUps
    clock: Clock

    def look_after(self, worker: LaterWorker, sessions: SessionStore) -> None:
        """Have unknown outcomes found out and slow calls made by this pod; before it runs."""
        reconciling = Reconciling(
            self.steps.calling,
            specs=self.steps.specs,
            turn_of=lambda turn: sessions.turn(
                turn, Principal(turn.session.tenant, "cluster", "admin")
            ),
            later=self.later,
            follow_ups=self.follow_ups,
            clock=self.clock,
        )
        worker.add(RECONCILE, reconciling.reconcile)
        worker.add(SLOW_CALL, reconciling.slow)


def effects_of(
    settings: Settings,
    plugins: Plugins,
    *,
    cipher: FieldCipher,
    later: Later,
    follow_ups: FollowUps,
    clock: Clock,
    tasks: Tasks,
    metrics: Metrics,
    opened: Opened = lambda tenant, name: None,
    audit: AuditLog | None = None,
) -> Effects:
    """Return them; connects when first used. Raises ``ValueError`` for a wrong TOOLS_FILE."""
    # Connections of their own: requests that use theirs up must not make a pod judge alone.
    store = connect(settings.redis_url, pool_max=_POOL_MAX, cipher=cipher)
    breakers = ToolBreakers(store, clock=clock, metrics=metrics, opened=opened)
    described = make_toolbox(settings.tools_file, environment=environment_value)
    if described is not None and not settings.llm_base_url:
        _log.warning("tools_unused", reason="LLM_BASE_URL is empty: nobody decides to call them")
    steps = ToolSteps(
        PluginToolbox(plugins, described),
        clock=clock,
        metrics=metrics,
        tasks=tasks,
        breakers=breakers,
        last_good=RedisLastGood(store),
        behind=Behind(later, follow_ups),
        audit=audit,
    )
    return Effects(steps, Settling(later, clock=clock), breakers, later, follow_ups, clock)
