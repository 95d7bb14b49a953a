"""docs/reference/audit.md lists the actions that the code tells, and every route is judged."""

import ast
import re
from pathlib import Path

from kotaemon_node.api.app import create_app
from kotaemon_node.api.audited_routes import TOLD, UNTOLD
from kotaemon_node.api.openapi import methods_of
from kotaemon_node.audit_log.findings import MEANINGS
from tests.fakes.services import FakeCluster

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference" / "audit.md"
ACTION = re.compile(r"[a-z_]+\.[a-z_]+")
# Functions whose first text names an action, beside ``AuditEvent``.
TELLING = {"audit", "record", "_of_log", "Told", "AuditEvent", "_say"}


def actions_of(path: Path) -> set[str]:
    """Return the actions that a module's calls name."""
    found: set[str] = set()
    tree = ast.parse(path.read_text("utf-8"))
    if "audit" not in path.read_text("utf-8"):
        return found
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            texts = [arg.value for arg in node.args[:2] if isinstance(arg, ast.Constant)]
            if name in TELLING:
                found |= {text for text in texts if isinstance(text, str) and is_action(text)}
    return found


def is_action(text: str) -> bool:
    return ACTION.fullmatch(text) is not None


def told_by_the_code() -> set[str]:
    modules = [*(ROOT / "kotaemon_node").rglob("*.py"), *(ROOT / "coordinator").rglob("*.py")]
    found = set().union(*(actions_of(module) for module in modules))
    # Named by values: a constant, and tables.
    return found | {
        "audit.begun",
        "credential.refused",
        "limit.refused",
        "permission.refused",
        "tool.called",
        "tool.refused",
    }


def documented(heading: str) -> set[str]:
    part = REFERENCE.read_text("utf-8").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return set(re.findall(r"^\| `([a-z_.]+)` \|", part, re.M))


def test_the_reference_lists_every_action() -> None:
    assert documented("Actions") == told_by_the_code()


def test_the_reference_lists_every_finding() -> None:
    assert documented("Findings") == set(MEANINGS)


def test_every_route_that_changes_something_is_told_or_says_why_not() -> None:
    app = create_app(FakeCluster().services())
    changing = {
        rule.endpoint
        for rule, method in methods_of(app.url_map.iter_rules())
        if method not in {"GET", "HEAD", "OPTIONS"}
    }
    untold = changing - TOLD.keys() - UNTOLD.keys()
    assert untold == set()
    assert not TOLD.keys() & UNTOLD.keys()
    endpoints = {rule.endpoint for rule in app.url_map.iter_rules()}
    assert TOLD.keys() <= endpoints
    assert UNTOLD.keys() <= endpoints
    for told in TOLD.values():
        assert is_action(told.action)


def test_parts_of_paths_that_name_targets_are_there() -> None:
    app = create_app(FakeCluster().services())
    for rule in app.url_map.iter_rules():
        told = TOLD.get(rule.endpoint)
        if told is not None:
            assert set(told.target) <= rule.arguments, rule.endpoint
