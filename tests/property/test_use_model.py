"""What is let in, against a model that remembers everything; time is the test's."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kotaemon_node.adapters.redis import RedisStore, connect
from kotaemon_node.adapters.redis.use import RedisUse
from kotaemon_node.domain.quotas import Quota
from kotaemon_node.ports.use import (
    REPEATS_MAX,
    RESERVED_S,
    STREAM_LEASE_S,
    OpenStream,
    User,
    Wanted,
)
from tests.redis_server import RedisServer

DAY_MS = 86_400_000
MIDNIGHT_MS = 20_000 * DAY_MS
OWN, ALL = Quota(2, 30, 0.4, 1, 300), Quota(3, 50, 0.6, 2, 500)
LATER_MS = [0, 0, 1, 400, 1_000, 9_999, 10_000, 58_999, 59_500, 60_000, 60_500, 61_000, DAY_MS]


@pytest.fixture(scope="module")
def store() -> Iterator[RedisStore]:
    server = RedisServer(options=("--appendonly", "no"))
    server.start()
    found = connect(server.url)
    told = "{math.floor(redis.call('GET','now')/1000), (redis.call('GET','now')%1000)*1000}"
    sources = found._scripts._sources
    for name in ("use", "use_streams"):
        assert "redis.call('TIME')" in sources[name]
        sources[name] = sources[name].replace("redis.call('TIME')", told)
    yield found
    found.client.close()
    server.remove()


@dataclass
class Taken:
    subject: str
    at_ms: int
    requests: int = 0
    tokens: int = 0
    bytes: int = 0


@dataclass
class Model:
    """Remembers each use, and counts all of them anew for each question."""

    taken: list[Taken] = field(default_factory=list)
    turns: dict[str, Taken] = field(default_factory=dict)
    held: dict[str, tuple[str, int, float]] = field(default_factory=dict)
    spent: list[tuple[str, int, float]] = field(default_factory=list)
    streams: dict[tuple[str, str], int] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    handed: Counter[str] = field(default_factory=Counter)

    def fits(self, subject: str, wanted: Wanted, now_ms: int) -> bool:
        again = wanted.turn in self.turns
        free = self.is_free(wanted)
        for who, quota in ((subject, OWN), (None, ALL)):
            streams = self.open_streams(who, now_ms)
            more = (
                0 if free else wanted.requests,
                0 if again else wanted.tokens,
                0 if again else wanted.cost,
                int(bool(wanted.stream) and wanted.stream not in streams),
                wanted.upload_bytes,
            )
            used = (*self.used(who, now_ms), len(streams), self.sent(who, now_ms))
            pairs = zip(used, more, quota.values, strict=True)
            if any(new and round(old + new, 6) > (limit or 0) for old, new, limit in pairs):
                return False
        return True

    def is_free(self, wanted: Wanted) -> bool:
        return bool(wanted.turn) and 0 < self.asked[wanted.turn] < REPEATS_MAX

    def used(self, who: str | None, now_ms: int) -> tuple[int, int, float]:
        window = [
            one
            for one in self.taken
            if who in (None, one.subject) and one.at_ms // 1000 >= now_ms // 1000 - 60
        ]
        cost = [
            one
            for by, at, one in self.spent
            if who in (None, by) and at // DAY_MS == now_ms // DAY_MS
        ]
        # What expired is spent, on the day when it did.
        cost += [
            one
            for by, ends, one in self.held.values()
            if who in (None, by) and (ends > now_ms or ends // DAY_MS == now_ms // DAY_MS)
        ]
        requests, tokens = (
            sum(getattr(one, it) for one in window) for it in ("requests", "tokens")
        )
        return requests, tokens, sum(cost)

    def open_streams(self, who: str | None, now_ms: int) -> set[str]:
        return {
            stream
            for (by, stream), ends in self.streams.items()
            if who in (None, by) and ends > now_ms
        }

    def sent(self, who: str | None, now_ms: int) -> int:
        return sum(
            one.bytes
            for one in self.taken
            if who in (None, one.subject) and one.at_ms // DAY_MS == now_ms // DAY_MS
        )

    def take(self, subject: str, wanted: Wanted, now_ms: int) -> None:
        again = wanted.turn in self.turns
        one = Taken(subject, now_ms, bytes=wanted.upload_bytes)
        if not self.is_free(wanted):
            one.requests = wanted.requests
        if wanted.turn and (not wanted.comes_back or self.asked[wanted.turn]):
            self.asked[wanted.turn] += 1
        self.handed[wanted.turn] += not wanted.comes_back
        if not again and not wanted.comes_back:
            one.tokens = wanted.tokens
            if wanted.turn:
                self.turns[wanted.turn] = one
            if wanted.cost:
                ends = now_ms + int(RESERVED_S * 1000)
                self.held[wanted.turn] = (subject, ends, wanted.cost)
        self.taken.append(one)
        if wanted.stream:
            self.streams[subject, wanted.stream] = now_ms + int(STREAM_LEASE_S * 1000)

    def settle(self, turn: str, tokens: int, cost: float, now_ms: int) -> None:
        one = self.turns[turn]
        if tokens > one.tokens:
            self.taken.append(Taken(one.subject, now_ms, tokens=tokens - one.tokens))
        else:
            one.tokens = tokens
        self.held.pop(turn, None)
        self.spent.append((one.subject, now_ms, cost))

    def forget(self, turn: str) -> bool:
        self.handed[turn] -= 1
        if self.handed[turn] > 0:
            return False
        self.turns.pop(turn).tokens = 0
        self.held.pop(turn, None)
        return True


@dataclass
class Play:
    """Does the same to the store and to the model."""

    use: RedisUse
    model: Model = field(default_factory=Model)
    now_ms: int = 0
    turns: int = 0
    running: list[tuple[str, int]] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)

    def step(self, kind: str, subject: str, size: int) -> None:
        match kind:
            case "settle" | "forget" | "again" | "back" if not self.running:
                return
            case "anew" if not self.refused:
                return
            case "settle":
                self._settle(size)
            case "forget":
                self._forget(size)
            case "keep":
                self.use.keep([OpenStream("acme", subject, f"s{size}")])
                ends = self.now_ms + int(STREAM_LEASE_S * 1000)
                self.model.streams[subject, f"s{size}"] = ends
            case "end":
                self.use.end(OpenStream("acme", subject, f"s{size}"))
                self.model.streams.pop((subject, f"s{size}"), None)
            case _:
                self._take(*self._wanted(kind, subject, size))

    def _wanted(self, kind: str, subject: str, size: int) -> tuple[str, Wanted]:
        match kind:
            case "turn":
                self.turns += 1
                name = f"t{self.turns}"
                return subject, Wanted(1, 10 * size, 0.1 * size, stream=name, turn=name)
            case "again":
                name, _ = self.running[size % len(self.running)]
                return self.model.turns[name].subject, Wanted(1, 10, 0.1, turn=name)
            case "back":
                name, _ = self.running[size % len(self.running)]
                return self.model.turns[name].subject, Wanted(1, turn=name, comes_back=True)
            case "anew":
                subject, name = self.refused[size % len(self.refused)]
                return subject, Wanted(1, 10, 0.1, turn=name)
            case _:
                return subject, {
                    "stream": Wanted(stream=f"s{size}"),
                    "upload": Wanted(1, upload_bytes=100 * size),
                    "request": Wanted(requests=1),
                }[kind]

    def _settle(self, size: int) -> None:
        name, began_ms = self.running.pop(size % len(self.running))
        if self.now_ms - began_ms >= RESERVED_S * 1000:
            return  # nothing takes so long; what was reserved is given back by itself
        assert self.use.settle("acme", name, tokens=9 * size, cost=0.05 * size)
        self.model.settle(name, 9 * size, 0.05 * size, self.now_ms)

    def _forget(self, size: int) -> None:
        name, began_ms = self.running[size % len(self.running)]
        if self.now_ms - began_ms >= RESERVED_S * 1000:
            return
        subject = self.model.turns[name].subject
        given_back = self.model.forget(name)
        assert self.use.forget("acme", name) == given_back
        if given_back:
            self.running.remove((name, began_ms))
            self.refused.append((subject, name))

    def _take(self, subject: str, wanted: Wanted) -> None:
        fits = self.model.fits(subject, wanted, self.now_ms)
        told = self.use.take(User("acme", subject, OWN, ALL), wanted)
        assert (told.refused is None) == fits, (subject, wanted, told, self.now_ms)
        if fits:
            if wanted.turn and wanted.turn not in self.model.turns:
                self.running.append((wanted.turn, self.now_ms))
                self.refused = [one for one in self.refused if one[1] != wanted.turn]
            self.model.take(subject, wanted, self.now_ms)


KINDS = (
    "request", "turn", "again", "back", "settle", "forget", "anew",
    "stream", "keep", "end", "upload",
)  # fmt: skip
STEPS = st.lists(
    st.tuples(
        st.sampled_from(KINDS),
        st.sampled_from(["ann", "ann", "bob"]),
        st.integers(0, 4),
        st.sampled_from(LATER_MS),
    ),
    max_size=40,
)


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(start_ms=st.integers(-90_000, 90_000), steps=STEPS)
def test_what_fits_is_let_in_and_nothing_else(
    store: RedisStore, start_ms: int, steps: list[tuple[str, str, int, int]]
) -> None:
    store.client.flushall()
    play = Play(RedisUse(store), now_ms=MIDNIGHT_MS + start_ms)
    for kind, subject, size, later_ms in steps:
        play.now_ms += later_ms
        store.client.set("now", play.now_ms)
        play.step(kind, subject, size)


def test_what_counts_no_more_is_not_given_back(store: RedisStore) -> None:
    store.client.flushall()
    use, ann = RedisUse(store), User("acme", "ann", Quota(tokens_per_minute=100), Quota())
    store.client.set("now", MIDNIGHT_MS)
    use.take(ann, Wanted(1, tokens=100, turn="slow"))
    store.client.set("now", MIDNIGHT_MS + 61_000)
    assert use.take(ann, Wanted(1, tokens=100, turn="next")).refused is None

    assert use.settle("acme", "slow", tokens=0, cost=0.0)

    assert use.take(ann, Wanted(1, tokens=1, turn="third")).refused is not None


ONE = Quota(requests_per_minute=4, tokens_per_minute=60)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["request", "turn", "settle", "forget"]),
            st.sampled_from(
                [0, 300, 1_000, 20_000, 61_000, -1, -1_000, -30_000, -3_600_000, -DAY_MS, DAY_MS]
            ),
        ),
        max_size=30,
    )
)
def test_a_clock_that_is_set_lets_in_no_more_and_shrinks_nothing_for_good(
    store: RedisStore, steps: list[tuple[str, int]]
) -> None:
    store.client.flushall()
    use, ann = RedisUse(store), User("acme", "ann", ONE, ONE)
    now_ms, running, let_in = MIDNIGHT_MS, [], []
    true_ms = 0
    for number, (kind, later_ms) in enumerate(steps):
        now_ms += later_ms
        true_ms += max(0, later_ms)  # a step back takes no time
        store.client.set("now", now_ms)
        use.look(ann)  # what nobody looks at is free when the clock has caught up, at the latest
        if kind in ("request", "turn"):
            name = f"t{number}" if kind == "turn" else ""
            told = use.take(ann, Wanted(1, tokens=20 if name else 0, turn=name))
            if told.refused is None:
                let_in.append(true_ms)
                running += [name] if name else []
        elif running:
            name = running.pop()
            if kind == "settle":
                use.settle("acme", name, tokens=number, cost=0.0)
            else:
                use.forget("acme", name)
        assert len([at for at in let_in if at > true_ms - 60_000]) <= 4

    store.client.set("now", now_ms + 62_000)
    assert {one.left for one in use.look(ann).levels} == {4, 60}
    store.client.set("now", now_ms + 62_001)
    anew = [use.take(ann, Wanted(requests=1)).refused is None for _ in range(5)]
    assert anew == [True] * 4 + [False]


def test_a_day_does_not_begin_anew_where_the_clock_is_set_back(store: RedisStore) -> None:
    store.client.flushall()
    use, ann = RedisUse(store), User("acme", "ann", Quota(upload_bytes_per_day=100), Quota())
    store.client.set("now", MIDNIGHT_MS + 500)
    assert use.take(ann, Wanted(1, upload_bytes=80)).refused is None

    store.client.set("now", MIDNIGHT_MS - 500)
    assert use.take(ann, Wanted(1, upload_bytes=80)).refused is not None

    store.client.set("now", MIDNIGHT_MS + 500)
    assert use.take(ann, Wanted(1, upload_bytes=80)).refused is None


def test_what_is_never_settled_is_spent_for_the_day_as_it_was_reserved(store: RedisStore) -> None:
    store.client.flushall()
    use, ann = RedisUse(store), User("acme", "ann", Quota(cost_per_day=1.0), Quota())
    store.client.set("now", MIDNIGHT_MS)
    assert use.take(ann, Wanted(1, cost=0.6, turn="lost")).refused is None

    store.client.set("now", MIDNIGHT_MS + int(RESERVED_S * 1000))
    assert use.take(ann, Wanted(1, cost=0.6, turn="next")).refused is not None
    assert round(use.look(ann).levels[0].left, 6) == 0.4

    store.client.set("now", MIDNIGHT_MS + DAY_MS)
    assert use.take(ann, Wanted(1, cost=0.6, turn="next")).refused is None
