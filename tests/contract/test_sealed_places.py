"""A sealed value opens where it was sealed; what nobody opens any more holds up nothing else."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from kotaemon_node.adapters.redis import connect
from kotaemon_node.adapters.redis.job_keys import JobKeys
from kotaemon_node.adapters.redis.keys import SessionKeys
from kotaemon_node.adapters.redis.later_keys import LaterKeys
from kotaemon_node.adapters.redis.session_cache import carried_on
from kotaemon_node.adapters.sealing.ring import new_data_key
from kotaemon_node.domain.errors import Sealed, StoreUnavailable
from kotaemon_node.domain.frames import FrameBody
from kotaemon_node.domain.session import SessionKey, TurnKey
from kotaemon_node.ports.frame_log import FrameBatch
from kotaemon_node.ports.jobs import Order
from kotaemon_node.ports.later import LaterJob
from tests.redis_server import Server
from tests.redis_sets import KINDS, SETS_LONG
from tests.sealed_story import ANN, AT, SAID, Story, session, turn
from tests.sealing_parts import ClusterOfKeys, cluster_of_keys

TALK, OTHER = SessionKeys.of(session("talk")), SessionKeys.of(session("other"))
NEXT = Order("next", "faq", "shop", "kb", fields={"question": SAID})
ELSEWHERE = SessionKeys.of(SessionKey("bank", "talk"))


@pytest.fixture(scope="module", params=SETS_LONG)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    server = KINDS[request.param]()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def cluster() -> ClusterOfKeys:
    return cluster_of_keys()


@pytest.fixture
def story(server: Server, cluster: ClusterOfKeys) -> Iterator[Story]:
    """Two sessions, each with two finished turns, one that runs and one that waits."""
    server.wipe()
    story = Story(connect(server.url, cipher=cluster.cipher()))
    for name in ("talk", "other"):
        for turn_id in ("t1", "t2"):
            story.finish(story.run(name, turn_id))
        story.run(name, "t3")
        story.claim(name, "t4")
        story.sessions.settle(turn(name, "t1"))
    yield story
    story.store.client.close()


def moved_rows(client: Any) -> None:
    client.lset(TALK.turns, 0, client.lindex(TALK.turns, 1))


def row_of_another_session(client: Any) -> None:
    client.lset(TALK.turns, 0, client.lindex(OTHER.turns, 0))


def another_field(client: Any) -> None:
    client.hset(TALK.meta, "summary", client.hget(TALK.meta, "title"))


def head_of_another_session(client: Any) -> None:
    client.hset(TALK.meta, "state", client.hget(OTHER.meta, "state"))


def altered(client: Any) -> None:
    row = client.lindex(TALK.turns, 0)
    client.lset(TALK.turns, 0, row[:-1] + bytes([row[-1] ^ 1]))


@pytest.mark.parametrize(
    "move", [moved_rows, row_of_another_session, another_field, head_of_another_session, altered]
)
def test_a_session_with_a_value_of_another_place_is_not_shown(
    story: Story, move: Callable[[Any], None]
) -> None:
    move(story.store.client)

    with pytest.raises(Sealed) as refused:
        story.load("talk")
    assert refused.value.reason == "altered"
    assert story.load("other").version == 2


def test_a_message_of_another_turn_or_field_is_not_shown(story: Story) -> None:
    client = story.store.client
    client.hset(TALK.turn("t4"), "message", client.hget(TALK.turn("t3"), "message"))
    client.hset(TALK.turn("t3"), "message", client.hget(TALK.turn("t3"), "options"))

    for turn_id in ("t3", "t4"):
        with pytest.raises(Sealed):
            story.sessions.turn(turn("talk", turn_id), ANN)


@pytest.mark.parametrize("how", ["number", "turn", "session", "kind"])
def test_a_frame_of_another_place_is_not_shown(story: Story, how: str) -> None:
    client = story.store.client
    entries = client.xrange(TALK.frames("t3"))
    (name, value), (other_name, _) = (next(iter(fields.items())) for _, fields in entries[1:3])
    here = {"number": "9-0", "turn": "2-0", "session": "2-0", "kind": "2-0"}[how]
    names = OTHER if how == "session" else TALK
    turn_id = "t4" if how == "turn" else "t3"
    stream = names.frames(turn_id)
    client.delete(stream)
    client.xadd(stream, {other_name if how == "kind" else name: value}, id=here)

    of = "other" if how == "session" else "talk"
    with pytest.raises(Sealed):
        story.frames.read(turn(of, turn_id), after=0, limit=9, trace_id="")


def test_a_session_moved_to_another_tenant_opens_nothing(story: Story) -> None:
    client = story.store.client
    for part in ("meta", "turns", "seen"):
        client.copy(f"{TALK.prefix}{part}", f"{ELSEWHERE.prefix}{part}")

    bank = type(ANN)("bank", "ann", "customer")
    with pytest.raises(Sealed):
        story.sessions.load(SessionKey("bank", "talk"), bank, after_version=0, limit=9)


def test_a_journal_step_is_not_that_of_another(story: Story) -> None:
    client = story.store.client
    client.hset(TALK.turn("t3"), "j:sent", client.hget(TALK.turn("t3"), "j:decided"))

    with pytest.raises(Sealed):
        story.sessions.seize(turn("talk", "t3"), "heir", from_owner=None)


def test_one_title_that_nobody_opens_hides_no_other(story: Story) -> None:
    client = story.store.client
    client.hset(TALK.meta, "title", client.hget(OTHER.meta, "title"))
    story.sessions.settle(turn("talk", "t1"))

    rows = {row.session_id: row.title for row in story.sessions.list(ANN, offset=0, limit=9)}
    assert rows == {"talk": "", "other": SAID}


def test_a_delayed_job_that_nobody_opens_is_a_dead_letter_and_others_are_done(
    story: Story,
) -> None:
    story.queues()
    client = story.store.client
    waits = LaterKeys.of("shop", "waits")
    story.later.put(LaterJob("next", "webhook", "shop"))
    client.hset(waits.record, "fields", client.hget(waits.record, "error"))
    client.zadd(waits.due("webhook"), {waits.member: 0})

    taken = story.later.take({"webhook": 9}, holder="pod", lease_s=60)

    assert [leased.job.id for leased in taken] == ["next"]
    letters = {row.name: (row.fields, row.error) for row in story.later.dead("shop", limit=9)}
    assert letters["dies"] == ({"body": SAID}, SAID)
    assert letters["waits"][0] == {}
    assert "altered" in letters["waits"][1]


def test_an_order_that_nobody_opens_fails_and_the_next_is_begun(story: Story) -> None:
    story.queues()
    client, keys = story.store.client, JobKeys("shop")
    story.jobs.submit(NEXT)
    client.hset(keys.record("stays"), "fields", client.hget(keys.record("fails"), "fields"))

    begun = story.jobs.begin("shop")

    assert begun is not None
    assert begun.order == NEXT
    shown = {job.order.id: job for job in story.jobs.list("shop", limit=9)}
    assert shown["stays"].state == "failed"
    assert "altered" in str(shown["stays"].reason)
    assert shown["fails"].reason == SAID


def test_a_turn_that_makes_another_version_is_sealed_for_that_one(
    story: Story, server: Server, cluster: ClusterOfKeys
) -> None:
    # This pod remembers nothing of the session: it learns from the store which version it makes.
    pod = Story(connect(server.url, cipher=cluster.cipher()))
    work = story.sessions.seize(turn("talk", "t3"), "heir", from_owner=None)
    assert work is not None

    pod.finish(work)

    view = pod.load("talk")
    assert (view.version, view.turns[-1].turn_id) == (3, "t3")
    assert view.hash == carried_on("", pod.store.client.lrange(TALK.turns, 0, -1))


def test_a_history_goes_on_over_pods_and_rotations(
    story: Story, server: Server, cluster: ClusterOfKeys
) -> None:
    rotate(cluster)
    heir = Story(connect(server.url, cipher=cluster.cipher()))
    for turn_id in ("t3", "t4"):
        work = heir.sessions.seize(turn("talk", turn_id), "heir", from_owner=None)
        assert work is not None
        heir.finish(work)
    rotate(cluster)
    last = Story(connect(server.url, cipher=cluster.cipher()))

    # A pod that remembers the first turns fetches the others, and takes none for lost.
    work = story.claim("talk", "t5")
    assert work is not None
    assert [it.turn_id for it in work.session.turns] == ["t1", "t2", "t3", "t4"]
    assert [it.message for it in last.load("talk").turns] == [SAID] * 4
    rows = last.store.client.lrange(TALK.turns, 0, -1)
    assert len({row[:10] for row in rows}) == 2
    assert last.load("talk").hash == carried_on("", rows)
    # The same request is known by every pod, whatever key is the newest.
    again = last.claim("talk", "t5")
    assert again is not None
    assert again.lease == work.lease


def test_frames_of_a_tenant_without_keys_now_stop_those_of_no_other(
    story: Story, server: Server, cluster: ClusterOfKeys
) -> None:
    mine = story.sessions.seize(turn("talk", "t3"), "heir", from_owner=None)
    assert mine is not None
    stored = story.frames.read(mine.lease.key, after=0, limit=9, trace_id="").last
    theirs = replace(mine.lease, key=TurnKey(SessionKey("bank", "talk"), "t3"))
    body = FrameBody("text", {"content": SAID, "offset": 99})
    cluster.keys.away = True  # the keys of one are known, those of the other cannot be read

    results = story.frames.append(
        [FrameBatch(theirs, 1, (body,)), FrameBatch(mine.lease, stored + 1, (body,))]
    )

    assert isinstance(results[0], StoreUnavailable)
    assert results[1] is None


def rotate(cluster: ClusterOfKeys) -> None:
    """Give the tenant another key, as the coordinator does by age."""
    table, ring = cluster.keys.read("shop"), cluster.ring()
    before = ring.newest("shop")
    made = new_data_key(ring._masters, "shop", table, now_s=AT.timestamp(), before=before)
    assert cluster.keys.add(made.row, newest=table.newest)
