"""Composes where sessions lie: the part of ``bootstrap`` that is about connections to Redis."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from kotaemon_node.adapters.redis import (
    Archive,
    RedisFrameLog,
    RedisPresence,
    RedisSessionStore,
    RedisStore,
    SessionCache,
    connect,
)
from kotaemon_node.adapters.store.factory import reading_of
from kotaemon_node.domain import limits
from kotaemon_node.ports.artifacts import ArtifactStore
from kotaemon_node.ports.cipher import FieldCipher
from kotaemon_node.ports.runtime import Clock, Tasks
from kotaemon_node.settings import Settings
from kotaemon_node.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Stores:
    """The connections of a pod, and what it keeps by them."""

    store: RedisStore
    waiting: RedisStore
    remembered: SessionCache
    sessions: RedisSessionStore
    frames: RedisFrameLog
    presence: RedisPresence


def durable_of(settings: Settings, *, metrics: Metrics) -> Callable[..., RedisStore]:
    """Return what opens a pool of connections whose writes are as durable as settings ask."""
    return partial(
        connect,
        settings.redis_url,
        durability=settings.durability,
        unconfirmed=metrics.unconfirmed_writes,
        answered=metrics.store_answered,
        shared=True,
    )


def stores_of(
    settings: Settings,
    *,
    cipher: FieldCipher,
    artifacts: ArtifactStore,
    native: Callable[..., Any],
    clock: Clock,
    tasks: Tasks,
    metrics: Metrics,
) -> Stores:
    """Return where sessions lie; connects to nothing yet. ``native`` runs what blocks on a disk."""
    durable = durable_of(settings, metrics=metrics)
    store = durable(cipher=cipher)
    # Reading the bus and the signals holds a connection for seconds; requests have their own pool.
    waiting = connect(settings.redis_url, pool_max=8)
    # What accepted turns write comes before new requests, which may use up their pool.
    writing = durable(cipher=cipher, pool_max=limits.REDIS_WRITERS_MAX)
    remembered = SessionCache(
        count=metrics.session_cache, ttl_s=settings.session_ttl_s, now_s=clock.monotonic_s
    )
    sessions = RedisSessionStore(
        store,
        ttl_s=settings.session_ttl_s,
        idle_s=settings.session_idle_s,
        cache=remembered,
        writing=writing,
        count_loss=metrics.session_gone,
        open_user=settings.open_user,
        archive=Archive(
            artifacts,
            kept_s=settings.archive_kept_s,
            indexed=settings.archived_after_s > 0,
            count=metrics.session_restored,
            compute=tasks.compute,
            reading=reading_of(artifacts, native=native),
        ),
    )
    return Stores(
        store=store,
        waiting=waiting,
        remembered=remembered,
        sessions=sessions,
        frames=RedisFrameLog(store, waiting=waiting, writing=writing, clock=clock, tasks=tasks),
        # Requests that use up their pool must not make a healthy pod look dead.
        presence=RedisPresence(connect(settings.redis_url, pool_max=4), clock=clock),
    )
