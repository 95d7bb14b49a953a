"""The state of a session on real stores: it stands and falls with the turn that wrote it."""

from dataclasses import replace
from pathlib import Path

import pytest

from kotaemon_node.adapters.redis import RedisStore
from kotaemon_node.domain.dialogue import DialogueState, Pending
from kotaemon_node.domain.errors import Fenced, Gone
from kotaemon_node.domain.frames import FrameBody
from kotaemon_node.domain.session import Turn
from kotaemon_node.domain.turn import State
from kotaemon_node.ports.sessions import Ending, Work
from tests.archived_pods import ArchivedPod, Attic
from tests.backed_up import BackedUp, quick_disk, whole_sessions
from tests.contract.test_session_cache import ANYBODY, NAMES, SESSION, Pod, pause
from tests.redis_server import Server

__all__ = ["quick_disk"]

PENDING = Pending("cancel", {"order": "1003"}, "Cancel order 1003", "once", 0, "v1", "t0", 5.0)
STATE = DialogueState(slots={"order_id": "1003", "名": "张"}, topic="query_order", pending=PENDING)


@pytest.fixture
def a(redis_store: RedisStore) -> Pod:
    return Pod(redis_store, "pod-a")


@pytest.fixture
def b(redis_store: RedisStore) -> Pod:
    return Pod(redis_store, "pod-b")


def commit(pod: Pod, work: Work, state: DialogueState | None) -> None:
    turn = Turn(work.lease.key.turn_id, work.message, State.DONE, answer="yes?")
    ending = Ending(turn, FrameBody("done", {"state": "done"}), 1, state=state)
    pod.sessions.commit(work.lease, ending, take_next=True)


def said(pod: Pod, turn_id: str, state: DialogueState | None) -> DialogueState:
    """Run a turn that leaves ``state``; returns the one that it was given."""
    work = pod.owned(turn_id)
    commit(pod, work, state)
    return work.session.state


def test_the_state_is_that_of_the_last_turn_whichever_pod_wrote_it(a: Pod, b: Pod) -> None:
    assert said(a, "t0", STATE) == DialogueState()
    assert said(b, "t1", None) == STATE
    # What pod a remembers of the session is two turns old; its state never is.
    newer = STATE.saying({"order_id": "1004"})
    assert said(b, "t2", newer) == STATE
    assert said(a, "t3", replace(newer, pending=None)) == newer
    view = b.sessions.load(SESSION, ANYBODY, after_version=0, limit=0)
    assert (view.slots["order_id"], view.topic, view.state.pending) == ("1004", "query_order", None)


def test_a_pod_that_lost_its_turn_leaves_no_state(a: Pod, b: Pod) -> None:
    work = a.owned("t0")
    assert b.sessions.seize(work.lease.key, "pod-b", from_owner="pod-a") is not None
    with pytest.raises(Fenced):
        commit(a, work, STATE)
    assert a.sessions.load(SESSION, ANYBODY, after_version=0, limit=0).state == DialogueState()


def test_a_pause_ends_what_was_known(a: Pod, redis_store: RedisStore) -> None:
    said(a, "t0", STATE)
    pause(redis_store)
    assert said(a, "t1", None) == DialogueState()
    assert said(a, "t2", None) == DialogueState()


def test_rows_of_older_and_newer_programs_are_read(a: Pod, redis_store: RedisStore) -> None:
    said(a, "t0", None)
    for row in ("", "[]", "not JSON", '{"slots": 3, "pending": {"plugin": 1}, "wanted": []}'):
        redis_store.client.hset(NAMES.meta, "state", row)
        assert a.sessions.load(SESSION, ANYBODY, after_version=0, limit=0).state == DialogueState()
    newer = '{"slots": {"a": 1}, "mood": "good", "pending": {"plugin": "p", "more": true}}'
    redis_store.client.hset(NAMES.meta, "state", newer)
    view = a.sessions.load(SESSION, ANYBODY, after_version=0, limit=0)
    assert view.state == DialogueState(slots={"a": 1})


def test_a_store_that_was_set_back_has_no_state(a: Pod, b: Pod, redis_store: RedisStore) -> None:
    said(a, "t0", STATE)
    old = {name: redis_store.client.dump(name) for name in NAMES.head() if name}
    said(a, "t1", DialogueState(topic="other"))
    for name, dump in old.items():
        redis_store.client.delete(name)
        if dump:
            redis_store.client.restore(name, 0, dump)
    with pytest.raises(Gone):
        a.owned("t2")
    # What waited for a yes then may have had it since.
    assert said(b, "t3", None) == DialogueState()


def test_the_state_goes_into_the_archive_and_comes_back(
    redis_store: RedisStore, tmp_path: Path
) -> None:
    attic = Attic(redis_store, tmp_path / "artifacts")
    pod = ArchivedPod(redis_store, "pod-a", attic.copies)
    work = pod.owned("t0")
    commit(pod, work, STATE)
    pod.sessions.settle(work.lease.key)
    attic.sweep()
    assert not redis_store.client.exists(NAMES.meta)
    assert pod.sessions.load(SESSION, ANYBODY, after_version=0, limit=0).state == STATE


def test_the_state_is_in_a_backup(
    redis_store: RedisStore, tmp_path: Path, store_server: Server, quick_disk: None
) -> None:
    attic = Attic(redis_store, tmp_path / "artifacts")
    pod = ArchivedPod(redis_store, "pod-a", attic.copies)
    cluster = BackedUp(whole_sessions(redis_store), attic.copies, tmp_path / "backups")
    said(pod, "t0", STATE)
    backup = cluster.back_up(what=["sessions"])
    store_server.wipe()
    assert cluster.restore_sessions(backup).restored == 1
    stranger = ArchivedPod(redis_store, "pod-b", attic.copies)
    assert stranger.sessions.load(SESSION, ANYBODY, after_version=0, limit=0).state == STATE
