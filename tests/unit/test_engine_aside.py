"""When a pod that could answer takes no work: behind others, or alone cut off from the store."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import StoreUnavailable
from kotaemon_node.domain.knowledge import GenerationRef
from kotaemon_node.engine.aside import Aside, may_stand_aside
from kotaemon_node.engine.owners import Owners
from kotaemon_node.engine.pod import Identity, Pod
from kotaemon_node.ports.knowledge import PodReport
from kotaemon_node.ports.peers import PeerRefused
from kotaemon_node.telemetry.metrics import Metrics
from tests.fakes.knowledge_ports import HandClock


def row(name: str, generation: int, *, able: bool = True, ready: bool | None = None) -> PodReport:
    return PodReport(
        name=name,
        incarnation=f"inc-{name}",
        able=able,
        ready=able if ready is None else ready,
        generations={"default": {"generation": generation, "digest": f"d{generation}"}},
    )


@dataclass
class Table:
    """``ports.knowledge.Presence`` that a test fills, and pods write into."""

    rows: dict[str, PodReport] = field(default_factory=dict)
    away: bool = False

    def put(self, *reports: PodReport) -> None:
        for report in reports:
            self.rows[str(report["incarnation"])] = report

    def beat(self, pod: PodReport, *, ttl_s: float) -> None:
        if self.away:
            raise StoreUnavailable("away")
        self.put(pod)

    def leave(self, incarnation: str) -> None:
        del self.rows[incarnation]

    def pods(self) -> Sequence[PodReport]:
        return sorted(self.rows.values(), key=lambda report: str(report["name"]))

    def pod(self, incarnation: str) -> PodReport | None:
        return self.rows.get(incarnation)


class Node:
    """A pod with the generation that a test gives it."""

    def __init__(self, name: str, world: "World", *, generation: int) -> None:
        table, clock, peers = world.table, world.clock, world
        self.generation = generation
        self.cut_off = False
        self.pod = Pod(
            Identity(name, f"inc-{name}", name, 1, "0"),
            served=self.served,
            loaded=lambda: True,
            refused=dict,
            presence=Line(table, self),
            peers=peers,
            clock=clock,
            metrics=Metrics(),
        )
        self.owners = Owners(mine=f"inc-{name}", presence=table, peers=peers, clock=clock)

    def served(self) -> dict[str, GenerationRef]:
        return {"default": GenerationRef("default", self.generation, f"d{self.generation}", "m")}

    @property
    def ready(self) -> bool:
        return not self.pod.unready_reasons()


class Line:
    """The way of one pod to the table, which may be cut."""

    def __init__(self, table: Table, node: Node) -> None:
        self._table = table
        self._node = node

    def beat(self, pod: PodReport, *, ttl_s: float) -> None:
        self._check()
        self._table.beat(pod, ttl_s=ttl_s)

    def leave(self, incarnation: str) -> None:
        self._table.leave(incarnation)

    def pods(self) -> Sequence[PodReport]:
        self._check()
        return self._table.pods()

    def pod(self, incarnation: str) -> PodReport | None:
        self._check()
        return self._table.pod(incarnation)

    def _check(self) -> None:
        if self._node.cut_off:
            raise StoreUnavailable("cut off")


class World:
    """Pods that beat one after the other; ``ports.peers.Peers`` by their names."""

    def __init__(self, *generations: int) -> None:
        self.table, self.clock = Table(), HandClock()
        self.nodes = [
            Node(f"worker-{number}", self, generation=generation)
            for number, generation in enumerate(generations)
        ]

    def live(self, duration_s: float) -> None:
        for _ in range(int(duration_s / limits.POD_HEARTBEAT_S)):
            for node in self.nodes:
                node.pod.beat(node.owners)
            self.clock.sleep(limits.POD_HEARTBEAT_S)

    def incarnation_at(self, address: str) -> str:
        return f"inc-{address}"

    def store_answers_at(self, address: str) -> bool:
        found = [node for node in self.nodes if node.pod.name == address]
        if not found:
            raise PeerRefused(address)
        return bool(found[0].pod.report()["store"])

    @property
    def ready(self) -> list[bool]:
        return [node.ready for node in self.nodes]


def test_a_pod_that_is_behind_goes_on_for_a_while_then_is_aside_until_it_has_caught_up() -> None:
    world = World(1, 2)
    world.live(limits.BEHIND_LEAVES_S - 2)
    assert world.ready == [True, True]
    assert world.nodes[0].pod.report()["behind"] == {"default": 2}
    world.live(6)
    assert world.ready == [False, True]
    assert list(world.nodes[0].pod.unready_reasons()) == [
        "others have served generation 2 of default for 30 s"
    ]
    report = world.nodes[0].pod.report()
    assert (report["ready"], report["able"]) == (False, True)

    world.nodes[0].generation = 2
    assert world.ready == [True, True]  # at once, without a look at the others
    assert world.nodes[0].pod.report()["behind"] == {}
    world.nodes[1].generation = 3
    world.live(limits.BEHIND_LEAVES_S - 4)
    assert world.ready == [True, True]  # it is behind anew, and its time begins anew


@pytest.mark.parametrize(
    ("generations", "ready"),
    [
        ((1,), (True,)),
        ((2, 2, 2), (True, True, True)),
        ((1, 1, 2), (False, True, True)),
        ((1, 2, 1, 2), (False, True, False, True)),
        ((1, 1, 1, 2), (False, False, True, True)),
        ((1, 1, 1, 1, 2), (False, False, True, True, True)),
        ((1, 2, 3, 4), (False, False, True, True)),
    ],
)
def test_never_more_than_half_leave(generations: tuple[int, ...], ready: tuple[bool, ...]) -> None:
    world = World(*generations)
    world.live(3 * limits.BEHIND_LEAVES_S)
    assert tuple(world.ready) == ready


def test_who_cannot_serve_anyhow_counts_as_gone_and_one_who_falls_behind_later_stays() -> None:
    world = World(2, 1, 2, 1)
    world.nodes[3].pod.drain()
    world.live(limits.BEHIND_LEAVES_S + 4)
    assert world.ready == [True, False, True, False]
    world.nodes[2].generation = 3
    world.live(limits.BEHIND_LEAVES_S + 4)
    # worker-0 is behind, too, and before worker-1 by its name; but the place is taken.
    assert world.ready == [True, False, True, False]


def test_nobody_leaves_for_a_generation_that_only_a_leaving_pod_serves() -> None:
    world = World(1, 1, 2)
    world.nodes[2].pod.drain()
    world.live(2 * limits.BEHIND_LEAVES_S)
    assert world.ready == [True, True, False]


def test_without_the_table_pods_are_back_and_their_time_begins_anew() -> None:
    world = World(1, 2)
    world.live(limits.BEHIND_LEAVES_S + 4)
    assert world.ready == [False, True]
    world.table.away = True
    world.live(1)
    assert world.ready == [True, True]
    world.table.away = False
    world.live(limits.BEHIND_LEAVES_S - 2)
    assert world.ready == [True, True]
    world.live(6)
    assert world.ready == [False, True]


def test_when_the_others_die_the_last_one_is_back() -> None:
    world = World(1, 2)
    world.live(limits.BEHIND_LEAVES_S + 4)
    world.table.leave("inc-worker-1")
    del world.nodes[1]
    world.live(limits.BEHIND_LOOK_S + 1)
    assert world.ready == [True]


def test_a_pod_that_alone_has_lost_the_store_leaves_until_it_answers_again() -> None:
    world = World(1, 1, 1)
    world.live(5)
    assert world.nodes[1].pod.report()["store"] is True
    world.nodes[1].cut_off = True
    world.live(limits.POD_TTL_S)
    assert world.ready == [True, True, True]  # a moment may be anything
    world.live(2 * limits.POD_TTL_S)
    assert world.ready == [True, False, True]
    assert world.nodes[1].pod.unready_reasons() == [
        "the session store answers other pods, not this one"
    ]
    assert world.nodes[1].pod.report()["store"] is False
    world.nodes[1].cut_off = False
    world.live(1)
    assert world.ready == [True, True, True]


def test_a_store_that_is_away_for_all_makes_nobody_leave() -> None:
    world = World(1, 1, 1)
    world.live(5)
    world.table.away = True
    world.live(60)
    assert world.ready == [True, True, True]


def test_a_pod_that_nobody_tells_of_the_store_stays() -> None:
    world = World(1, 1)
    world.live(5)
    del world.nodes[0]
    world.nodes[0].cut_off = True
    world.live(60)
    assert world.ready == [True]


def test_a_row_of_an_older_pod_and_an_odd_one_are_understood() -> None:
    table, clock = Table(), HandClock()
    old, odd = row("worker-1", 2), row("worker-2", 2)
    del old["able"]
    odd["generations"] = "?"
    table.put(row("worker-0", 1), old, odd)
    aside = Aside(mine="inc-worker-0", clock=clock)
    for _ in range(2):
        aside.look(table.pods())
        clock.sleep(limits.BEHIND_LEAVES_S)
    assert aside.reason({})


ROWS = st.lists(
    st.tuples(st.integers(0, 3), st.booleans(), st.booleans()), min_size=1, max_size=9
).map(
    lambda rows: [
        row(f"worker-{number}", generation, able=able, ready=able and ready)
        for number, (generation, able, ready) in enumerate(rows)
    ]
)


@given(pods=ROWS)
def test_half_of_the_pods_stay_whatever_the_table_says(pods: list[PodReport]) -> None:
    able = {pod["incarnation"] for pod in pods if pod["able"]}
    leaving = may_stand_aside(pods)
    assert leaving <= able
    assert not leaving or len(able - leaving) >= len(pods) / 2
    newest = max((_generation(pod) for pod in pods if pod["able"]), default=0)
    assert all(_generation(pod) < newest for pod in pods if pod["incarnation"] in leaving)


def _generation(pod: Any) -> int:
    return int(pod["generations"]["default"]["generation"])
