"""``ports.use``: what is used is counted exactly, on every kind of store, by many processes."""

import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from kotaemon_node.adapters.redis import RedisStore, connect
from kotaemon_node.adapters.redis.use import RedisUse
from kotaemon_node.domain.quotas import Quota
from kotaemon_node.ports.use import REPEATS_MAX, Left, OpenStream, User, Verdict, Wanted
from tests.fakes.use_hammer import OWN_MAX, PROCESSES, REQUESTS_MAX, TRIES
from tests.redis_server import RedisServer, Server
from tests.redis_sets import until

ANN = User("acme", "ann", Quota(requests_per_minute=3), Quota())
ROOT = Path(__file__).parents[2]


@pytest.fixture
def use(redis_store: RedisStore) -> RedisUse:
    return RedisUse(redis_store)


def left(verdict: Verdict) -> dict[tuple[str, str], float]:
    return {(level.scope, level.name): level.left for level in verdict.levels}


def test_as_much_as_the_limit_is_let_in_and_no_more(use: RedisUse) -> None:
    told = [use.take(ANN, Wanted(requests=1)) for _ in range(5)]

    assert [one.refused is None for one in told] == [True, True, True, False, False]
    assert [left(one)["principal", "requests"] for one in told] == [2, 1, 0, 0, 0]
    refused = told[-1].refused
    assert refused is not None
    assert (refused.scope, refused.name, refused.limit) == ("principal", "requests", 3)
    assert 55 < told[-1].wait_s <= 61


def test_one_limit_that_is_reached_counts_in_no_other(use: RedisUse) -> None:
    user = User("acme", "bob", Quota(10, 100, 1.0, 2, 1000), Quota(10, 50, 1.0, 2, 1000))
    wanted = Wanted(1, tokens=40, cost=0.5, upload_bytes=100, stream="s1", turn="t1")
    assert use.take(user, wanted).refused is None

    told = use.take(user, replace(wanted, turn="t2", stream="s2"))

    assert told.refused is not None
    assert (told.refused.scope, told.refused.name) == ("tenant", "tokens")
    expected = {"requests": 9, "tokens": 60, "cost": 0.5, "streams": 1, "upload_bytes": 900}
    found = left(use.look(user))
    assert {name: found["principal", name] for name in expected} == expected
    assert found["tenant", "tokens"] == 10


def test_other_principals_and_tenants_are_unharmed(use: RedisUse) -> None:
    tenant = Quota(requests_per_minute=4)
    ann, bob = replace(ANN, all=tenant), replace(ANN, subject="bob", all=tenant)
    for _ in range(5):
        use.take(ann, Wanted(requests=1))

    assert use.take(bob, Wanted(requests=1)).refused is None
    told = use.take(bob, Wanted(requests=1))
    assert told.refused is not None
    assert told.refused.scope == "tenant"
    assert use.take(replace(bob, tenant="other"), Wanted(requests=1)).refused is None


def test_a_turn_that_is_asked_for_again_counts_once_for_ten_times(use: RedisUse) -> None:
    user = replace(ANN, own=Quota(requests_per_minute=3, tokens_per_minute=100))
    wanted = Wanted(requests=1, tokens=60, turn="s/t")

    told = [use.take(user, wanted) for _ in range(10)]

    assert [one.known for one in told] == [False, *[True] * 9]
    assert left(told[-1]) == {("principal", "requests"): 2, ("principal", "tokens"): 40}
    again = [use.take(user, wanted) for _ in range(3)]
    assert [one.refused is None for one in again] == [True, True, False]


def test_what_a_turn_took_stands_in_place_of_what_was_reserved_once(use: RedisUse) -> None:
    user = User("acme", "ann", Quota(tokens_per_minute=100, cost_per_day=1.0), Quota(None, 100))
    use.take(user, Wanted(requests=1, tokens=60, cost=0.6, turn="a"))
    use.take(user, Wanted(requests=1, tokens=40, cost=0.4, turn="b"))
    assert use.take(user, Wanted(requests=1, tokens=1, turn="c")).refused is not None

    assert use.settle("acme", "a", tokens=10, cost=0.1)
    assert not use.settle("acme", "a", tokens=10, cost=0.1)

    found = left(use.look(user))
    assert found == {
        ("principal", "tokens"): 50,
        ("principal", "cost"): 0.5,
        ("tenant", "tokens"): 50,
    }
    assert use.settle("acme", "b", tokens=70, cost=0.7)
    assert left(use.look(user))["principal", "tokens"] == 20
    assert left(use.look(user))["principal", "cost"] == pytest.approx(0.2)


