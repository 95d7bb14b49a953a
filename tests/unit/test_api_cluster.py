"""``/v1/cluster``: who lives, what they serve, whether they agree and since when."""

import pytest

from kotaemon_node.api.convergence import cluster_form
from kotaemon_node.domain.errors import StoreUnavailable
from kotaemon_node.ports.knowledge import PodReport
from tests.fakes.services import FakeCluster, pod_report


def test_pods_that_serve_the_same_agree_since_the_last_of_them_joined() -> None:
    answer = FakeCluster().client().get("/v1/cluster")

    assert answer.status_code == 200
    assert [pod["name"] for pod in answer.json["pods"]] == ["worker-0", "worker-1"]
    assert answer.json["pods"][0]["incarnation"] == "inc-worker-0"
    assert (answer.json["converged"], answer.json["since"]) == (True, 120.0)
    assert answer.json["knowledge"] == [
        {
            "kb": "default",
            "generation": 7,
            "digest": "d7",
            "converged": True,
            "since": 120.0,
            "behind": [],
        }
    ]


def test_a_pod_that_is_behind_is_named_and_the_difference_is_as_old_as_the_first_ahead() -> None:
    cluster = FakeCluster()
    cluster.presence.reports = [
        pod_report("worker-0", generation=8, since=210.0),
        pod_report("worker-1", generation=7, since=120.0),
        pod_report("worker-2", generation=8, since=200.0),
    ]

    answer = cluster.client().get("/v1/cluster").json

    assert (answer["converged"], answer["since"]) == (False, 200.0)
    assert answer["knowledge"][0]["behind"] == ["worker-1"]
    assert answer["knowledge"][0]["generation"] == 8


def test_one_number_with_two_digests_is_no_agreement() -> None:
    other = pod_report("worker-1")
    other["generations"] = {"default": {"generation": 7, "digest": "other", "since": 1.0}}

    form = cluster_form([pod_report("worker-0"), other])

    assert not form.converged


def test_a_knowledge_base_that_one_pod_lacks_is_no_agreement() -> None:
    rich = pod_report("worker-0")
    rich["generations"] = {
        "default": {"generation": 7, "digest": "d7", "since": 100.0},
        "shop": {"generation": 1, "digest": "s1", "since": 300.0},
    }

    form = cluster_form([rich, pod_report("worker-1")])

    assert not form.converged
    assert [(row.kb, row.behind) for row in form.knowledge] == [
        ("default", []),
        ("shop", ["worker-1"]),
    ]
    assert form.since == 300.0


@pytest.mark.parametrize("generations", [None, "x", {"default": None}, {"default": {}}, {}])
def test_a_report_without_sense_is_a_pod_that_serves_nothing(generations: object) -> None:
    strange = PodReport(name="worker-1", generations=generations)

    form = cluster_form([pod_report("worker-0"), strange])

    assert form.knowledge[0].behind == ["worker-1"]


def test_nobody_is_no_agreement_and_nobody_with_knowledge_is_one() -> None:
    empty = PodReport(name="worker-0", generations={})

    assert not cluster_form([]).converged
    assert cluster_form([empty]).converged


def test_a_pod_that_does_not_say_since_when_leaves_it_open() -> None:
    silent = pod_report("worker-1")
    silent["generations"] = {"default": {"generation": 7, "digest": "d7"}}

    form = cluster_form([pod_report("worker-0"), silent])

    assert (form.converged, form.since) == (True, None)


def test_without_the_store_nobody_knows_the_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = FakeCluster()

    def lost() -> list[PodReport]:
        raise StoreUnavailable("Redis does not answer")

    monkeypatch.setattr(cluster.presence, "pods", lost)

    answer = cluster.client().get("/v1/cluster")

    assert (answer.status_code, answer.json["error"]["code"]) == (503, "store_unavailable")
