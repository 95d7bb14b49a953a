"""What a pod asks of others and of the store does not grow with how many pods there are."""

import random
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from kotaemon_node.domain import limits
from kotaemon_node.domain.session import SessionKey, TurnKey
from kotaemon_node.engine.owners import Owners
from kotaemon_node.engine.pod import Identity, Pod
from kotaemon_node.engine.recovery import Recovery
from kotaemon_node.ports.knowledge import PodReport
from kotaemon_node.ports.peers import PeerRefused
from kotaemon_node.ports.sessions import Orphan
from kotaemon_node.telemetry.metrics import Metrics
from tests.fakes.services import FakeClock


class Crowd:
    """``Presence``, ``Peers`` and the index of many pods, each with one turn; counts questions."""

    def __init__(self, pods: int) -> None:
        self.living = {f"inc-{number}": f"host-{number}" for number in range(pods)}
        self.killed: set[str] = set()
        self.tables_read = self.rows_read = 0
        self.asked: list[str] = []
        self.looked_at: list[Sequence[int]] = []
        self.unsent: list[int] = []
        self.committed: Sequence[int] = ()

    def beat(self, pod: PodReport, *, ttl_s: float) -> None:
        pass

    def leave(self, incarnation: str) -> None:
        del self.living[incarnation]

    def pods(self) -> Sequence[PodReport]:
        self.tables_read += 1
        self.rows_read += len(self.living)
        return [_report(*it) for it in self.living.items()]

    def pod(self, incarnation: str) -> PodReport | None:
        self.rows_read += 1
        address = self.living.get(incarnation)
        return _report(incarnation, address) if address else None

    def incarnation_at(self, address: str) -> str:
        self.asked.append(address)
        if address in self.killed:
            raise PeerRefused(address)
        return address.replace("host", "inc")

    def store_answers_at(self, address: str) -> bool:
        return True

    def orphans(self, *, limit: int, shards: Sequence[int]) -> Sequence[Orphan]:
        self.looked_at.append(shards)
        return [
            Orphan(
                TurnKey(SessionKey("default", f"s{number}"), "t"),
                limits.RUNNING_ENTRY_YOUNG_S + 1,
                "" if number in self.committed else "running",
                owner,
                committed=number in self.committed,
                blocked=False,
            )
            for number, owner in enumerate(self.living)
        ]

    def forget(self, key: TurnKey, *, older_than_s: float) -> None:
        pass


def _report(incarnation: str, address: str) -> PodReport:
    return PodReport(name=incarnation, incarnation=incarnation, address=address, able=True)


class Sweeper:
    """One pod of them."""

    def __init__(self, crowd: Crowd, chance: Callable[[], float] = lambda: 0.0) -> None:
        self._chance = chance
        self.clock = FakeClock()
        self.owners = Owners(
            mine="inc-0",
            presence=crowd,
            peers=crowd,
            clock=self.clock,
        )
        engine: Any = SimpleNamespace(
            executes=lambda key: True, resend=lambda unsent: None, take=self._take
        )
        self.taken: list[str] = []
        self.recovery = Recovery(
            owner="inc-0",
            sessions=crowd,  # type: ignore[arg-type]
            owners=self.owners,
            engine=engine,
            draining=lambda: False,
            count_unsent=crowd.unsent.append,
        )
        self.owners.learn(crowd.pods())

    def _take(self, key: TurnKey, *, from_owner: str) -> bool:
        self.taken.append(from_owner)
        return True

    def sweep(self, times: int = 1) -> None:
        for _ in range(times):
            self.clock.at_s += limits.SWEEP_S
            self.recovery.sweep(chance=self._chance)


def test_a_sweep_reads_one_row_for_each_owner_that_it_meets() -> None:
    crowd = Crowd(100)
    sweeper = Sweeper(crowd)
    crowd.tables_read = crowd.rows_read = 0
    sweeper.sweep()
    assert (crowd.tables_read, crowd.rows_read) == (0, 99)


