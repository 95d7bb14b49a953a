"""What becomes of limits while the store does not answer: nobody else's are left uncounted."""

from typing import Any

import pytest

from kotaemon_node.api import use_desk
from kotaemon_node.api.use_desk import UseDesk
from kotaemon_node.domain.errors import StoreUnavailable
from kotaemon_node.domain.quotas import Quota, QuotaTable
from kotaemon_node.ports.use import User, Verdict, Wanted
from tests.fakes.services import FakeClock

ONE = Wanted(requests=1)


class Shards:
    """Counts; the tenants of one shard are away."""

    def __init__(self) -> None:
        self.away: set[str] = set()
        self.asked: list[str] = []

    def take(self, user: User, wanted: Wanted) -> Verdict:
        self.asked.append(user.tenant)
        if user.tenant in self.away:
            raise StoreUnavailable("the shard is away")
        return Verdict()


class Metrics:
    def __init__(self) -> None:
        self.uncounted = 0

    def unchecked(self) -> None:
        self.uncounted += 1


class Desk:
    def __init__(self) -> None:
        self.shards, self.clock, self.metrics = Shards(), FakeClock(), Metrics()
        parts: Any = {"clock": self.clock, "metrics": self.metrics}
        self.desk = UseDesk(self.shards, table=QuotaTable, **parts)  # type: ignore[arg-type]

    def take(self, tenant: str) -> Verdict | None:
        return self.desk.take(User(tenant, "ann", Quota(requests_per_minute=5), Quota()), ONE)


def test_a_tenant_whose_shard_is_away_is_let_in_and_asked_about_twice_a_second() -> None:
    one = Desk()
    one.shards.away = {"acme"}

    assert [one.take("acme") for _ in range(3)] == [None] * 3
    assert one.shards.asked == ["acme"]
    assert one.metrics.uncounted == 3

    one.shards.away.clear()
    one.clock.sleep(0.5)
    assert one.take("acme") is not None


def test_the_limits_of_other_tenants_hold_meanwhile() -> None:
    one = Desk()
    one.shards.away = {"acme"}

    for _ in range(3):
        assert one.take("acme") is None
        assert one.take("other") is not None


def test_what_is_kept_of_tenants_that_are_away_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(use_desk, "_AWAY_TENANTS_MAX", 3)
    one = Desk()
    one.shards.away = {f"t{number}" for number in range(9)}

    for number in range(9):
        one.take(f"t{number}")
    assert list(one.desk._failed_s) == ["t6", "t7", "t8"]
    one.clock.sleep(0.5)
    one.take("t0")
    assert list(one.desk._failed_s) == ["t0"]  # the others' time is over
