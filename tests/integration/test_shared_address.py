"""Two balancers outside Kubernetes share an address: it moves when one dies.

``deploy/haproxy/keepalived.conf`` and the file of ``kotaemon_node.local.haproxy_places`` as they
stand, on machines that are network namespaces.
"""

from collections.abc import Iterator

import pytest

from tests.balanced_pods import wait_until
from tests.balancer_machines import BALANCERS, PODS, Machines, missing, place

pytestmark = pytest.mark.long
SESSIONS = [f"user-{number}" for number in range(100)]


@pytest.fixture
def machines() -> Iterator[Machines]:
    lacking = missing()
    assert not lacking, f"this test needs {lacking}"
    with Machines() as machines:
        wait_until(lambda: len(machines.holders()) == 1, what="one balancer has the address")
        machines.answered_after_s()
        yield machines


def holder(machines: Machines) -> tuple[str, str]:
    """Return who has the address, and the other."""
    wait_until(lambda: len(machines.holders()) == 1, what="one balancer has the address")
    [has] = machines.holders()
    return has, next(name for name in BALANCERS if name != has)


def places(machines: Machines) -> dict[str, str]:
    return machines.as_client(lambda: {session: place(session) for session in SESSIONS})


def test_the_address_moves_when_haproxy_dies_and_stays_when_it_comes_back(
    machines: Machines,
) -> None:
    died, other = holder(machines)
    before = places(machines)

    machines.kill_haproxy(died)
    took_s = machines.answered_after_s()
    print(f"HAProxy died: the other answered after {took_s:.2f} s")

    assert holder(machines) == (other, died)
    # Both know each session's pod without talking to each other.
    assert places(machines) == before
    assert set(before.values()) == set(PODS)

    machines.start_haproxy(died)
    wait_until(lambda: "(balancer) Entering BACKUP" in machines.log(died), what="it is back")
    assert holder(machines) == (other, died)


def test_the_address_moves_when_the_machine_dies(machines: Machines) -> None:
    died, other = holder(machines)

    machines.kill(died)
    took_s = machines.answered_after_s()
    print(f"the machine died: the other answered after {took_s:.2f} s")
    assert holder(machines) == (other, died)

    machines.start(died)
    wait_until(lambda: "Entering BACKUP" in machines.log(died), what="it is back")
    assert holder(machines) == (other, died)


def test_who_was_cut_off_and_comes_back_leaves_the_address_where_it_is(machines: Machines) -> None:
    cut_off, other = holder(machines)

    machines.unplug(cut_off)
    took_s = machines.answered_after_s()
    print(f"the machine was cut off: the other answered after {took_s:.2f} s")

    machines.plug(cut_off)
    assert machines.answered_after_s() < 60
    wait_until(lambda: machines.holders() == {other}, what="only the other has it")
