"""Whoever archives may die between any two steps; the stores may be away; copies end."""

import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from coordinator.archiving import Archiving
from kotaemon_node.adapters.redis import Archive, RedisSessionStore, RedisStore, connect
from kotaemon_node.adapters.store.factory import reading_of
from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.adapters.system.gevent_tasks import GeventTasks
from kotaemon_node.domain import limits
from kotaemon_node.domain.artifact_names import ARCHIVE_TENANTS_PREFIX
from kotaemon_node.domain.errors import StoreUnavailable, TooLarge
from kotaemon_node.domain.session import SessionKey, TurnKey
from kotaemon_node.domain.session_copy import SessionCopy
from kotaemon_node.ports.artifacts import ArtifactStore, ArtifactsUnavailable
from tests.archived_pods import DAY_S, ArchivedPod, Attic, settled
from tests.artifact_stores import ServedFolder, TestBucket, reader
from tests.contract.test_archive import left, tidy
from tests.contract.test_session_cache import ANYBODY, NAMES, SESSION
from tests.redis_server import RedisServer


@pytest.fixture
def one_store(redis_server: RedisServer) -> Iterator[RedisStore]:
    redis_server.wipe()
    store = connect(redis_server.url)
    yield store
    store.client.close()


@pytest.fixture
def attic(one_store: RedisStore, tmp_path: Path) -> Attic:
    return Attic(one_store, tmp_path / "artifacts")


@pytest.fixture
def a(one_store: RedisStore, attic: Attic) -> ArchivedPod:
    return ArchivedPod(one_store, "pod-a", attic.copies)


class Killed(BaseException):
    """Ends whoever archives."""


class Counted:
    """Dies before its n-th call, or after it took effect."""

    def __init__(self, behind: Any, life: dict[str, int]) -> None:
        self._behind = behind
        self._life = life

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any, **how: Any) -> Any:
            self._tick()
            found = getattr(self._behind, name)(*arguments, **how)
            self._tick()
            return found

        return call

    def _tick(self) -> None:
        self._life["left"] -= 1
        if self._life["left"] < 0:
            raise Killed


def mortal(attic: Attic, calls: int, *, after_s: float = 1e-9) -> Archiving:
    life = {"left": calls}
    return Archiving(
        Counted(attic.cold, life),
        Counted(attic.copies, life),
        leads=lambda: True,
        metrics=attic.metrics.archive,
        clock=SystemClock(),
        known=tuple,
        after_s=after_s,
        kept_s=90 * DAY_S,
    )


def test_a_death_between_any_two_steps_harms_nothing(
    a: ArchivedPod, attic: Attic, one_store: RedisStore
) -> None:
    settled(a, "t0")
    turns, calls = 1, 0
    while True:
        died = False
        try:
            mortal(attic, calls).sweep()
        except Killed:
            died = True
        # Whatever was done, the session is whole, and its turns are its own.
        fresh = ArchivedPod(one_store, "pod-b", attic.copies)
        assert len(fresh.ids()) == turns
        settled(fresh, f"t{turns}")
        turns += 1
        assert a.claim("t0") is None
        attic.sweep()
        assert left(one_store) == ["archived"]
        assert len(attic.names()) == 1
        assert len(fresh.ids()) == turns
        if not died:
            break
        calls += 1
    assert calls >= 10
    assert a.told == []


def test_a_death_while_a_deleted_session_is_purged_harms_nothing(
    a: ArchivedPod, attic: Attic, one_store: RedisStore
) -> None:
    for calls in range(12):
        settled(a, f"t{calls}")
        attic.sweep()
        a.sessions.delete(SESSION, ANYBODY)
        with suppress(Killed):
            mortal(attic, calls).sweep()
        attic.sweep()
        assert attic.names() == []
        assert one_store.client.get(NAMES.archived) == b"purged"


def test_a_turn_between_copy_and_removal_leaves_no_copy(a: ArchivedPod, attic: Attic) -> None:
    settled(a, "t0")
    put = attic.copies.put_if_absent

    def then_a_turn_comes(name: str, content: bytes) -> bool:
        written = put(name, content)
        if name.startswith(ARCHIVE_TENANTS_PREFIX):
            return written
        settled(a, "t1")
        return written

    attic.copies.put_if_absent = then_a_turn_comes  # type: ignore[method-assign]
    attic.sweep()
    assert attic.names() == []
    assert a.ids() == ["t0", "t1"]


