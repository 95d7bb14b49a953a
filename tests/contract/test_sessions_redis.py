"""The contract of ``ports.sessions`` on a real Redis."""

import threading
from collections.abc import Sequence
from typing import Any

import pytest

from kotaemon_node.adapters.redis import RedisFrameLog, RedisSessionStore, RedisStore, keys
from kotaemon_node.adapters.system import RandomIds, SystemClock, ThreadTasks
from kotaemon_node.domain import limits
from kotaemon_node.domain.acting_limits import HISTORY_READ_TURNS
from kotaemon_node.domain.errors import (
    Conflict,
    Fenced,
    Gone,
    Invalid,
    Overloaded,
    SequenceGap,
    SessionAhead,
    SessionBusy,
    SessionNotFound,
    TurnConflict,
    TurnNotFound,
    Unavailable,
)
from kotaemon_node.domain.frames import FrameBody
from kotaemon_node.domain.session import Principal, SessionKey, Turn, TurnKey
from kotaemon_node.domain.turn import State
from kotaemon_node.ports.frame_log import FrameBatch
from kotaemon_node.ports.sessions import Claim, ClaimOutcome, ClaimRequest, Ending, Lease, Work
from tests.redis_sets import names_like

ANYBODY = Principal("default", "anonymous", "open")
SESSION = SessionKey("default", "s1")


@pytest.fixture
def sessions(redis_store: RedisStore) -> RedisSessionStore:
    return RedisSessionStore(redis_store, ttl_s=3600, idle_s=1800)


@pytest.fixture
def frames(redis_store: RedisStore) -> RedisFrameLog:
    return RedisFrameLog(redis_store, clock=SystemClock(), tasks=ThreadTasks())


def key(turn_id: str) -> TurnKey:
    return TurnKey(SESSION, turn_id)


def claim(
    sessions: RedisSessionStore,
    turn_id: str,
    *,
    owner: str = "pod-a",
    message: str = "hello",
    on_busy: str = "enqueue",
    principal: Principal = ANYBODY,
    create: bool = True,
    epoch: str = "",
    kb: str = "",
    generation: int = 0,
) -> Claim:
    return sessions.claim(
        ClaimRequest(
            key=key(turn_id),
            principal=principal,
            digest=f"digest-of-{message}",
            message=message,
            options={"kb": "default"},
            on_busy=on_busy,  # type: ignore[arg-type]
            owner=owner,
            trace_id=f"trace-{turn_id}",
            create_session=create,
            new_epoch=epoch or RandomIds().new_id(),
            kb=kb,
            generation=generation,
        )
    )


def owned(sessions: RedisSessionStore, turn_id: str, **options: object) -> Work:
    work = claim(sessions, turn_id, **options).work  # type: ignore[arg-type]
    assert work is not None
    return work


def owned_in(sessions: RedisSessionStore, session_id: str) -> Lease:
    work = sessions.claim(
        ClaimRequest(
            key=TurnKey(SessionKey("default", session_id), "t1"),
            principal=ANYBODY,
            digest="d",
            message="m",
            options={},
            on_busy="enqueue",
            owner="pod-a",
            trace_id="trace",
            create_session=True,
            new_epoch="e",
        )
    ).work
    assert work is not None
    return work.lease


def ending(turn_id: str, *, seq: int = 1, answer: str = "answer") -> Ending:
    turn = Turn(turn_id, "hello", State.DONE, answer=answer, generation={"default": 3})
    return Ending(turn, FrameBody("done", {"state": "done"}), seq, {"default": 3})


def text(lease: Lease, first_seq: int, *pieces: str) -> FrameBatch:
    bodies = tuple(FrameBody("text", {"content": piece, "offset": 0}) for piece in pieces)
    return FrameBatch(lease, first_seq, bodies)


def test_a_new_turn_is_owned_with_its_message_and_options(sessions: RedisSessionStore) -> None:
    work = owned(sessions, "t1", message="where is my parcel?")

    assert work.message == "where is my parcel?"
    assert work.options == {"kb": "default"}
    assert work.attempts == 1
    assert work.lease.owner == "pod-a"
    assert work.lease.trace_id == "trace-t1"
    assert work.session.version == 0


