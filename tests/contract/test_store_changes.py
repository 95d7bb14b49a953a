"""A store that changes hands under writes: a primary dies, a slot moves, a node hangs."""

import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from redis._parsers.base import BaseParser

from kotaemon_node.adapters.redis import (
    RedisFrameLog,
    RedisSessionStore,
    connect,
    keys,
)
from kotaemon_node.adapters.redis.cluster import ClusterClient
from kotaemon_node.adapters.redis.slots import slot_of
from kotaemon_node.adapters.system import SystemClock, ThreadTasks
from kotaemon_node.domain.errors import StoreUnavailable
from kotaemon_node.domain.frames import FrameBody
from kotaemon_node.domain.session import Principal, SessionKey, Turn, TurnKey
from kotaemon_node.domain.turn import State
from kotaemon_node.ports.frame_log import FrameBatch
from kotaemon_node.ports.sessions import ClaimOutcome, ClaimRequest, Ending, Lease
from tests.redis_server import RedisServer, ServerClock
from tests.redis_sets import RedisCluster, RedisSentinel

ANYBODY = Principal("default", "anonymous", "open")


class Pod:
    """Writes turns of any sessions, one frame after the other."""

    def __init__(self, url: str) -> None:
        self.store = connect(url)
        self.sessions = RedisSessionStore(self.store, ttl_s=3600, idle_s=1800)
        self.log = RedisFrameLog(self.store, clock=SystemClock(), tasks=ThreadTasks())

    def claim(self, session_id: str, turn_id: str = "t1") -> Lease:
        work = self.sessions.claim(request(session_id, turn_id)).work
        assert work is not None
        return work.lease

    def wait_behind(self, session_id: str, turn_id: str) -> None:
        assert self.sessions.claim(request(session_id, turn_id)).outcome is ClaimOutcome.QUEUED

    def append(self, *leases: Lease, seq: int) -> list[Exception | None]:
        try:
            return list(self.log.append([batch(lease, seq) for lease in leases]))
        except StoreUnavailable as error:
            return [error] * len(leases)

    def commit(self, lease: Lease, *, seq: int) -> Lease | None:
        turn = Turn(lease.key.turn_id, "m", State.DONE, answer="a")
        ending = Ending(turn, FrameBody("done", {"state": "done"}), seq)
        following = self.sessions.commit(lease, ending, take_next=True).next
        return following.lease if following else None

    def stored(self, lease: Lease) -> list[int]:
        frames = self.log.read(lease.key, after=0, limit=100_000, trace_id="trace").frames
        return [frame.seq for frame in frames]


def request(session_id: str, turn_id: str) -> ClaimRequest:
    return ClaimRequest(
        key=TurnKey(SessionKey("default", session_id), turn_id),
        principal=ANYBODY,
        digest="d",
        message="m",
        options={},
        on_busy="enqueue",
        owner="pod-a",
        trace_id="trace",
        create_session=True,
        new_epoch=f"epoch of {session_id}/{turn_id}",
    )


def batch(lease: Lease, seq: int) -> FrameBatch:
    return FrameBatch(lease, seq, (FrameBody("text", {"content": f"{seq} ", "offset": 0}),))


# Sentinel.


@pytest.fixture
def sentinel() -> Iterator[RedisSentinel]:
    server = RedisSentinel()
    try:
        server.start()
        yield server
    finally:
        server.remove()


def test_a_turn_goes_on_at_the_new_primary_and_keeps_what_was_replicated(
    sentinel: RedisSentinel,
) -> None:
    pod = Pod(sentinel.url)
    lease = pod.claim("s1")
    old = sentinel.primary()
    replicated = acknowledged = 0
    refused: list[Exception] = []
    seq = 1
    while acknowledged < 300:
        if seq == 101 and old.running:
            replicated = acknowledged if pod.store.client.wait(1, 5_000) == 1 else 0
            old.kill()
        (error,) = pod.append(lease, seq=seq)
        if error is None:
            acknowledged, seq = seq, seq + 1
        else:
            # The same batch again, as the group commit does.
            assert isinstance(error, StoreUnavailable), error
            refused.append(error)
            assert len(refused) < 100

    # Nobody wrote between the wait and the kill, so nothing at all is lost.
    assert replicated == 100
    assert pod.stored(lease) == list(range(1, 301))
    pod.commit(lease, seq=301)
    assert sentinel.primary() is not old


