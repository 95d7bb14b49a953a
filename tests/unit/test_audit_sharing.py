"""One tenant's log that takes nothing costs the logs of the others no entry, and no time."""

import threading

import pytest

from kotaemon_node.audit_log.writer import AuditWriter, NoCounts
from kotaemon_node.domain import audit_limits as limits
from kotaemon_node.ports.audit import Appended
from tests.audit_logs import event
from tests.fakes.audit_store import MemoryAuditStore
from tests.fakes.services import FakeClock, FakeIds


class Lost(NoCounts):
    def __init__(self) -> None:
        self.entries = 0

    def audit_lost(self, entries: int) -> None:
        self.entries += entries


class Logs:
    """A writer on a store that is full for acme."""

    def __init__(self, *, waiting_max: int = limits.AUDIT_WAITING_MAX) -> None:
        self.clock, self.counts = FakeClock(), Lost()
        self.store = MemoryAuditStore(lambda: self.clock.at_s)
        self.store.full.add("acme")
        self.writer = AuditWriter(
            self.store,
            keys=tuple,
            clock=self.clock,
            ids=FakeIds(),
            counts=self.counts,
            waiting_max=waiting_max,
            lines=False,
        )

    def record(self, tenant: str, count: int, *, begin: int = 0) -> None:
        for number in range(begin, begin + count):
            self.writer.record(event(number, tenant=tenant))

    def told(self, tenant: str, action: str = "faq.put") -> list[object]:
        """Return the numbers of its entries that are in the log."""
        name = "count" if action == "audit.lost" else "number"
        entries = [one.event for one in self.store.entries(tenant)]
        return [one.detail[name] for one in entries if one.action == action]


def test_a_full_log_costs_the_others_none_of_their_entries() -> None:
    """All that may wait is acme's: the newest of it are given up for what others do."""
    logs = Logs()
    logs.record("acme", limits.AUDIT_WAITING_MAX)
    assert not logs.writer.flush()
    logs.record("default", 100)
    assert not logs.writer.flush()
    assert logs.told("default") == list(range(100))
    assert logs.counts.entries == 100
    logs.store.full.clear()
    assert logs.writer.flush()
    assert logs.told("acme") == list(range(limits.AUDIT_WAITING_MAX - 100))
    assert logs.told("acme", "audit.lost") == [100]


def test_what_may_be_in_the_store_already_is_not_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that nobody answered for is sent again as it was."""
    logs = Logs(waiting_max=5)
    logs.store.full.clear()
    real = MemoryAuditStore.append

    def deaf(self: MemoryAuditStore, tenant: str, *arguments: object, **named: object) -> Appended:
        real(self, tenant, *arguments, **named)  # type: ignore[arg-type]
        raise OSError("no answer")

    logs.record("acme", 5)
    monkeypatch.setattr(MemoryAuditStore, "append", deaf)
    assert not logs.writer.flush()
    monkeypatch.setattr(MemoryAuditStore, "append", real)
    logs.store.lines.clear()
    logs.record("default", 1)
    assert logs.writer.flush()
    assert logs.told("acme") == [0, 1, 2, 3, 4]
    assert logs.told("default", "audit.lost") == [1]


def test_a_log_that_takes_nothing_is_tried_more_seldom_and_alone() -> None:
    """The others are written with each group, as if it were not there."""
    logs = Logs()
    logs.record("acme", 1)
    for number in range(3):
        logs.record("default", 1, begin=number)
        logs.writer.flush(patient=True)
    assert (logs.told("default"), logs.store.asked.count("acme")) == ([0, 1, 2], 1)
    logs.clock.at_s += limits.AUDIT_RETRY_S
    logs.writer.flush(patient=True)
    assert logs.store.asked.count("acme") == 2
    logs.store.full.clear()
    assert logs.writer.flush()  # who ends does not wait
    assert logs.told("acme") == [0]


def test_a_log_that_takes_nothing_slows_no_other() -> None:
    """Only a store that is away makes the writer wait for longer than a group takes."""
    logs, waited = Logs(), set()

    def wait(signal: threading.Event, timeout_s: float) -> bool:
        waited.add(timeout_s)
        logs.clock.at_s += timeout_s
        if logs.store.asked.count("acme") > 4:
            logs.store.full.clear()
            logs.writer.stop()
        return signal.is_set()

    logs.clock.wait = wait  # type: ignore[assignment,method-assign]
    logs.record("acme", 1)
    logs.writer.run()
    assert waited == {1.0, limits.AUDIT_GROUP_S}
    assert logs.told("acme") == [0]