def test_a_committed_turn_is_in_the_history_and_a_repeat_finds_it(
    sessions: RedisSessionStore,
) -> None:
    work = owned(sessions, "t1")
    committed = sessions.commit(work.lease, ending("t1", answer="yes"), take_next=True)

    view = sessions.load(SESSION, ANYBODY, after_version=0, limit=10)
    assert [(turn.turn_id, turn.answer, turn.version) for turn in view.turns] == [("t1", "yes", 1)]
    assert view.version == committed.version == 1
    assert view.hash == committed.hash != ""
    assert view.generations == {"default": 3}
    assert claim(sessions, "t1").outcome is ClaimOutcome.FINISHED
    assert sessions.turn(key("t1"), ANYBODY).state is State.DONE


def test_a_turn_id_with_another_body_is_a_conflict_before_and_after_its_end(
    sessions: RedisSessionStore,
) -> None:
    work = owned(sessions, "t1", message="a")
    with pytest.raises(TurnConflict):
        claim(sessions, "t1", message="b")
    assert claim(sessions, "t1", message="a").outcome is ClaimOutcome.ATTACHED

    sessions.commit(work.lease, ending("t1"), take_next=True)
    with pytest.raises(TurnConflict):
        claim(sessions, "t1", message="b")


def test_waiting_turns_run_in_the_order_of_their_acceptance(sessions: RedisSessionStore) -> None:
    work = owned(sessions, "t1")
    for number in (2, 3, 4):
        assert claim(sessions, f"t{number}").outcome is ClaimOutcome.QUEUED

    order = []
    following: Work | None = work
    while following is not None:
        turn_id = following.lease.key.turn_id
        order.append(turn_id)
        # A waiting turn has its "queued" status as frame 1.
        seq = len(following.stored) + 1
        following = sessions.commit(following.lease, ending(turn_id, seq=seq), take_next=True).next

    assert order == ["t1", "t2", "t3", "t4"]
    view = sessions.load(SESSION, ANYBODY, after_version=0, limit=10)
    assert [turn.turn_id for turn in view.turns] == order


def test_a_full_queue_refuses_and_reject_does_not_wait(sessions: RedisSessionStore) -> None:
    owned(sessions, "t0")
    with pytest.raises(SessionBusy):
        claim(sessions, "t1", on_busy="reject")
    for number in range(limits.QUEUED_TURNS_MAX):
        claim(sessions, f"q{number}")
    with pytest.raises(Overloaded):
        claim(sessions, "one-too-many")


def test_a_pod_behind_what_a_session_has_seen_gets_no_turn_of_it(
    sessions: RedisSessionStore,
) -> None:
    work = owned(sessions, "t1", kb="default", generation=3)
    sessions.commit(work.lease, ending("t1"), take_next=True)  # by generation 3

    with pytest.raises(SessionAhead) as refused:
        claim(sessions, "t2", kb="default", generation=2)

    assert refused.value.generation == 3
    with pytest.raises(TurnNotFound):
        sessions.turn(key("t2"), ANYBODY)
    # Who asks again for what was answered is told, and who needs no knowledge, or another one,
    # is not behind.
    assert claim(sessions, "t1", kb="default", generation=2).outcome is ClaimOutcome.FINISHED
    assert claim(sessions, "t2", kb="other", generation=0).outcome is ClaimOutcome.OWNED
    assert claim(sessions, "t3").outcome is ClaimOutcome.QUEUED
    assert claim(sessions, "t4", kb="default", generation=3).outcome is ClaimOutcome.QUEUED


def test_two_pods_claiming_one_turn_make_one_owner(sessions: RedisSessionStore) -> None:
    outcomes: list[ClaimOutcome] = []
    start = threading.Barrier(8)

    def race(pod: int) -> None:
        start.wait()
        outcomes.append(claim(sessions, "t1", owner=f"pod-{pod}").outcome)

    threads = [threading.Thread(target=race, args=(pod,)) for pod in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcome.value for outcome in outcomes) == ["attached"] * 7 + ["owned"]


