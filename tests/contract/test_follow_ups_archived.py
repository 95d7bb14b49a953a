"""A follow-up for a session in the archive brings it back; while that is away it waits."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kotaemon_node.adapters.redis import RedisStore, connect
from kotaemon_node.domain.session import TurnRequest
from kotaemon_node.engine.follow_ups import OPTION, FollowUps, FollowUpTurns
from kotaemon_node.ports.later import FOLLOW_UP, Again
from kotaemon_node.ports.sessions import ClaimOutcome, ClaimRequest
from tests.archived_pods import ArchivedPod, Attic, settled
from tests.contract.test_session_cache import SESSION
from tests.fakes.later import MemoryLater
from tests.redis_server import RedisServer


@pytest.fixture
def store(redis_server: RedisServer) -> Iterator[RedisStore]:
    redis_server.wipe()
    store = connect(redis_server.url)
    yield store
    store.client.close()


class Claiming:
    """Accepts turns and executes none."""

    def __init__(self, pod: ArchivedPod) -> None:
        self._pod = pod
        self.accepted: list[TurnRequest] = []

    def submit(self, request: TurnRequest) -> ClaimOutcome:
        self.accepted.append(request)
        claim = ClaimRequest(
            key=request.key,
            principal=request.principal,
            digest="d",
            message=request.message,
            options=request.options,
            on_busy=request.on_busy,
            owner=self._pod.name,
            trace_id=request.trace_id,
            create_session=request.create_session,
            new_epoch="e-new",
        )
        return self._pod.sessions.claim(claim).outcome


def test_it_is_told_in_a_session_that_was_archived_meanwhile(
    store: RedisStore, tmp_path: Path
) -> None:
    attic = Attic(store, tmp_path)
    pod = ArchivedPod(store, "pod-a", attic.copies)
    settled(pod, "t1")
    later, turns = MemoryLater(), Claiming(pod)
    FollowUps(later).tell(SESSION, ref="cancel 7", text="It was cancelled.")
    [leased] = later.take({FOLLOW_UP: 1}, holder="pod-a", lease_s=60)
    attic.sweep()
    assert not store.client.exists("kn:default:{s1}:meta")
    tell = FollowUpTurns(pod.sessions, turns)

    attic.copies.away = True
    with pytest.raises(Again, match="archive"):
        tell(leased.job)
    assert turns.accepted == []
    attic.copies.away = False
    with pytest.raises(Again):
        tell(leased.job)  # accepted: it looks again that it was told

    [accepted] = turns.accepted
    assert (accepted.message, accepted.principal.role) == ("", "system")
    assert accepted.options[OPTION]["text"] == "It was cancelled."
    assert pod.restored[-1] == "restored"
    view = pod.sessions.load(SESSION, accepted.principal, after_version=0, limit=5)
    assert [turn.turn_id for turn in view.turns] == ["t1"]
    assert view.running_turn == accepted.key.turn_id
