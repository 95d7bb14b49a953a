"""A library for each tenant: opened when it is asked for, released when nobody uses it."""

from pathlib import Path

import pytest

from kotaemon_node.adapters.faiss import FaissSegmentFormat
from kotaemon_node.adapters.system.tasks import ThreadTasks
from kotaemon_node.domain.errors import NotFound, Unavailable
from kotaemon_node.retrieval.library import KnowledgeLibrary
from kotaemon_node.retrieval.tenants import MakeRoom, TenantLibraries
from tests.fakes.encoder import HashingEncoder
from tests.fakes.signing import VERIFIER
from tests.unit.test_coordinator_tenants import Coordinator, World, order, upload

QUESTION = "What does it cost?"


class Fits:
    """Memory for so many generations besides ``default``'s."""

    def __init__(self) -> None:
        self.least = 0
        self.libraries: TenantLibraries | None = None

    def available_bytes(self) -> int | None:
        if self.libraries is None or not self.least:
            return None
        open_now = sum(bool(kbs) for kbs in self.libraries.served().values())
        return 0 if open_now >= self.least else 1 << 40


class PodKnowledge:
    """The libraries of one pod of a world."""

    def __init__(self, world: World, *, open_max: int = 10) -> None:
        self.world = world
        self.made: list[str] = []
        self.memory = Fits()
        self.open = 0
        self.tasks = ThreadTasks(native_threads=1)
        self.libraries = TenantLibraries(
            self._make, open_max=open_max, tasks=self.tasks, count_open=self._count
        )
        self.memory.libraries = self.libraries

    def _count(self, count: int) -> None:
        self.open = count

    def _make(self, tenant: str, *, make_room: MakeRoom) -> KnowledgeLibrary:
        self.made.append(tenant)
        return KnowledgeLibrary(
            store=self.world.store,
            segment_format=FaissSegmentFormat(),
            verifier=VERIFIER,
            pointer=self.world.pointer,
            encoder_for=lambda _: HashingEncoder(),
            tasks=self.tasks,
            clock=self.world.clock,
            tenant=tenant,
            memory=self.memory,
            make_room=make_room,
            may_be_empty=tenant != "default",
        )

    def found(self, tenant: str, question: str = QUESTION, **more: int) -> list[str]:
        hits = self.libraries.of(tenant).search("default", question, top_k=20, **more).hits
        return [hit.passage.text for hit in hits]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def coordinator(world: World) -> Coordinator:
    for number, tenant in enumerate(("acme", "other", "third")):
        upload(world, tenant, "price.md", f"It costs {number}.")
    coordinator = Coordinator(world)
    coordinator.settle()
    return coordinator


@pytest.fixture
def pod(world: World, coordinator: Coordinator) -> PodKnowledge:
    return PodKnowledge(world)


def test_each_tenant_finds_its_own_and_nothing_else(pod: PodKnowledge) -> None:
    assert pod.found("acme") == ["It costs 0."]
    assert pod.found("other") == ["It costs 1."]


def test_nothing_is_opened_before_it_is_asked_for(pod: PodKnowledge) -> None:
    pod.libraries.reconcile()
    assert pod.made == ["default"]
    pod.found("acme")
    assert pod.made == ["default", "acme"]
    assert pod.open == 1


def test_a_tenant_without_knowledge_is_told_so_at_once(pod: PodKnowledge) -> None:
    with pytest.raises(NotFound):
        pod.found("nobody")


def test_a_tenants_newer_generation_is_come_to_by_its_event(
    world: World, coordinator: Coordinator, pod: PodKnowledge
) -> None:
    pod.found("acme")
    upload(world, "acme", "price.md", "It costs 7.", job="again")
    coordinator.settle()
    pod.libraries.wake("acme", "default", 2)
    assert pod.found("acme", min_generation=2) == ["It costs 7."]
    order(world, "acme", "rollback", "back", generation=1)
    coordinator.settle()
    assert pod.found("acme", min_generation=3) == ["It costs 0."]
    assert pod.found("other") == ["It costs 1."]


def test_a_missed_event_costs_time_alone(
    world: World, coordinator: Coordinator, pod: PodKnowledge
) -> None:
    pod.found("acme")
    upload(world, "acme", "price.md", "It costs 7.", job="again")
    coordinator.settle()
    pod.libraries.reconcile()
    assert pod.found("acme") == ["It costs 7."]


def test_the_one_asked_longest_ago_makes_room(world: World, coordinator: Coordinator) -> None:
    pod = PodKnowledge(world, open_max=2)
    for tenant in ("acme", "other", "acme", "third"):
        pod.found(tenant)
    assert set(pod.libraries.served()) == {"acme", "third"}
    assert pod.found("other") == ["It costs 1."]
    assert pod.open == 2


def test_who_is_lent_is_not_released(world: World, coordinator: Coordinator) -> None:
    pod = PodKnowledge(world, open_max=1)
    with pod.libraries.of("acme").pinned("default") as pinned:
        pod.found("other")
        pod.found("third")
        assert [hit.passage.text for hit in pinned.search(QUESTION, top_k=3).hits] == [
            "It costs 0."
        ]
    pod.found("third")
    assert set(pod.libraries.served()) == {"third"}


def test_who_needs_memory_gets_what_nobody_uses(world: World, coordinator: Coordinator) -> None:
    pod = PodKnowledge(world)
    pod.memory.least = 1
    assert pod.found("acme") == ["It costs 0."]
    assert pod.found("other") == ["It costs 1."]
    assert set(pod.libraries.served()) == {"other"}


def test_without_memory_the_tenant_is_told_and_no_other(
    world: World, coordinator: Coordinator
) -> None:
    pod = PodKnowledge(world)
    pod.memory.least = 1
    with pod.libraries.of("acme").pinned("default"):
        with pytest.raises(Unavailable, match="memory"):
            pod.found("other")
        assert pod.found("acme") == ["It costs 0."]


def test_what_a_closed_library_still_loads_is_let_go(
    world: World, coordinator: Coordinator, pod: PodKnowledge
) -> None:
    with pod.libraries.lent("acme") as library:
        pass
    assert pod.libraries.release_one()
    library.reconcile()
    assert not library.served()


def test_the_memory_of_a_lost_pointer_is_the_store(world: World, pod: PodKnowledge) -> None:
    world.pointer.away = True
    assert pod.found("acme") == ["It costs 0."]
