"""What the chart makes where a cluster is not like most: its addresses, users, drains and names."""

from typing import Any, Final

import pytest
import yaml
from gunicorn.util import parse_address

from kotaemon_node.settings import Settings
from tests.helm_chart import EXAMPLES, ROOT, F, environment, files_of, kinds, one, pods, rendered

ALL_ON: Final = next(path for path in EXAMPLES if path.name == "all-values.yaml")
NAME_OF_CRON_JOB_MAX: Final = 52


def told(part: str, *sets: str) -> dict[str, Any]:
    """Return the environment of a part's main container."""
    spec = dict(pods(rendered(sets=sets)))[f"StatefulSet {F}-{part}"]
    return dict(environment(spec["containers"][0]))


def test_all_listen_where_pods_have_addresses_of_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    address = told("worker", "ipv6=true")["POD_ADDRESS"].replace("$(POD_IP)", "fd00::5")
    monkeypatch.setenv("POD_ADDRESS", address)
    text = files_of(rendered(sets=("ipv6=true",)), f"{F}-haproxy")["haproxy.cfg"]
    usual = files_of(rendered(), f"{F}-haproxy")["haproxy.cfg"]

    assert parse_address(address) == ("fd00::5", 8000)
    assert Settings().pod_host == "fd00::5"
    assert told("coordinator", "ipv6=true")["COORDINATOR_HOST"] == "::"
    assert told("coordinator")["COORDINATOR_HOST"] == "0.0.0.0"
    for port in (8080, 8405):
        assert f"    bind [::]:{port}\n" in text
        assert f"    bind :{port}\n" in usual


def test_a_cluster_that_chooses_users_may() -> None:
    for name, spec in pods(rendered(ALL_ON, sets=("user=0",))):
        assert {"runAsUser", "runAsGroup", "fsGroup"}.isdisjoint(spec["securityContext"]), name
        assert spec["securityContext"]["runAsNonRoot"] is True, name
    for name, spec in pods(rendered(ALL_ON)):
        assert spec["securityContext"]["runAsUser"] == 10001, name


def test_coordinators_that_share_a_node_let_it_be_drained() -> None:
    spread = rendered(sets=('coordinator.volume.accessMode="ReadWriteMany"',))

    assert f"{F}-coordinator" not in kinds(rendered(), "PodDisruptionBudget")
    assert f"{F}-coordinator" in kinds(spread, "PodDisruptionBudget")


def test_the_longest_name_of_a_release_fits() -> None:
    objects = rendered(ALL_ON, sets=(f'fullnameOverride="{"n" * 60}"',))

    names = kinds(objects, "CronJob")
    assert len(names) == len(set(names)) == 2
    assert max(map(len, names)) <= NAME_OF_CRON_JOB_MAX


@pytest.mark.parametrize("mode", ["cpu", "keda"])
def test_what_is_given_of_the_pace_goes_before(mode: str) -> None:
    down = '{"scaleDown":{"stabilizationWindowSeconds":60}}'
    given = f'{{"mode":"{mode}","prometheus":"http://prometheus:9090","behavior":{down}}}'
    kind = "ScaledObject" if mode == "keda" else "HorizontalPodAutoscaler"
    spec = one(rendered(sets=(f"autoscaling={given}",)), kind, f"{F}-worker")["spec"]
    if mode == "keda":
        spec = spec["advanced"]["horizontalPodAutoscalerConfig"]

    behavior = spec["behavior"]
    assert behavior["scaleDown"] == {
        "stabilizationWindowSeconds": 60,
        "policies": [{"type": "Pods", "value": 1, "periodSeconds": 120}],
    }
    assert len(behavior["scaleUp"]["policies"]) == 2


def test_the_run_on_a_cluster_is_quick_to_scale_down() -> None:
    given = ROOT / "load" / "e2e_k8s" / "values.yaml"
    (pace,) = [
        it["spec"]["behavior"] for it in rendered(given) if it["kind"] == "HorizontalPodAutoscaler"
    ]

    assert pace["scaleDown"]["stabilizationWindowSeconds"] < 300
    assert (
        pace["scaleDown"]["policies"]
        == yaml.safe_load(given.read_text("utf-8"))["autoscaling"]["behavior"]["scaleDown"][
            "policies"
        ]
    )
