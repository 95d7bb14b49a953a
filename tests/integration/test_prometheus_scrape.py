"""A real Prometheus scrapes a whole cluster: every query of dashboards and alerts has data."""

import math
import re
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from kotaemon_node.local import control
from tests.cluster import Cluster
from tests.fakes.llm_server import FakeLlmServer
from tests.fakes.tool_server import ToolServer
from tests.prometheus_queries import RULES, alerts, panel_queries
from tests.prometheus_server import Prometheus, shipped

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

# What is asked of the last minutes or hours is asked here of the seconds that the test lasts.
RANGE, OFFSET = "[20s]", "offset 5s"
PATIENCE_S = 240.0
PROBES = """probes:
  - question: How long may I return the Aurora lamp?
    documents: [returns.md]
"""
QUESTION = 'How long may I return the lamp? call:read_act{"order": "A1"}'
# No series while all is well, and nobody can say beforehand how many there will be.
ONLY_IN_TROUBLE = {'kotaemon_probe_recall{generation="held"}'}


def quick(expr: str) -> str:
    """Return a query whose ranges fit into the test."""
    expr = re.sub(r"\[\d+[smhd]:\d+[smhd]\]", "[20s:2s]", expr)
    return re.sub(r"offset \d+[smhd]", OFFSET, re.sub(r"\[\d+[smhd]\]", RANGE, expr))


def operands(expr: str) -> list[str]:
    """Return what an alert compares, without the comparisons: those hold in trouble only."""
    parts = [part.strip() for part in re.split(r"\s(?:or|and)\s", expr)]
    asked = [re.sub(r"^absent\((.*)\)$", r"\1", part) for part in parts]
    return [re.sub(r"\s(?:==|>|<)\s[\d.]+$", "", part) for part in asked]


def labelled(cluster: Cluster) -> list[tuple[str, str, str]]:
    """Return job, pod and address of each target."""
    rows = {row["name"]: row["port"] for row in cluster.ps()}
    described = control.running_cluster(cluster.folder)
    workers = [("kotaemon-worker", name, rows[name]) for name in cluster.workers()]
    others = [
        ("kotaemon-coordinator", "coordinator", rows["coordinator"]),
        ("kotaemon-haproxy", "haproxy", described.balancer_metrics_port),
    ]
    return [(job, name, f"127.0.0.1:{port}") for job, name, port in (*workers, *others)]


def configuration(cluster: Cluster, folder: Path) -> dict[str, Any]:
    """Return the shipped configuration with the addresses of this cluster, in a hurry."""
    groups = yaml.safe_load(RULES.read_text())
    for group in groups["groups"]:
        for rule in group["rules"]:
            rule["expr"] = quick(rule["expr"])
            rule.pop("for", None)
    rules = folder / "rules.yaml"
    rules.write_text(yaml.safe_dump(groups))
    config = shipped()
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(rules)]
    config["scrape_configs"] = [
        {
            "job_name": job["job_name"],
            "static_configs": [
                {"targets": [address], "labels": {"namespace": "here", "pod": name}}
                for of, name, address in labelled(cluster)
                if of == job["job_name"]
            ],
        }
        for job in config["scrape_configs"]
        if job["job_name"].startswith("kotaemon-")
    ]
    return config


class Load:
    """Asks questions, changes a document, and comes back to a session that rested."""

    def __init__(self, cluster: Cluster, knowledge: Path) -> None:
        self._cluster = cluster
        self._knowledge = knowledge
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._again, args=(work,), daemon=True)
            for work in (self._ask, self._ask, self._change, self._come_back)
        ]
        self.asked = 0

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(60)

    def _again(self, work: Any) -> None:
        number = 0
        while not self._over.is_set():
            number += 1
            try:
                work(number)
            except requests.RequestException:
                self._over.wait(0.2)  # while a pod is stopped

    def _turn(self, session: str, **body: str) -> None:
        address = f"{self._cluster.url}/v1/sessions/{session}/turns"
        requests.post(address, json={"message": QUESTION, **body}, timeout=60)
        self.asked += 1

    def _ask(self, number: int) -> None:
        self._turn(f"s-{threading.get_ident()}-{number // 5}")

    def _change(self, number: int) -> None:
        text = f"# News\n\nToday is day {number}.\n"
        (self._knowledge / "news.md").write_text(text, "utf-8")
        self._over.wait(3.0)

    def _come_back(self, _: int) -> None:
        self._turn("rested")
        self._over.wait(6.0)


