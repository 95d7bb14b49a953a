"""Writing the audit log on a real Redis: many processes, kills, stores that are away or forgot."""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from multiprocessing.synchronize import Event

import pytest

from kotaemon_node.audit_log.writer import NoCounts
from kotaemon_node.domain.audit_chain import GENESIS, is_whole
from tests.audit_logs import KEY, TENANT, entries_of, event, store_of, write, writer_of
from tests.redis_server import RedisServer

_SPAWN = multiprocessing.get_context("spawn")


class Counts(NoCounts):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.kept = 0
        self.lost = 0

    def audit_kept(self, entries: int) -> None:
        self.kept += entries

    def audit_lost(self, entries: int) -> None:
        self.lost += entries


@pytest.fixture
def url(server: RedisServer) -> Iterator[str]:
    """An empty store."""
    return server.url


def whole(url: str, tenant: str = TENANT) -> list[str]:
    """Return the targets of all entries, having seen that their chain is whole."""
    before, found = GENESIS, entries_of(url, tenant)
    for number, entry in enumerate(found, start=1):
        assert (entry.seq, entry.before) == (number, before)
        assert is_whole(entry, [KEY])
        before = entry.hash
    return [entry.event.target for entry in found if not entry.event.action.startswith("audit.")]


def _append(url: str, name: int, count: int) -> None:
    writer = writer_of(url)
    for number in range(count):
        writer.record(event(name * 100_000 + number))
        if number % 20 == 19:
            writer.flush()
    assert writer.finish()


def _append_for_ever(url: str, begun: Event) -> None:
    writer, number = writer_of(url), 0
    while True:
        for _ in range(50):
            writer.record(event(number))
            number += 1
        writer.flush()
        begun.set()


