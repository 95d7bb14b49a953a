"""``verify --since`` passes over what is older, and over nothing else of which anybody tells."""

from pathlib import Path

import pytest

from kotaemon_node.audit_log.heads import Seen
from kotaemon_node.domain.audit_chain import Entry, Head, line_of
from tests.audit_logs import TENANT, entries_of, event, write
from tests.audit_stores import HEAD, LINES, Logs, told
from tests.redis_server import RedisServer


@pytest.fixture
def logs(server: RedisServer, tmp_path: Path) -> Logs:
    """Two stores with nothing in them."""
    return Logs(server.url, tmp_path)


def seen_by_a_process(last: Entry) -> dict[str, dict[int, dict[int, list[Seen]]]]:
    return {TENANT: {last.chain: {last.seq: [Seen(last.seq, last.hash, "seen by a process")]}}}


def test_a_chain_that_vanished_whole_is_named_by_who_saw_it(logs: Logs) -> None:
    """With nothing left of it in either store, also where only what is later is looked at."""
    write(logs.url, 4)
    gone = entries_of(logs.url)[-1]
    logs.client.flushall()
    write(logs.url, 4)
    since = entries_of(logs.url)[0].at
    heads = seen_by_a_process(gone)
    assert ("truncated", 1) in told(logs.verify(heads=heads))
    assert told(logs.verify(since=since, heads=heads)) == [("truncated", 1)]


@pytest.mark.parametrize("how", ["passed over", "retired"])
def test_what_is_behind_the_volumes_passed_over_is_looked_for(logs: Logs, how: str) -> None:
    """Whether they are too old to be wanted or to be kept: a process saw what came behind them."""
    write(logs.url, 4)
    logs.mover().sweep()
    write(logs.url, 3)
    last = entries_of(logs.url)[-1]
    if how == "retired":
        logs.mover(kept_s=0.000_001, moved_after_s=3600).sweep()
    for note in logs.files("anchors"):
        note.unlink()
    logs.client.flushall()
    since = "" if how == "retired" else "2999"
    assert [one for one in told(logs.verify(since=since)) if one[0] == "truncated"] == []
    heads = seen_by_a_process(last)
    assert ("truncated", 6) in told(logs.verify(since=since, heads=heads))


def test_entries_behind_the_volumes_passed_over_are_not_cut_off(logs: Logs) -> None:
    """Whoever has the session store alone removes the oldest that are there."""
    write(logs.url, 4)
    logs.mover().sweep()
    write(logs.url, 4)
    since = "2999"
    assert told(logs.verify(since=since)) == []
    logs.put(logs.lines()[2:])
    assert told(logs.verify(since=since)) == [("missing", 6)]


def test_a_volume_whose_newest_entry_says_that_it_is_old_is_looked_at(logs: Logs) -> None:
    """An entry that somebody puts into the session store hides no volume by its time."""
    write(logs.url, 4)
    since, rows = entries_of(logs.url)[0].at, logs.lines()
    last = entries_of(logs.url)[-1]
    line, head = line_of(event(99), behind=last.head, at_ms=0, entry_id="x", key=None)
    logs.put([*rows, (f"{head.chain}-{head.seq}", line)])
    logs.head_right()
    logs.mover().sweep()
    assert told(logs.verify(since=since)) == [("unkeyed", 6)]


def test_a_chain_without_a_key_is_named_though_the_one_before_is_passed_over(logs: Logs) -> None:
    """That a key was used is known from the newest volume that is not looked at."""
    write(logs.url, 4)
    logs.mover().sweep()
    head, _ = logs.store.head(TENANT)
    assert head is not None
    forged = Head.beginning(head.chain + 1)
    line, forged = line_of(event(99), behind=forged, at_ms=head.chain, entry_id="x", key=None)
    logs.client.xadd(LINES, {"e": line}, id=f"{forged.chain}-1")
    logs.head_right()
    write(logs.url, 1)
    assert ("unkeyed", 1) in told(logs.verify(since="2999"))


@pytest.mark.parametrize("since", ["", "2999"])
def test_a_chain_of_which_only_the_head_is_left_is_named(logs: Logs, since: str) -> None:
    """Nothing is moved or signed yet, and somebody removes the lines."""
    write(logs.url, 4)
    logs.client.delete(LINES)
    assert told(logs.verify(since=since)) == [("truncated", 1)]
    assert int(logs.client.hget(HEAD, "seq")) == 5