def test_while_the_artifact_store_is_away_sessions_stay_and_one_that_ends_so_is_counted(
    a: ArchivedPod, attic: Attic, one_store: RedisStore
) -> None:
    settled(a, "t0")
    attic.copies.away = True
    with pytest.raises(ArtifactsUnavailable):
        attic.sweep()
    assert "meta" in left(one_store)
    assert len(attic.due()) == 1
    one_store.client.delete(NAMES.meta)  # its life ends
    attic.sweep()
    assert attic.metric("kotaemon_sessions_expired_total") == 1
    assert attic.due() == []


def test_a_session_whose_life_ends_behind_its_copy_is_archived(
    a: ArchivedPod, attic: Attic, one_store: RedisStore
) -> None:
    settled(a, "t0")
    put = attic.copies.put_if_absent

    def then_it_ends(name: str, content: bytes) -> bool:
        written = put(name, content)
        if name.startswith(ARCHIVE_TENANTS_PREFIX):
            return written
        one_store.client.delete(NAMES.meta, NAMES.turns, NAMES.seen)
        return written

    attic.copies.put_if_absent = then_it_ends  # type: ignore[method-assign]
    attic.sweep()
    assert a.ids() == ["t0"]


def test_copies_end(a: ArchivedPod, attic: Attic) -> None:
    settled(a, "t0")
    attic.sweep()
    tidy(attic)
    assert len(attic.names()) == 1

    class Later(SystemClock):
        def now_s(self) -> float:
            return super().now_s() + 91 * DAY_S

    archiving = attic.archiving(clock=Later())
    for _ in range(256):
        archiving.tidy()
    assert attic.names() == []
    assert attic.metric('kotaemon_archive_copies_removed_total{reason="expired"}') == 1


def test_copies_of_every_tenant_end(
    a: ArchivedPod, attic: Attic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "ARCHIVE_TENANTS_PER_LOOK", 2)
    sessions = [SessionKey(tenant, "s1") for tenant in ("acme", "default", "globex", "zeta")]
    for session in sessions:
        settled(a, "t0", session=session)
    attic.sweep()
    assert all(attic.names(session) for session in sessions)

    class Later(SystemClock):
        def now_s(self) -> float:
            return super().now_s() + 91 * DAY_S

    archiving = attic.archiving(clock=Later())
    for _ in range(2 * 256):
        archiving.tidy()
    assert not any(attic.names(session) for session in sessions)
    assert attic.metric('kotaemon_archive_copies_removed_total{reason="expired"}') == 4


def test_copies_from_before_tenants_were_noted_end_too(a: ArchivedPod, attic: Attic) -> None:
    session = SessionKey("acme", "s1")
    settled(a, "t0", session=session)
    attic.sweep()
    attic.copies.delete(ARCHIVE_TENANTS_PREFIX + "acme")
    attic.copies.put_if_absent(ARCHIVE_TENANTS_PREFIX + "no tenant", b"")

    archiving = attic.archiving(kept_s=-7_200, known=lambda: ["acme"])
    for _ in range(256):
        archiving.tidy()
    assert attic.names(session) == []


