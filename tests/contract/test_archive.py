"""Sessions that rest move to the archive and come back when asked for, on each kind of store."""

from collections.abc import Callable
from pathlib import Path

import pytest

from kotaemon_node.adapters.redis import RedisFeedback, RedisStore
from kotaemon_node.domain.errors import (
    Conflict,
    CorruptArtifact,
    Gone,
    SessionNotFound,
    TurnConflict,
    Unavailable,
)
from kotaemon_node.domain.session import SessionKey, TurnKey
from kotaemon_node.domain.session_copy import CopyName
from kotaemon_node.domain.turn import State
from kotaemon_node.ports.feedback import Feedback
from kotaemon_node.ports.sessions import ClaimOutcome
from tests.archived_pods import ArchivedPod, Attic, principal, settled
from tests.contract.test_session_cache import ANYBODY, NAMES, SESSION
from tests.redis_sets import names_like


@pytest.fixture
def attic(redis_store: RedisStore, tmp_path: Path) -> Attic:
    return Attic(redis_store, tmp_path / "artifacts")


@pytest.fixture
def a(redis_store: RedisStore, attic: Attic) -> ArchivedPod:
    return ArchivedPod(redis_store, "pod-a", attic.copies)


@pytest.fixture
def b(redis_store: RedisStore, attic: Attic) -> ArchivedPod:
    return ArchivedPod(redis_store, "pod-b", attic.copies)


def left(store: RedisStore) -> list[str]:
    """Return the last steps of the keys that are there of the session, but for frames."""
    steps = [name.decode().rpartition(":")[2] for name in names_like(store, "*{s1}*")]
    return [step for step in steps if not step.startswith("f") or len(step) != 11]


READS: list[Callable[[ArchivedPod], object]] = [
    lambda pod: pod.ids(),
    lambda pod: pod.sessions.turn(TurnKey(SESSION, "t0"), ANYBODY),
    lambda pod: pod.sessions.activity(SESSION, ANYBODY, after_version=0, limit=10),
    lambda pod: pod.owned("t9"),
]


@pytest.mark.parametrize("asks", READS)
def test_a_session_that_rested_leaves_redis_and_comes_back_as_it_was(
    a: ArchivedPod,
    b: ArchivedPod,
    attic: Attic,
    redis_store: RedisStore,
    asks: Callable[[ArchivedPod], object],
) -> None:
    for number in range(3):
        settled(a, f"t{number}")
    before = a.sessions.load(SESSION, ANYBODY, after_version=0, limit=100)
    meta = redis_store.client.hgetall(NAMES.meta)
    seen = redis_store.client.hgetall(NAMES.seen)

    attic.sweep()

    assert left(redis_store) == ["archived"]
    assert 0 < redis_store.client.ttl(NAMES.archived) <= 90 * 86_400
    assert len(attic.names()) == 1
    assert attic.due() == []

    asks(b)

    assert b.restored == ["restored"]
    view = a.sessions.load(SESSION, ANYBODY, after_version=0, limit=100)
    assert (view.epoch, view.version, view.hash) == (before.epoch, before.version, before.hash)
    assert view.turns == before.turns
    assert a.results[-1:] != ["rolled_back"]
    now = redis_store.client.hgetall(NAMES.meta)
    changed = {name for name in meta if now.get(name) != meta[name]}
    # A turn that is claimed changes what it changes in any session.
    assert changed <= {b"fence", b"running", b"active_ms"}
    assert seen.items() <= redis_store.client.hgetall(NAMES.seen).items()
    assert 3500 < redis_store.client.ttl(NAMES.turns) <= 3600
    assert b"archived" not in left(redis_store)
    assert (a.told, b.told) == ([], [])


def test_the_same_turn_id_gets_the_old_answer_and_another_body_a_conflict(
    a: ArchivedPod, b: ArchivedPod, attic: Attic
) -> None:
    settled(a, "t0")
    attic.sweep()
    assert b.claim("t0") is None
    assert b.sessions.turn(TurnKey(SESSION, "t0"), ANYBODY).answer == "pod-a answers t0"
    attic.sweep()
    request = b.sessions.claim
    with pytest.raises(TurnConflict):
        request(_request("t0", digest="other"))
    attic.sweep()
    assert request(_request("t0")).outcome is ClaimOutcome.FINISHED


def _request(turn_id: str, *, digest: str = "d"):  # type: ignore[no-untyped-def]
    from kotaemon_node.ports.sessions import ClaimRequest

    return ClaimRequest(
        key=TurnKey(SESSION, turn_id),
        principal=ANYBODY,
        digest=digest,
        message="m",
        options={},
        on_busy="enqueue",
        owner="pod-b",
        trace_id="t",
        create_session=True,
        new_epoch=f"call {turn_id} {digest}",
    )