def test_a_stranger_and_an_unknown_session_look_the_same(sessions: RedisSessionStore) -> None:
    owned(sessions, "t1", principal=Principal("default", "ann", "customer"))
    bob = Principal("default", "bob", "customer")

    messages = set()
    for session in (SESSION, SessionKey("default", "nobody")):
        with pytest.raises(SessionNotFound) as refusal:
            sessions.load(session, bob, after_version=0, limit=1)
        messages.add(str(refusal.value))
    with pytest.raises(SessionNotFound):
        claim(sessions, "t2", principal=bob)
    with pytest.raises(SessionNotFound):
        sessions.turn(key("t1"), bob)
    with pytest.raises(SessionNotFound):
        sessions.delete(SESSION, bob)
    assert len(messages) == 1


def test_without_leave_to_create_an_unknown_session_is_an_error(
    sessions: RedisSessionStore,
) -> None:
    with pytest.raises(SessionNotFound):
        claim(sessions, "t1", create=False)


def test_a_created_session_keeps_its_context_and_its_id_is_taken(
    sessions: RedisSessionStore,
) -> None:
    fields = {"user_id": "u7", "channel": "web", "context": {"language": "zh"}}
    made = sessions.create(SESSION, ANYBODY, epoch="e1", fields=fields)

    assert (made.user_id, made.channel, made.context) == ("u7", "web", {"language": "zh"})
    assert sessions.create(SESSION, ANYBODY, epoch="e1", fields=fields).epoch == "e1"
    with pytest.raises(Conflict):
        sessions.create(SESSION, ANYBODY, epoch="e2", fields={})


def test_frames_are_numbered_without_gap_and_a_lost_reply_may_be_repeated(
    sessions: RedisSessionStore, frames: RedisFrameLog
) -> None:
    lease = owned(sessions, "t1").lease
    assert frames.append([text(lease, 1, "a", "b")]) == [None]
    assert frames.append([text(lease, 1, "a", "b")]) == [None]
    assert frames.append([text(lease, 2, "b", "c")]) == [None]
    (gap,) = frames.append([text(lease, 9, "z")])
    assert isinstance(gap, SequenceGap)

    stored = frames.read(key("t1"), after=0, limit=10, trace_id="trace-t1")
    assert [(frame.seq, frame.fields["content"]) for frame in stored.frames] == [
        (1, "a"),
        (2, "b"),
        (3, "c"),
    ]
    assert stored.frames[0].trace_id == "trace-t1"
    assert [f.seq for f in frames.read(key("t1"), after=2, limit=10, trace_id="").frames] == [3]


def test_what_a_turn_decided_is_decided_once(
    sessions: RedisSessionStore, frames: RedisFrameLog
) -> None:
    lease = owned(sessions, "t1").lease
    for decided in ("first", "second"):
        journal = (("query", decided), (f"only {decided}", 1))
        assert frames.append([FrameBatch(lease, 1, (), journal)]) == [None]

    heir = sessions.seize(key("t1"), "pod-b", from_owner="pod-a")
    assert heir is not None
    assert heir.journal == {"query": "first", "only first": 1, "only second": 1}


def test_a_frame_that_cannot_be_written_harms_no_other_turn(
    sessions: RedisSessionStore, frames: RedisFrameLog
) -> None:
    bad, good = (owned_in(sessions, session_id) for session_id in ("bad", "good"))
    poison, well = frames.append([text(bad, 1, "\ud83d"), text(good, 1, "fine")])
    assert isinstance(poison, Invalid)
    assert well is None
    assert frames.read(good.key, after=0, limit=9, trace_id="").last == 1


def test_a_fenced_owner_writes_nothing_and_commits_nothing(
    sessions: RedisSessionStore, frames: RedisFrameLog
) -> None:
    old = owned(sessions, "t1", owner="pod-a").lease
    frames.append([text(old, 1, "the first half, ")])
    work = sessions.seize(key("t1"), "pod-b", from_owner="pod-a")
    assert work is not None
    assert work.attempts == 2
    assert [frame.fields["content"] for frame in work.stored] == ["the first half, "]

    (refusal,) = frames.append([text(old, 2, "zombie")])
    assert isinstance(refusal, Fenced)
    with pytest.raises(Fenced):
        sessions.commit(old, ending("t1", seq=2), take_next=True)

    assert frames.append([text(work.lease, 2, "the second")]) == [None]
    sessions.commit(work.lease, ending("t1", seq=3), take_next=True)
    # Its commit came through elsewhere: the old owner still learns that it is not the owner.
    with pytest.raises(Fenced):
        sessions.commit(old, ending("t1", seq=3), take_next=True)