@pytest.mark.long
def test_eight_processes_append_and_nothing_is_lost(url: str) -> None:
    """10^4 entries of eight processes: one chain, each entry once."""
    workers = [_SPAWN.Process(target=_append, args=(url, name, 1_250)) for name in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    targets = whole(url)
    assert len(targets) == len(set(targets)) == 10_000


def test_a_process_that_is_killed_leaves_whole_batches(url: str) -> None:
    """A batch is there or not, and others go on behind it."""
    begun = _SPAWN.Event()
    worker = _SPAWN.Process(target=_append_for_ever, args=(url, begun))
    worker.start()
    assert begun.wait(60)
    os.kill(worker.pid or 0, signal.SIGKILL)
    worker.join()
    killed = len(whole(url))
    assert killed % 50 == 0
    write(url, 3)
    assert len(whole(url)) == killed + 3


def test_a_store_that_was_away_gets_all_that_waited(server: RedisServer) -> None:
    """What was recorded meanwhile comes when it is back, in its order and with its times."""
    writer = writer_of(server.url)
    writer.record(event(0))
    assert writer.flush()
    server.kill()
    for number in range(1, 40):
        writer.record(event(number))
    assert not writer.flush()
    server.start()
    assert writer.finish()
    assert whole(server.url) == [f"entry-{number}" for number in range(40)]


def test_what_does_not_fit_is_counted_and_said(server: RedisServer) -> None:
    """Beyond so many that wait, losses are counted, and the loss is an entry."""
    counts = Counts()
    writer = writer_of(server.url, counts=counts, waiting_max=5)
    writer.record(event(0))
    assert writer.flush()
    server.kill()
    for number in range(12):
        writer.record(event(number))
    assert not writer.flush()
    assert counts.lost == 7
    server.start()
    assert writer.finish()
    assert writer.flush()
    lost = [one.event for one in entries_of(server.url) if one.event.action == "audit.lost"]
    assert [dict(one.detail) for one in lost] == [{"count": 7}]
    assert len(whole(server.url)) == 6


def test_a_batch_in_doubt_is_there_once(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reply of a write is lost: the same lines are sent again, and known."""
    from kotaemon_node.adapters.redis.audit import RedisAuditStore
    from kotaemon_node.domain.errors import StoreUnavailable

    writer, real = writer_of(url), RedisAuditStore.append

    def deaf(self: RedisAuditStore, *arguments: object, **named: object) -> object:
        real(self, *arguments, **named)  # type: ignore[arg-type]
        raise StoreUnavailable("no reply")

    monkeypatch.setattr(RedisAuditStore, "append", deaf)
    writer.record(event(0))
    assert not writer.flush()
    monkeypatch.setattr(RedisAuditStore, "append", real)
    write(url, 1)  # somebody else writes in between
    writer.record(event(1))
    assert writer.finish()
    assert whole(url) == ["entry-0", "entry-0", "entry-1"]
    assert len({entry.id for entry in entries_of(url)}) == len(entries_of(url))


def test_a_log_that_was_wiped_begins_another_chain_and_says_so(server: RedisServer) -> None:
    """A process that has seen more than there is leaves a mark in the log."""
    writer = writer_of(server.url)
    writer.record(event(0))
    writer.flush()
    first = entries_of(server.url)[-1]
    server.wipe()
    writer.record(event(1))
    assert writer.finish()
    begun, set_back, act = entries_of(server.url)
    assert begun.chain > first.chain
    assert [begun.event.action, set_back.event.action] == ["audit.begun", "audit.set_back"]
    assert set_back.event.detail["seen_seq"] == first.seq
    assert set_back.event.detail["seen_hash"] == first.hash
    assert act.event.target == "entry-1"


def test_a_head_that_was_set_back_is_noticed(url: str) -> None:
    """Somebody cuts off the newest entries and puts the head right: who saw more says so."""
    writer = writer_of(url)
    for number in range(10):
        writer.record(event(number))
    writer.flush()
    cut_off(url, through=6)
    writer.record(event(10))
    assert writer.finish()
    actions = [entry.event.action for entry in entries_of(url)]
    assert "audit.set_back" in actions
    told = next(one for one in entries_of(url) if one.event.action == "audit.set_back")
    assert (told.event.detail["seen_seq"], told.event.detail["found_seq"]) == (11, 6)


def cut_off(url: str, *, through: int) -> None:
    """Remove the newest entries as one would who has the store and no key."""
    store = store_of(url)._store.client
    lines = store.xrange(f"kn:{{audit:{TENANT}}}:lines")
    store.delete(f"kn:{{audit:{TENANT}}}:lines")
    for place, fields in lines[:through]:
        store.xadd(f"kn:{{audit:{TENANT}}}:lines", fields, id=place)
    last = entries_of(url)[-1]
    head = {"chain": last.chain, "seq": last.seq, "hash": last.hash}
    store.hset(f"kn:{{audit:{TENANT}}}:head", mapping=head)


def test_a_head_that_fits_no_line_begins_another_chain(url: str) -> None:
    """A log that was torn goes on, as another chain: nothing of either is written over."""
    write(url, 3)
    before = entries_of(url)
    client = store_of(url)._store.client
    client.hset(f"kn:{{audit:{TENANT}}}:head", mapping={"seq": 9, "hash": "9" * 64})
    write(url, 1)
    after = entries_of(url)
    assert after[: len(before)] == before
    assert [one.event.action for one in after[len(before) :]] == ["audit.begun", "faq.put"]
    assert after[-1].chain > before[-1].chain


def test_a_full_log_keeps_what_waits(url: str) -> None:
    """Where nobody moves the oldest away, what waits goes on waiting."""
    from kotaemon_node.adapters.redis import RedisAuditStore, connect

    store = RedisAuditStore(connect(url), lines_max=5)
    writer = writer_of(url)
    writer._store = store  # the bound is of the store
    for number in range(8):
        writer.record(event(number))
    assert not writer.flush()
    writer._store = store_of(url)


def test_refusals_that_are_alike_count_as_one_a_minute(url: str) -> None:
    """A flood of refusals is two entries: the first, and how many more there were."""
    writer = writer_of(url)
    for number in range(5_000):
        writer.record(event(number, outcome="refused"))
    assert writer.finish()
    refused = [one.event for one in entries_of(url) if one.event.outcome == "refused"]
    assert [one.detail.get("count") for one in refused] == [None, 4_999]
