"""Who may publish, and until when."""

import pytest

from coordinator.leader import LeadLost, Lease
from kotaemon_node.domain import limits
from tests.fakes.knowledge_ports import HandClock, MemoryLeadership


class Office:
    def __init__(self) -> None:
        self.clock = HandClock()
        self.leadership = MemoryLeadership(self.clock)
        self.a = Lease(self.leadership, clock=self.clock, holder="a")
        self.b = Lease(self.leadership, clock=self.clock, holder="b")


@pytest.fixture
def office() -> Office:
    return Office()


def test_the_first_leads_and_the_second_stands_by(office: Office) -> None:
    office.a.renew()
    office.b.renew()
    assert office.a.fence == 1
    assert office.b.fence is None
    assert office.b.answered


def test_a_lead_that_is_not_renewed_ends_and_the_next_has_a_higher_fence(office: Office) -> None:
    office.a.renew()
    office.clock.sleep(limits.LEADER_TTL_S)
    assert office.a.fence is None
    office.b.renew()
    assert office.b.fence == 2
    with pytest.raises(LeadLost):
        office.a.require(1)


def test_a_lead_outlives_a_short_silence_of_the_store_and_no_longer_one(office: Office) -> None:
    office.a.renew()
    office.leadership.away = True
    office.clock.sleep(limits.LEADER_TTL_S / 2)
    office.a.renew()
    assert office.a.fence == 1
    assert not office.a.answered
    office.clock.sleep(limits.LEADER_TTL_S / 2)
    office.a.renew()
    assert office.a.fence is None


def test_a_lead_taken_anew_is_another_lead(office: Office) -> None:
    office.a.renew()
    office.a.resign()
    assert office.a.fence is None
    office.a.renew()
    with pytest.raises(LeadLost):
        office.a.require(1)
    office.a.require(2)


def test_a_lead_that_is_given_up_is_free_at_once(office: Office) -> None:
    office.a.renew()
    office.a.resign()
    office.b.renew()
    assert office.b.fence == 2