def test_a_demoted_primary_is_left_although_it_lives(
    sentinel: RedisSentinel, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = Pod(sentinel.url)
    lease = pod.claim("s1")
    seq = 1
    for plain in (False, True):
        if plain:  # as older servers tell it out of a script
            monkeypatch.delitem(BaseParser.EXCEPTION_CLASSES, "READONLY")
        assert pod.append(lease, seq=seq) == [None]
        assert pod.store.client.wait(1, 5_000) == 1
        old = sentinel.primary()
        sentinel.fail_over()
        # It answers, and takes no writes.
        seq += 1
        assert pod.append(lease, seq=seq) == [None]
        assert sentinel.primary() is not old
    assert pod.stored(lease) == list(range(1, seq + 1))


# A Cluster.


@pytest.fixture(scope="module")
def running_cluster() -> Iterator[RedisCluster]:
    server = RedisCluster()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def cluster_of_three(running_cluster: RedisCluster) -> RedisCluster:
    running_cluster.wipe()
    return running_cluster


def sessions_of_each_shard(server: RedisCluster) -> list[str]:
    """Return an id of a session at each shard."""
    found: dict[int, str] = {}
    number = 0
    while len(found) < len(server.shards):
        found.setdefault(server.owner(slot_of(f"{{s{number}}}")).port, f"s{number}")
        number += 1
    return [found[shard.port] for shard in server.shards]


def test_no_error_reaches_who_writes_while_the_slot_moves(cluster_of_three: RedisCluster) -> None:
    pod = Pod(cluster_of_three.url)
    session_id = sessions_of_each_shard(cluster_of_three)[0]
    lease = pod.claim(session_id)
    assert pod.append(lease, seq=1) == [None]
    slot = slot_of(f"{{{session_id}}}")
    errors: list[Exception | None] = []
    stop = threading.Event()

    def write() -> None:
        seq = 2
        while not stop.is_set():
            errors.extend(pod.append(lease, seq=seq))
            seq += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(3):
            moved_from = cluster_of_three.owner(slot)
            # Between two keys the session is in two places, and its scripts run at neither.
            cluster_of_three.move(slot, between=lambda: time.sleep(0.01))
            assert cluster_of_three.owner(slot) is not moved_from
            count = len(errors)
            wait_until(lambda count=count: len(errors) > count + 5)  # type: ignore[misc]
    finally:
        stop.set()
        writer.join(timeout=60)

    assert errors == [None] * len(errors)
    assert pod.stored(lease) == list(range(1, len(errors) + 2))


def test_a_session_is_served_where_its_keys_are_before_the_slot_is(
    cluster_of_three: RedisCluster,
) -> None:
    pod = Pod(cluster_of_three.url)
    session_id = sessions_of_each_shard(cluster_of_three)[0]
    lease = pod.claim(session_id)
    assert pod.append(lease, seq=1) == [None]
    results: list[Exception | None] = []

    def all_there() -> None:
        results.extend(pod.append(lease, seq=2))

    cluster_of_three.move(slot_of(f"{{{session_id}}}"), arrived=all_there)
    assert results == [None]
    assert pod.append(lease, seq=3) == [None]
    assert pod.stored(lease) == [1, 2, 3]


def test_a_commit_is_whole_though_the_next_turns_keys_are_elsewhere(
    cluster_of_three: RedisCluster,
) -> None:
    pod = Pod(cluster_of_three.url)
    session_id = sessions_of_each_shard(cluster_of_three)[0]
    pod.commit(pod.claim(session_id, "t0"), seq=1)
    lease = pod.claim(session_id, "t1")
    assert pod.append(lease, seq=1) == [None]
    pod.wait_behind(session_id, "t2")
    given: list[Lease | None] = []
    writer = threading.Thread(target=lambda: given.append(pod.commit(lease, seq=2)))

    def commit_now() -> None:
        # All that the script declares is here; what it derives for the next turn is not.
        if not writer.is_alive() and not given:
            writer.start()
            time.sleep(0.1)

    names = keys.SessionKeys.of(lease.key.session)
    slot = slot_of(names.meta)
    cluster_of_three.move(slot, first=[names.turn("t2")], between=commit_now)
    writer.join(timeout=60)
    (following,) = given
    assert following is not None
    assert following.key.turn_id == "t2"
    view = pod.sessions.load(lease.key.session, ANYBODY, after_version=0, limit=10)
    assert [turn.turn_id for turn in view.turns] == ["t0", "t1"]


def test_a_commit_that_empties_the_queue_is_whole_in_a_slot_that_has_not_left_yet(
    cluster_of_three: RedisCluster,
) -> None:
    pod = Pod(cluster_of_three.url)
    session_id = sessions_of_each_shard(cluster_of_three)[0]
    pod.commit(pod.claim(session_id, "t0"), seq=1)
    lease = pod.claim(session_id, "t1")
    assert pod.append(lease, seq=1) == [None]
    pod.wait_behind(session_id, "t2")
    names = keys.SessionKeys.of(lease.key.session)
    given: list[Lease | None] = []

    def commit_now() -> None:
        if not given:
            given.append(pod.commit(lease, seq=2))

    # The channel is no key: nothing has gone yet when the commit is made.
    cluster_of_three.move(slot_of(names.meta), first=[names.signal], between=commit_now)
    (following,) = given
    assert following is not None
    assert following.key.turn_id == "t2"
    assert pod.append(following, seq=2) == [None]


def test_sessions_of_other_nodes_go_on_while_one_hangs(cluster_of_three: RedisCluster) -> None:
    pod = Pod(cluster_of_three.url)
    leases = [pod.claim(session_id) for session_id in sessions_of_each_shard(cluster_of_three)]
    assert pod.append(*leases, seq=1) == [None, None, None]
    hanging = cluster_of_three.shards[1]
    hanging.send(signal.SIGSTOP)
    try:
        began_s = time.monotonic()
        first, hung, last = pod.append(*leases, seq=2)
        took_s = time.monotonic() - began_s
        began_s = time.monotonic()
        again = pod.append(*leases, seq=2)
        took_again_s = time.monotonic() - began_s
    finally:
        hanging.send(signal.SIGCONT)
    assert (first, last) == (None, None)
    assert isinstance(hung, StoreUnavailable)
    assert took_s < 10
    # It rests: the second flush does not wait for it.
    assert (again[0], again[2]) == (None, None)
    assert isinstance(again[1], StoreUnavailable)
    assert took_again_s < took_s / 2
    wait_until(lambda: pod.append(leases[1], seq=2) == [None])
    assert [pod.stored(lease) for lease in leases] == [[1, 2]] * 3


def test_a_watch_follows_its_slot_and_a_loss_is_told_at_any_node(
    cluster_of_three: RedisCluster,
) -> None:
    pod = Pod(cluster_of_three.url)
    session_ids = sessions_of_each_shard(cluster_of_three)
    leases = [pod.claim(session_id) for session_id in session_ids]
    clock = ServerClock(cluster_of_three)
    log = RedisFrameLog(connect(cluster_of_three.url), clock=clock, tasks=ThreadTasks())
    heard: dict[str, int] = {}
    lost: list[TurnKey | None] = []
    for lease in leases:
        session = lease.key.session
        log.watch(session, lambda _, seq, sid=session.session_id: heard.update({sid: seq}))  # type: ignore[misc]
    log.watch_losses("pod-a", lost.append)

    def told(seq: int) -> Callable[[], bool]:
        def stored_and_told() -> bool:
            assert pod.append(*leases, seq=seq) == [None] * 3  # a repeat is told again
            time.sleep(0.01)
            return heard == dict.fromkeys(session_ids, seq)

        return stored_and_told

    wait_until(told(1))
    cluster_of_three.move(slot_of(f"{{{session_ids[0]}}}"))
    wait_until(told(2))
    pod.commit(leases[1], seq=3)  # told by the script
    wait_until(lambda: heard[session_ids[1]] == 3)

    def taken() -> bool:
        pod.sessions.seize(leases[2].key, "pod-b", from_owner="pod-a")
        pod.sessions.seize(leases[2].key, "pod-a", from_owner="pod-b")
        time.sleep(0.01)
        return leases[2].key in lost

    wait_until(taken)


def test_whoever_listened_on_a_connection_that_broke_looks_again(
    redis_server: RedisServer,
) -> None:
    redis_server.wipe()
    pod = Pod(redis_server.url)
    lease = pod.claim("s1")
    heard: list[tuple[str, int]] = []
    lost: list[TurnKey | None] = []
    log = RedisFrameLog(
        connect(redis_server.url), clock=ServerClock(redis_server), tasks=ThreadTasks()
    )
    log.watch(lease.key.session, lambda turn_id, seq: heard.append((turn_id, seq)))
    log.watch_losses("pod-a", lost.append)
    wait_until(lambda: len(heard) == 1 and len(lost) == 1)  # as it begins to listen
    pod.store.client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    wait_until(lambda: len(heard) >= 2 and len(lost) >= 2)
    assert set(heard) == {("", 0)}
    assert set(lost) == {None}


def test_a_script_of_two_slots_is_refused_by_a_cluster(cluster_of_three: RedisCluster) -> None:
    store = connect(cluster_of_three.url)
    assert isinstance(store.client, ClusterClient)
    with pytest.raises(Exception, match=r"CROSSSLOT|same slot"):
        store.run("lead", ["kn:a", "kn:b"], ["me", 1_000])


def wait_until(condition: Callable[[], bool], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)
