"""Two at once around an archived session, and what may not outlive it."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from kotaemon_node.adapters.redis import Archive, RedisSessionStore, RedisStore
from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.domain.artifact_names import session_bucket_prefix, session_copies_prefix
from kotaemon_node.domain.errors import SessionNotFound
from kotaemon_node.domain.session import SessionKey, TurnKey
from kotaemon_node.domain.session_copy import SessionCopy
from kotaemon_node.ports.artifacts import ArtifactsUnavailable
from tests.archived_pods import DAY_S, ArchivedPod, Attic, settled
from tests.contract.test_archive import left, tidy
from tests.contract.test_archive_steps import a, attic, one_store
from tests.contract.test_session_cache import ANYBODY, NAMES, SESSION
from tests.contract.test_store_losses import restore

__all__ = ["a", "attic", "one_store"]

ASKS: list[Callable[[ArchivedPod], object]] = [
    lambda pod: pod.ids(),
    lambda pod: pod.sessions.turn(TurnKey(SESSION, "t0"), ANYBODY),
    lambda pod: pod.sessions.activity(SESSION, ANYBODY, after_version=0, limit=10),
]


@pytest.fixture
def b(one_store: RedisStore, attic: Attic) -> ArchivedPod:
    return ArchivedPod(one_store, "pod-b", attic.copies)


def before_call(owner: Any, name: str, act: Callable[[], object]) -> None:
    """Let ``act`` happen once, just before the next call of a method."""
    real = getattr(owner, name)

    def call(*arguments: Any, **how: Any) -> Any:
        setattr(owner, name, real)
        act()
        return real(*arguments, **how)

    setattr(owner, name, call)


@pytest.mark.parametrize("ask", ASKS)
@pytest.mark.parametrize("when", ["before the mark is read", "before it is put back"])
def test_who_is_second_to_ask_finds_the_session(
    a: ArchivedPod, b: ArchivedPod, attic: Attic, ask: Callable[[ArchivedPod], object], when: str
) -> None:
    settled(a, "t0")
    attic.sweep()
    step = "_mark" if when == "before the mark is read" else "_put"
    before_call(b.sessions._restoring, step, a.ids)

    ask(b)

    assert (a.restored, b.restored) == (["restored"], [])


def test_a_session_that_comes_back_while_it_is_listed_stays_in_the_list(
    a: ArchivedPod, b: ArchivedPod, attic: Attic
) -> None:
    settled(a, "t0")
    attic.sweep()
    before_call(b.sessions._list, "_archived", a.ids)
    for _ in range(2):
        rows = b.sessions.list(ANYBODY, offset=0, limit=10)
        assert [(row.session_id, row.archived) for row in rows] == [("s1", False)]


def test_copies_made_while_their_session_is_deleted_are_removed(
    a: ArchivedPod, attic: Attic
) -> None:
    settled(a, "t0")
    copies: list[SessionCopy | None] = []

    def is_copied() -> None:
        attic.cold.look(SESSION, rested_s=0)
        copies.append(attic.cold.copy(SESSION))

    before_call(a.sessions, "admit", is_copied)
    a.sessions.delete(SESSION, ANYBODY)
    [copy] = copies
    assert copy is not None
    attic.copies.put_if_absent(copy.name.of(SESSION), copy.packed())
    attic.sweep()
    assert attic.names() == []


def test_a_copy_that_is_written_after_the_deletion_is_removed_at_once(
    a: ArchivedPod, attic: Attic
) -> None:
    settled(a, "t0")
    before_call(attic.copies, "put_if_absent", lambda: a.sessions.delete(SESSION, ANYBODY))
    attic.sweep()
    assert attic.names() == []


def test_copies_are_removed_when_the_next_session_of_their_id_is_deleted_before_that(
    a: ArchivedPod, attic: Attic
) -> None:
    settled(a, "t0")
    attic.sweep()
    a.sessions.delete(SESSION, ANYBODY)
    settled(a, "t1")
    a.sessions.delete(SESSION, ANYBODY)
    attic.sweep()
    assert attic.names() == []


def test_a_session_that_was_begun_anew_takes_the_copies_of_before_along_when_it_is_deleted(
    a: ArchivedPod, b: ArchivedPod, attic: Attic, one_store: RedisStore
) -> None:
    settled(a, "t0")
    attic.sweep()
    restore(one_store, {})
    settled(b, "t1")
    tidy(attic)
    b.sessions.delete(SESSION, ANYBODY)
    attic.sweep()
    assert attic.names() == []


def test_a_pod_that_knows_no_archive_may_begin_a_session_anew_and_deleting_it_deletes_both(
    a: ArchivedPod, attic: Attic, one_store: RedisStore
) -> None:
    settled(a, "t0")
    attic.sweep()
    mark = one_store.client.getdel(NAMES.archived)
    fresh = RedisSessionStore(RedisStore(one_store.client), ttl_s=3600, idle_s=1800)
    fresh.create(SESSION, ANYBODY, epoch="by an older program", fields={})
    one_store.client.set(NAMES.archived, mark)

    a.sessions.delete(SESSION, ANYBODY)

    with pytest.raises(SessionNotFound):
        a.ids()
    attic.sweep()
    assert attic.names() == []


def test_a_session_that_such_a_pod_deletes_is_deleted_in_the_archive(
    a: ArchivedPod, attic: Attic, one_store: RedisStore
) -> None:
    settled(a, "t0")
    attic.sweep()
    epoch = a.sessions.load(SESSION, ANYBODY, after_version=0, limit=0).epoch
    one_store.client.delete(NAMES.meta, NAMES.turns, NAMES.seen)
    one_store.client.hset(NAMES.past, epoch, "deleted")
    attic.sweep()
    assert attic.names() == []


def test_a_history_that_is_not_whole_is_not_moved(
    a: ArchivedPod, attic: Attic, one_store: RedisStore
) -> None:
    settled(a, "t0")
    settled(a, "t1")
    one_store.client.lpop(NAMES.turns)
    attic.sweep()
    assert attic.names() == []
    assert "meta" in left(one_store)
    assert attic.metric('kotaemon_archive_failures_total{reason="corrupt"}') == 1


def test_a_damaged_copy_of_this_name_is_replaced_before_the_session_leaves(
    a: ArchivedPod, attic: Attic, one_store: RedisStore
) -> None:
    settled(a, "t0")
    copy = attic.cold.copy(SESSION)
    attic.copies.put_if_absent(copy.name.of(SESSION), copy.packed()[:-9])  # type: ignore[union-attr]
    attic.sweep()
    assert left(one_store) == ["archived"]
    assert a.ids() == ["t0"]


def test_one_who_wakes_up_late_removes_no_copy_that_is_needed(
    a: ArchivedPod, attic: Attic, one_store: RedisStore
) -> None:
    settled(a, "t0")
    first, second = attic.archiving(after_s=1e-9), attic.archiving(after_s=1e-9)
    frozen = attic.copies.delete

    def other_archives_it(name: str) -> None:
        second.sweep()
        frozen(name)

    def it_is_archived_and_read() -> None:
        second.sweep()
        assert a.ids() == ["t0"]
        # So the first is told that it does not rest, though it is what was copied.
        one_store.client.hset(NAMES.meta, "restored_ms", attic.cold.now_ms() + 60_000)

    before_call(attic.cold, "archive", it_is_archived_and_read)
    attic.copies.delete = other_archives_it  # type: ignore[method-assign]
    first.sweep()
    one_store.client.hdel(NAMES.meta, "restored_ms")
    attic.sweep()
    assert left(one_store) == ["archived"]
    assert a.ids() == ["t0"]


class Later(SystemClock):
    """A clock that goes ``ahead_s`` before ours."""

    def __init__(self, ahead_s: float) -> None:
        self.ahead_s = ahead_s

    def now_s(self) -> float:
        return super().now_s() + self.ahead_s


def test_a_copy_whose_time_is_over_is_nothing_that_was_forgotten(
    a: ArchivedPod, attic: Attic, one_store: RedisStore
) -> None:
    settled(a, "t0")
    attic.sweep()
    one_store.client.delete(NAMES.archived)  # as it does when its time is over
    archiving = attic.archiving(clock=Later(90 * DAY_S + 60))
    for _ in range(256):
        archiving.tidy()
    assert attic.metric("kotaemon_sessions_marked_total") == 0
    # By the store's own clock, too.
    meta = {"version": "0", "hash": "", "epoch": "e", "created_ms": "1", "principal": "p"}
    copy = SessionCopy(SESSION, {**meta, "active_ms": "1"}, (), {}, {})
    assert attic.cold.mark(copy, kept_s=60) == "ended"


def test_a_mark_that_outlives_its_copy_gives_way(
    a: ArchivedPod, attic: Attic, one_store: RedisStore
) -> None:
    settled(a, "t0")
    attic.sweep()
    [name] = attic.names()
    attic.copies.delete(name)
    # Copies are kept for less long since then.
    brief = ArchivedPod(one_store, "pod-b", attic.copies)
    brief.sessions = RedisSessionStore(
        one_store, ttl_s=3600, idle_s=1800, archive=Archive(attic.copies, kept_s=0)
    )
    with pytest.raises(SessionNotFound):
        brief.ids()
    assert left(one_store) == []
    assert brief.turn("t1").session.turns == ()


def test_a_session_that_came_back_and_ended_is_not_taken_for_a_store_that_forgot(
    a: ArchivedPod, attic: Attic, one_store: RedisStore
) -> None:
    archiving = attic.archiving()
    bucket = _bucket_of_three(attic, a)
    attic.sweep()
    for session in bucket[:1]:
        one_store.client.delete(f"kn:default:{{{session.session_id}}}:archived")
    for _ in range(256):
        archiving.tidy()
    assert attic.metric("kotaemon_sessions_marked_total") == 1
    assert archiving._to_mark == 0
    for session in bucket[:2]:
        one_store.client.delete(f"kn:default:{{{session.session_id}}}:archived")
    for _ in range(256):
        archiving.tidy()
    assert attic.metric("kotaemon_sessions_marked_total") == 3
    assert archiving._to_mark > 0


def _bucket_of_three(attic: Attic, pod: ArchivedPod) -> list[SessionKey]:
    """Return three settled sessions whose copies lie beside each other."""
    prefix = session_bucket_prefix("default", 7)
    ids = (f"s{number}" for number in range(9_000))
    found = [sid for sid in ids if session_copies_prefix("default", sid).startswith(prefix)][:3]
    sessions = [SessionKey("default", session_id) for session_id in found]
    for session in sessions:
        settled(pod, "t0", session=session)
    return sessions


def test_a_look_that_was_broken_off_goes_on_where_it_was(
    a: ArchivedPod, attic: Attic, one_store: RedisStore
) -> None:
    _bucket_of_three(attic, a)
    attic.sweep()
    one_store.client.flushall()
    archiving = attic.archiving()
    real, broken = attic.copies.get, 0

    def get(name: str) -> bytes | None:
        nonlocal broken
        broken += 1
        if broken % 2:
            raise ArtifactsUnavailable("the artifact store does not answer")
        return real(name)

    attic.copies.get = get  # type: ignore[method-assign]
    for _ in range(300):
        with suppress(ArtifactsUnavailable):
            archiving.tidy()
    # The very last one may be at fault itself, and is left to the next look.
    assert attic.metric("kotaemon_sessions_marked_total") >= 2


def test_a_bucket_that_could_not_be_listed_is_looked_into_again(
    a: ArchivedPod, attic: Attic, one_store: RedisStore
) -> None:
    settled(a, "t0")
    attic.sweep()
    restore(one_store, {})
    archiving = attic.archiving()
    [name] = attic.names()
    archiving._bucket = int(name.split("/")[3], 16) - 1
    attic.copies.away = True
    with pytest.raises(ArtifactsUnavailable):
        archiving.tidy()
    attic.copies.away = False
    archiving.tidy()
    assert attic.metric("kotaemon_sessions_marked_total") == 1


@pytest.mark.parametrize("wrong", [ArtifactsUnavailable("away"), OSError("not permitted")])
def test_a_place_that_cannot_be_written_does_not_hold_up_the_other_sessions(
    a: ArchivedPod, attic: Attic, wrong: Exception
) -> None:
    other = SessionKey("default", "s2")
    settled(a, "t0")
    settled(a, "t0", session=other)
    put = attic.copies.put_if_absent

    def refused(name: str, content: bytes) -> bool:
        if name.startswith(session_copies_prefix("default", "s1")):
            raise wrong
        return put(name, content)

    attic.copies.put_if_absent = refused  # type: ignore[method-assign]
    attic.sweep()
    assert len(attic.names(other)) == 1
    assert [entry.key for entry in attic.due()] == [SESSION]


def test_a_session_that_was_brought_back_when_its_copy_ends_lives_on(
    a: ArchivedPod, attic: Attic, one_store: RedisStore
) -> None:
    settled(a, "t0")
    attic.archiving(clock=Later(91 * DAY_S)).sweep()
    assert "meta" in left(one_store)
    assert attic.due() == []
