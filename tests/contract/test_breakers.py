"""``ports.breakers``: the one in memory and the one that pods share obey the same contract."""

from collections.abc import Iterator
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kotaemon_node.adapters.redis import RedisBreaker, RedisStore, connect
from kotaemon_node.domain.errors import StoreUnavailable
from kotaemon_node.domain.limits import (
    BREAKER_FAILURES,
    BREAKER_OPEN_S,
    BREAKER_OPEN_S_MAX,
    BREAKER_PROBE_S,
)
from kotaemon_node.ports.breakers import Breaker, Verdict
from tests.breaker_cases import Timed, in_memory, in_redis
from tests.redis_server import RedisServer, free_port


@pytest.fixture(scope="module")
def store(redis_server: RedisServer) -> Iterator[RedisStore]:
    store = connect(redis_server.url)
    yield store
    store.client.close()


@pytest.fixture(params=["memory", "redis"])
def timed(request: pytest.FixtureRequest, store: RedisStore) -> Timed:
    store.client.flushall()
    return in_memory() if request.param == "memory" else in_redis(store)


def fails(breaker: Breaker, *callers: str) -> None:
    for caller in callers:
        assert breaker.ask(caller).admitted
        breaker.failed(caller)


def test_failures_in_a_row_open_it(timed: Timed) -> None:
    breaker = timed.breaker
    fails(breaker, "a", "b")
    assert breaker.ask("c").admitted
    assert not breaker.open_now()
    breaker.failed("c")
    verdict = breaker.ask("d")
    assert not verdict.admitted
    assert BREAKER_OPEN_S - 5 < verdict.open_for_s <= BREAKER_OPEN_S
    assert breaker.open_now()


def test_an_answer_in_between_begins_the_row_anew(timed: Timed) -> None:
    breaker = timed.breaker
    fails(breaker, "a", "b")
    breaker.succeeded("c")
    fails(breaker, "d", "e")
    assert breaker.ask("f").admitted


def test_the_same_failure_told_twice_is_one(timed: Timed) -> None:
    for _ in range(BREAKER_FAILURES):
        timed.breaker.failed("a")
    assert timed.breaker.ask("b").admitted


def test_one_caller_tries_it_and_closes_it(timed: Timed) -> None:
    breaker = timed.breaker
    fails(breaker, "a", "b", "c")
    timed.passes(BREAKER_OPEN_S + 1)
    assert breaker.ask("probe") == Verdict(True, probe=True)
    # Asked again, as after a reply that was lost.
    assert breaker.ask("probe") == Verdict(True, probe=True)
    other = breaker.ask("other")
    assert (other.admitted, other.open_for_s) == (False, 0.0)
    breaker.answering("other")
    breaker.succeeded("other")  # which was not admitted and is not heard
    assert not breaker.ask("third").admitted
    breaker.answering("probe")
    assert breaker.ask("third") == Verdict(True)
    assert not breaker.open_now()


def test_what_answered_again_is_on_probation_until_an_answer_was_whole(timed: Timed) -> None:
    breaker = timed.breaker
    fails(breaker, "a", "b", "c")
    timed.passes(BREAKER_OPEN_S + 1)
    breaker.ask("probe")
    breaker.answering("probe")
    fails(breaker, "probe")
    verdict = breaker.ask("d")
    assert verdict.open_for_s > BREAKER_OPEN_S
    timed.passes(2 * BREAKER_OPEN_S + 1)
    breaker.ask("second")
    breaker.answering("second")
    breaker.succeeded("second")
    fails(breaker, "e", "f")
    assert breaker.ask("g").admitted


def test_each_probe_that_fails_doubles_the_time_up_to_a_bound(timed: Timed) -> None:
    breaker = timed.breaker
    fails(breaker, "a", "b", "c")
    spans = []
    for number in range(6):
        spans.append(breaker.ask("x").open_for_s)
        timed.passes(BREAKER_OPEN_S_MAX + 1)
        fails(breaker, f"probe-{number}")
    expected = [min(BREAKER_OPEN_S * 2**n, BREAKER_OPEN_S_MAX) for n in range(6)]
    assert spans == pytest.approx(expected, abs=5)


def test_a_probe_that_died_or_gave_up_lets_another_try(timed: Timed) -> None:
    breaker = timed.breaker
    fails(breaker, "a", "b", "c")
    timed.passes(BREAKER_OPEN_S + 1)
    assert breaker.ask("gives up").admitted
    breaker.gave_up("gives up")
    assert breaker.ask("dies").admitted
    assert not breaker.ask("early").admitted
    timed.passes(BREAKER_PROBE_S + 1)
    assert breaker.ask("next").admitted


def test_verdicts_that_come_late_change_nothing(timed: Timed) -> None:
    breaker = timed.breaker
    fails(breaker, "a", "b", "c")
    breaker.succeeded("began before")
    breaker.failed("too")
    verdict = breaker.ask("d")
    assert not verdict.admitted
    assert verdict.open_for_s <= BREAKER_OPEN_S


def test_pods_share_it_and_endpoints_do_not(store: RedisStore) -> None:
    store.client.flushall()
    one, two = in_redis(store), in_redis(store)
    elsewhere = in_redis(store, address="http://other/v1").breaker
    fails(one.breaker, "a", "b")
    fails(two.breaker, "c")
    assert not one.breaker.ask("d").admitted
    assert elsewhere.ask("d").admitted
    one.passes(BREAKER_OPEN_S + 1)
    admitted = [side.breaker.ask(f"{n}").admitted for n, side in enumerate([two, one, two, one])]
    assert admitted == [True, False, False, False]
    (key,) = store.client.keys("kn:breaker:*")
    assert 0 < store.client.ttl(key) <= 3600


def test_a_store_that_is_away_is_told() -> None:
    breaker = RedisBreaker(connect(f"redis://127.0.0.1:{free_port()}/0"), address="x")
    with pytest.raises(StoreUnavailable):
        breaker.ask("a")


_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["ask", "answering", "succeeded", "failed", "gave_up", "passes"]),
        st.integers(0, 3),
    ),
    max_size=40,
)
_SPANS_S = (BREAKER_PROBE_S + 1, BREAKER_OPEN_S + 1, 2 * BREAKER_OPEN_S + 1, BREAKER_OPEN_S_MAX + 1)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(_STEPS)
def test_both_do_the_same_whatever_happens(store: RedisStore, steps: list[tuple[str, int]]) -> None:
    """Each caller asks once; those that were admitted tell, and may tell twice."""
    store.client.flushall()
    both, fresh = (in_memory(), in_redis(store)), count()
    admitted: list[str] = []
    for step, number in steps:
        if step == "passes":
            for side in both:
                side.passes(_SPANS_S[number])
        elif step == "ask":
            caller = f"c{next(fresh)}"
            verdicts = [side.breaker.ask(caller) for side in both]
            assert verdicts[0].admitted == verdicts[1].admitted
            assert verdicts[0].open_for_s == pytest.approx(verdicts[1].open_for_s, abs=5)
            if verdicts[0].admitted:
                admitted.append(caller)
        elif admitted:
            caller = admitted[-1 - number % len(admitted)]
            for side in both:
                getattr(side.breaker, step)(caller)
        assert both[0].breaker.open_now() == both[1].breaker.open_now()
