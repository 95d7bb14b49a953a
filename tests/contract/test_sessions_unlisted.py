"""Sessions that are made for one request are read by their id, and stand in no list."""

from dataclasses import replace

from kotaemon_node.adapters.redis import RedisSessionStore, RedisStore
from kotaemon_node.adapters.system import RandomIds
from kotaemon_node.domain.frames import FrameBody
from kotaemon_node.domain.session import Principal, SessionKey, Turn, TurnKey, TurnRequest
from kotaemon_node.domain.turn import State
from kotaemon_node.engine.claiming import claim_of
from kotaemon_node.ports.sessions import Ending

ANYBODY = Principal("default", "anonymous", "open")


def test_a_session_that_is_made_for_one_request_stands_in_no_list(redis_store: RedisStore) -> None:
    sessions = RedisSessionStore(redis_store, ttl_s=3600, idle_s=1800)
    for name, options in (("shown", {}), ("made", {"alone": True})):
        key = TurnKey(SessionKey("default", name), "t1")
        request = TurnRequest(
            key=key, principal=ANYBODY, message="hello", options=options, on_busy="enqueue",
            trace_id="trace", create_session=True,
        )  # fmt: skip
        epoch = RandomIds().new_id()
        work = sessions.claim(claim_of(request, options, owner="pod-a", new_epoch=epoch)).work
        assert work is not None
        turn = Turn("t1", "hello", State.DONE, answer="yes")
        sessions.commit(work.lease, Ending(turn, FrameBody("done", {}), 1), take_next=True)
        sessions.settle(key)

    for everybodys in (False, True):
        rows = sessions.list(ANYBODY, offset=0, limit=9, everybodys=everybodys)
        assert [row.session_id for row in rows] == ["shown"]
    made = sessions.load(SessionKey("default", "made"), ANYBODY, after_version=0, limit=9)
    assert [turn.answer for turn in made.turns] == ["yes"]
    # What is asked of it by its id later, does not bring it in.
    follow = replace(request, key=TurnKey(key.session, "t2"), options={}, create_session=False)
    sessions.claim(claim_of(follow, {}, owner="pod-a", new_epoch=RandomIds().new_id()))
    sessions.relist(key.session)
    assert len(sessions.list(ANYBODY, offset=0, limit=9)) == 1