def test_one_session_that_cannot_be_archived_does_not_hold_up_the_others(
    a: ArchivedPod, attic: Attic, one_store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = SessionKey("default", "s2")
    settled(a, "t0")
    settled(a, "t0", session=other)
    copy = attic.cold.copy

    def refusing(key: SessionKey) -> SessionCopy | None:
        if key == SESSION:
            raise TooLarge("too large")
        return copy(key)

    monkeypatch.setattr(attic.cold, "copy", refusing)
    attic.archiving(after_s=1).sweep()  # too young
    long_ago_ms = attic.cold.now_ms() - 7_200_000
    one_store.client.hset(NAMES.meta, "active_ms", long_ago_ms)
    one_store.client.hset("kn:default:{s2}:meta", "active_ms", long_ago_ms)
    for name in one_store.client.keys("kn:idle:*"):
        for member in one_store.client.zrange(name, 0, -1):
            one_store.client.zadd(name, {member: 1})
    attic.archiving(after_s=1800).sweep()
    assert len(attic.names(other)) == 1
    assert attic.metric('kotaemon_archive_failures_total{reason="too_large"}') == 1
    # It is not read again and again: it would be found the same.
    assert [entry.key for entry in attic.cold.due(rested_s=1739, limit=9)] == []
    assert [entry.key for entry in attic.cold.due(rested_s=0, limit=9)] == [SESSION]


def test_a_long_history_comes_back_row_by_row(a: ArchivedPod, attic: Attic) -> None:
    for number in range(450):
        a.turn(f"t{number}", answer="long " * 2_000 if number % 50 == 0 else "")
    a.sessions.settle(a.owned("last").lease.key)
    attic.sweep()
    assert attic.names() == []  # the last one runs
    work = a.sessions.seize(TurnKey(SESSION, "last"), "pod-a", from_owner="pod-a")
    assert work is not None
    a.commit(work)
    before = a.truth()
    attic.sweep()
    assert len(attic.names()) == 1
    assert a.truth() == before
    assert len(before) == 451


def test_a_full_redis_brings_nothing_back_by_halves(
    a: ArchivedPod, attic: Attic, one_store: RedisStore
) -> None:
    settled(a, "t0")
    attic.sweep()
    one_store.client.config_set("maxmemory", 1)
    try:
        with pytest.raises(StoreUnavailable):
            a.ids()
        assert left(one_store) == ["archived"]
    finally:
        one_store.client.config_set("maxmemory", 0)
    assert a.ids() == ["t0"]


def test_a_full_redis_is_relieved_by_the_archive(
    a: ArchivedPod, attic: Attic, one_store: RedisStore
) -> None:
    settled(a, "t0")
    one_store.client.config_set("maxmemory", 1)
    try:
        attic.sweep()
    finally:
        one_store.client.config_set("maxmemory", 0)
    assert left(one_store) == ["archived"]
    assert a.ids() == ["t0"]


def _through(kind: str, request: pytest.FixtureRequest, folder: Path) -> tuple[Any, ArtifactStore]:
    """Return the coordinator's store and a worker's, which may only read."""
    if kind == "s3":
        found: TestBucket = request.getfixturevalue("bucket")
        return found.store(folder / "w"), found.store(folder / "r", writes=False)
    served: ServedFolder = request.getfixturevalue("served_folder")
    worker = reader(served.url, served.cache, token=served.token)
    return served.store(), worker


@pytest.mark.parametrize("kind", ["s3", "http"])
def test_workers_that_may_only_read_bring_sessions_back(
    one_store: RedisStore, tmp_path: Path, request: pytest.FixtureRequest, kind: str
) -> None:
    attic = Attic(one_store, tmp_path / "unused")
    written, read = _through(kind, request, tmp_path)
    attic.copies = written
    pod = ArchivedPod(one_store, "pod-a", read)
    settled(pod, "t0")
    attic.sweep()
    assert left(one_store) == ["archived"]
    assert pod.ids() == ["t0"]
    # By its prefix, where Redis forgot.
    attic.sweep()
    one_store.client.flushall()
    assert pod.ids() == ["t0"]
    assert pod.restored == ["restored", "restored"]


def test_a_folder_that_does_not_answer_holds_up_no_serving_loop(
    a: ArchivedPod, attic: Attic, one_store: RedisStore
) -> None:
    settled(a, "t0")
    native = GeventTasks(native_threads=1).compute
    read_on: list[int] = []
    get = attic.copies.get

    def noted(name: str) -> bytes | None:
        read_on.append(threading.get_ident())
        return get(name)

    attic.copies.get = noted  # type: ignore[method-assign]
    for reading in (reading_of(attic.copies, native=native), reading_of(object(), native=native)):  # type: ignore[arg-type]
        attic.sweep()
        archive = Archive(attic.copies, kept_s=90 * DAY_S, reading=reading)
        pod = RedisSessionStore(one_store, ttl_s=3600, idle_s=1800, archive=archive)
        assert pod.load(SESSION, ANYBODY, after_version=0, limit=1).version == 1
    on_disk, elsewhere = read_on[0], read_on[-1]
    assert elsewhere == threading.get_ident() != on_disk


def test_what_was_archived_stays_in_the_list_where_nothing_is_archived_any_more(
    a: ArchivedPod, attic: Attic, one_store: RedisStore
) -> None:
    settled(a, "t0")
    archive = Archive(attic.copies, kept_s=90 * DAY_S, indexed=False)
    a.sessions = RedisSessionStore(one_store, ttl_s=3600, idle_s=1800, archive=archive)
    settled(a, "t1")
    assert one_store.client.ttl("kn:default:sessions:anonymous") > 3600
