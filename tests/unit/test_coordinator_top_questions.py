"""The questions asked most often, as metrics: bounded, by the leader, only where wished."""

from collections.abc import Sequence
from datetime import UTC, date, datetime

import pytest

from coordinator.metrics import CoordinatorMetrics
from coordinator.top_questions import TopQuestions
from kotaemon_node.domain.errors import StoreUnavailable
from kotaemon_node.domain.limits import TOP_QUESTION_CHARS_MAX, TOP_QUESTIONS_TENANTS_MAX
from kotaemon_node.ports.analytics import Day
from tests.fakes.knowledge_ports import HandClock

TODAY = date(2026, 11, 21)


class Counted:
    """``ports.analytics.Analytics`` with two days."""

    away = False

    def days(self, tenant: str, days: list[date]) -> list[Day]:
        if self.away:
            raise StoreUnavailable("away")
        assert days[0] == TODAY
        assert len(days) == 7
        if tenant == "quiet":
            return [Day(days[0], asked={"secret of another": 1})]
        many = {f"question {number}": number for number in range(1, 13)}
        return [Day(days[0], asked=many), Day(days[1], asked={"question 1": 20, "long" * 90: 99})]


@pytest.fixture
def metrics() -> CoordinatorMetrics:
    return CoordinatorMetrics()


def shown(metrics: CoordinatorMetrics) -> list[str]:
    lines = metrics.exposition().decode().splitlines()
    return [line for line in lines if line.startswith("kotaemon_top_question_turns{")]


def looking(
    metrics: CoordinatorMetrics,
    *,
    wished: bool = True,
    leads: bool = True,
    tenants: Sequence[str] = ("default",),
) -> TopQuestions:
    at = datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()
    return TopQuestions(
        Counted(),  # type: ignore[arg-type]
        wished=wished,
        leads=lambda: leads,
        show=metrics.top_questions,
        clock=HandClock(at),
        tenants=lambda: tenants,
    )


def test_the_leader_tells_ten_of_a_week_and_cuts_long_ones(metrics: CoordinatorMetrics) -> None:
    looking(metrics).look()

    rows = shown(metrics)
    assert len(rows) == 10
    assert 'kotaemon_top_question_turns{question="question 1",tenant="default"} 21.0' in rows
    assert (
        f'{{question="{("long" * 90)[:TOP_QUESTION_CHARS_MAX]}",tenant="default"}} 99.0'
        in "\n".join(rows)
    )
    assert not any('"question 4"' in row for row in rows)


def test_each_tenants_questions_are_its_own_and_so_many_tenants_are_told(
    metrics: CoordinatorMetrics,
) -> None:
    looking(metrics, tenants=("default", "quiet")).look()
    rows = shown(metrics)
    assert len(rows) == 11
    assert 'kotaemon_top_question_turns{question="secret of another",tenant="quiet"} 1.0' in rows

    many = [f"tenant-{number}" for number in range(TOP_QUESTIONS_TENANTS_MAX)]
    looking(metrics, tenants=("quiet", *many)).look()
    rows = shown(metrics)
    assert len(rows) == 10 * TOP_QUESTIONS_TENANTS_MAX
    assert not any("quiet" in row for row in rows)


def test_another_than_the_leader_tells_none(metrics: CoordinatorMetrics) -> None:
    looking(metrics).look()
    looking(metrics, leads=False).look()
    assert shown(metrics) == []


def test_what_was_told_stays_while_the_store_is_away(
    metrics: CoordinatorMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking(metrics).look()
    monkeypatch.setattr(Counted, "away", True)
    looking(metrics).look()
    assert len(shown(metrics)) == 10


def test_nothing_is_told_where_it_is_not_wished(metrics: CoordinatorMetrics) -> None:
    looking(metrics, wished=False).run()
    assert shown(metrics) == []