def test_a_turn_is_taken_only_from_the_owner_named(sessions: RedisSessionStore) -> None:
    owned(sessions, "t1", owner="pod-a")
    assert sessions.seize(key("t1"), "pod-c", from_owner="pod-b") is None
    assert sessions.seize(key("unknown"), "pod-c", from_owner="pod-a") is None
    first = sessions.seize(key("t1"), "pod-c", from_owner="pod-a")
    again = sessions.seize(key("t1"), "pod-c", from_owner="pod-a")
    assert first is not None
    assert again is not None
    assert again.lease.fence > first.lease.fence
    assert again.attempts == 2


def test_who_was_given_the_next_turn_does_not_take_it_from_nobody_as_well(
    sessions: RedisSessionStore,
) -> None:
    first = owned(sessions, "t1", owner="pod-b")
    claim(sessions, "t2")  # waits, owned by nobody: so a task of pod-b reads it
    following = sessions.commit(first.lease, ending("t1"), take_next=True).next
    assert following is not None

    assert sessions.seize(key("t2"), "pod-b", from_owner="") is None
    sessions.commit(following.lease, ending("t2", seq=2), take_next=True)  # not fenced


def test_a_repeated_commit_changes_nothing_and_names_the_same_next_turn(
    sessions: RedisSessionStore,
) -> None:
    lease = owned(sessions, "t1").lease
    claim(sessions, "t2")
    first = sessions.commit(lease, ending("t1"), take_next=True)
    again = sessions.commit(lease, ending("t1"), take_next=True)

    assert first.next is not None
    assert again.next is not None
    assert (first.version, first.hash, first.next.lease) == (
        again.version,
        again.hash,
        again.next.lease,
    )
    assert sessions.load(SESSION, ANYBODY, after_version=0, limit=10).version == 1


def test_a_repeated_commit_does_not_name_a_turn_that_its_pod_executes_already(
    sessions: RedisSessionStore,
) -> None:
    lease = owned(sessions, "t1").lease
    sessions.commit(lease, ending("t1"), take_next=True)
    owned(sessions, "t2")

    assert sessions.commit(lease, ending("t1"), take_next=True).next is None


def test_a_commit_whose_number_leaves_a_gap_is_refused(sessions: RedisSessionStore) -> None:
    lease = owned(sessions, "t1").lease
    with pytest.raises(SequenceGap):
        sessions.commit(lease, ending("t1", seq=2), take_next=True)
    assert sessions.turn(key("t1"), ANYBODY).state is State.RUNNING


def test_a_draining_pod_leaves_the_next_turn_to_others(sessions: RedisSessionStore) -> None:
    lease = owned(sessions, "t1").lease
    claim(sessions, "t2")
    assert sessions.commit(lease, ending("t1"), take_next=False).next is None

    waiting = {entry.key.turn_id: entry for entry in sessions.orphans(limit=100)}
    assert waiting["t2"].state == "queued"
    work = sessions.seize(key("t2"), "pod-b", from_owner="")
    assert work is not None
    assert work.lease.owner == "pod-b"


def test_a_turn_that_came_behind_a_waiting_one_does_not_overtake_it(
    sessions: RedisSessionStore,
) -> None:
    lease = owned(sessions, "t1").lease
    claim(sessions, "t2")
    sessions.commit(lease, ending("t1"), take_next=False)
    assert claim(sessions, "t3").outcome is ClaimOutcome.QUEUED
    assert sessions.seize(key("t3"), "pod-b", from_owner="") is None


def test_ending_a_waiting_turn_leaves_the_running_one_alone(
    sessions: RedisSessionStore,
) -> None:
    running = owned(sessions, "t1").lease
    claim(sessions, "t2")
    work = sessions.seize(key("t2"), "pod-b", from_owner=None)
    assert work is not None
    assert sessions.commit(work.lease, ending("t2", seq=2), take_next=True).next is None
    assert sessions.commit(running, ending("t1"), take_next=True).version == 2


