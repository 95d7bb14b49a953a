"""What ``DURABILITY=replica`` promises, on stores whose replicas can be frozen; see ADR 0009.

The cases of ``test_sessions_redis`` that are named here run with it as well.
"""

import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from kotaemon_node.adapters.redis import (
    RedisFrameLog,
    RedisSessionStore,
    RedisStore,
    connect,
    durability,
    slots,
)
from kotaemon_node.adapters.redis.durability import Seal
from kotaemon_node.adapters.redis.keys import SessionKeys
from kotaemon_node.adapters.system import ThreadTasks
from kotaemon_node.domain.errors import StoreUnavailable
from kotaemon_node.domain.session import SessionKey
from tests.contract.test_sessions_redis import (
    ANYBODY,
    SESSION,
    claim,
    ending,
    frames,
    key,
    owned,
    owned_in,
    sessions,
    test_a_claim_repeated_after_a_lost_reply_owns_what_it_owned,
    test_a_committed_turn_is_in_the_history_and_a_repeat_finds_it,
    test_a_created_session_keeps_its_context_and_its_id_is_taken,
    test_a_fenced_owner_writes_nothing_and_commits_nothing,
    test_a_frame_that_cannot_be_written_harms_no_other_turn,
    test_a_repeated_commit_changes_nothing_and_names_the_same_next_turn,
    test_a_turn_is_taken_only_from_the_owner_named,
    test_frames_are_numbered_without_gap_and_a_lost_reply_may_be_repeated,
    test_waiting_turns_run_in_the_order_of_their_acceptance,
    test_whoever_watches_a_session_is_woken_by_frames_of_any_pod,
    text,
)
from tests.redis_server import RedisServer, ServerClock
from tests.redis_sets import RedisCluster, RedisSentinel, until

__all__ = [
    "frames",
    "sessions",
    "test_a_claim_repeated_after_a_lost_reply_owns_what_it_owned",
    "test_a_committed_turn_is_in_the_history_and_a_repeat_finds_it",
    "test_a_created_session_keeps_its_context_and_its_id_is_taken",
    "test_a_fenced_owner_writes_nothing_and_commits_nothing",
    "test_a_frame_that_cannot_be_written_harms_no_other_turn",
    "test_a_repeated_commit_changes_nothing_and_names_the_same_next_turn",
    "test_a_turn_is_taken_only_from_the_owner_named",
    "test_frames_are_numbered_without_gap_and_a_lost_reply_may_be_repeated",
    "test_waiting_turns_run_in_the_order_of_their_acceptance",
    "test_whoever_watches_a_session_is_woken_by_frames_of_any_pod",
]

Replicated = RedisSentinel | RedisCluster

PATIENT, HASTY = Seal(("WAIT", 1, 4_000)), Seal(("WAIT", 1, 200))


@pytest.fixture(scope="module", params=["sentinel", "cluster"])
def replicated(request: pytest.FixtureRequest) -> Iterator[Replicated]:
    server = RedisSentinel() if request.param == "sentinel" else RedisCluster(replicated=True)
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def unconfirmed() -> list[int]:
    return []


@pytest.fixture
def redis_store(
    replicated: Replicated, unconfirmed: list[int], monkeypatch: pytest.MonkeyPatch
) -> Iterator[RedisStore]:
    monkeypatch.setattr(durability, "_REPLICA", PATIENT)
    replicated.wipe()
    store = connect(replicated.url, durability="replica", unconfirmed=unconfirmed.append)
    until(lambda: store.check_durability() == "")
    yield store
    store.client.close()


@contextmanager
def frozen(server: Replicated, store: RedisStore, *, count: int | None = None) -> Iterator[None]:
    """Let ``count`` replicas, or all, take nothing in meanwhile."""
    if isinstance(server, RedisCluster):
        replicas: Sequence[RedisServer] = server.replicas
    else:
        primary = server.primary()
        replicas = [one for one in server.data if one is not primary]
    for replica in replicas[:count]:
        replica.send(signal.SIGSTOP)
    # Whoever is frozen answers nobody, however long one waits.
    store._durability._seal = HASTY
    try:
        yield
    finally:
        store._durability._seal = PATIENT
        for replica in replicas[:count]:
            replica.send(signal.SIGCONT)


def is_confirmed(call: Callable[[], object]) -> Callable[[], bool]:
    """Tell whether the store confirms a call; for ``until``, while replicas wake up."""

    def confirmed() -> bool:
        try:
            result = call()
        except StoreUnavailable:
            return False
        appended = result if isinstance(result, list) else []
        return not any(isinstance(error, StoreUnavailable) for error in appended)

    return confirmed


def test_what_no_replica_has_is_not_acknowledged_and_a_repeat_is(
    replicated: Replicated,
    redis_store: RedisStore,
    sessions: RedisSessionStore,
    frames: RedisFrameLog,
    unconfirmed: list[int],
) -> None:
    ended, *leases = [owned_in(sessions, f"other{number}") for number in range(5)]
    batches = [text(lease, 1, "shown") for lease in leases]
    with frozen(replicated, redis_store):
        with pytest.raises(StoreUnavailable):
            claim(sessions, "t1", epoch="e1")
        assert unconfirmed == [1]
        errors = frames.append(batches)
        assert all(isinstance(error, StoreUnavailable) for error in errors)
        assert sum(unconfirmed) > 1
        with pytest.raises(StoreUnavailable):
            sessions.commit(ended, ending("t1"), take_next=True)

    until(is_confirmed(lambda: frames.append(batches)))
    for lease in leases:
        stored = frames.read(lease.key, after=0, limit=10, trace_id="trace")
        assert [(frame.seq, frame.fields["content"]) for frame in stored.frames] == [(1, "shown")]
    assert claim(sessions, "t1", epoch="e1").work is not None
    assert sessions.commit(ended, ending("t1"), take_next=True).version == 1