def test_a_few_pods_ask_each_other_in_each_sweep() -> None:
    crowd = Crowd(3)
    Sweeper(crowd).sweep(4)
    assert len(crowd.asked) == 4 * 2


def test_many_pods_are_asked_a_few_a_second_and_each_in_its_turn() -> None:
    crowd = Crowd(81)
    sweeper = Sweeper(crowd)
    sweeper.sweep(30)
    assert {crowd.asked.count(address) for address in set(crowd.asked)} == {3}
    assert len(crowd.asked) <= 30 * limits.SWEEP_ASKS_PER_S + 80


def test_whom_somebody_waits_for_is_asked_however_many_pods_there_are() -> None:
    crowd = Crowd(1_000)
    sweeper = Sweeper(crowd)
    assert not sweeper.owners.lost("inc-7")
    sweeper.clock.at_s += 1
    crowd.killed.add("host-7")
    assert not sweeper.owners.lost("inc-7", waited_for=False)  # asked a moment ago, and beats
    assert sweeper.owners.lost("inc-7")


def test_a_pod_without_a_heartbeat_is_asked_at_once() -> None:
    crowd = Crowd(1_000)
    sweeper = Sweeper(crowd)
    sweeper.sweep()
    sweeper.taken.clear()
    del crowd.living["inc-7"]
    crowd.killed.add("host-7")
    sweeper.clock.at_s += 1
    assert sweeper.owners.lost("inc-7", waited_for=False)


@pytest.mark.parametrize(("pods", "share"), [(1, 1.0), (8, 1.0), (80, 0.1), (1_000, 0.008)])
def test_all_pods_together_look_at_each_part_as_often(pods: int, share: float) -> None:
    crowd = Crowd(pods)
    sweeper = Sweeper(crowd, random.Random(13).random)
    crowd.living = {}
    sweeps = round(400 / share)
    sweeper.sweep(sweeps)
    looks = [shard for shards in crowd.looked_at for shard in shards]
    for shard in range(limits.RUNNING_SHARDS):
        assert looks.count(shard) == pytest.approx(400, rel=0.2)


def test_a_sweep_that_looks_at_nothing_asks_nothing() -> None:
    crowd = Crowd(100)
    sweeper = Sweeper(crowd, chance=lambda: 0.99)
    sweeper.sweep()
    assert crowd.looked_at == []
    assert crowd.unsent == []


def test_what_a_sweep_tells_of_the_cluster_counts_for_all_parts() -> None:
    crowd = Crowd(16)
    crowd.committed = (0, 1, 2)
    chances = iter([0.0, 0.9] * 8)
    Sweeper(crowd, chance=lambda: next(chances)).sweep()
    assert [len(shards) for shards in crowd.looked_at] == [8]
    assert crowd.unsent == [6]


@pytest.mark.parametrize(("pods", "looks"), [(3, 10), (100, 10), (1_000, 1)])
def test_what_all_pods_say_is_read_the_more_rarely_the_more_they_are(pods: int, looks: int) -> None:
    crowd = Crowd(pods)
    clock = FakeClock()
    pod = Pod(
        Identity("pod-0", "inc-0", "host-0", 1, "0"),
        served=dict,
        loaded=lambda: True,
        refused=dict,
        presence=crowd,
        peers=crowd,
        clock=clock,
        metrics=Metrics(),
    )
    owners = Owners(mine="inc-0", presence=crowd, peers=crowd, clock=clock)
    duration_s = 10 * limits.BEHIND_LOOK_S
    for _ in range(round(duration_s / limits.POD_HEARTBEAT_S)):
        pod.beat(owners)
        clock.at_s += limits.POD_HEARTBEAT_S
    assert crowd.tables_read == looks
    assert crowd.rows_read <= duration_s * limits.PODS_READ_PER_S + pods
