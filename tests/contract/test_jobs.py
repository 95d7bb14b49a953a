"""The queue of orders: in memory, and on each kind of Redis."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from kotaemon_node.adapters.redis import RedisJobs, connect
from kotaemon_node.adapters.redis.job_keys import JobKeys
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import Conflict, NotFound, Overloaded
from kotaemon_node.ports.jobs import UPLOAD, Order
from tests.fakes.jobs import MemoryJobs
from tests.redis_sets import KINDS


@pytest.fixture(params=["memory", *KINDS])
def jobs(request: pytest.FixtureRequest) -> Iterator[Any]:
    if request.param == "memory":
        yield MemoryJobs()
        return
    server = _started(request.param)
    server.wipe()
    store = connect(server.url)
    yield RedisJobs(store)
    store.client.close()


_SERVERS: dict[str, Any] = {}


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


def order(job_id: str, *, document: str = "a.md", tenant: str = "t") -> Order:
    return Order(job_id, "delete", tenant, "shop", {"document": document})


def test_orders_are_handed_out_one_after_the_other_until_they_end(jobs: Any) -> None:
    assert jobs.begin("t") is None
    jobs.submit(order("one"))
    jobs.submit(order("two"))

    first = jobs.begin("t")
    assert (first.order, first.state, first.attempts) == (order("one"), "running", 1)
    # Whoever takes over begins the same one again.
    assert jobs.begin("t").attempts == 2
    jobs.finish(first, {"generation": 7})
    jobs.finish(first, {"generation": 8})

    assert jobs.find("t", "one").state == "done"
    assert jobs.find("t", "one").result == {"generation": 7}
    assert jobs.begin("t").order.id == "two"


def test_jobs_that_wait_for_something_let_the_others_pass(jobs: Any) -> None:
    for name in ("one", "two", "three"):
        jobs.submit(order(name))
    first = jobs.begin("t")
    second = jobs.begin("t", beside={"one"})
    assert (first.order.id, second.order.id) == ("one", "two")
    assert [job.order.id for job in jobs.waiting("t")] == ["one", "two", "three"]
    jobs.finish(second, {})
    assert jobs.begin("t", beside={"one", "three"}) is None
    assert jobs.begin("t", beside={"one"}).order.id == "three"
    assert [job.state for job in jobs.waiting("t")] == ["running", "running"]
    assert jobs.waiting("other") == []


def test_uploads_leave_room_for_other_orders(jobs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "UPLOADS_QUEUED_MAX", 1)
    jobs.submit(Order("one", UPLOAD, "t", "shop", {"document": "a.md"}))
    with pytest.raises(Overloaded):
        jobs.submit(Order("two", UPLOAD, "t", "shop", {"document": "b.md"}))
    assert jobs.submit(order("three")).state == "queued"


def test_the_same_order_is_the_same_job_and_another_under_its_id_is_refused(jobs: Any) -> None:
    first = jobs.submit(order("one"))
    assert (first.state, first.attempts, first.reason, first.result) == ("queued", 0, None, {})
    jobs.finish(jobs.begin("t"), {"generation": 7})
    assert jobs.submit(order("one")).state == "done"
    assert jobs.begin("t") is None
    with pytest.raises(Conflict):
        jobs.submit(order("one", document="b.md"))


def test_a_failed_job_keeps_its_reason(jobs: Any) -> None:
    jobs.submit(order("one"))
    jobs.fail(jobs.begin("t"), "the folder is read-only", dead=True)
    found = jobs.find("t", "one")
    assert (found.state, found.reason) == ("failed", "the folder is read-only")
    assert jobs.begin("t") is None


def test_tenants_see_their_own_jobs_newest_first(jobs: Any) -> None:
    for name in ("a", "b", "c"):
        jobs.submit(order(name))
    jobs.submit(order("d", tenant="u"))
    assert sorted(job.order.id for job in jobs.list("t", limit=10)) == ["a", "b", "c"]
    assert len(jobs.list("t", limit=2)) == 2
    with pytest.raises(NotFound):
        jobs.find("t", "d")
    assert jobs.begin("u").order.id == "d"


def test_a_full_queue_takes_no_more(jobs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "JOBS_QUEUED_MAX", 2)
    jobs.submit(order("one"))
    jobs.submit(order("two"))
    with pytest.raises(Overloaded):
        jobs.submit(order("three"))
    assert jobs.submit(order("one")).order.id == "one"
    jobs.finish(jobs.begin("t"), {})
    jobs.submit(order("three"))


def test_whoever_waits_hears_of_an_order(jobs: Any) -> None:
    assert not jobs.wait(["t"], timeout_s=0.01)
    jobs.submit(order("one"))
    assert list(jobs.wait(["t"], timeout_s=5)) == ["t"]
    assert not jobs.wait(["t"], timeout_s=0.01)


def test_whoever_waits_hears_of_a_tenant_that_is_new(jobs: Any) -> None:
    assert not jobs.wait(["t"], timeout_s=0.01)
    jobs.submit(replace(order("one"), tenant="new"))
    assert list(jobs.wait(["t", "new"], timeout_s=5)) == ["new"]
    assert not jobs.wait(["t", "new"], timeout_s=0.01)


def test_a_tenant_is_named_while_its_jobs_have_not_ended(jobs: Any) -> None:
    assert not jobs.tenants()
    jobs.submit(order("one"))
    jobs.submit(order("two"))
    jobs.submit(replace(order("one"), tenant="other"))
    assert set(jobs.tenants()) == {"t", "other"}
    jobs.finish(jobs.begin("t"), {})
    assert set(jobs.tenants()) == {"t", "other"}
    jobs.fail(jobs.begin("t"), "no")
    assert set(jobs.tenants()) == {"other"}


@pytest.mark.parametrize("jobs", ["single"], indirect=True)
def test_an_order_whose_record_is_lost_holds_nobody_up(jobs: RedisJobs) -> None:
    jobs.submit(order("lost"))
    jobs.submit(order("kept"))
    store = connect(_SERVERS["single"].url)
    store.client.delete(JobKeys("t").record("lost"))
    found = jobs.begin("t")
    assert found is not None
    assert found.order.id == "kept"
    jobs.fail(found, "poison", dead=True)
    dead = store.client.xrange(JobKeys("t").dead)
    assert [row[b"id"] for _, row in dead] == [b"kept"]
    assert 0 < store.client.ttl(JobKeys("t").record("kept")) <= limits.JOBS_KEPT_S
    store.client.close()


@pytest.mark.parametrize("jobs", list(KINDS), indirect=True)
def test_what_no_pod_has_written_holds_up_no_order(jobs: RedisJobs) -> None:
    client, keys = jobs._store.client, JobKeys("t")
    client.xadd(keys.queue, {"nonsense": "x"})
    jobs.submit(order("broken"))
    client.hset(keys.record("broken"), "fields", "{")
    jobs.submit(order("one"))
    begun = jobs.begin("t")
    assert begun is not None
    assert begun.order == order("one")
    assert client.xlen(keys.queue) == 1
