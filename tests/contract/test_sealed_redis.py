"""Nothing that users and models wrote is in Redis in the clear; who has no key is told so."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from kotaemon_node.adapters.redis import connect
from kotaemon_node.adapters.redis.keys import SessionKeys
from kotaemon_node.domain.errors import MasterKeyMissing
from kotaemon_node.ports.cipher import FieldCipher
from tests.redis_dump import disk_says, keys_with
from tests.redis_server import RedisServer
from tests.sealed_story import ANN, PLUGIN, SAID, WORD, Story, read_all, session, turn
from tests.sealing_parts import OTHER_MASTER, ClusterOfKeys, cluster_of_keys

KINDS = (
    "kn:answer:", "kn:good:", "kn:shop:{rests}:archived", "kn:shop:{rests}:f",
    "kn:shop:{talk}:feedback", "kn:shop:{talk}:meta", "kn:shop:{talk}:record:t1",
    "kn:shop:{talk}:turn:t2", "kn:shop:{talk}:turn:t3", "kn:shop:{talk}:turns",
    "kn:shop:{talk}:f", "kn:{counts:shop}:", "kn:{drafts:shop}:kb", "kn:{jobs}:shop:dead",
    "kn:{jobs}:shop:job:fails", "kn:{jobs}:shop:job:stays", "kn:{kept:shop:notes}:note",
    "kn:{later:",
)  # fmt: skip
"""Keys that say what somebody wrote, where nothing is sealed; so the search finds them."""
NAMES = SessionKeys.of(session("talk"))


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """A Redis whose disk holds nothing of another test."""
    server = RedisServer(options=("--appendonly", "yes", "--appendfsync", "always"))
    server.start()
    yield server
    server.remove()


@pytest.fixture
def cluster() -> ClusterOfKeys:
    return cluster_of_keys()


def told(server: RedisServer, cipher: FieldCipher | None) -> Story:
    story = Story(connect(server.url, cipher=cipher))
    story.tell()
    return story


def other_pod(story: Story, server: RedisServer, cipher: FieldCipher | None) -> Story:
    """Return another process on the same store."""
    return Story(connect(server.url, cipher=cipher))


def test_nothing_that_somebody_wrote_is_in_redis_in_the_clear(
    server: RedisServer, cluster: ClusterOfKeys
) -> None:
    story = told(server, cluster.cipher())

    assert keys_with(story.store.client, WORD) == set()
    assert not disk_says(server, WORD)
    seen = read_all(other_pod(story, server, cluster.cipher()))
    assert all(WORD in str(part) for part in seen.values()), seen


def test_the_search_finds_it_where_nothing_is_sealed(server: RedisServer) -> None:
    story = told(server, None)

    found = keys_with(story.store.client, WORD)
    assert [kind for kind in KINDS if not any(key.startswith(kind) for key in found)] == []
    assert [key for key in found if not key.startswith(KINDS)] == []
    assert disk_says(server, WORD)


def test_what_was_kept_before_there_was_a_key_is_read_as_it_is(
    server: RedisServer, cluster: ClusterOfKeys
) -> None:
    plain = told(server, None)
    before = read_all(plain)
    pod = other_pod(plain, server, cluster.cipher())

    after = read_all(pod)

    unnamed = {"hot", "last_good"}  # by keyed digests now: made anew, and gone within an hour
    assert {name: after[name] for name in after.keys() - unnamed} == {
        name: before[name] for name in before.keys() - unnamed
    }
    # A retry of what was accepted before is known, and what it goes on with is sealed.
    assert pod.claim("talk", "t2") is None
    pod.sessions.relist(session("talk"))
    work = pod.sessions.seize(turn("talk", "t2"), "heir", from_owner=None)
    assert work is not None
    assert work.message == SAID
    assert work.journal == {"decided": {"query": SAID}}
    pod.finish(work)
    rows = pod.store.client.lrange(NAMES.turns, 0, -1)
    assert WORD.encode() not in rows[-1]
    assert [it.message for it in pod.load("talk").turns] == [SAID, "", SAID]


@pytest.mark.parametrize("of", ["no key", "another master key"])
def test_a_pod_without_the_key_says_so_and_shows_nothing(
    server: RedisServer, cluster: ClusterOfKeys, of: str
) -> None:
    story = told(server, cluster.cipher())
    keyless = other_pod(story, server, None if of == "no key" else cluster.cipher(OTHER_MASTER))

    reads: list[Callable[[], Any]] = [
        lambda: keyless.load("talk"),
        lambda: keyless.sessions.turn(turn("talk", "t2"), ANN),
        lambda: keyless.sessions.list(ANN, offset=0, limit=9),
        lambda: keyless.frames.read(turn("talk", "t2"), after=0, limit=9, trace_id=""),
        lambda: keyless.feedback.of(session("talk"), ["t1"]),
        lambda: keyless.records.find("shop", "trace"),
        lambda: keyless.handoffs.waiting("shop", limit=9),
        lambda: keyless.drafts.rows("shop", "kb"),
        lambda: keyless.storage.get(PLUGIN, "note"),
        lambda: keyless.jobs.begin("shop"),
    ]
    for read in reads:
        with pytest.raises(MasterKeyMissing) as refused:
            read()
        assert WORD not in str(refused.value)


def test_a_turn_that_a_pod_cannot_open_is_left_to_others(
    server: RedisServer, cluster: ClusterOfKeys
) -> None:
    story = Story(connect(server.url, cipher=cluster.cipher()))
    story.finish(story.run("talk", "t1"))
    keyless = other_pod(story, server, None)

    with pytest.raises(MasterKeyMissing):
        keyless.claim("talk", "t2")

    [orphan] = [it for it in story.sessions.orphans(limit=9) if it.key.turn_id == "t2"]
    assert orphan.owner == ""
    work = story.sessions.seize(turn("talk", "t2"), "heir", from_owner="")
    assert work is not None
    assert (work.message, work.losses) == (SAID, 0)
    # Whoever deletes a session needs no key.
    keyless.sessions.delete(session("talk"), ANN)
