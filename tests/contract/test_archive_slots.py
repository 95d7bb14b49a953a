"""An archived session while its slot moves: its mark may be there still, or here already."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from kotaemon_node.adapters.redis import RedisStore
from kotaemon_node.adapters.redis.slots import slot_of
from kotaemon_node.domain.errors import Conflict, Unavailable
from tests.archived_pods import ArchivedPod, Attic, settled
from tests.contract.test_archive import left
from tests.contract.test_session_cache import ANYBODY, NAMES, SESSION
from tests.redis_server import Server
from tests.redis_sets import RedisCluster


def begins_anew(pod: ArchivedPod, attic: Attic) -> None:
    with suppress(Unavailable, Conflict):
        pod.sessions.create(SESSION, ANYBODY, epoch="new", fields={})


def marks_again(pod: ArchivedPod, attic: Attic) -> None:
    with suppress(Unavailable):
        for name in attic.names():
            attic.archiving()._marked(name)


def asks(pod: ArchivedPod, attic: Attic) -> None:
    with suppress(Unavailable):
        assert pod.ids() == ["t0"]


@pytest.mark.parametrize("act", [begins_anew, marks_again, asks])
def test_an_archived_session_whose_slot_moves_stays_what_it_is(
    store_server: Server,
    redis_store: RedisStore,
    tmp_path: Path,
    act: Callable[[ArchivedPod, Attic], None],
) -> None:
    if not isinstance(store_server, RedisCluster):
        pytest.skip("only a Cluster has slots")
    attic = Attic(redis_store, tmp_path)
    pod = ArchivedPod(redis_store, "pod-a", attic.copies)
    settled(pod, "t0")
    attic.sweep()
    frames = NAMES.frames("t0")
    acted: list[bool] = []

    def between() -> None:
        if not acted:
            acted.append(True)
            act(pod, attic)

    store_server.move(slot_of(NAMES.meta.encode()), first=[frames], between=between)

    assert acted
    assert left(redis_store) in (["archived"], ["meta", "seen", "turns"])
    assert pod.ids() == ["t0"]
