"""Composes what is kept of finished turns, and the experiment whose arms it tells apart."""

from dataclasses import dataclass

import structlog

from kotaemon_node import __version__
from kotaemon_node.adapters.experiments import read_live
from kotaemon_node.adapters.redis import (
    RedisAnalytics,
    RedisFeedback,
    RedisTurnRecords,
    connect,
)
from kotaemon_node.adapters.redis.faq_drafts import RedisFaqDrafts
from kotaemon_node.domain import limits
from kotaemon_node.domain.experiment import EXTRACTIVE, LiveExperiment, profile_name
from kotaemon_node.engine.counting import Tallying
from kotaemon_node.engine.profile import ProfileOf, always_default, asking_for, split
from kotaemon_node.engine.rating import Ratings
from kotaemon_node.engine.record import Record, Recorder, no_record
from kotaemon_node.ports.analytics import Analytics
from kotaemon_node.ports.cipher import FieldCipher
from kotaemon_node.ports.faq_drafts import FaqDrafts
from kotaemon_node.ports.runtime import Clock, Tasks
from kotaemon_node.ports.turn_records import TurnRecords
from kotaemon_node.retrieval.analysis import ANALYSIS
from kotaemon_node.settings import Settings
from kotaemon_node.telemetry.metrics import Metrics

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Books:
    """What engine and routes are given for it."""

    profile_of: ProfileOf
    record: Record
    records: TurnRecords | None
    """None: no records are kept."""
    tally: Tallying
    analytics: Analytics
    ratings: Ratings
    drafts: FaqDrafts
    """Questions that were not answered well."""


def books_of(
    settings: Settings, *, cipher: FieldCipher, clock: Clock, tasks: Tasks, metrics: Metrics
) -> Books:
    """Return them; connects when first used. Raises ``ValueError`` for a wrong experiment."""
    # Connections of its own: turns must not wait behind their own book-keeping. What is lost of it
    # with a primary is not missed by anybody who was told something, so nothing is confirmed.
    store = connect(
        settings.redis_url,
        pool_max=limits.REDIS_BOOKKEEPERS_MAX,
        cipher=cipher,
        answered=metrics.store_answered,
        shared=True,
    )
    analytics = RedisAnalytics(store)
    drafts = RedisFaqDrafts(store)
    tally = Tallying(
        analytics,
        with_questions=settings.analytics_questions,
        count=metrics.analytics,
        drafts=drafts,
    )
    kept_s = settings.records_kept_s
    records = RedisTurnRecords(store, kept_s=kept_s) if kept_s else None
    recorder = records and Recorder(
        records,
        clock=clock,
        tasks=tasks,
        versions={"kotaemon": __version__, "analysis": ANALYSIS},
        count=metrics.audit_record,
    )
    return Books(
        profile_of=asking_for(_profile_of(settings, metrics), settings.answer_evidence_min),
        record=recorder or no_record,
        records=records,
        tally=tally,
        analytics=analytics,
        ratings=Ratings(RedisFeedback(store), tally=tally, count=metrics.feedback),
        drafts=drafts,
    )


def _profile_of(settings: Settings, metrics: Metrics) -> ProfileOf:
    if settings.experiment_file is None:
        return always_default
    experiment = read_live(settings.experiment_file)
    _require_models(settings, experiment)
    metrics.profiles([profile_name(experiment.name, "a"), profile_name(experiment.name, "b")])
    _log.info("experiment_runs", experiment=experiment.name, share=experiment.share)
    return split(experiment)


def _require_models(settings: Settings, experiment: LiveExperiment) -> None:
    """Refuse a model that this cluster does not have: its arm would be answered by another."""
    there = {"", EXTRACTIVE} | ({settings.llm_model} if settings.llm_base_url else set())
    for name, arm in (("a", experiment.a), ("b", experiment.b)):
        if arm.model not in there:
            has = ", ".join(sorted(there - {""}))
            raise ValueError(
                f"{settings.experiment_file}: {name}.generator.model is {arm.model!r}; "
                f"this cluster has {has}"
            )
