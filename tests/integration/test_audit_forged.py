"""What somebody makes who may write the stores and has not the key: none of it passes for whole."""

from pathlib import Path

import pytest

from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.audit_log.tail import Noted, Tail
from kotaemon_node.domain.audit import AuditEvent
from kotaemon_node.domain.audit_chain import BEGUN, Head, line_of
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