def test_ending_a_waiting_turn_does_not_let_another_one_run_beside_the_running(
    sessions: RedisSessionStore,
) -> None:
    running = owned(sessions, "t1").lease
    claim(sessions, "t2")
    claim(sessions, "t3")
    work = sessions.seize(key("t2"), "pod-b", from_owner=None)
    assert work is not None
    assert sessions.commit(work.lease, ending("t2", seq=2), take_next=True).next is None
    assert sessions.turn(key("t3"), ANYBODY).state is State.QUEUED

    following = sessions.commit(running, ending("t1"), take_next=True).next
    assert following is not None
    assert following.lease.key == key("t3")


class SlowStore(RedisStore):
    """A store whose claims arrive late: the index entry was made six seconds ago."""

    def run(self, script: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        reply = super().run(script, keys, arguments)
        return reply - 6_000 if script == "enter" else reply


def test_a_claim_that_comes_late_is_refused_because_its_index_entry_may_be_swept(
    redis_store: RedisStore,
) -> None:
    slow = RedisSessionStore(SlowStore(redis_store.client), ttl_s=3600, idle_s=1800)
    with pytest.raises(Unavailable):
        claim(slow, "t1")


def test_the_index_forgets_only_what_is_still_old(
    sessions: RedisSessionStore, redis_store: RedisStore
) -> None:
    owned(sessions, "t1")
    sessions.forget(key("t1"), older_than_s=10)
    assert len(sessions.orphans(limit=10)) == 1

    shard = next(iter(names_like(redis_store, "kn:running:*")))
    redis_store.client.zadd(shard, {"default/s1/t1": 1})
    assert claim(sessions, "t1").outcome is ClaimOutcome.ATTACHED
    sessions.forget(key("t1"), older_than_s=10)
    assert len(sessions.orphans(limit=10)) == 1

    redis_store.client.zadd(shard, {"default/s1/t1": 1})
    sessions.forget(key("t1"), older_than_s=10)
    assert sessions.orphans(limit=10) == []


def test_deleting_a_session_ends_its_turn_as_gone(
    sessions: RedisSessionStore, frames: RedisFrameLog, redis_store: RedisStore
) -> None:
    lease = owned(sessions, "t1").lease
    frames.append([text(lease, 1, "a")])
    sessions.settle(key("t1"))
    sessions.delete(SESSION, ANYBODY)

    # The ids of its turns stay for a while, and nothing of what was said.
    kept = [b"kn:default:{s1}:past", b"kn:default:{s1}:seen"]
    assert names_like(redis_store, "*{s1}*") == kept
    assert redis_store.client.hgetall("kn:default:{s1}:seen") == {b"t1": b"gone"}
    assert 0 < redis_store.client.ttl("kn:default:{s1}:seen") <= limits.DELETED_KEPT_S
    with pytest.raises(Gone):
        claim(sessions, "t1")
    (refusal,) = frames.append([text(lease, 2, "b")])
    assert isinstance(refusal, Gone)
    with pytest.raises(Gone):
        sessions.commit(lease, ending("t1", seq=2), take_next=True)
    with pytest.raises(SessionNotFound):
        sessions.load(SESSION, ANYBODY, after_version=0, limit=1)
    assert sessions.list(ANYBODY, offset=0, limit=10) == []
    assert claim(sessions, "t2").outcome is ClaimOutcome.OWNED


def test_every_key_of_a_session_expires_and_none_outlives_its_meta(
    sessions: RedisSessionStore, frames: RedisFrameLog, redis_store: RedisStore
) -> None:
    work = owned(sessions, "t1")
    claim(sessions, "t2")
    frames.append([text(work.lease, 1, "a")])
    sessions.commit(work.lease, ending("t1", seq=2), take_next=True)

    names = names_like(redis_store, "*{s1}*")
    assert len(names) >= 6
    for name in names:
        assert 0 < redis_store.client.ttl(name) <= 3600, name


def test_history_that_a_turn_is_given_is_bounded_and_ends_with_the_newest(
    sessions: RedisSessionStore,
) -> None:
    for number in range(HISTORY_READ_TURNS + 5):
        work = owned(sessions, f"t{number}")
        sessions.commit(work.lease, ending(f"t{number}"), take_next=True)

    work = owned(sessions, "last")
    assert len(work.session.turns) == HISTORY_READ_TURNS
    assert work.session.turns[-1].turn_id == f"t{HISTORY_READ_TURNS + 4}"
    assert work.session.turns[-1].version == work.session.version


def test_a_long_pause_closes_the_context_and_keeps_the_history(redis_store: RedisStore) -> None:
    impatient = RedisSessionStore(redis_store, ttl_s=3600, idle_s=0)
    work = owned(impatient, "t1")
    impatient.commit(work.lease, ending("t1"), take_next=True)
    redis_store.client.hset("kn:default:{s1}:meta", "active_ms", 1)

    assert owned(impatient, "t2").session.turns == ()
    assert impatient.load(SESSION, ANYBODY, after_version=0, limit=10).version == 1


def test_the_index_of_running_turns_holds_a_turn_until_it_is_settled(
    sessions: RedisSessionStore,
) -> None:
    lease = owned(sessions, "t1").lease
    (entry,) = sessions.orphans(limit=10)
    assert (entry.key, entry.state, entry.owner, entry.committed) == (
        key("t1"),
        "running",
        "pod-a",
        False,
    )
    sessions.commit(lease, ending("t1"), take_next=True)
    (entry,) = sessions.orphans(limit=10)
    assert entry.committed
    sessions.settle(key("t1"))
    assert sessions.orphans(limit=10) == []


def test_sessions_are_listed_newest_first_with_their_first_message(
    sessions: RedisSessionStore,
) -> None:
    for number in (1, 2, 3):
        session = SessionKey("default", f"s{number}")
        sessions.create(session, ANYBODY, epoch=f"e{number}", fields={})
    work = owned(sessions, "t1", message="a question")
    sessions.commit(work.lease, ending("t1"), take_next=True)
    sessions.settle(key("t1"))

    rows = sessions.list(ANYBODY, offset=0, limit=10)
    assert rows[0].session_id == "s1"
    assert rows[0].title == "a question"
    assert {row.session_id for row in rows} == {"s1", "s2", "s3"}
    assert len(sessions.list(ANYBODY, offset=1, limit=1)) == 1


def test_a_page_of_sessions_is_full_though_some_in_it_have_expired(
    sessions: RedisSessionStore, redis_store: RedisStore
) -> None:
    for number in range(6):
        session = SessionKey("default", f"s{number}")
        sessions.create(session, ANYBODY, epoch=f"e{number}", fields={})
    for name in ("kn:default:{s5}:meta", "kn:default:{s3}:meta"):
        redis_store.client.delete(name)

    page = sessions.list(ANYBODY, offset=0, limit=4)
    assert {row.session_id for row in page} == {"s0", "s1", "s2", "s4"}


def test_an_unknown_turn_is_not_found(sessions: RedisSessionStore) -> None:
    owned(sessions, "t1")
    with pytest.raises(TurnNotFound):
        sessions.turn(key("t9"), ANYBODY)


def test_whoever_watches_a_session_is_woken_by_frames_of_any_pod(
    sessions: RedisSessionStore, frames: RedisFrameLog
) -> None:
    seen = threading.Event()
    lease = owned(sessions, "t1").lease
    end = frames.watch(SESSION, lambda turn_id, seq: seen.set() if seq == 1 else None)
    # The subscription needs a moment; a lost signal is allowed, so the frame is stored again.
    for _ in range(200):
        frames.append([text(lease, 1, "a")])
        if seen.wait(0.05):
            break
    end()
    assert seen.is_set()


def test_many_long_turns_that_are_well_do_not_hide_the_others(
    sessions: RedisSessionStore, redis_store: RedisStore
) -> None:
    session_id = "s1"
    old = [TurnKey(SessionKey("default", session_id), f"old-{n}") for n in range(64)]
    last = TurnKey(SessionKey("default", session_id), "last")
    shard, _ = keys.running(last)
    rows = {keys.running(turn)[1]: place for place, turn in enumerate([*old, last])}
    redis_store.client.zadd(shard, rows)
    seen: set[str] = set()
    for _ in range(1_000):
        found = sessions.orphans(limit=8)
        assert len(found) <= 8
        assert [one.key for one in found[:4]] == old[:4]
        seen |= {one.key.turn_id for one in found}
        if last.turn_id in seen:
            return
    raise AssertionError("the newest entry was never looked at")


def test_turns_whose_events_wait_hide_no_turn_whose_owner_died(
    sessions: RedisSessionStore, redis_store: RedisStore
) -> None:
    unsent = [TurnKey(SESSION, f"told-{n}") for n in range(500)]
    shard, _ = keys.running(key("last"))
    rows = {keys.running(turn)[1]: place for place, turn in enumerate(unsent)}
    redis_store.client.zadd(shard, {**rows, keys.running(key("last"))[1]: 1_000})
    for turn in unsent:
        sessions.set_aside(turn)
    for _ in range(20):
        found = [one.key for one in sessions.orphans(limit=8)]
        assert len(found) <= 16
        assert key("last") in found
        assert found[:4] == unsent[:4]  # as old as they were, and the oldest first


def test_a_turn_set_aside_is_in_the_index_until_it_is_settled(
    sessions: RedisSessionStore, redis_store: RedisStore
) -> None:
    sessions.commit(owned(sessions, "t1").lease, ending("t1"), take_next=True)
    sessions.set_aside(key("t1"))
    sessions.set_aside(key("t1"))  # by whoever else met it
    (entry,) = sessions.orphans(limit=10)
    assert entry.committed
    assert entry.aside
    assert entry.age_s < 60
    # It is not kept for ever where only pods remain that do not know of the place.
    (aside,) = names_like(redis_store, "kn:running:*")
    assert 3_000 < int(redis_store.client.ttl(aside)) <= 3_600  # type: ignore[arg-type]
    sessions.settle(key("t1"))
    assert sessions.orphans(limit=10) == []
    sessions.set_aside(key("t1"))  # by whoever had met it before
    assert sessions.orphans(limit=10) == []


def test_a_turn_set_aside_that_never_was_is_forgotten(
    sessions: RedisSessionStore, redis_store: RedisStore
) -> None:
    shard, member = keys.running(key("t1"))
    redis_store.client.zadd(shard, {member: 1})
    sessions.set_aside(key("t1"))
    sessions.forget(key("t1"), older_than_s=10)
    assert sessions.orphans(limit=10) == []


def test_a_claim_repeated_after_a_lost_reply_owns_what_it_owned(
    sessions: RedisSessionStore,
) -> None:
    first = claim(sessions, "t1", epoch="call-1")
    again = claim(sessions, "t1", epoch="call-1")
    assert again.outcome is ClaimOutcome.OWNED
    assert again.work is not None
    assert first.work is not None
    assert again.work.lease == first.work.lease
    # Another call of the same pod, or the same words from another pod, only follow it.
    assert claim(sessions, "t1", epoch="call-2").outcome is ClaimOutcome.ATTACHED
    assert claim(sessions, "t1", epoch="call-1", owner="pod-b").outcome is ClaimOutcome.ATTACHED


def test_a_late_repeat_of_a_delete_spares_the_session_that_came_after(
    sessions: RedisSessionStore, redis_store: RedisStore
) -> None:
    owned(sessions, "t1")
    old = sessions.load(SESSION, ANYBODY, after_version=0, limit=0)
    sessions.delete(SESSION, ANYBODY)
    owned(sessions, "t2")
    names = keys.SessionKeys.of(SESSION)
    redis_store.run("delete", names.head(), [names.prefix, names.signal, 60, old.epoch])
    assert sessions.turn(key("t2"), ANYBODY).state is State.RUNNING


def test_an_empty_append_is_a_sign_of_life(
    sessions: RedisSessionStore, frames: RedisFrameLog, redis_store: RedisStore
) -> None:
    lease = owned(sessions, "t1").lease
    turn = keys.SessionKeys.of(SESSION).turn("t1")
    redis_store.client.hset(turn, "progress_ms", 1)
    (stuck,) = sessions.orphans(limit=10)
    assert stuck.silent_s > limits.STUCK_TURN_S
    assert frames.append([FrameBatch(lease, 1, ())]) == [None]
    (lives,) = sessions.orphans(limit=10)
    assert lives.silent_s < limits.STUCK_TURN_S
    assert frames.read(key("t1"), after=0, limit=1, trace_id="t").last == 0