def test_what_pods_and_clients_know_stays_valid(
    a: ArchivedPod, b: ArchivedPod, attic: Attic
) -> None:
    settled(a, "t0")
    settled(b, "t1")
    epoch = a.sessions.load(SESSION, ANYBODY, after_version=0, limit=0).epoch
    attic.sweep()

    assert a.ids(after_version=1, epoch=epoch) == ["t1"]
    attic.sweep()
    assert [turn.turn_id for turn in a.turn("t2").session.turns] == ["t0", "t1"]
    assert a.results[-1] == "partial"
    assert (a.told, b.told) == ([], [])
    with pytest.raises(Gone):
        a.ids(after_version=9)


def test_a_session_with_a_turn_that_runs_or_waits_stays(
    a: ArchivedPod, attic: Attic, redis_store: RedisStore
) -> None:
    settled(a, "t0")
    running = a.owned("t1")
    attic.sweep()
    assert attic.names() == []
    assert "meta" in left(redis_store)
    a.commit(running)
    a.sessions.settle(running.lease.key)
    attic.sweep()
    assert left(redis_store) == ["archived"]


def test_a_turn_that_comes_between_the_copy_and_its_removal_keeps_the_session(
    a: ArchivedPod, attic: Attic, redis_store: RedisStore
) -> None:
    settled(a, "t0")
    assert attic.cold.look(SESSION, rested_s=0).verdict == "rests"
    copy = attic.cold.copy(SESSION)
    assert copy is not None
    work = a.owned("t1")
    assert attic.cold.archive(copy, rested_s=0, kept_s=9e5) == "changed"
    a.commit(work)
    assert attic.cold.archive(copy, rested_s=0, kept_s=9e5) == "changed"
    assert a.ids() == ["t0", "t1"]


def test_a_rating_that_comes_between_the_copy_and_its_removal_is_not_lost(
    a: ArchivedPod, attic: Attic, redis_store: RedisStore
) -> None:
    settled(a, "t0")
    attic.cold.look(SESSION, rested_s=0)
    copy = attic.cold.copy(SESSION)
    assert copy is not None
    ratings, said = RedisFeedback(redis_store), Feedback("up", "clear", 1.5)
    ratings.put(TurnKey(SESSION, "t0"), said)

    assert attic.cold.archive(copy, rested_s=0, kept_s=9e5) == "changed"
    assert ratings.of(SESSION, ["t0"]) == {"t0": said}


def test_a_session_that_just_came_back_rests_again_first(
    a: ArchivedPod, attic: Attic, redis_store: RedisStore
) -> None:
    settled(a, "t0")
    attic.sweep()
    assert a.ids() == ["t0"]
    look = attic.cold.look(SESSION, rested_s=60)
    assert look.verdict == "active"
    attic.archiving(after_s=60).sweep()
    assert "meta" in left(redis_store)
    assert len(attic.due()) == 1


def test_two_that_archive_at_once_leave_one_session_and_its_copy(
    a: ArchivedPod, attic: Attic, redis_store: RedisStore
) -> None:
    settled(a, "t0")
    attic.cold.look(SESSION, rested_s=0)
    first, second = attic.cold.copy(SESSION), attic.cold.copy(SESSION)
    assert first is not None
    assert second is not None
    for copy in (first, second):
        attic.copies.put_if_absent(copy.name.of(SESSION), copy.packed())
    assert attic.cold.archive(first, rested_s=0, kept_s=9e5) == "ok"
    # The other one, and the same one whose reply was lost.
    assert attic.cold.archive(second, rested_s=0, kept_s=9e5) == "ok"
    assert a.ids() == ["t0"]


def test_two_that_bring_it_back_at_once_bring_it_back_once(
    a: ArchivedPod, b: ArchivedPod, attic: Attic
) -> None:
    settled(a, "t0")
    attic.sweep()
    put = b.sessions._restoring._put

    def other_was_quicker(*arguments):  # type: ignore[no-untyped-def]
        assert a.ids() == ["t0"]
        settled(a, "t1")
        return put(*arguments)

    b.sessions._restoring._put = other_was_quicker  # type: ignore[method-assign]
    assert b.ids() == ["t0", "t1"]
    assert (a.restored, b.restored) == (["restored"], [])


def test_new_sessions_cost_no_look_into_the_archive(a: ArchivedPod, attic: Attic) -> None:
    settled(a, "t0")
    with pytest.raises(SessionNotFound):
        a.sessions.load(SessionKey("default", "other"), ANYBODY, after_version=0, limit=1)
    assert attic.copies.asked == 0


