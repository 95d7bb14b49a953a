"""Counts, feedback and audit records on each kind of real store."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from kotaemon_node.adapters.redis import (
    RedisAnalytics,
    RedisFeedback,
    RedisStore,
    RedisTurnRecords,
)
from kotaemon_node.adapters.redis.keys import SessionKeys, trace
from kotaemon_node.adapters.redis.question_keys import CountKeys
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import TurnNotFound
from kotaemon_node.domain.session import SessionKey, TurnKey
from kotaemon_node.ports.analytics import Tally
from kotaemon_node.ports.feedback import Feedback
from kotaemon_node.ports.turn_records import TurnRecord
from tests.archived_pods import ArchivedPod, Attic, settled
from tests.backed_up import BackedUp, quick_disk, whole_sessions
from tests.contract.test_session_cache import ANYBODY, NAMES, SESSION
from tests.redis_server import Server
from tests.redis_sets import names_like

__all__ = ["quick_disk"]

DAY = date(2026, 3, 9)
UP, DOWN = Feedback("up", "clear", 1.5), Feedback("down", "", 2.5)
T0 = TurnKey(SESSION, "t0")


def tally(once: str, *, question: str = "", unanswered: bool = False, **counts: int) -> Tally:
    at = datetime(2026, 3, 9, 12, 30, tzinfo=UTC)
    return Tally("default", at, "wide/b", once, counts, question, unanswered)


@pytest.fixture
def attic(redis_store: RedisStore, tmp_path: Path) -> Attic:
    return Attic(redis_store, tmp_path / "artifacts")


@pytest.fixture
def pod(redis_store: RedisStore, attic: Attic) -> ArchivedPod:
    return ArchivedPod(redis_store, "pod-a", attic.copies)


@pytest.fixture
def feedback(redis_store: RedisStore) -> RedisFeedback:
    return RedisFeedback(redis_store)


def test_what_is_told_twice_counts_once(redis_store: RedisStore) -> None:
    analytics = RedisAnalytics(redis_store)
    for once in ("a", "b", "a"):
        analytics.add(tally(once, question="why", unanswered=once == "a", turns=1, up=-1, down=0))

    empty, day = analytics.days("default", [date(2026, 3, 8), DAY])

    assert (empty.counts, empty.asked) == ({}, {})
    assert day.counts == {"wide/b": {"turns": 2, "up": -2}}
    assert (day.asked, day.unanswered) == ({"why": 2}, {"why": 1})
    [other] = analytics.days("other", [DAY])
    assert other.counts == {}


def test_counts_end_after_five_weeks(redis_store: RedisStore) -> None:
    RedisAnalytics(redis_store).add(tally("a", question="why", unanswered=True, turns=1))

    keys = CountKeys.of("default", DAY)
    kept_s = limits.ANALYTICS_DAYS_KEPT * 86_400
    for name in (keys.day, keys.asked, keys.unanswered):
        assert kept_s - 60 < redis_store.client.ttl(name) <= kept_s
    assert 0 < redis_store.client.ttl(keys.counted("2026030912")) <= limits.ANALYTICS_COUNTED_S


def test_of_many_questions_the_frequent_ones_stay(
    redis_store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "ANALYTICS_QUESTIONS_MAX", 3)
    analytics = RedisAnalytics(redis_store)
    for number in range(20):
        analytics.add(tally(f"often {number}", question="often", turns=1))
        analytics.add(tally(f"once {number}", question=f"once {number}", turns=1))

    [day] = analytics.days("default", [DAY])

    assert len(day.asked) == 3
    assert day.asked["often"] == 20
    assert "once 19" in day.asked


def test_feedback_replaces_what_was_said_before(pod: ArchivedPod, feedback: RedisFeedback) -> None:
    settled(pod, "t0")
    before = pod.truth()

    assert feedback.put(T0, UP) is None
    assert feedback.put(T0, DOWN) == UP
    assert feedback.put(T0, DOWN) == DOWN

    assert feedback.of(SESSION, ["t0", "t9"]) == {"t0": DOWN}
    assert feedback.of(SESSION, []) == {}
    # The history, its version and its hash say nothing of it.
    assert pod.truth()[:3] == before[:3]


def test_only_finished_turns_have_feedback(pod: ArchivedPod, feedback: RedisFeedback) -> None:
    pod.owned("t0")
    for key in (T0, TurnKey(SESSION, "t9"), TurnKey(SessionKey("default", "s9"), "t0")):
        with pytest.raises(TurnNotFound):
            feedback.put(key, UP)


def test_feedback_rests_and_comes_back_with_its_session(
    pod: ArchivedPod, attic: Attic, feedback: RedisFeedback, redis_store: RedisStore
) -> None:
    settled(pod, "t0")
    feedback.put(T0, UP)
    attic.sweep()
    assert not redis_store.client.exists(NAMES.meta, NAMES.feedback)

    assert pod.ids() == ["t0"]

    assert feedback.of(SESSION, ["t0"]) == {"t0": UP}
    assert 3500 < redis_store.client.ttl(NAMES.feedback) <= 3600
    # Said after a copy was made: the session is another one then, and is copied anew.
    feedback.put(T0, DOWN)
    attic.sweep()
    assert pod.ids() == ["t0"]
    assert feedback.of(SESSION, ["t0"]) == {"t0": DOWN}


def test_feedback_is_in_a_backup(
    pod: ArchivedPod,
    attic: Attic,
    feedback: RedisFeedback,
    redis_store: RedisStore,
    store_server: Server,
    tmp_path: Path,
) -> None:
    settled(pod, "t0")
    feedback.put(T0, UP)
    cluster = BackedUp(whole_sessions(redis_store), attic.copies, tmp_path / "backups")
    backup = cluster.back_up(what=["sessions"])
    store_server.wipe()

    assert cluster.restore_sessions(backup).restored == 1

    assert feedback.of(SESSION, ["t0"]) == {"t0": UP}


def test_feedback_lives_as_long_as_its_session(
    pod: ArchivedPod, feedback: RedisFeedback, redis_store: RedisStore
) -> None:
    settled(pod, "t0")
    feedback.put(T0, UP)
    redis_store.client.expire(NAMES.feedback, 60)
    settled(pod, "t1")
    assert 3500 < redis_store.client.ttl(NAMES.feedback) <= 3600
    pod.sessions.delete(SESSION, ANYBODY)
    assert feedback.of(SESSION, ["t0"]) == {}


def record(epoch: str, fence: int, turn_id: str = "t0", **said: Any) -> TurnRecord:
    content = {"turn_id": turn_id, "at": 1.0, "pods": [f"pod-{fence}"], **said}
    return TurnRecord(TurnKey(SESSION, turn_id), "f" * 32, epoch, fence, content)


def test_the_record_of_the_last_owner_stays(pod: ArchivedPod, redis_store: RedisStore) -> None:
    settled(pod, "t0")
    epoch = pod.sessions.load(SESSION, ANYBODY, after_version=0, limit=0).epoch
    records = RedisTurnRecords(redis_store, kept_s=60)

    for fence in (1, 3, 3, 2):
        records.put(record(epoch, fence))
    records.put(record("another-epoch", 9))

    [found] = records.find("default", "f" * 32)
    assert found["pods"] == ["pod-3"]
    assert records.find("other", "f" * 32) == []
    for name in (SessionKeys.of(SESSION).record("t0"), trace("default", "f" * 32)):
        assert 0 < redis_store.client.ttl(name) <= 60


def test_of_a_trace_with_many_turns_the_newest_are_found(
    pod: ArchivedPod, redis_store: RedisStore
) -> None:
    settled(pod, "t0")
    epoch = pod.sessions.load(SESSION, ANYBODY, after_version=0, limit=0).epoch
    records = RedisTurnRecords(redis_store, kept_s=60)
    for number in range(limits.AUDIT_TURNS_MAX + 5):
        records.put(record(epoch, 1, f"t{number}", at=float(number)))

    found = records.find("default", "f" * 32)

    assert [one["turn_id"] for one in found] == [f"t{n}" for n in range(24, 4, -1)]


def test_records_go_with_their_session(pod: ArchivedPod, redis_store: RedisStore) -> None:
    settled(pod, "t0")
    epoch = pod.sessions.load(SESSION, ANYBODY, after_version=0, limit=0).epoch
    records = RedisTurnRecords(redis_store, kept_s=60)
    records.put(record(epoch, 1))

    pod.sessions.delete(SESSION, ANYBODY)
    records.put(record(epoch, 2))  # a pod that has not heard of it

    assert records.find("default", "f" * 32) == []
    assert list(names_like(redis_store, "*record*")) == []