@pytest.fixture(scope="module")
def knowledge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("knowledge")
    returns = "# Returns\n\nThe Aurora lamp may be returned within 30 days.\n"
    (folder / "returns.md").write_text(returns, "utf-8")
    (folder / ".probes.yaml").write_text(PROBES, "utf-8")
    return folder


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, knowledge: Path) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("scraped")
    with ExitStack() as stack:
        model = stack.enter_context(FakeLlmServer(tokens_min=30))
        model.behaviour.token_ms = 2
        tools = stack.enter_context(ToolServer())
        file = folder / "tools.yaml"
        file.write_text(yaml.safe_dump(tools.described(read_act="read")), "utf-8")
        settings = {
            "LLM_BASE_URL": model.base_url,
            "TOOLS_FILE": str(file),
            "ARCHIVE_AFTER_S": "2",
        }
        running = Cluster(folder / "data", knowledge=knowledge, workers=2, environment=settings)
        yield stack.enter_context(running)


@pytest.fixture
def scraping(cluster: Cluster, tmp_path: Path) -> Iterator[Prometheus]:
    cluster.wait_ready()
    with Prometheus(tmp_path / "prometheus", configuration(cluster, tmp_path)) as running:
        yield running


def lacking(prometheus: Prometheus, queries: set[str]) -> set[str]:
    """Return the queries that give no number now."""
    return {
        expr
        for expr in queries
        if not any(not math.isnan(value) for value in prometheus.values(expr))
    }


def everything() -> set[str]:
    panels = {quick(asked.expr) for asked in panel_queries()}
    compared = {quick(part) for rule in alerts() for part in operands(rule["expr"])}
    return {
        expr
        for expr in panels | compared
        if not any(name.split("{")[0] in expr and name.split("{")[1][:-1] in expr
                   for name in ONLY_IN_TROUBLE)
    }  # fmt: skip


def test_under_load_every_query_of_dashboards_and_alerts_has_data(
    cluster: Cluster, knowledge: Path, scraping: Prometheus
) -> None:
    queries = everything()
    assert len(queries) > 150
    missing = queries
    deadline_s = time.monotonic() + PATIENCE_S
    with Load(cluster, knowledge):
        while missing and time.monotonic() < deadline_s:
            time.sleep(1)
            missing = lacking(scraping, missing)

    assert not missing, "\n".join(sorted(missing))


def test_a_pod_that_is_stopped_is_told_in_words(
    cluster: Cluster, knowledge: Path, scraping: Prometheus
) -> None:
    def firing() -> dict[str, dict[str, str]]:
        return {
            alert["labels"]["alertname"]: alert["annotations"]
            for alert in scraping.alerts()
            if alert["state"] == "firing"
        }

    cluster.wait_until(lambda: len(scraping.values("up == 1")) == 4, what="all are scraped")
    assert "KotaemonTargetDown" not in firing()
    assert cluster.command("stop", "worker-1").returncode == 0
    try:
        cluster.wait_until(lambda: "KotaemonTargetDown" in firing(), what="the alert fires")
        told = firing()["KotaemonTargetDown"]
    finally:
        assert cluster.command("start", "worker-1").returncode == 0

    assert told["summary"] == "worker-1 does not answer Prometheus"
    assert "kotaemon-worker at 127.0.0.1:" in told["description"]
    cluster.wait_until(lambda: "KotaemonTargetDown" not in firing(), what="the alert is over")


def test_targets_of_compose_get_the_labels_that_rules_and_dashboards_ask_for(
    tmp_path: Path,
) -> None:
    config = shipped()
    config["rule_files"] = [str(RULES)]
    config["global"] = {"scrape_interval": "1h"}  # nobody is there: only what they are called

    with Prometheus(tmp_path, config) as prometheus:
        deadline_s = time.monotonic() + 60
        while not (found := prometheus.targets()) and time.monotonic() < deadline_s:
            time.sleep(0.1)

    named = {
        (target["labels"]["job"], target["labels"].get("namespace"), target["labels"].get("pod"))
        for target in found
    }
    assert ("kotaemon-worker", "compose", "worker-0") in named
    assert ("kotaemon-coordinator", "compose", "coordinator-1") in named
    assert ("kotaemon-haproxy", "compose", "haproxy") in named