def test_an_archived_session_cannot_be_begun_anew(a: ArchivedPod, attic: Attic) -> None:
    settled(a, "t0")
    attic.sweep()
    attic.copies.away = True
    with pytest.raises(Conflict):
        a.sessions.create(SESSION, ANYBODY, epoch="new", fields={})
    for ask in READS:
        with pytest.raises(Unavailable):
            ask(a)
    attic.copies.away = False
    assert a.ids() == ["t0"]
    assert a.restored == ["unavailable"] * len(READS) + ["restored"]


def test_a_copy_that_is_missing_or_damaged_is_told_and_never_replaced_by_nothing(
    a: ArchivedPod, attic: Attic, tmp_path: Path
) -> None:
    settled(a, "t0")
    attic.sweep()
    [name] = attic.names()
    path = tmp_path / "artifacts" / name
    content = path.read_bytes()
    path.unlink()
    with pytest.raises(Unavailable):
        a.claim("t1")
    attic.copies.put_if_absent(name, content[:-9])
    with pytest.raises(CorruptArtifact):
        a.claim("t1")
    path.unlink()
    attic.copies.put_if_absent(name, content)
    assert a.ids() == ["t0"]
    assert a.restored == ["missing", "corrupt", "restored"]


def test_strangers_learn_nothing_and_bring_nothing_back(
    a: ArchivedPod, attic: Attic, redis_store: RedisStore
) -> None:
    settled(a, "t0")
    attic.sweep()
    stranger = principal("somebody else")
    with pytest.raises(SessionNotFound):
        a.sessions.load(SESSION, stranger, after_version=0, limit=1)
    with pytest.raises(SessionNotFound):
        a.claim("t1", principal=stranger)
    with pytest.raises(SessionNotFound):
        a.sessions.delete(SESSION, stranger)
    assert left(redis_store) == ["archived"]


def test_archived_sessions_stay_in_the_list(a: ArchivedPod, attic: Attic) -> None:
    settled(a, "t0")
    before = a.sessions.list(ANYBODY, offset=0, limit=10)
    attic.sweep()
    [row] = a.sessions.list(ANYBODY, offset=0, limit=10)
    assert row.archived
    assert (row.session_id, row.title, row.version) == ("s1", "question t0", 1)
    assert (row.created_at, row.active_at) == (before[0].created_at, before[0].active_at)
    a.ids()
    assert a.sessions.list(ANYBODY, offset=0, limit=10) == before


@pytest.mark.parametrize("away", [False, True])
def test_deleting_an_archived_session_deletes_its_copies_and_it_never_comes_back(
    a: ArchivedPod, b: ArchivedPod, attic: Attic, redis_store: RedisStore, away: bool
) -> None:
    settled(a, "t0")
    attic.sweep()
    [name] = attic.names()
    content = attic.copies.get(name)
    assert content is not None
    attic.copies.away = away

    b.sessions.delete(SESSION, ANYBODY)

    with pytest.raises(SessionNotFound):
        a.ids()
    assert a.sessions.list(ANYBODY, offset=0, limit=10) == []
    attic.copies.away = False
    attic.sweep()
    assert attic.names() == []
    # One who was frozen since before writes its copy now, and ends.
    attic.copies.put_if_absent(name, content)
    redis_store.client.delete(NAMES.past)  # kept for less long
    tidy(attic)
    assert attic.names() == []
    assert a.turn("t1").session.turns == ()
    assert a.told == []


def tidy(attic: Attic, **how: float) -> None:
    """Look into every bucket once."""
    archiving = attic.archiving(**how)
    for _ in range(256):
        archiving.tidy()


def test_deleting_a_session_that_came_back_deletes_its_copies(a: ArchivedPod, attic: Attic) -> None:
    settled(a, "t0")
    attic.sweep()
    settled(a, "t1")
    a.sessions.delete(SESSION, ANYBODY)
    with pytest.raises(Gone):
        a.claim("t1")
    attic.sweep()
    assert attic.names() == []
    assert attic.metric('kotaemon_archive_copies_removed_total{reason="deleted"}') == 1
    # A new session of this id is archived as any other.
    settled(a, "t2")
    attic.sweep()
    assert len(attic.names()) == 1
    assert a.ids() == ["t2"]


def test_an_older_copy_gives_way_to_a_newer_one(a: ArchivedPod, attic: Attic) -> None:
    settled(a, "t0")
    attic.sweep()
    settled(a, "t1")
    attic.sweep()
    [name] = attic.names()
    found = CopyName.read(name)
    assert found is not None
    assert found.version == 2
    assert a.sessions.turn(TurnKey(SESSION, "t1"), ANYBODY).state is State.DONE
