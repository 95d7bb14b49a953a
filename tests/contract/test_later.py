"""Delayed jobs: in memory, and on each kind of Redis."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from kotaemon_node.adapters.redis import RedisLater, connect
from kotaemon_node.adapters.redis.later_keys import LaterKeys
from kotaemon_node.domain import acting_limits as limits
from kotaemon_node.domain.errors import Invalid, NotFound, Overloaded
from kotaemon_node.ports.later import LaterCount, LaterJob, Leased
from tests.fakes.later import MemoryLater
from tests.redis_sets import KINDS

_SERVERS: dict[str, Any] = {}


@pytest.fixture(params=["memory", *KINDS])
def later(request: pytest.FixtureRequest) -> Iterator[Any]:
    if request.param == "memory":
        yield MemoryLater()
        return
    server = _started(request.param)
    server.wipe()
    store = connect(server.url)
    yield RedisLater(store)
    store.client.close()


@pytest.fixture(scope="module", autouse=True)
def _servers() -> Iterator[None]:
    yield
    for server in _SERVERS.values():
        server.remove()
    _SERVERS.clear()


def _started(kind: str) -> Any:
    if kind not in _SERVERS:
        _SERVERS[kind] = KINDS[kind]()
        _SERVERS[kind].start()
    return _SERVERS[kind]


def job(name: str, *, kind: str = "mail", tenant: str = "t", **more: Any) -> LaterJob:
    return LaterJob(name, kind, tenant, {"to": name}, **more)


def taken(later: Any, *, places: int = 10, holder: str = "pod", lease_s: float = 60) -> Any:
    found = later.take({"mail": places, "call": places}, holder=holder, lease_s=lease_s)
    return {leased.job.id: leased for leased in found}


def one(later: Any, **how: Any) -> Leased:
    [leased] = taken(later, **how).values()
    return leased


def test_a_job_is_done_once_however_often_it_is_put(later: Any) -> None:
    assert later.put(job("one")) is True
    assert later.put(job("one")) is False
    assert later.put(job("one", tenant="other")) is True

    found = later.take({"mail": 10}, holder="pod", lease_s=60)
    assert sorted((it.job.tenant, it.job.id) for it in found) == [("other", "one"), ("t", "one")]
    mine = next(it for it in found if it.job.tenant == "t")
    assert (mine.job.fields, mine.job.attempt, mine.job.kind) == ({"to": "one"}, 1, "mail")
    later.done(mine)
    later.done(mine)
    # Its id is known for a while: a pod that did not hear that it was put puts it again.
    assert later.put(job("one")) is False
    assert taken(later) == {}
    assert later.waiting("t", limit=10) == []


def test_a_job_waits_until_it_is_due(later: Any) -> None:
    later.put(job("now"))
    later.put(job("in an hour", due_in_s=3600))

    assert list(taken(later)) == ["now"]
    [now, hour] = later.waiting("t", limit=10)
    assert (now.state, hour.state) == ("running", "waiting")
    assert 3500 < hour.due_at - hour.created_at <= 3600
    # Its id has a blank, which neither keys nor paths may have.
    assert hour.name == job("in an hour").name != "in an hour"


def test_a_lease_that_ended_hands_the_job_to_another_and_counts(later: Any) -> None:
    later.put(job("one"))
    dead = one(later, holder="dead pod", lease_s=0)
    heir = one(later, holder="heir")

    assert (dead.job.attempt, heir.job.attempt) == (1, 2)
    assert not later.renew(dead, lease_s=60)
    assert not later.again(dead, delay_s=0, error="late", counts=True)
    assert not later.bury(dead, error="late")
    assert later.renew(heir, lease_s=60)
    assert taken(later) == {}
    # The one before had its effect all the same, and says so: nothing is left to be done.
    later.done(dead)
    assert not later.renew(heir, lease_s=0)
    assert taken(later) == {}


def test_a_job_that_is_given_back_comes_again(later: Any) -> None:
    later.put(job("one"))
    assert later.again(one(later), delay_s=3600, error="refused", counts=True)
    assert taken(later) == {}
    [row] = later.waiting("t", limit=10)
    assert (row.state, row.attempts, row.error) == ("waiting", 1, "refused")

    later.put(job("two"))
    assert later.again(one(later), delay_s=0, error="", counts=False)
    repeated = one(later)
    assert (repeated.job.id, repeated.job.attempt) == ("two", 1)


def test_how_often_a_job_was_handed_out_is_never_forgotten(later: Any) -> None:
    later.put(job("one"))
    first = one(later)
    later.again(first, delay_s=0, error="", counts=False)
    second = one(later, lease_s=0)
    third = one(later)
    later.bury(third, error="no")
    later.retry("t", "one")
    fourth = one(later)
    assert [it.job.begun for it in (first, second, third, fourth)] == [1, 2, 3, 4]
    assert [it.job.attempt for it in (first, second, third, fourth)] == [1, 1, 2, 1]


def test_a_job_that_an_older_program_began_was_handed_out_as_often_as_it_says(later: Any) -> None:
    if isinstance(later, MemoryLater):
        pytest.skip("it is never older")
    later.put(job("one"))
    one(later, lease_s=0)
    record = LaterKeys.of("t", "one").record
    later._store.client.hdel(record, "begun")
    assert one(later).job.begun == 2


def test_dead_letters_are_kept_until_somebody_decides(later: Any) -> None:
    for name in ("one", "two"):
        later.put(job(name, attempts_max=3))
    for leased in taken(later).values():
        assert later.bury(leased, error="nobody is there")

    assert taken(later) == {}
    assert later.put(job("one")) is False
    rows = later.dead("t", limit=10)
    assert sorted((it.name, it.kind, it.error, it.attempts_max) for it in rows) == [
        ("one", "mail", "nobody is there", 3),
        ("two", "mail", "nobody is there", 3),
    ]
    assert later.dead("other", limit=10) == []
    assert later.counts(["mail", "call"]) == {
        "mail": LaterCount(waiting=0, late_s=0, dead=2),
        "call": LaterCount(waiting=0, late_s=0, dead=0),
    }

    later.retry("t", "one")
    later.drop("t", "two")
    assert later.dead("t", limit=10) == []
    for decide in (later.retry, later.drop):
        for name in ("one", "two", "never was"):
            with pytest.raises(NotFound):
                decide("t", name)
    revived = one(later)
    assert (revived.job.id, revived.job.attempt, revived.error) == ("one", 1, "nobody is there")
    assert later.put(job("two")) is False


def test_only_kinds_that_are_asked_for_are_handed_out_and_no_more_than_wanted(later: Any) -> None:
    for number in range(6):
        later.put(job(f"mail-{number}"))
        later.put(job(f"call-{number}", kind="call"))

    assert later.take({"mail": 0}, holder="pod", lease_s=60) == []
    some = later.take({"mail": 4, "call": 0}, holder="pod", lease_s=60)
    rest = later.take({"mail": 4, "other": 9}, holder="pod", lease_s=60)
    assert {it.job.kind for it in [*some, *rest]} == {"mail"}
    assert (len(some), len(rest), len({it.job.id for it in [*some, *rest]})) == (4, 2, 6)
    assert later.counts(["mail"])["mail"].waiting == 6


def test_bounds(later: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Invalid):
        later.put(LaterJob("big", "mail", "t", {"text": "x" * limits.LATER_JOB_BYTES_MAX}))
    monkeypatch.setattr(limits, "LATER_WAITING_MAX", limits.LATER_SHARDS)

    def fill() -> None:
        for number in range(limits.LATER_SHARDS + 1):
            later.put(job(f"job-{number}"))

    with pytest.raises(Overloaded):
        fill()
    assert later.put(job("job-0", tenant="other"))


def test_of_too_many_dead_letters_the_oldest_go(
    later: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if isinstance(later, MemoryLater):
        pytest.skip("the one in memory keeps them all")
    monkeypatch.setattr(limits, "LATER_DEAD_MAX", 2 * limits.LATER_SHARDS)
    for number in range(40):
        later.put(job(f"job-{number}"))
        later.bury(one(later), error="no")
    rows = later.dead("t", limit=100)
    assert len(rows) == later.counts(["mail"])["mail"].dead == 2 * limits.LATER_SHARDS
    assert rows[0].name == "job-39"
    # Nothing is left of the others: not even a key.
    records = later._store.client.keys("kn:{later:*:job:*") if not _clustered(later) else rows
    assert len(records) == 2 * limits.LATER_SHARDS


def _clustered(later: Any) -> bool:
    return type(later._store.client).__name__ == "ClusterClient"


def test_pods_that_race_share_the_jobs_and_none_is_given_twice(later: Any) -> None:
    names = [f"job-{number}" for number in range(60)]
    for name in names:
        later.put(job(name))
    got: list[str] = []

    def works(pod: str) -> None:
        for turn in range(40):
            found = later.take({"mail": 3}, holder=f"{pod}-{turn}", lease_s=600)
            got.extend(it.job.id for it in found)

    pods = [threading.Thread(target=works, args=(f"pod-{number}",)) for number in range(4)]
    for pod in pods:
        pod.start()
    for pod in pods:
        pod.join(120)
    assert sorted(got) == sorted(names)


def test_a_record_that_was_lost_leaves_nothing_behind(later: Any) -> None:
    if isinstance(later, MemoryLater):
        pytest.skip("loses nothing")
    later.put(job("one"))
    later._store.client.delete(LaterKeys.of("t", "one").record)
    assert taken(later) == {}
    assert later.counts(["mail"])["mail"].waiting == 0
    assert later.put(job("one")) is True
