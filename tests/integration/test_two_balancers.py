"""Two balancers that know nothing of each other send a session to the same pod."""

import random
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
import requests

from tests.balanced_pods import wait_until
from tests.named_pods import Asking, NamedPods, NoPod

SESSIONS = [f"user-{number}" for number in range(1_000)]
FEW = SESSIONS[:200]


@pytest.fixture
def pods(tmp_path: Path) -> Iterator[NamedPods]:
    with NamedPods(tmp_path, workers=3) as pods:
        yield pods


def agreed(pods: NamedPods, sessions: list[str]) -> dict[str, str]:
    """Return each session's pod as all balancers see it.

    They are asked until they agree: where checks of a busy machine were late, pods, even all, are
    out for a moment. Balancers that order their pods differently never agree.
    """
    found: list[dict[str, str]] = []

    def same() -> bool:
        try:
            found[:] = [balancer.places(sessions) for balancer in pods.balancers]
        except NoPod:
            return False
        return all(places == found[0] for places in found)

    wait_until(same, what="all balancers send each session to one pod")
    return found[0]


def test_a_replaced_pod_gets_its_own_sessions_back_at_both_balancers(pods: NamedPods) -> None:
    before = agreed(pods, FEW)

    for name in list(pods.addresses):
        pods.replace(name)
    pods.wait_used(pods.addresses)

    wait_until(lambda: agreed(pods, FEW) == before, what="every session is back at its pod")
    assert set(before.values()) == {"worker-0", "worker-1", "worker-2"}


@pytest.mark.parametrize("sessions", [FEW, pytest.param(SESSIONS, marks=pytest.mark.long)])
def test_a_fourth_pod_takes_its_share_at_both_balancers_and_nothing_moves_elsewhere(
    pods: NamedPods, sessions: list[str]
) -> None:
    before = agreed(pods, sessions)
    # An address comes with the pod's start, well before the pod can serve.
    address = pods.publish("worker-3")
    wait_until(
        lambda: all("MAINT" not in status(pods, number, "worker-3") for number in (0, 1)),
        what="both know its address",
    )
    not_yet = agreed(pods, sessions)

    pods.tell(f"start {address} worker-3")
    pods.wait_used(pods.addresses)
    moved: dict[str, str] = {}

    def only_to_the_new_one() -> bool:
        after = agreed(pods, sessions)
        moved.clear()
        moved.update({sid: pod for sid, pod in after.items() if pod != before[sid]})
        return set(moved.values()) == {"worker-3"}

    wait_until(only_to_the_new_one, what="whoever moved, moved to the new pod")
    assert len(moved) <= 0.30 * len(sessions)
    assert not_yet == before
    for balancer in pods.balancers:
        assert balancer.told_of_requests() == []


def status(pods: NamedPods, number: int, name: str) -> str:
    """Return the state of a pod's slot in a balancer's own metrics."""
    port = pods.balancers[number].watching_port
    shown = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
    label = f'haproxy_server_status{{proxy="workers",server="{name}",state="'
    return next(
        line.removeprefix(label).partition('"')[0]
        for line in shown.splitlines()
        if line.startswith(label) and line.endswith(" 1")
    )


def test_who_watches_a_balancer_is_told_how_it_is(pods: NamedPods) -> None:
    balancer = pods.balancers[0]
    assert [balancer.status(path) for path in ("/healthz", "/ready", "/other")] == [200, 200, 404]
    assert requests.get(f"{balancer.url}/metrics", timeout=10).text in pods.addresses

    for name in list(pods.addresses):
        pods.tell(f"kill {pods.addresses[name]}")
    pods.wait_used(())

    # One failed check is not believed yet.
    wait_until(lambda: balancer.status("/ready") == 503, what="no pod is used")
    assert balancer.status("/healthz") == 200


@pytest.mark.long
def test_two_balancers_agree_on_a_thousand_sessions_after_twenty_replacements(
    pods: NamedPods,
) -> None:
    before = agreed(pods, SESSIONS)
    chance = random.Random(20)

    for _ in range(20):
        pods.replace(chance.choice(list(pods.addresses)))
        if chance.random() < 0.5:
            pods.wait_used(pods.addresses)
    pods.wait_used(pods.addresses)

    wait_until(lambda: agreed(pods, SESSIONS) == before, what="every session is back at its pod")


@pytest.mark.long
def test_pods_that_come_at_once_under_load_cost_nobody_a_try(pods: NamedPods) -> None:
    new = [f"worker-{slot}" for slot in range(3, 9)]
    with Asking(pods, FEW, clients=4) as asking:
        for name in new:
            pods.publish(name)
        for name, number in product(new, (0, 1)):
            wait_until(
                lambda name=name, number=number: status(pods, number, name) == "DOWN",  # type: ignore[misc]
                what=f"balancer {number} knows the address of {name}, where nobody listens",
            )
        for name in new:
            pods.tell(f"start {pods.addresses[name]} {name}")
        pods.wait_used(pods.addresses)

    assert asking.failures == []
    assert [balancer.told_of_requests() for balancer in pods.balancers] == [[], []]


@pytest.mark.long
def test_a_name_server_that_is_silent_takes_no_pod_out(pods: NamedPods) -> None:
    before = agreed(pods, FEW)

    pods.tell("silence")
    # Three tries of a second each, and twice that for the other family of addresses.
    time.sleep(15)  # not a wait for a result: the silence is the case

    assert agreed(pods, FEW) == before
    assert all(balancer.used() == set(pods.addresses) for balancer in pods.balancers)
