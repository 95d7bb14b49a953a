"""What somebody makes who may write the stores and has not the key: none of it passes for whole."""

from pathlib import Path

import pytest

from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.audit_log.reading import AuditReader, Wanted
from kotaemon_node.audit_log.tail import Noted, Tail
from kotaemon_node.domain.audit import AuditEvent
from kotaemon_node.domain.audit_chain import BEGUN, Head, line_of, read_line
from tests.audit_logs import KEY, entries_of, event, write
from tests.audit_stores import HEAD, LINES, Logs, told
from tests.redis_server import RedisServer


@pytest.fixture
def logs(server: RedisServer, tmp_path: Path) -> Logs:
    """Two stores with nothing in them."""
    return Logs(server.url, tmp_path)


def put_forged_chain(logs: Logs, behind: Head) -> int:
    """Put a chain without a key into the store that says rightly where the log ended."""
    place = {"before_chain": str(behind.chain), "before_seq": behind.seq}
    begun = AuditEvent(
        BEGUN, "done", "default", role="system", detail=place | {"before_hash": behind.hash}
    )
    head = Head.beginning(behind.chain + 1)
    for number, said in enumerate((begun, event(98), event(99))):
        line, head = line_of(
            said, behind=head, at_ms=head.chain + number, entry_id=f"x{number}", key=None
        )
        logs.client.xadd(LINES, {"e": line}, id=f"{head.chain}-{head.seq}")
    logs.client.hset(HEAD, mapping={"chain": head.chain, "seq": head.seq, "hash": head.hash})
    return head.chain


@pytest.mark.parametrize("moved", [False, True])
@pytest.mark.parametrize("signed", [False, True])
def test_a_chain_without_a_key_behind_one_with_it_is_named(
    logs: Logs, *, moved: bool, signed: bool
) -> None:
    """Honest processes go on behind it, a leader signs it: it stays what it is."""
    write(logs.url, 4)
    logs.mover(moved_after_s=0 if moved else 3600).sweep()
    chain = put_forged_chain(logs, entries_of(logs.url)[-1].head if not moved else ends(logs))
    tail = Tail("default", logs.store, lines=False)
    now_s = SystemClock().monotonic_s
    tail.write([Noted(event(5), "n", now_s())], key=KEY, now_s=now_s)
    if signed:
        logs.mover().sweep()
    found = logs.verify()
    assert {(one.kind, one.chain, one.seq) for one in found.findings} == {
        ("unkeyed", chain, 1),
        ("unkeyed", chain, 2),
        ("unkeyed", chain, 3),
    }
    assert found.unkeyed == 0


def ends(logs: Logs) -> Head:
    head, _ = logs.store.head("default")
    assert head is not None
    return head


def test_another_tenants_log_is_none_of_this_one(logs: Logs) -> None:
    """Every hash of it is right, and made with the key: it tells of somebody else."""
    write(logs.url, 4)
    write(logs.url, 2, tenant="shop")
    shop = LINES.replace("default", "shop"), HEAD.replace("default", "shop")
    for theirs, ours in zip(shop, (LINES, HEAD), strict=True):
        logs.client.copy(theirs, ours, replace=True)
    assert told(logs.verify()) == [("altered", 1), ("altered", 2), ("altered", 3)]


def forged_line(behind: Head, *, at_ms: int) -> tuple[str, bytes]:
    """Return an entry without a key behind another, as a row of the store."""
    line, head = line_of(event(99), behind=behind, at_ms=at_ms, entry_id="x", key=None)
    return f"{head.chain}-{head.seq}", line


def test_an_entry_that_says_that_it_is_old_has_nothing_removed(logs: Logs) -> None:
    """The leader removes what is too old: by when it was moved, not by what entries say alone."""
    write(logs.url, 4)
    rows, last = logs.lines(), entries_of(logs.url)[-1]
    logs.put([*rows, forged_line(last.head, at_ms=0)])
    logs.head_right()
    logs.mover(kept_s=3600).sweep()
    logs.mover(kept_s=3600).sweep()
    assert len(logs.files("volumes")) == 2
    assert told(logs.verify()) == [("unkeyed", 6)]


@pytest.mark.parametrize("again", [False, True])
def test_a_tenant_that_somebody_takes_out_of_the_list_is_signed_for(
    logs: Logs, *, again: bool
) -> None:
    """Else the newest entries could be cut off at leisure; also by a leader that begins later."""
    write(logs.url, 2)
    mover = logs.mover(moved_after_s=3600)
    mover.sweep()
    logs.client.srem("kn:audit-tenants", "default")
    mover = logs.mover() if again else mover
    mover._moved_after_s = 0
    mover.sweep()
    assert logs.store.size("default") == 0
    assert told(logs.verify()) == []


@pytest.mark.parametrize("place", [Head(10**14, 7, "f" * 64), Head(1, 1, "f" * 64)])
def test_a_line_that_says_that_it_stands_elsewhere_hides_no_others(logs: Logs, place: Head) -> None:
    """Who reads or exports the log goes on by where lines lie."""
    write(logs.url, 4)
    rows, last = logs.lines(), entries_of(logs.url)[-1]
    _, line = forged_line(place, at_ms=0)
    logs.put([*rows, (f"{last.chain}-6", line)])
    logs.client.hset(HEAD, mapping={"seq": 6, "hash": line[9:73]})
    logs.mover().sweep()
    write(logs.url, 2)
    logs.mover().sweep()
    write(logs.url, 2)
    reader = AuditReader(logs.store, logs.artifacts)
    targets = [f"entry-{number}" for number in (0, 1, 2, 3, 0, 1, 0, 1)]
    exported = [read_line(line).event.target for line in reader.ascending("default")]
    assert [target for target in exported if target] == targets
    page = reader.page("default", before=None, limit=50, wanted=Wanted(action="faq"))
    assert [one.event.target for one in page.entries] == targets[::-1]
