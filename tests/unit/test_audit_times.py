"""An entry's time is that of its act, by the store's clock, however long nobody wrote before it."""

from kotaemon_node.audit_log.writer import AuditWriter
from kotaemon_node.domain.audit_chain import written_time
from tests.audit_logs import TENANT, event
from tests.fakes.audit_store import MemoryAuditStore
from tests.fakes.services import FakeClock, FakeIds

_HOUR_S = 3_600.0
_AHEAD_S = 1_000.0
"""By so much the store's clock differs from the process's."""


def test_an_act_an_hour_after_the_last_one_has_its_own_time() -> None:
    """The store's clock is known from the last write: the hours since then count."""
    clock = FakeClock()
    store = MemoryAuditStore(lambda: clock.at_s + _AHEAD_S)
    writer = AuditWriter(store, keys=tuple, clock=clock, ids=FakeIds())
    done: list[str] = []
    for number in range(3):
        done.append(written_time(int((clock.at_s + _AHEAD_S) * 1000)))
        writer.record(event(number))
        clock.at_s += 5.0  # it waits for its group
        assert writer.flush()
        clock.at_s += _HOUR_S
    acts = [one.at for one in store.entries(TENANT) if one.event.action == "faq.put"]
    assert acts == done


def test_a_slow_store_puts_no_later_act_into_the_future() -> None:
    """The store's time is taken when it has answered, not when it was asked."""
    clock = FakeClock()

    class Slow(MemoryAuditStore):
        def _now_ms(self) -> int:
            clock.at_s += 4.0
            return super()._now_ms()

    store = Slow(lambda: clock.at_s)
    writer = AuditWriter(store, keys=tuple, clock=clock, ids=FakeIds())
    for number in range(2):
        writer.record(event(number))
        assert writer.flush()
    told = store.entries(TENANT)[-1]
    assert told.at <= written_time(int(clock.at_s * 1000) - 4_000)
