"""What dashboards and rules ask, and which metrics and labels there are to ask for."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from coordinator.archive_metrics import ARCHIVE_COUNTERS, ARCHIVE_SECONDS
from coordinator.metrics import BUILD_SECONDS, COUNTERS, GAUGES
from kotaemon_node.telemetry.catalogue import CATALOGUE

ROOT = Path(__file__).resolve().parents[1]
RULES = ROOT / "helm" / "kotaemon" / "rules" / "kotaemon.yaml"
DASHBOARDS = ROOT / "helm" / "kotaemon" / "dashboards"
RUNBOOKS = ROOT / "docs" / "runbooks"

SCRAPED = {"namespace", "pod", "job", "instance"}
"""Labels that the scrape adds to every metric."""
_PROCESS = (
    "cpu_seconds_total",
    "max_fds",
    "open_fds",
    "resident_memory_bytes",
    "start_time_seconds",
)
# HAProxy's exporter: what we ask it for. The long test holds this against a real one.
_FRONTEND, _BACKEND, _SERVER = {"proxy"}, {"proxy"}, {"proxy", "server"}
HAPROXY: dict[str, set[str]] = {
    # Of our own script in the balancer, at /certificate (test_haproxy_tls).
    "kotaemon_balancer_certificate_not_after_seconds": set(),
    "kotaemon_balancer_certificate_refused": set(),
    "haproxy_process_max_connections": set(),
    "haproxy_frontend_bytes_in_total": _FRONTEND,
    "haproxy_frontend_bytes_out_total": _FRONTEND,
    "haproxy_frontend_current_sessions": _FRONTEND,
    "haproxy_frontend_http_requests_total": _FRONTEND,
    "haproxy_frontend_http_responses_total": _FRONTEND | {"code"},
    "haproxy_frontend_request_errors_total": _FRONTEND,
    "haproxy_backend_active_servers": _BACKEND,
    "haproxy_backend_connection_errors_total": _BACKEND,
    "haproxy_backend_current_queue": _BACKEND,
    "haproxy_backend_redispatch_warnings_total": _BACKEND,
    "haproxy_backend_response_errors_total": _BACKEND,
    "haproxy_backend_retry_warnings_total": _BACKEND,
    "haproxy_server_check_failures_total": _SERVER,
    "haproxy_server_http_responses_total": _SERVER | {"code"},
    "haproxy_server_status": _SERVER | {"state"},
}


def ours() -> dict[str, set[str]]:
    """Return each metric of the catalogues, by the name of its series, with its labels."""
    found: dict[str, set[str]] = {}
    histograms = {BUILD_SECONDS[0], ARCHIVE_SECONDS[0]}
    rows = [(row.name, row.labels, row.kind == "histogram") for row in CATALOGUE]
    tables = (*GAUGES, *COUNTERS, *ARCHIVE_COUNTERS, (*BUILD_SECONDS, ()), (*ARCHIVE_SECONDS, ()))
    rows += [(name, labels, name in histograms) for name, _, labels in tables]
    for name, labels, is_histogram in rows:
        if is_histogram:
            found[f"{name}_bucket"] = {*labels, "le"}
            found[f"{name}_sum"] = found[f"{name}_count"] = set(labels)
        else:
            found[name] = set(labels)
    found.update({f"kotaemon_process_{name}": set() for name in _PROCESS})
    return found


def known() -> dict[str, set[str]]:
    """Return each metric that may be asked for, with all labels that its series have."""
    alerts = {"ALERTS": {"alertname", "alertstate"}, "up": set[str]()}
    every = {**ours(), **HAPROXY, **alerts}
    return {name: labels | SCRAPED for name, labels in every.items()}


@dataclass(frozen=True)
class Asked:
    """A query, and who asks it."""

    who: str
    expr: str
    legend: str = ""


def dashboards() -> dict[str, dict[str, Any]]:
    """Return the dashboards by their file names."""
    return {path.name: json.loads(path.read_text()) for path in sorted(DASHBOARDS.glob("*.json"))}


def alerts() -> list[dict[str, Any]]:
    """Return all alerts."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panel_queries() -> Iterator[Asked]:
    """Yield every query of every panel, with its variables filled in for all."""
    for file, board in dashboards().items():
        for panel in board["panels"]:
            for target in panel.get("targets", ()):
                who = f"{file}: {panel['title']}"
                yield Asked(who, filled(target["expr"]), target["legendFormat"])


def alert_queries() -> Iterator[Asked]:
    """Yield the expression of every alert."""
    for rule in alerts():
        told = " ".join(rule["annotations"].values())
        labels = " ".join(f"{{{{{name}}}}}" for name in re.findall(r"\$labels\.(\w+)", told))
        yield Asked(rule["alert"], rule["expr"], labels)


def filled(expr: str) -> str:
    """Return a panel's query as Grafana would send it, for all namespaces, pods and bases."""
    expr = expr.replace("$__rate_interval", "1m")
    return re.sub(r"\$(namespace|pod|kb)\b", ".*", expr)


def selectors(expr: str) -> list[tuple[str, set[str]]]:
    """Return each metric of a query with the labels that its selector names."""
    bare = re.sub(r'"[^"]*"', '""', expr)
    found = []
    for match in re.finditer(r"\b(kotaemon_\w+|haproxy_\w+|ALERTS|up)\b(\{[^}]*\})?", bare):
        name, selector = match.group(1), match.group(2) or ""
        found.append((name, set(re.findall(r"(\w+)\s*(?:=|!)", selector))))
    return found


def grouped(expr: str) -> set[str]:
    """Return the labels by which a query groups or matches."""
    inside = re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", expr)
    return {label.strip() for group in inside for label in group.split(",") if label.strip()}
