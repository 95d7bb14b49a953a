"""``kotaemon chaos`` as a user runs it: on a cluster that runs already, judged by its exit code."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from kotaemon_node.proof import check, from_line
from tests.cluster import Cluster
from tests.fakes.llm_server import FakeLlmServer


@pytest.fixture(scope="module")
def talking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Run a cluster with a model that takes its time, so that kills meet turns."""
    with FakeLlmServer() as model:
        behaviour = model.behaviour
        behaviour.first_ms, behaviour.token_ms, behaviour.tokens_min = 30, 20, 60
        environment = {"LLM_BASE_URL": model.base_url, "LLM_CONTINUE": "vllm"}
        data = tmp_path_factory.mktemp("chaos") / "data"
        with Cluster(data, workers=2, environment=environment) as running:
            yield running


def _chaos(cluster: Cluster, *arguments: str) -> tuple[int, str, str]:
    done = cluster.command("chaos", *arguments, timeout_s=200)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.timeout(300)
@pytest.mark.long
def test_a_running_cluster_is_disturbed_judged_and_left_as_it_was(
    talking: Cluster, tmp_path: Path
) -> None:
    report, log = tmp_path / "report.json", tmp_path / "log.jsonl"
    arguments = ["--seconds", "10", "--writers", "4", "--seed", "1", "--faults", "kill_worker"]

    status, printed, told = _chaos(talking, *arguments, "--out", str(report), "--log", str(log))

    assert status == 0, printed + told
    assert "No promise was broken." in printed
    assert "kill worker: kills 1" in told
    found = json.loads(report.read_text("utf-8"))
    assert found["kills"]["turns_hit"] >= 1
    assert found["seed"] == 1
    # The log is one that anybody can judge again.
    facts = [from_line(line) for line in log.read_text("utf-8").splitlines()]
    assert facts
    assert check(facts) == []
    talking.wait_ready()
    listed = requests.get(f"{talking.url}/v1/sessions", timeout=10).json()["sessions"]
    assert [one for one in listed if one["session_id"].startswith("chaos-")] == []


def test_where_no_kill_meets_a_turn_nothing_is_shown(talking: Cluster, tmp_path: Path) -> None:
    report = tmp_path / "report.md"
    arguments = ["--seconds", "5", "--writers", "1", "--faults", "reload_balancer"]

    status, printed, told = _chaos(talking, *arguments, "--out", str(report))

    assert status == 1
    assert "No strike met a running turn" in told
    assert report.read_text("utf-8").strip() == printed.strip()
    assert "a reload cuts no stream and refuses no request | 0 cut, 0 refused | met" in printed


def test_an_unknown_fault_is_refused_with_those_that_there_are(talking: Cluster) -> None:
    status, printed, told = _chaos(talking, "--faults", "kill_worker,flood_the_cellar")

    assert status == 2
    assert printed == ""
    assert "There is no fault flood_the_cellar; there are kill_worker, " in told


def test_without_a_cluster_it_says_how_to_get_one(tmp_path: Path) -> None:
    status, _, told = _chaos(Cluster(tmp_path / "data"))

    assert status == 2
    assert "`kotaemon up`" in told
