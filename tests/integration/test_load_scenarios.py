"""The scenarios of load and the soak against a whole cluster: what they ask is answered right."""

import csv
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from load.scenarios import orders
from load.soak.plan import Plan
from load.soak.run import soak
from tests.cluster import Cluster

ROOT = Path(__file__).resolve().parents[2]
CUSTOMERS = 30
pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Run the sample shop on two workers, with customers that have orders to cancel."""
    data = tmp_path_factory.mktemp("scenarios") / "data"
    orders.write(data / "orders", CUSTOMERS, now_s=1_800_000_000.0)
    with Cluster(data, workers=2, plugins="sample") as cluster:
        yield cluster


def locust(
    cluster: Cluster, folder: Path, *arguments: str
) -> tuple["subprocess.CompletedProcess[str]", dict[str, tuple[int, int]]]:
    """Run the scenarios; return also what was done to how often, and how often it failed."""
    done = subprocess.run(
        [
            sys.executable, "-m", "locust", "-f", "load/scenarios/locustfile.py",
            "--host", cluster.url, "--headless", "--think", "0.2", "--csv", str(folder / "seen"),
            "--customers", str(CUSTOMERS), "--stop-timeout", "60", *arguments,
        ],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip
    file = folder / "seen_stats.csv"
    rows = list(csv.DictReader(file.read_text("utf-8").splitlines())) if file.exists() else []
    return done, {
        f"{row['Type']}: {row['Name']}": (int(row["Request Count"]), int(row["Failure Count"]))
        for row in rows
        if row["Name"] != "Aggregated"
    }


def test_every_scenario_is_answered_right(shop: Cluster, tmp_path: Path) -> None:
    pods = ",".join(f"http://127.0.0.1:{port}" for port in shop.worker_ports())
    asked = ("Browse", "Order", "Cancel", "Reconnect", "Minutely")
    done, seen = locust(
        shop, tmp_path, "--users", "10", "--spawn-rate", "10", "--run-time", "45s",
        "--pods", pods, *asked,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert sum(failed for _, failed in seen.values()) == 0
    for what in (
        "browse: answer", "browse: first text", "browse: read back", "order: answer",
        "cancel: answer", "cancel: read back", "reconnect: up to the cut", "reconnect: the rest",
        "reconnect: went on at another pod", "connected: the stream opens", "connected: answer",
        "connected: told by the session's stream",
    ):  # fmt: skip
        assert seen.get(what, (0, 0))[0] > 0, (what, seen)


def test_a_wrong_answer_is_a_failure_though_its_status_is_right(
    shop: Cluster, tmp_path: Path
) -> None:
    talks = tmp_path / "mine.yaml"
    talks.write_text(
        'browse:\n- - {ask: "How long is the warranty of lamps?", says: "for ever"}\n', "utf-8"
    )
    done, seen = locust(
        shop, tmp_path, "--users", "2", "--run-time", "10s", "--talks", str(talks), "Browse"
    )

    assert done.returncode == 1
    answered, failed = seen["browse: answer"]
    assert answered == failed > 0
    assert "does not say 'for ever'" in done.stdout + done.stderr


def test_what_cannot_be_used_is_refused_before_anybody_is_asked(
    shop: Cluster, tmp_path: Path
) -> None:
    questions = tmp_path / "mine.txt"
    questions.write_text("How long is the warranty of lamps?\n", "utf-8")
    done, seen = locust(shop, tmp_path, "--talks", str(questions), "--run-time", "5s", "Cancel")
    assert (done.returncode, seen) == (2, {})
    assert "no talks for cancel" in done.stderr
    done, seen = locust(shop, tmp_path, "--customers", "601", "--run-time", "5s", "Browse")
    assert (done.returncode, seen) == (2, {})
    assert "--customers is 0 to 600" in done.stderr


def test_a_short_soak_is_right_and_tells_what_it_took() -> None:
    plan = Plan(
        port=0, users=30, seconds=40.0, every_s=10.0, documents=12, known=20, row_s=5.0,
        cuts_per_hour=180.0, turns=2,
    )  # fmt: skip
    results, looks = soak(plan, workers=2, look_s=2.0, tell=print)

    users = results["users"]
    assert users["errors"] == {}
    assert users["asked"] == users["answered"] == users["told"] > 30
    assert users["cuts"] > 0
    assert users["sessions"] > plan.users
    assert users["reconnects"] >= users["cuts"] // 2
    assert not results["long_enough_for_growth"]
    assert {"haproxy", "redis", "coordinator", "worker-0", "worker-1", "supervisord"} <= set(
        results["processes"]
    )
    assert results["processes"]["haproxy"]["files"]["most"] >= 60
    assert sum(results["answer_cache"].values()) >= users["asked"]
    assert len(looks) > 5
