"""What nobody can open any more, or not here, holds up nothing else and ends."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from kotaemon_node.adapters.redis import connect
from kotaemon_node.adapters.redis.keys import SessionKeys
from kotaemon_node.adapters.redis.question_keys import CountKeys
from kotaemon_node.adapters.sealing import MasterKeyLines, OpensOnly
from kotaemon_node.adapters.sealing.data_key import new_data_key
from kotaemon_node.adapters.system.secret_file import FixedLines
from kotaemon_node.domain.errors import (
    Conflict,
    MasterKeyMissing,
    Sealed,
    TurnConflict,
    Unavailable,
)
from kotaemon_node.domain.handoff import Handoff
from kotaemon_node.ports.analytics import Tally
from kotaemon_node.ports.cipher import FieldCipher, SealedPlace
from kotaemon_node.ports.faq_drafts import Unmet
from kotaemon_node.ports.feedback import Feedback
from kotaemon_node.ports.jobs import Order
from kotaemon_node.ports.later import LaterJob
from kotaemon_node.ports.sessions import Claim, ClaimRequest
from kotaemon_node.ports.turn_records import TurnRecord
from tests.redis_server import Server
from tests.redis_sets import KINDS, SETS_LONG
from tests.sealed_story import ANN, AT, SAID, Story, session, turn
from tests.sealing_parts import MASTER, ClusterOfKeys, cluster_of_keys

NAMES = SessionKeys.of(session("talk"))


@pytest.fixture(scope="module", params=SETS_LONG)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    server = KINDS[request.param]()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def cluster(server: Server) -> ClusterOfKeys:
    server.wipe()
    return cluster_of_keys()


def pod(server: Server, cipher: FieldCipher | None) -> Story:
    """Return one more process on the same store."""
    return Story(connect(server.url, cipher=cipher))


def shred(cluster: ClusterOfKeys, tenant: str = "shop") -> None:
    cluster.keys.destroy(tenant, list(cluster.keys.read(tenant).rows))


def rotate(cluster: ClusterOfKeys, tenant: str = "shop") -> None:
    ring, table = cluster.ring(), cluster.keys.read(tenant)
    masters = MasterKeyLines(FixedLines((MASTER,)))
    now_s = cluster.clock.now_s()
    made = new_data_key(masters, tenant, table, now_s=now_s, before=ring.newest(tenant))
    assert cluster.keys.add(made.row, newest=table.newest)


def repeated(story: Story, of: str, *, digest: str = "0" * 32) -> Claim:
    """Send the turn t1 once more, by another request."""
    return story.sessions.claim(
        ClaimRequest(
            key=turn(of, "t1"),
            principal=ANN,
            digest=digest,
            message=SAID,
            options={"kb": SAID},
            on_busy="enqueue",
            owner="pod",
            trace_id="",
            create_session=True,
            new_epoch="repeated",
        )
    )


def test_a_turn_of_a_session_whose_key_was_destroyed_ends_and_is_told(
    server: Server, cluster: ClusterOfKeys
) -> None:
    story = pod(server, cluster.cipher())
    story.finish(story.run("talk", "t1"))
    shred(cluster)
    heirs = [pod(server, cluster.cipher()) for _ in range(2)]

    with pytest.raises(Sealed, match="destroyed"):
        heirs[0].claim("talk", "t2")

    names = (NAMES.turn("t2"), NAMES.frames("t2"))
    assert story.store.client.exists(*names) == 0
    assert story.store.client.hget(NAMES.meta, "running") == b""
    [left] = [it for it in heirs[1].sessions.orphans(limit=9) if it.key.turn_id == "t2"]
    assert (left.state, left.committed) == ("", False)  # so a sweep forgets it
    for again in (
        lambda: heirs[1].claim("talk", "t2"),
        lambda: heirs[1].sessions.turn(turn("talk", "t2"), ANN),
    ):
        with pytest.raises(Sealed, match="destroyed"):
            again()


def test_what_waited_behind_a_turn_that_nobody_opens_ends_as_well(
    server: Server, cluster: ClusterOfKeys
) -> None:
    story = pod(server, cluster.cipher())
    story.run("talk", "t1")
    for turn_id in ("t2", "t3"):
        story.claim("talk", turn_id)
    shred(cluster)
    heir = pod(server, cluster.cipher())

    with pytest.raises(Sealed):
        heir.sessions.seize(turn("talk", "t3"), "heir", from_owner=None, ending="cancel")
    assert story.store.client.hget(NAMES.meta, "leaving") is None
    for turn_id, owner in (("t1", "pod"), ("t2", "")):
        with pytest.raises(Sealed):
            heir.sessions.seize(turn("talk", turn_id), "heir", from_owner=owner)
    activity = heir.sessions.activity(session("talk"), ANN, after_version=0, limit=0)
    assert activity.open == ()


def test_a_turn_that_is_sealed_for_a_pod_is_not_tried_again_at_once_and_counts_nothing(
    server: Server, cluster: ClusterOfKeys
) -> None:
    story = pod(server, cluster.cipher())
    story.finish(story.run("talk", "t1"))
    keyless = [pod(server, None) for _ in range(3)]
    with pytest.raises(MasterKeyMissing):
        keyless[0].claim("talk", "t2")

    assert keyless[0].sessions.seize(turn("talk", "t2"), "a", from_owner="") is None
    for other in keyless[1:]:
        with pytest.raises(MasterKeyMissing):
            other.sessions.seize(turn("talk", "t2"), "b", from_owner="")
        assert other.sessions.seize(turn("talk", "t2"), "b", from_owner="") is None

    work = story.sessions.seize(turn("talk", "t2"), "heir", from_owner="")
    assert work is not None
    assert (work.attempts, work.owners, work.losses) == (1, (), 0)


def test_a_handoff_that_nobody_opens_hides_no_other_and_can_be_ended(
    server: Server, cluster: ClusterOfKeys
) -> None:
    story = pod(server, cluster.cipher())
    for name in ("old", "new"):
        story.finish(story.run(name, "t1"))
        if name == "new":
            shred(cluster)
            story = pod(server, cluster.cipher())
        key = session(name)
        begun = Handoff(AT.timestamp(), SAID, "customer")
        story.handoffs.begin(key, begun, epoch="epoch-t1", event_id="h1", trace_id="t")
        story.handoffs.note(key, AT.timestamp())

    rows = {it.session_id: it.handoff for it in story.handoffs.waiting("shop", limit=9)}
    assert rows == {"old": Handoff(AT.timestamp(), "", "agent"), "new": begun}
    again = story.handoffs.begin(
        session("old"), begun, epoch="epoch-t1", event_id="h2", trace_id="t"
    )
    assert (again.changed, again.handoff is not None) == (False, True)


def test_feedback_is_replaced_though_what_was_said_before_cannot_be_opened(
    server: Server, cluster: ClusterOfKeys
) -> None:
    story = pod(server, cluster.cipher())
    story.finish(story.run("talk", "t1"))
    story.feedback.put(turn("talk", "t1"), Feedback("down", SAID, 1.0))
    shred(cluster)
    story = pod(server, cluster.cipher())

    assert story.feedback.put(turn("talk", "t1"), Feedback("up", "", 2.0)) is None
    assert story.feedback.of(session("talk"), ["t1"])["t1"].rating == "up"


def test_a_record_that_nobody_opens_hides_no_other_of_its_trace(
    server: Server, cluster: ClusterOfKeys
) -> None:
    story = pod(server, cluster.cipher())
    for name in ("old", "new"):
        work = story.run(name, "t1")
        at = {"at": 1.0, "of": name}
        story.records.put(TurnRecord(work.lease.key, "trace", "epoch-t1", work.lease.fence, at))
        if name == "old":
            shred(cluster)
            story = pod(server, cluster.cipher())
            with pytest.raises(Sealed):
                story.records.find("shop", "trace")

    assert [it["of"] for it in story.records.find("shop", "trace")] == ["new"]


class CopiesAway:
    """A cipher that cannot look up the keys of one tenant now."""

    def __init__(self, cipher: FieldCipher, tenant: str) -> None:
        self._cipher = cipher
        self._away = tenant

    def seal(self, value: bytes, place: SealedPlace) -> bytes:
        return self._cipher.seal(value, place)

    def open(self, sealed: bytes, place: SealedPlace) -> bytes:
        if place.tenant == self._away:
            raise Unavailable("the artifact store does not answer")
        return self._cipher.open(sealed, place)

    def digest(self, value: bytes, tenant: str) -> bytes:
        return self._cipher.digest(value, tenant)


def test_a_job_whose_key_cannot_be_looked_up_now_loses_nobody_elses(
    server: Server, cluster: ClusterOfKeys
) -> None:
    story = pod(server, cluster.cipher())
    for tenant in ("shop", "bank"):
        for number in range(4):
            story.later.put(LaterJob(f"j{number}", "webhook", tenant, fields={"body": SAID}))

    away = pod(server, CopiesAway(cluster.cipher(), "bank"))
    taken = away.later.take({"webhook": 9}, holder="pod", lease_s=60)

    assert {(it.job.tenant, it.job.id) for it in taken} == {("shop", f"j{at}") for at in range(4)}
    assert {(it.state, it.attempts) for it in story.later.waiting("bank", limit=9)} == {
        ("waiting", 0)
    }


@pytest.mark.parametrize("why", ["no key", "copies away"])
def test_an_order_that_cannot_be_opened_here_is_not_counted_as_begun(
    server: Server, cluster: ClusterOfKeys, why: str
) -> None:
    story = pod(server, cluster.cipher())
    order = Order("j1", "faq", "shop", "kb", fields={"question": SAID})
    story.jobs.submit(order)
    other = pod(server, None if why == "no key" else CopiesAway(cluster.cipher(), "shop"))
    for _ in range(4):
        with pytest.raises((MasterKeyMissing, Unavailable)):
            other.jobs.begin("shop")

    with pytest.raises((MasterKeyMissing, Unavailable)):
        other.jobs.submit(replace(order, fields={"question": "another"}))
    job = story.jobs.begin("shop")
    assert job is not None
    assert job.attempts == 1
    with pytest.raises(Conflict):
        story.jobs.submit(replace(order, fields={"question": "another"}))


def test_a_repeat_at_a_pod_without_the_key_or_behind_a_shred_is_no_conflict(
    server: Server, cluster: ClusterOfKeys
) -> None:
    story = pod(server, cluster.cipher())
    story.finish(story.run("talk", "t1"))
    story.run("other", "t1")

    for of in ("talk", "other"):
        with pytest.raises(MasterKeyMissing):
            pod(server, None).claim(of, "t1")
    with pytest.raises(TurnConflict):
        repeated(story, "talk", digest="1" * 32)
    shred(cluster)
    with pytest.raises(Sealed, match="destroyed"):
        pod(server, cluster.cipher()).claim("talk", "t1")


def test_a_question_that_is_asked_again_is_sealed_by_the_key_of_now(
    server: Server, cluster: ClusterOfKeys
) -> None:
    def ask(of: Story, number: int) -> None:
        of.drafts.note(Unmet(turn("talk", f"t{number}"), "kb", SAID, version=1, at=1e9, down=False))
        of.analytics.add(Tally("shop", AT, "default", f"o{number}", {"turns": 1}, question=SAID))

    story = pod(server, cluster.cipher())
    ask(story, 1)
    [row_id] = [it.id for it in story.drafts.rows("shop", "kb")]
    old = list(cluster.keys.read("shop").rows)
    rotate(cluster)
    story = pod(server, cluster.cipher())
    ask(story, 2)
    cluster.keys.destroy("shop", old)
    story = pod(server, cluster.cipher())

    assert [(it.id, it.question, it.asked) for it in story.drafts.rows("shop", "kb")] == [
        (row_id, SAID, 2)
    ]
    assert story.analytics.days("shop", [AT.date()])[0].asked == {SAID: 2}


def test_plain_values_are_refused_where_they_are_to_be(
    server: Server, cluster: ClusterOfKeys
) -> None:
    story = pod(server, cluster.cipher())
    story.run("talk", "t1")
    strict = pod(server, cluster.cipher(strict=True))
    counts = CountKeys.of("shop", AT.date())
    story.store.client.zincrby(counts.asked, 3, "a question that nobody sealed")
    frames = NAMES.frames("t1")
    story.store.client.xadd(frames, {"done": b'{"phase":"queued","latency":0.0}'}, id="9-0")

    assert strict.analytics.days("shop", [AT.date()])[0].asked == {}
    with pytest.raises(Sealed, match="not sealed"):
        strict.frames.read(turn("talk", "t1"), after=8, limit=9, trace_id="")


def test_a_cluster_changes_over_in_two_steps_and_back_and_every_pod_reads_what_it_meets(
    server: Server, cluster: ClusterOfKeys
) -> None:
    old, first, second = (
        pod(server, None),
        pod(server, OpensOnly(cluster.cipher())),
        pod(server, cluster.cipher()),
    )
    order = Order("j1", "faq", "shop", "kb", fields={"question": SAID})

    def turns(name: str, on: Story, *readers: Story) -> None:
        """Have one pod begin a turn, others repeat the request, and each read it."""
        on.run(name, "t1")
        on.jobs.submit(replace(order, id=name))
        for reader in readers:
            assert repeated(reader, name).outcome.value == "attached"
            assert reader.sessions.turn(turn(name, "t1"), ANN).message == SAID
            reader.jobs.submit(replace(order, id=name))
            with pytest.raises(Conflict):
                reader.jobs.submit(replace(order, id=name, kb="other"))
        work = readers[-1].sessions.seize(turn(name, "t1"), "heir", from_owner=None)
        assert work is not None
        readers[-1].finish(work)
        for reader in (on, *readers):
            assert repeated(reader, name).outcome.value == "finished"
            assert reader.load(name).turns[0].message == SAID

    # The first step: pods without a key beside pods that know it and seal nothing.
    turns("a", old, first)
    turns("b", first, old)
    # The second, and the way back to the first.
    turns("c", first, second)
    turns("d", second, first)
    for number, story in enumerate((second, first, second)):
        story.drafts.note(Unmet(turn("d", f"t{number}"), "kb", SAID, version=1, at=1e9, down=False))
    [row] = first.drafts.rows("shop", "kb")
    assert (row.asked, row.question) == (3, SAID)