def test_nobody_is_shown_what_could_still_be_lost(
    replicated: Replicated,
    redis_store: RedisStore,
    sessions: RedisSessionStore,
    frames: RedisFrameLog,
) -> None:
    # Given a writer that waits for nobody
    hasty = connect(replicated.url)
    writing = RedisSessionStore(hasty, ttl_s=3600, idle_s=1800)
    log = RedisFrameLog(hasty, clock=ServerClock(replicated), tasks=ThreadTasks())
    lease = owned(writing, "t1").lease
    reads: Sequence[Callable[[], object]] = (
        lambda: frames.read(key("t1"), after=0, limit=10, trace_id="trace"),
        lambda: sessions.turn(key("t1"), ANYBODY),
        lambda: sessions.load(SESSION, ANYBODY, after_version=0, limit=10),
        lambda: sessions.activity(SESSION, ANYBODY, after_version=0, limit=10),
        lambda: sessions.head(SESSION),
        lambda: sessions.list(ANYBODY, offset=0, limit=10),
        lambda: claim(sessions, "t1"),
    )
    writing.settle(key("t1"))
    for read in reads:
        assert is_confirmed(read)()
    with frozen(replicated, redis_store):
        assert log.append([text(lease, 1, "lost?")]) == [None]
        writing.commit(lease, ending("t1", seq=2), take_next=True)
        # When others look, they are told that nobody knows
        with ThreadPoolExecutor(len(reads)) as readers:
            assert not any(readers.map(lambda read: is_confirmed(read)(), reads))
    # Then it is shown as soon as it is safe
    for read in reads:
        until(is_confirmed(read))
    assert sessions.turn(key("t1"), ANYBODY).answer == "answer"


def test_other_pods_hear_of_frames_only_when_these_are_safe(
    replicated: Replicated,
    redis_store: RedisStore,
    sessions: RedisSessionStore,
    frames: RedisFrameLog,
) -> None:
    heard: list[tuple[str, int]] = []
    listening = connect(replicated.url)
    log = RedisFrameLog(listening, clock=ServerClock(replicated), tasks=ThreadTasks())
    lease = owned(sessions, "t1").lease
    log.watch(SESSION, lambda turn_id, seq: heard.append((turn_id, seq)))

    def hears(mark: str) -> Callable[[], bool]:
        def told() -> bool:
            listening.publish(SessionKeys.of(SESSION).signal, f"{mark} 0")
            return (mark, 0) in heard

        return told

    until(hears("before"))
    with frozen(replicated, redis_store):
        assert isinstance(frames.append([text(lease, 1, "a")])[0], StoreUnavailable)
        until(hears("behind"))  # on the same channel, so whatever came before it is there
        assert ("t1", 1) not in heard
    until(is_confirmed(lambda: frames.append([text(lease, 1, "a")])))
    until(lambda: ("t1", 1) in heard)


@pytest.mark.parametrize("replicated", ["cluster"], indirect=True)
def test_sessions_of_other_shards_go_on_while_the_replica_of_one_is_silent(
    replicated: RedisCluster,
    redis_store: RedisStore,
    sessions: RedisSessionStore,
    frames: RedisFrameLog,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(slots, "_REST_S", 8.0)
    leases = [owned_in(sessions, f"s{number}") for number in range(12)]
    with frozen(replicated, redis_store, count=1):
        errors = frames.append([text(lease, 1, "a") for lease in leases])
        assert None in errors
        refused = [lease for lease, error in zip(leases, errors, strict=True) if error]
        assert refused
        # Its shard rests now, so the others do not wait for it again.
        unwritten = [text(lease, 2, "b") for lease in refused]
        assert None not in frames.append(unwritten)
    plain = RedisFrameLog(
        connect(replicated.url), clock=ServerClock(replicated), tasks=ThreadTasks()
    )
    for lease in refused:
        assert plain.read(lease.key, after=0, limit=10, trace_id="trace").last == 1


def test_local_asks_for_nothing(redis_server: RedisServer) -> None:
    redis_server.wipe()
    store = connect(redis_server.url, durability="local")
    store.client.config_resetstat()
    sessions = RedisSessionStore(store, ttl_s=3600, idle_s=1800)
    log = RedisFrameLog(store, clock=ServerClock(redis_server), tasks=ThreadTasks())
    lease = owned_in(sessions, "s1")
    assert log.append([text(lease, 1, "a")]) == [None]
    sessions.commit(lease, ending("t1", seq=2), take_next=True)
    sessions.load(SessionKey("default", "s1"), ANYBODY, after_version=0, limit=10)
    asked = store.client.info("commandstats")
    assert not {"cmdstat_wait", "cmdstat_waitaof", "cmdstat_set", "cmdstat_info"} & asked.keys()
