"""Composes what limits use: the table, the counts, and those who ask them."""

from dataclasses import dataclass, field
from threading import Event
from typing import Final

from kotaemon_node.adapters.redis import connect
from kotaemon_node.adapters.redis.use import RedisUse
from kotaemon_node.adapters.system.limits_file import LimitsFile
from kotaemon_node.api.credential_guard import CredentialGuard
from kotaemon_node.api.use_desk import UseDesk
from kotaemon_node.domain import limits
from kotaemon_node.domain.client_address import Proxies
from kotaemon_node.domain.session import Turn, TurnKey
from kotaemon_node.engine.announcing import TellsTurns
from kotaemon_node.engine.settling import Settling, Spent, nobody_told
from kotaemon_node.ports.runtime import Clock, Tasks
from kotaemon_node.settings import Settings
from kotaemon_node.telemetry.metrics import Metrics

_PER: Final = 1_000_000
"""Prices are those of a million tokens."""


@dataclass(frozen=True, slots=True)
class Limiting:
    """What routes and engine are given for it."""

    desk: UseDesk | None = None
    """None: nothing is limited."""
    guard: CredentialGuard | None = None
    proxies: Proxies = field(default_factory=lambda: Proxies.of(""))
    settling: Settling | None = None
    left: Event = field(default_factory=Event)
    """Set when the pod leaves."""

    def telling(self, tally: TellsTurns) -> TellsTurns:
        """Return what settles a finished turn, then tells ``tally`` of it."""
        return tally if self.settling is None else _SettledFirst(self.settling, tally)

    @property
    def spent(self) -> Spent:
        """What is told of a turn that its pod leaves."""
        return nobody_told if self.settling is None else self.settling.spent

    def start(self, tasks: Tasks) -> None:
        """Keep the places of open streams from now on."""
        if (desk := self.desk) is not None:
            tasks.spawn("streams", lambda: desk.keep_streams(self.left))


def limiting_of(settings: Settings, *, clock: Clock, metrics: Metrics) -> Limiting:
    """Return it; connects when first used. Raises ``ValueError`` for a file that is wrong."""
    proxies = Proxies.of(
        settings.balancer_networks, settings.trusted_proxies, pod_host=settings.pod_host
    )
    guarded = settings.auth_mode != "open" and settings.limit_refused_per_minute > 0
    if not (settings.limits_are_on or guarded):
        return Limiting(proxies=proxies)
    # Connections of its own, and nothing is confirmed: what a primary loses of it is a minute's.
    store = connect(
        settings.redis_url,
        pool_max=limits.REDIS_USE_MAX,
        answered=metrics.store_answered,
        shared=True,
    )
    counts = RedisUse(store)
    guard = desk = settling = None
    if guarded:
        guard = CredentialGuard(
            counts,
            per_minute=settings.limit_refused_per_minute,
            clock=clock,
            metrics=metrics.use,
        )
    if settings.limits_are_on:
        file = LimitsFile(settings.limits_file, fixed=settings.limits_of_principals, clock=clock)
        # Without a language model no turn takes any.
        tokens = settings.limit_turn_tokens if settings.llm_base_url else 0
        # As if all of it were of the dearer half, which is what the model writes.
        price = max(settings.llm_price_prompt, settings.llm_price_completion)
        desk = UseDesk(
            counts,
            table=file.table,
            clock=clock,
            metrics=metrics.use,
            reserved_tokens=tokens,
            reserved_cost=tokens * price / _PER,
            by_address=settings.limit_by_address,
        )
        settling = Settling(counts) if tokens else None
    return Limiting(desk, guard, proxies, settling)


@dataclass(frozen=True, slots=True)
class _SettledFirst:
    """What is told again where the second was not told knows that it was settled."""

    settling: Settling
    tally: TellsTurns

    def turn(self, key: TurnKey, *, epoch: str, turn: Turn) -> bool:
        return self.settling.turn(key, epoch=epoch, turn=turn) and self.tally.turn(
            key, epoch=epoch, turn=turn
        )