def test_a_turn_that_was_refused_reserves_again_when_it_is_handed_in_again(use: RedisUse) -> None:
    user = replace(ANN, own=Quota(3, 500, 1.0))
    wanted = Wanted(requests=1, tokens=400, cost=0.4, turn="s/t")
    use.take(user, wanted)
    assert use.forget("acme", "s/t")
    assert left(use.look(user)) == {
        ("principal", "requests"): 2,
        ("principal", "tokens"): 500,
        ("principal", "cost"): 1.0,
    }
    assert not use.settle("acme", "s/t", tokens=7, cost=0.1)

    use.take(user, wanted)

    assert left(use.look(user))["principal", "tokens"] == 100
    assert use.settle("acme", "s/t", tokens=5_000, cost=9.0)
    found = left(use.look(user))
    assert (found["principal", "tokens"], found["principal", "cost"]) == (0, 0)
    assert found["principal", "requests"] == 2  # the same turn


def test_what_one_hands_in_another_that_is_refused_does_not_give_back(use: RedisUse) -> None:
    user = replace(ANN, own=Quota(tokens_per_minute=500))
    wanted = Wanted(requests=1, tokens=400, turn="s/t")
    for _ in range(REPEATS_MAX + 2):
        use.take(user, wanted)
    for _ in range(REPEATS_MAX + 1):
        assert not use.forget("acme", "s/t")
    assert left(use.look(user))["principal", "tokens"] == 100

    assert use.settle("acme", "s/t", tokens=450, cost=0.0)

    assert not use.forget("acme", "s/t")
    assert left(use.look(user))["principal", "tokens"] == 50


def test_of_what_nobody_tells_as_much_counts_as_was_reserved(use: RedisUse) -> None:
    user = replace(ANN, own=Quota(tokens_per_minute=100, cost_per_day=1.0))
    use.take(user, Wanted(requests=1, tokens=60, cost=0.6, turn="a"))

    assert use.settle("acme", "a", tokens=None, cost=None)

    assert left(use.look(user)) == {("principal", "tokens"): 40, ("principal", "cost"): 0.4}


@pytest.mark.parametrize("told", [(10, 0.1), (90, 0.9)], ids=["less", "more"])
@pytest.mark.parametrize("before", [True, False])
def test_what_is_told_stands_in_place_of_what_was_reserved(
    use: RedisUse, told: tuple[int, float], before: bool
) -> None:
    user = replace(ANN, own=Quota(tokens_per_minute=100, cost_per_day=1.0))
    use.take(user, Wanted(requests=1, tokens=60, cost=0.6, turn="a"))
    tokens, cost = told
    expected = {("principal", "tokens"): 100 - tokens, ("principal", "cost"): round(1 - cost, 6)}

    if before:
        assert use.tell("acme", "a", Left(1, tokens, cost))
    assert use.settle("acme", "a", tokens=None, cost=None, attempt=1)
    for _ in range(2):  # a reply may be lost
        assert use.tell("acme", "a", Left(1, tokens, cost))

    assert left(use.look(user)) == expected
    assert not use.settle("acme", "a", tokens=None, cost=None)
    assert left(use.look(user)) == expected


def test_who_ends_a_turn_and_knows_what_it_took_is_believed(use: RedisUse) -> None:
    user = replace(ANN, own=Quota(tokens_per_minute=100))
    use.take(user, Wanted(requests=1, tokens=60, turn="a"))
    assert use.tell("acme", "a", Left(1, 90, 0.0, lost_tokens=90))  # the reply was lost

    assert use.settle("acme", "a", tokens=20, cost=0.0, attempt=1)

    assert not use.tell("acme", "a", Left(1, 90, 0.0, lost_tokens=90))
    assert left(use.look(user)) == {("principal", "tokens"): 80}


@pytest.mark.parametrize("knows", [True, False], ids=["ended by its last", "ended by another"])
@pytest.mark.parametrize("late", [True, False])
def test_what_each_of_many_attempts_took_counts_once(
    use: RedisUse, late: bool, knows: bool
) -> None:
    user = replace(ANN, own=Quota(tokens_per_minute=1_000, cost_per_day=1.0), all=Quota(None, 900))
    use.take(user, Wanted(requests=1, tokens=60, cost=0.6, turn="a"))
    # Of the first 90 the next ones find 50 in the journal; of their own 30 and 20 nothing.
    attempts = [Left(1, 90, 0.09, 40, 0.04), Left(2, 80, 0.08, 30, 0.03)]
    last = Left(3, 70, 0.07, 20, 0.02)

    def tell() -> None:
        for one in (*attempts, *attempts):
            assert use.tell("acme", "a", one)

    if not late:
        tell()
    took = (last.tokens, last.cost) if knows else (None, None)
    assert use.settle("acme", "a", tokens=took[0], cost=took[1], attempt=3)
    if late:
        tell()
    assert use.tell("acme", "a", last) is not knows

    found = left(use.look(user))
    assert found["principal", "tokens"] == 1_000 - (40 + 30 + 70)
    assert found["tenant", "tokens"] == 900 - (40 + 30 + 70)
    assert found["principal", "cost"] == pytest.approx(1 - (0.04 + 0.03 + 0.07))


