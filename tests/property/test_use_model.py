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
    for name in ("use", "use_streams"):
        assert "redis.call('TIME')" in found._source[name]
        found._source[name] = found._source[name].replace("redis.call('TIME')", told)
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

    def fits(self, subject: str, wanted: Wanted, now_ms: int) -> bool:
        again = wanted.turn in self.turns
        free = again and self.asked[wanted.turn] < REPEATS_MAX
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
        cost += [one for by, ends, one in self.held.values() if who in (None, by) and ends > now_ms]
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
        if not again or self.asked[wanted.turn] >= REPEATS_MAX:
            one.requests = wanted.requests
        self.asked[wanted.turn] += bool(wanted.turn)
        if not again:
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


@dataclass
class Play:
    """Does the same to the store and to the model."""

    use: RedisUse
    model: Model = field(default_factory=Model)
    now_ms: int = 0
    turns: int = 0
    running: list[tuple[str, int]] = field(default_factory=list)

    def step(self, kind: str, subject: str, size: int) -> None:
        match kind:
            case "settle" | "again" if not self.running:
                return
            case "settle":
                self._settle(size)
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
            case "stream":
                return subject, Wanted(stream=f"s{size}")
            case "upload":
                return subject, Wanted(1, upload_bytes=100 * size)
            case _:
                return subject, Wanted(requests=1)

    def _settle(self, size: int) -> None:
        name, began_ms = self.running.pop(size % len(self.running))
        if self.now_ms - began_ms >= RESERVED_S * 1000:
            return  # nothing takes so long; what was reserved is given back by itself
        assert self.use.settle("acme", name, tokens=9 * size, cost=0.05 * size)
        self.model.settle(name, 9 * size, 0.05 * size, self.now_ms)

    def _take(self, subject: str, wanted: Wanted) -> None:
        fits = self.model.fits(subject, wanted, self.now_ms)
        told = self.use.take(User("acme", subject, OWN, ALL), wanted)
        assert (told.refused is None) == fits, (subject, wanted, told, self.now_ms)
        if fits:
            if wanted.turn and wanted.turn not in self.model.turns:
                self.running.append((wanted.turn, self.now_ms))
            self.model.take(subject, wanted, self.now_ms)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["request", "turn", "again", "settle", "stream", "keep", "end", "upload"]),
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
