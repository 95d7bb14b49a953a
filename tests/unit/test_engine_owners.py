"""When an incarnation is believed to be lost, and when not."""

from collections.abc import Callable, Sequence

import pytest

from kotaemon_node.domain import limits
from kotaemon_node.engine.owners import Owners
from kotaemon_node.ports.knowledge import PodReport
from kotaemon_node.ports.peers import PeerRefused, PeerSilent
from tests.fakes.services import FakeClock


class Cluster:
    """Heartbeats in the store and answers at addresses, both as the test wants them."""

    def __init__(self) -> None:
        self.beating: dict[str, str] = {"pod.1": "host:1"}
        self.answers: dict[str, Callable[[], str]] = {"host:1": lambda: "pod.1"}
        self.asked = 0

    def pods(self) -> Sequence[PodReport]:
        return [
            PodReport(name=incarnation, incarnation=incarnation, address=address)
            for incarnation, address in self.beating.items()
        ]

    def pod(self, incarnation: str) -> PodReport | None:
        return next((pod for pod in self.pods() if pod["incarnation"] == incarnation), None)

    def incarnation_at(self, address: str) -> str:
        self.asked += 1
        return self.answers[address]()

    def store_answers_at(self, address: str) -> bool:
        raise PeerSilent(address)


def refused() -> str:
    raise PeerRefused


def silent() -> str:
    raise PeerSilent


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def owners(cluster: Cluster, clock: FakeClock) -> Owners:
    return Owners(mine="me", presence=cluster, peers=cluster, clock=clock)  # type: ignore[arg-type]


def beat_for(owners: Owners, clock: FakeClock, duration_s: float) -> None:
    for _ in range(round(duration_s / limits.POD_HEARTBEAT_S)):
        clock.at_s += limits.POD_HEARTBEAT_S
        owners.store_answered()


def test_a_pod_that_answers_as_itself_lives(owners: Owners) -> None:
    assert not owners.lost("pod.1")


def test_nobody_is_an_owner_that_is_lost_and_this_pod_never_is(owners: Owners) -> None:
    assert owners.lost("")
    assert not owners.lost("me")


def test_a_refused_connection_is_a_death_though_the_heartbeat_still_stands(
    owners: Owners, cluster: Cluster
) -> None:
    cluster.answers["host:1"] = refused
    assert owners.lost("pod.1")
    # Who was dead once stays dead, whoever has its address now.
    cluster.answers["host:1"] = lambda: "pod.1"
    assert owners.lost("pod.1")
    assert cluster.asked == 1


def test_an_address_that_misleads_is_not_asked_again(
    owners: Owners, cluster: Cluster, clock: FakeClock
) -> None:
    # Its port is closed to us, or is somebody else's from here; its heartbeat goes on.
    cluster.answers["host:1"] = refused
    assert owners.lost("pod.1")
    clock.at_s += limits.POD_TTL_S
    assert not owners.lost("pod.1")
    assert cluster.asked == 1
    # From now on only its heartbeat is believed.
    clock.at_s += 1
    beat_for(owners, clock, 3 * limits.POD_TTL_S)
    cluster.beating.clear()
    assert owners.lost("pod.1")
    assert cluster.asked == 1


def test_another_incarnation_at_its_address_is_its_death(owners: Owners, cluster: Cluster) -> None:
    cluster.answers["host:1"] = lambda: "pod.2"
    assert owners.lost("pod.1")


def test_its_address_is_remembered_when_the_heartbeat_is_gone(
    owners: Owners, cluster: Cluster, clock: FakeClock
) -> None:
    assert not owners.lost("pod.1")
    clock.at_s += 1
    cluster.beating.clear()
    cluster.answers["host:1"] = refused
    assert owners.lost("pod.1")


def test_a_silent_pod_is_judged_by_its_heartbeat(
    owners: Owners, cluster: Cluster, clock: FakeClock
) -> None:
    beat_for(owners, clock, 3 * limits.POD_TTL_S)
    cluster.answers["host:1"] = silent
    assert not owners.lost("pod.1")
    clock.at_s += 1
    owners.store_answered()
    cluster.beating.clear()
    assert owners.lost("pod.1")


def test_a_pod_that_wakes_up_is_trusted_again(
    owners: Owners, cluster: Cluster, clock: FakeClock
) -> None:
    beat_for(owners, clock, 3 * limits.POD_TTL_S)
    cluster.answers["host:1"] = silent
    cluster.beating.clear()
    assert owners.lost("pod.1")
    cluster.answers["host:1"] = lambda: "pod.1"
    cluster.beating["pod.1"] = "host:1"
    assert not owners.lost("pod.1")


def test_a_lack_of_heartbeats_is_believed_only_when_the_store_answered_for_long(
    owners: Owners, cluster: Cluster, clock: FakeClock
) -> None:
    cluster.beating.clear()
    assert not owners.lost("pod.1")
    owners.store_answered()
    beat_for(owners, clock, 2 * limits.POD_TTL_S - limits.POD_HEARTBEAT_S)
    assert not owners.lost("pod.1")
    beat_for(owners, clock, limits.POD_HEARTBEAT_S)
    assert owners.lost("pod.1")


def test_a_gap_of_the_store_begins_all_judging_anew(owners: Owners, clock: FakeClock) -> None:
    owners.store_answered()
    beat_for(owners, clock, 2 * limits.POD_TTL_S)
    assert owners.may_judge()
    owners.store_silent()
    owners.store_answered()
    assert not owners.may_judge()
    beat_for(owners, clock, 2 * limits.POD_TTL_S)
    assert owners.may_judge()
    # A pause in which nothing failed, because a call simply took so long, is a gap too.
    clock.at_s += limits.POD_TTL_S + 0.1
    assert not owners.may_judge()
    owners.store_answered()
    assert not owners.may_judge()


def test_a_thousand_questions_at_once_are_one_question(
    owners: Owners, cluster: Cluster, clock: FakeClock
) -> None:
    for _ in range(1_000):
        assert not owners.lost("pod.1")
    assert cluster.asked == 1
    clock.at_s += 1
    assert not owners.lost("pod.1")
    assert cluster.asked == 2


def slowly(clock: FakeClock) -> Callable[[], str]:
    """Return what a pod does that takes the question and never answers it."""

    def answer() -> str:
        clock.at_s += 0.3
        raise PeerSilent

    return answer


def test_one_question_to_a_silent_pod_answers_all_who_read_its_turns(
    owners: Owners, cluster: Cluster, clock: FakeClock
) -> None:
    beat_for(owners, clock, 3 * limits.POD_TTL_S)
    cluster.answers["host:1"] = slowly(clock)
    assert not any(owners.lost("pod.1") for _ in range(100))
    assert cluster.asked == 1


def test_a_frozen_pod_is_not_asked_for_each_of_its_turns(
    owners: Owners, cluster: Cluster, clock: FakeClock
) -> None:
    owners.learn(cluster.pods())
    beat_for(owners, clock, 3 * limits.POD_TTL_S)
    cluster.answers["host:1"] = slowly(clock)
    cluster.beating.clear()
    assert all(owners.lost("pod.1", waited_for=turn % 2 == 0) for turn in range(100))
    assert cluster.asked == 1


def test_a_pod_that_was_silent_and_dies_is_found_dead_by_who_waits(
    owners: Owners, cluster: Cluster, clock: FakeClock
) -> None:
    beat_for(owners, clock, 3 * limits.POD_TTL_S)
    cluster.answers["host:1"] = slowly(clock)
    assert not owners.lost("pod.1")
    cluster.answers["host:1"] = refused
    clock.at_s += 0.2
    assert owners.lost("pod.1")