def test_who_comes_back_to_a_turn_costs_nothing_ten_times(use: RedisUse) -> None:
    user = replace(ANN, own=Quota(requests_per_minute=3, tokens_per_minute=100))
    use.take(user, Wanted(requests=1, tokens=60, turn="a"))
    back = Wanted(requests=1, turn="a", comes_back=True)

    assert [use.take(user, back).known for _ in range(REPEATS_MAX)] == [True] * 9 + [False]
    # To one that nobody knows coming back is a request, and makes nothing known.
    strange = replace(back, turn="strange")
    assert [use.take(user, strange).refused is None for _ in range(2)] == [True, False]
    assert not use.settle("acme", "strange", tokens=1, cost=0.0)


def test_a_cost_too_small_to_be_counted_is_refused_where_the_limit_is_reached(
    use: RedisUse,
) -> None:
    user = replace(ANN, own=Quota(cost_per_day=0.5))
    use.take(user, Wanted(requests=1, cost=0.5, turn="a"))

    assert use.take(user, Wanted(requests=1, cost=1e-9, turn="b")).refused is not None


def test_a_turn_that_reserved_nothing_is_not_settled(use: RedisUse) -> None:
    assert not use.settle("acme", "unknown", tokens=10, cost=0.1)


def test_a_stream_has_one_place_however_often_it_is_opened(use: RedisUse) -> None:
    user = replace(ANN, own=Quota(streams=2))
    for stream in ("a", "a", "b"):
        assert use.take(user, Wanted(stream=stream)).refused is None
    assert use.take(user, Wanted(stream="c")).refused is not None

    use.end(OpenStream("acme", "ann", "a"))
    use.end(OpenStream("acme", "ann", "a"))

    assert use.take(user, Wanted(stream="c")).refused is None


def test_streams_that_are_kept_count_and_others_end(redis_store: RedisStore) -> None:
    use = RedisUse(redis_store, stream_lease_s=0.4)
    user = User("acme", "ann", Quota(streams=2), Quota(streams=2))
    kept = OpenStream("acme", "ann", "a")
    for stream in ("a", "b"):
        use.take(user, Wanted(stream=stream))

    def one_is_left() -> bool:
        use.keep([kept])
        return left(use.look(user)) == {("principal", "streams"): 1, ("tenant", "streams"): 1}

    until(one_is_left)


# --- many processes -----------------------------------------------------------------------------


def process(*arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.fakes.use_hammer", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_eight_processes_use_exactly_the_limits(redis_server: RedisServer) -> None:
    hammer_together(redis_server)


@pytest.mark.long
@pytest.mark.parametrize("store_server", ["sentinel", "cluster"], indirect=True)
def test_eight_processes_use_exactly_the_limits_elsewhere(store_server: Server) -> None:
    hammer_together(store_server)


def hammer_together(server: Server) -> None:
    server.wipe()
    processes = [process("hammer", server.url, str(number)) for number in range(PROCESSES)]
    try:
        told = [json.loads(one.communicate(timeout=120)[0]) for one in processes]
    finally:
        for one in processes:
            one.kill()
    assert sum(one["admitted"] for one in told) == REQUESTS_MAX < PROCESSES * TRIES
    of_user = Counter[str]()
    for one in told:
        of_user[one["subject"]] += one["admitted"]
    assert max(of_user.values()) <= OWN_MAX


def test_the_streams_of_a_killed_process_are_free_again(redis_server: RedisServer) -> None:
    redis_server.wipe()
    use = RedisUse(connect(redis_server.url))
    user = replace(ANN, own=Quota(streams=3))
    holder = process("hold", redis_server.url)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert use.take(user, Wanted(stream="mine")).refused is not None
    finally:
        holder.kill()
        holder.wait(30)

    until(lambda: left(use.look(user))["principal", "streams"] == 3)

    assert use.take(user, Wanted(stream="mine")).refused is None
