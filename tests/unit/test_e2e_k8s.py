"""What the run on a cluster makes of what it sees; the cluster itself is not needed for that."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from kotaemon_node.settings import Settings
from load.e2e_k8s import killing, objects
from load.e2e_k8s.__main__ import STEPS
from load.e2e_k8s.kube import StepFailed
from load.e2e_k8s.report import report
from load.e2e_k8s.scene import VALUES
from load.e2e_k8s.talking import check_clean

ROOT = Path(__file__).resolve().parents[2]


def seen(**other: Any) -> dict[str, Any]:
    """What clients told after a clean run."""
    turns = {"outcomes": {"done": 7}, "first_try_reasons": {}, "first_try_errors": 0, "sent": 7}
    clean = {
        "violations": [],
        "reader_problems": [],
        "histories_not_read": [],
        "read_errors": [],
        "turns": turns,
        "readers": {"taken_over": 1, "tried_again": 1},
        "clients": 2,
    }
    return {**clean, **other}


def test_without_a_cluster_it_says_so_and_fails(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-m", "load.e2e_k8s", f"--out={tmp_path / 'out'}"],
        cwd=ROOT,
        env={**os.environ, "PATH": str(tmp_path), "KUBECONFIG": str(tmp_path / "none")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 2
    assert "kubectl" in done.stderr
    assert not (tmp_path / "out.json").exists()


def test_a_question_that_was_answered_is_answered_anew(monkeypatch: pytest.MonkeyPatch):
    for one in yaml.safe_load(VALUES.read_text()).get("extraEnv", []):
        monkeypatch.setenv(one["name"], one["value"])

    # One text from the cache leaves no answer to kill a pod in the middle of.
    assert Settings().answer_cache_ttl_s == 0


def test_clients_that_saw_nothing_wrong_are_clean():
    check_clean(seen(), when="now")


@pytest.mark.parametrize(
    "wrong",
    [
        {"violations": ["acknowledged_is_kept"]},
        {"reader_problems": ["a gap"]},
        {"read_errors": ["503"]},
        {"histories_not_read": ["s"]},
        {"turns": {"outcomes": {"done": 6, "failed internal": 1}, "first_try_reasons": {}}},
        {"turns": {"outcomes": {"done": 7}, "first_try_reasons": {"status 503": 1}}},
        {"turns": {"outcomes": {}, "first_try_reasons": {}}},
    ],
)
def test_anything_that_a_client_would_notice_fails_the_step(wrong: dict[str, Any]):
    with pytest.raises(StepFailed):
        check_clean(seen(**wrong), when="now")


def test_an_answer_that_nobody_took_over_shows_nothing():
    whole = {"state": "done", "problems": [], "text": "a b", "taken_over": 1}

    killing._check(whole, expected="a b")
    for change in ({"taken_over": 0}, {"text": "a"}, {"state": "failed"}, {"problems": ["x"]}):
        with pytest.raises(StepFailed):
            killing._check({**whole, **change}, expected="a b")


def test_pods_of_the_run_are_those_that_the_level_restricted_admits():
    pods = [
        one
        for one in (*objects.client(image="i", secret="s"), *objects.model(image="i"))
        if one["kind"] == "Pod"
    ]

    assert len(pods) == 2
    for pod in pods:
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"]
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in spec["containers"]:
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"]
            assert not security["allowPrivilegeEscalation"]
            assert security["capabilities"] == {"drop": ["ALL"]}


def test_a_report_has_a_row_for_every_step_also_of_those_that_failed():
    found = {
        "commit": "c",
        "machine": "m",
        "cluster": {"kubernetes": "v1", "helm": "v3", "nodes": "1"},
        "image": "i",
        "clients": 2,
        "steps": {name: {"failed": f"{name} | went wrong"} for name in STEPS},
    }
    found["steps"]["upgrade"] = {
        "from": "a", "to": "b", "upgrade_s": 1.0, "rollback_s": 2.0, "under_load": seen()
    }  # fmt: skip

    rows = [line for line in report(found).splitlines() if line.startswith("| ")]

    assert len(rows) == len(STEPS) + 1
    assert sum("**failed**" in row for row in rows) == len(STEPS) - 1
    assert "7 turns by 2 clients, 0 errors" in rows[-1]


def test_scripts_that_run_inside_need_only_what_the_image_has():
    for path in (ROOT / "load" / "e2e_k8s" / "inside").glob("*.py"):
        text = path.read_text("utf-8")
        assert "from load" not in text
        assert "from tests" not in text
    assert json.dumps(objects.namespace("n", enforce="restricted"))
