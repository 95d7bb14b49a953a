"""A store without room refuses each step of a turn whole: before its first write, or not at all."""

import contextlib
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from kotaemon_node.adapters.redis import RedisFrameLog, RedisSessionStore, connect
from kotaemon_node.adapters.redis.leadership import RedisLeadership
from kotaemon_node.adapters.system import ThreadTasks
from kotaemon_node.domain.errors import Conflict, Fenced, StoreFull
from kotaemon_node.domain.frames import FrameBody
from kotaemon_node.domain.session import Principal, SessionKey, Turn, TurnKey
from kotaemon_node.domain.turn import State
from kotaemon_node.ports.frame_log import FrameBatch
from kotaemon_node.ports.sessions import Claim, ClaimRequest, Ending, Lease
from tests.redis_server import RedisServer, ServerClock
from tests.store_room import Room

ANYBODY = Principal("default", "anonymous", "open")
MESSAGE = "m" * 20_000


@pytest.fixture
def room(server: RedisServer) -> Iterator[Room]:
    room = Room(server)
    yield room
    room.give_back()


class Store:
    """The session store itself, and all that its Redis holds."""

    def __init__(self, server: RedisServer, room: Room) -> None:
        store = connect(server.url)
        clock = ServerClock(server)
        self.room = room
        self.sessions = RedisSessionStore(store, ttl_s=3600, idle_s=1800)
        self.frames = RedisFrameLog(store, clock=clock, tasks=ThreadTasks())
        self.leadership = RedisLeadership(store, "builder")

    def held(self) -> dict[bytes, bytes | None]:
        """Return all that is stored; not the index of turns, which a claim enters first."""
        client = self.room.client
        names = [
            name
            for name in client.scan_iter(count=10_000)
            if not name.startswith((b"ballast:", b"kn:running"))
        ]
        return {name: client.dump(name) for name in sorted(names)}

    def claim(self, turn_id: str, *, message: str = "when?") -> Claim:
        return self.sessions.claim(
            ClaimRequest(
                key=key(turn_id),
                principal=ANYBODY,
                digest="d" * 32,
                message=message,
                options={},
                on_busy="enqueue",
                owner="p0",
                trace_id="trace",
                create_session=True,
                new_epoch=uuid.uuid4().hex[:22],
            )
        )


def key(turn_id: str) -> TurnKey:
    return TurnKey(SessionKey("default", "s1"), turn_id)


@pytest.fixture
def store(server: RedisServer, room: Room) -> Store:
    return Store(server, room)


def lease_of(claim: Claim) -> Lease:
    assert claim.work is not None
    return claim.work.lease


def batch_of(claim: Claim) -> FrameBatch:
    body = FrameBody("text", {"content": "Parcels leave.", "offset": 0})
    return FrameBatch(lease_of(claim), 1, (body, body), (("retrieval", {"found": [1]}),))


def ending_of(claim: Claim) -> Ending:
    turn = Turn(
        turn_id=lease_of(claim).key.turn_id,
        message="when?",
        state=State.DONE,
        answer="Parcels leave. " * 2_000,
        sources=(),
        generation={"default": 1},
        owner="p0",
        attempts=1,
        usage={},
        timings={},
        degraded=None,
        error=None,
        trace_id="trace",
        created_at=0.0,
    )
    return Ending(turn=turn, terminal=FrameBody("done", {"state": "done"}), seq=1, generations={})


def _of_a_new_session(store: Store) -> Callable[[], Any]:
    return lambda: store.claim("t1", message=MESSAGE)


def _of_a_known_session(store: Store) -> Callable[[], Any]:
    claim = store.claim("t1")
    store.sessions.commit(lease_of(claim), ending_of(claim), take_next=True)
    return lambda: store.claim("t2", message=MESSAGE)


def _of_a_busy_session(store: Store) -> Callable[[], Any]:
    store.claim("t1")
    return lambda: store.claim("t2", message=MESSAGE)


def _append(store: Store) -> Callable[[], Any]:
    batch = batch_of(store.claim("t1"))

    def append() -> None:
        (error,) = store.frames.append([batch])
        if error is not None:
            raise error

    return append


def _commit(store: Store) -> Callable[[], Any]:
    claim = store.claim("t1")
    return lambda: store.sessions.commit(lease_of(claim), ending_of(claim), take_next=True)


def _commit_before_another(store: Store) -> Callable[[], Any]:
    commit = _commit(store)
    store.claim("t2")
    return commit


def _seize(store: Store) -> Callable[[], Any]:
    store.claim("t1")
    return lambda: store.sessions.seize(key("t1"), "p1", from_owner="p0")


def _release(store: Store) -> Callable[[], Any]:
    claim = store.claim("t1")
    return lambda: store.sessions.release(lease_of(claim))


def _create(store: Store) -> Callable[[], Any]:
    fields = {"context": {"page": "p" * 20_000}}
    session = SessionKey("default", "s1")
    return lambda: store.sessions.create(session, ANYBODY, epoch="e", fields=fields)


def _lead(store: Store) -> Callable[[], Any]:
    return lambda: store.leadership.acquire("c0", ttl_s=60)


STEPS = (
    _of_a_new_session,
    _of_a_known_session,
    _of_a_busy_session,
    _append,
    _commit,
    _commit_before_another,
    _seize,
    _release,
    _create,
    _lead,
)


@pytest.mark.parametrize("prepare", STEPS, ids=lambda step: step.__name__.strip("_"))
def test_a_step_without_room_writes_nothing_and_is_whole_when_repeated(
    store: Store, prepare: Callable[[Store], Callable[[], Any]]
) -> None:
    step = prepare(store)
    before = store.held()
    store.room.take()

    with pytest.raises(StoreFull):
        step()

    assert store.held() == before
    store.room.give_back()
    step()
    assert store.held() != before


@pytest.mark.parametrize("prepare", STEPS, ids=lambda step: step.__name__.strip("_"))
def test_a_step_that_uses_up_the_last_room_is_whole(
    store: Store, prepare: Callable[[Store], Callable[[], Any]]
) -> None:
    """Room for the first writes of a step is room for all: Redis asks once, before the first."""
    step = prepare(store)
    before = store.held()
    refusals = 0
    for more in range(-64 * 1024, 64 * 1024, 1024):
        store.room.leave(more)
        try:
            step()
        except StoreFull:
            refusals += 1
            assert store.held() == before
        else:
            break

    assert refusals > 0
    assert store.held() != before
    store.room.give_back()
    # Not refused and not cut short: the same call again finds that all was done.
    with contextlib.suppress(Conflict, Fenced):  # a second create, a second release
        step()


def test_a_waiting_turn_is_ended_whole_without_room(store: Store) -> None:
    store.claim("t1")
    store.claim("t2")
    store.room.take()

    # The first write takes it out of the queue, which needs no room; what follows is allowed then.
    work = store.sessions.seize(key("t2"), "p1", from_owner=None, ending="cancel")

    assert work is not None
    assert store.sessions.turn(key("t2"), ANYBODY).owner == "p1"
    assert store.sessions.activity(key("t2").session, ANYBODY, after_version=0, limit=0).open == (
        "t1",
        "t2",  # shown as open until it is in the history, though it waits no more
    )
