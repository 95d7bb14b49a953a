"""What pods remember of sessions, on a real Redis: right whatever happened, and no turn too many.

No test but those of the listener sends an event: histories are right without.
"""

import json
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from kotaemon_node.adapters.redis import RedisSessionStore, RedisStore, SessionCache
from kotaemon_node.adapters.redis.keys import SessionKeys
from kotaemon_node.domain.acting_limits import HISTORY_READ_TURNS
from kotaemon_node.domain.errors import Malformed
from kotaemon_node.domain.events import SESSION_UPDATED
from kotaemon_node.domain.frames import FrameBody
from kotaemon_node.domain.session import Principal, SessionKey, Turn, TurnKey
from kotaemon_node.domain.turn import State
from kotaemon_node.listeners.session_updated import SessionUpdatedListener
from kotaemon_node.ports.events import Message
from kotaemon_node.ports.sessions import ClaimRequest, Committed, Ending, Work
from kotaemon_node.telemetry.metrics import Metrics

ANYBODY = Principal("default", "anonymous", "open")
SESSION = SessionKey("default", "s1")
NAMES = SessionKeys.of(SESSION)


class CountingStore(RedisStore):
    """Counts the past turns that claims brought along."""

    fetched = 0

    def run(self, script: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        reply = super().run(script, keys, arguments)
        if script in {"claim", "seize"} and reply[0] == b"owned":
            self.fetched = len(reply[1][1])
        return reply


class Pod:
    """One pod's store of sessions with a cache of its own."""

    def __init__(self, store: RedisStore, name: str, **bounds: int) -> None:
        self.name = name
        self.results: list[str] = []
        self.store = CountingStore(store.client)
        self.told: list[str] = []
        self.now_s = 0.0
        self.cache = SessionCache(
            count=self.results.append, ttl_s=3600, now_s=lambda: self.now_s, **bounds
        )
        self.sessions = RedisSessionStore(
            self.store, ttl_s=3600, idle_s=1800, cache=self.cache, count_loss=self.told.append
        )
        self.calls: Counter[str] = Counter()

    def claim(
        self,
        turn_id: str,
        *,
        session: SessionKey = SESSION,
        principal: Principal = ANYBODY,
        may_create: bool = True,
        again: bool = False,
        epoch: str = "",
    ) -> Work | None:
        """``again``: the very call of before, whose reply was lost. ``epoch``: the client's."""
        self.calls[turn_id] += not again
        call = "" if self.calls[turn_id] == 1 else f", call {self.calls[turn_id]}"
        call += "" if self.name == "pod-a" else f" by {self.name}"
        return self.sessions.claim(
            ClaimRequest(
                key=TurnKey(session, turn_id),
                principal=principal,
                digest="d",
                message=f"question {turn_id}",
                options={},
                on_busy="enqueue",
                owner=self.name,
                trace_id="trace",
                create_session=may_create,
                new_epoch=f"epoch of {turn_id}{call}",
                epoch=epoch,
            )
        ).work

    def owned(self, turn_id: str, *, session: SessionKey = SESSION) -> Work:
        work = self.claim(turn_id, session=session)
        assert work is not None
        return work

    def commit(self, work: Work, *, answer: str = "", seq: int = 1) -> Committed:
        turn_id = work.lease.key.turn_id
        answer = answer or f"{self.name} answers {turn_id}"
        turn = Turn(turn_id, work.message, State.DONE, answer=answer)
        ending = Ending(turn, FrameBody("done", {"state": "done"}), seq)
        return self.sessions.commit(work.lease, ending, take_next=True)

    def turn(self, turn_id: str, *, session: SessionKey = SESSION, answer: str = "") -> Work:
        """Run a whole turn; returns what its executor was given."""
        work = self.owned(turn_id, session=session)
        self.commit(work, answer=answer)
        return work

    def truth(self) -> tuple[Turn, ...]:
        """The whole history, which never comes from the cache."""
        return self.sessions.load(SESSION, ANYBODY, after_version=0, limit=10_000).turns


@pytest.fixture
def a(redis_store: RedisStore) -> Pod:
    return Pod(redis_store, "pod-a")


@pytest.fixture
def b(redis_store: RedisStore) -> Pod:
    return Pod(redis_store, "pod-b")


def noise(size_bytes: int) -> str:
    """Return a text that takes ``size_bytes`` when it is stored: two digits of hex hold a byte."""
    return random.Random(1).randbytes(size_bytes).hex()


def pause(store: RedisStore) -> None:
    """Let the session's last turn be long ago."""
    store.client.hset(NAMES.meta, "active_ms", 0)


def test_the_pod_that_committed_fetches_nothing(a: Pod) -> None:
    for number in range(20):
        work = a.turn(f"t{number}")

        assert a.store.fetched == 0
        assert work.session.turns == a.truth()[:-1][-HISTORY_READ_TURNS:]
    assert a.results == ["hit"] * 19


@pytest.mark.parametrize("seed", range(8))
def test_whatever_the_order_pods_see_the_same_history_and_fetch_what_they_lack(
    a: Pod, b: Pod, redis_store: RedisStore, seed: int
) -> None:
    draw = random.Random(seed)
    seen = {a.name: 0, b.name: 0}
    context_from = 0
    for number in range(60):
        before = number
        pod = draw.choice([a, b]) if number % 20 < 8 else a
        if draw.random() < 0.1:
            pod.cache.drop(SESSION)
            seen[pod.name] = 0
        if draw.random() < 0.1:
            pause(redis_store)
            context_from = before
        work = pod.turn(f"t{number}")

        first = max(context_from, before - HISTORY_READ_TURNS)
        assert work.session.turns == pod.truth()[first:before]
        assert pod.store.fetched == before - max(first, seen[pod.name])
        seen[pod.name] = number + 1


def test_of_many_turns_made_elsewhere_the_last_fifteen_are_fetched(a: Pod, b: Pod) -> None:
    a.turn("t0")
    for number in range(1, 20):
        b.turn(f"t{number}")

    work = a.owned("t20")

    assert a.store.fetched == HISTORY_READ_TURNS
    assert work.session.turns == a.truth()[-HISTORY_READ_TURNS:]
    assert a.results == ["miss"]


def test_a_turn_made_elsewhere_is_fetched_alone(a: Pod, b: Pod) -> None:
    for number in range(5):
        a.turn(f"t{number}")
    b.turn("t5")

    work = a.owned("t6")

    assert a.store.fetched == 1
    assert work.session.turns == a.truth()
    assert a.results[-1] == "partial"


def test_a_pause_ends_the_context_though_its_turns_are_remembered(
    a: Pod, redis_store: RedisStore
) -> None:
    for number in range(3):
        a.turn(f"t{number}")
    pause(redis_store)

    assert a.turn("t3").session.turns == ()
    assert [turn.turn_id for turn in a.turn("t4").session.turns] == ["t3"]
    assert a.results == ["hit"] * 4


def test_a_session_of_the_same_id_is_another_on_every_pod(a: Pod, b: Pod) -> None:
    a.turn("t0")
    b.turn("t1")
    b.sessions.delete(SESSION, ANYBODY)
    assert b.cache.get(SESSION) is None
    assert a.cache.get(SESSION) is not None

    assert b.turn("t2").session.turns == ()
    assert [turn.turn_id for turn in a.owned("t3").session.turns] == ["t2"]
    assert a.store.fetched == 1
    assert a.results[-1] == "miss"


def test_the_turn_that_waited_sees_the_one_before_it(a: Pod, b: Pod) -> None:
    a.turn("t0")
    running = a.owned("t1")
    assert b.claim("t2") is None

    following = a.commit(running).next

    assert following is not None
    assert following.session.turns == a.truth()
    assert len(following.session.turns) == 2
    a.commit(following, seq=2)
    assert a.turn("t3").session.turns == a.truth()[:-1]
    assert "rolled_back" not in a.results


def test_a_turn_taken_over_has_its_whole_history(a: Pod, b: Pod) -> None:
    for number in range(3):
        b.turn(f"t{number}")
    a.turn("t3")
    a.owned("t4")

    work = b.sessions.seize(TurnKey(SESSION, "t4"), b.name, from_owner=a.name)

    assert work is not None
    assert b.store.fetched == 1
    assert work.session.turns == b.truth()


def test_a_commit_whose_reply_was_lost_leaves_a_right_memory(a: Pod, b: Pod) -> None:
    a.turn("t0")
    work = a.owned("t1")
    a.commit(work)
    before = a.cache.get(SESSION)
    a.commit(work)
    assert a.cache.get(SESSION) == before


def test_a_commit_repeated_after_others_went_on_is_not_taken_for_the_last(
    a: Pod, b: Pod, redis_store: RedisStore
) -> None:
    a.turn("t0")
    work = a.owned("t1")
    Pod(redis_store, a.name).commit(work)  # the reply does not reach the pod
    b.turn("t2")
    a.commit(work)

    assert a.owned("t3").session.turns == a.truth()
    assert "rolled_back" not in a.results


def test_it_is_bounded_by_number(redis_store: RedisStore) -> None:
    pod = Pod(redis_store, "pod-a", entries_max=3)
    for number in range(8):
        pod.turn("t0", session=SessionKey("default", f"s{number}"))
    assert pod.cache.entries == 3

    pod.turn("t1", session=SessionKey("default", "s7"))
    pod.turn("t1", session=SessionKey("default", "s0"))
    assert pod.results == ["hit", "miss"]


def test_it_is_bounded_by_bytes(redis_store: RedisStore) -> None:
    pod = Pod(redis_store, "pod-a", bytes_max=50_000)
    for number in range(8):
        pod.turn("t0", session=SessionKey("default", f"s{number}"), answer=noise(13_000))
        assert pod.cache.size_bytes <= 50_000
    assert pod.cache.entries == 3
    assert pod.cache.size_bytes > 40_000

    pod.turn("t1", session=SessionKey("default", "s7"), answer=noise(60_000))
    assert pod.cache.get(SessionKey("default", "s7")) is None
    assert 0 <= pod.cache.size_bytes <= 50_000


def test_what_goes_leaves_no_bytes_behind(a: Pod) -> None:
    for number in range(12):
        a.turn(f"t{number}")
    a.cache.drop(SESSION)
    assert (a.cache.entries, a.cache.size_bytes) == (0, 0)


def event(**fields: Any) -> Message:
    whole = {
        "tenant": "default",
        "session_id": "s1",
        "epoch": "epoch of t0",
        "version": 1,
        **fields,
    }
    return Message(SESSION_UPDATED, "s1", json.dumps(whole).encode())


def test_an_event_marks_what_is_behind_and_its_turns_are_still_of_use(a: Pod, b: Pod) -> None:
    listener = SessionUpdatedListener(newer=a.cache.mark)
    for number in range(4):
        a.turn(f"t{number}")
    b.turn("t4")
    assert listener.handle(event(version=4))
    assert not a.cache.get(SESSION).stale  # type: ignore[union-attr]
    assert listener.handle(event(version=5))
    assert a.cache.get(SESSION).stale  # type: ignore[union-attr]

    work = a.turn("t5")

    assert work.session.turns == a.truth()[:-1]
    assert a.store.fetched == 1
    assert a.results[-1] == "stale"
    assert not a.cache.get(SESSION).stale  # type: ignore[union-attr]


def test_what_is_stale_goes_first(redis_store: RedisStore) -> None:
    pod = Pod(redis_store, "pod-a", entries_max=2)
    one, two, three = (SessionKey("default", f"s{number}") for number in (1, 2, 3))
    pod.turn("t0", session=two)
    pod.turn("t0", session=one)
    pod.cache.mark(one, epoch="epoch of t0", version=9)
    pod.turn("t0", session=three)
    assert (pod.cache.get(one), pod.cache.get(two) is None) == (None, False)


def test_events_that_are_wrong_late_or_of_others_harm_nothing(a: Pod) -> None:
    listener = SessionUpdatedListener(newer=a.cache.mark)
    assert listener.handle(event())
    a.turn("t0")
    a.turn("t1")

    assert listener.handle(event(tenant="other", version=99))
    assert not a.cache.get(SESSION).stale  # type: ignore[union-attr]
    assert listener.handle(event(version=1))
    assert [turn.turn_id for turn in a.turn("t2").session.turns] == ["t0", "t1"]
    assert listener.handle(event(epoch="of a session that was", version=99))
    assert [turn.turn_id for turn in a.turn("t3").session.turns] == ["t0", "t1", "t2"]
    assert a.told == []


@pytest.mark.parametrize("fields", [{"version": "5"}, {"epoch": None}, {"session_id": 1}])
def test_a_poison_event_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises((ValueError, Malformed), match=r"version|session_id"):
        SessionUpdatedListener(newer=SessionCache().mark).handle(event(**fields))


def test_every_result_is_shown_from_the_start() -> None:
    shown = Metrics().exposition().decode()
    for result in ("hit", "partial", "miss", "stale", "rolled_back"):
        assert f'kotaemon_session_cache_total{{result="{result}"}} 0.0' in shown
