"""Composes what is done later: delayed jobs, follow-ups and webhooks."""

import random
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from kotaemon_node.adapters.redis import RedisLater, connect
from kotaemon_node.adapters.system.secret_file import FixedLines, SecretLines
from kotaemon_node.adapters.webhooks import DescribedWebhook, HttpSender, read_webhooks
from kotaemon_node.domain import acting_limits as limits
from kotaemon_node.domain.errors import NodeError
from kotaemon_node.domain.session import Turn, TurnKey
from kotaemon_node.domain.webhooks import problem_of_secret
from kotaemon_node.engine.announcing import TellsTurns
from kotaemon_node.engine.follow_ups import FollowUps, FollowUpTurns
from kotaemon_node.engine.later import LaterWorker, Noting, Waking
from kotaemon_node.engine.turns import TurnEngine
from kotaemon_node.engine.webhooks import WebhookDelivery, Webhooks
from kotaemon_node.ports.cipher import FieldCipher
from kotaemon_node.ports.credentials import Lines
from kotaemon_node.ports.later import FOLLOW_UP, WEBHOOK, Later, LaterDesk
from kotaemon_node.ports.runtime import Clock, IdSource, Tasks
from kotaemon_node.ports.sessions import SessionStore
from kotaemon_node.settings import Settings, environment_value
from kotaemon_node.telemetry.metrics import Metrics

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Afterwards:
    """What has something done later, and what does it."""

    later: Later
    desk: LaterDesk
    worker: LaterWorker
    follow_ups: FollowUps
    webhooks: Webhooks
    clock: Clock
    tasks: Tasks

    def breaker_opened(self, tenant: str, plugin: str) -> None:
        """Have webhooks told of it, once by all pods that see it; returns at once."""
        at_s = self.clock.now_s()
        # Every pod sees it open within seconds; a plugin that stays bad opens it again and again.
        key = f"{plugin} {int(at_s / limits.BREAKER_TOLD_EVERY_S)}"

        def tell() -> None:
            try:
                self.webhooks.emit(
                    "plugin.breaker_opened",
                    tenant=tenant,
                    key=key,
                    at_s=at_s,
                    data={"plugin": plugin},
                )
            except NodeError as error:
                _log.warning("webhook_not_put", plugin=plugin, error=str(error))

        self.tasks.spawn("webhook of a breaker", tell)

    def telling(self, tally: TellsTurns, *, channels: TellsTurns) -> TellsTurns:
        """Return what tells of a finished turn: ``tally``, then ``channels``, then webhooks."""
        return _InTurn(tally, _InTurn(channels, self.webhooks))

    def tell_sessions(self, sessions: SessionStore, engine: TurnEngine) -> None:
        """Have follow-ups told by this pod; before the worker runs."""
        self.worker.add(FOLLOW_UP, FollowUpTurns(sessions, engine))


def afterwards_of(
    settings: Settings,
    *,
    cipher: FieldCipher,
    clock: Clock,
    ids: IdSource,
    tasks: Tasks,
    metrics: Metrics,
    draining: Callable[[], bool],
    pods: Callable[[], int] = lambda: 1,
) -> Afterwards:
    """Return them; connects when first used. Raises ``ValueError`` for a wrong WEBHOOKS_FILE."""
    # Connections of their own: what is done later must not hold up what is asked now.
    store = connect(
        settings.redis_url,
        pool_max=limits.LATER_POOL_MAX,
        cipher=cipher,
        durability=settings.durability,
        unconfirmed=metrics.unconfirmed_writes,
        answered=metrics.store_answered,
    )
    queue = RedisLater(store)
    described = _described(settings)
    subscribers = [one.subscriber for one in described]
    delivery = WebhookDelivery(
        subscribers,
        secrets={one.subscriber.name: _lines(one) for one in described},
        sender=HttpSender(),
        now_s=clock.now_s,
    )
    worker = LaterWorker(
        queue,
        handlers={WEBHOOK: delivery},
        clock=clock,
        ids=ids,
        tasks=tasks,
        draining=draining,
        jitter=random.random,
        pods=pods,
        noting=Noting(ended=metrics.acting.later_ended, counted=metrics.acting.later_counts),
    )
    later = Waking(queue, worker.wake)
    return Afterwards(
        later=later,
        desk=queue,
        worker=worker,
        follow_ups=FollowUps(later),
        webhooks=Webhooks(subscribers, later, drafts=settings.analytics_questions, cipher=cipher),
        clock=clock,
        tasks=tasks,
    )


def _described(settings: Settings) -> tuple[DescribedWebhook, ...]:
    if settings.webhooks_file is None:
        return ()
    return read_webhooks(settings.webhooks_file, environment=environment_value)


def _lines(one: DescribedWebhook) -> Lines:
    if one.secret_file is None:
        return FixedLines(one.secrets)
    return SecretLines(one.secret_file, check=problem_of_secret)


@dataclass(frozen=True, slots=True)
class _InTurn:
    """One after the other: both are told again where the second was not, and know a repeat."""

    first: TellsTurns
    second: TellsTurns

    def turn(self, key: TurnKey, *, epoch: str, turn: Turn) -> bool:
        return self.first.turn(key, epoch=epoch, turn=turn) and self.second.turn(
            key, epoch=epoch, turn=turn
        )
