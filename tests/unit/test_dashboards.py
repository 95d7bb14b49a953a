"""Dashboards: made from code, whole, and asking only for what there is."""

import re
from collections import Counter
from typing import Any

import pytest

from scripts.dashboards.__main__ import rendered
from tests.prometheus_queries import (
    DASHBOARDS,
    RUNBOOKS,
    Asked,
    alert_queries,
    dashboards,
    grouped,
    known,
    ours,
    panel_queries,
    selectors,
)
from tests.prometheus_queries import filled as asked_for_all

BOARDS = dashboards()
QUERIES = [*panel_queries(), *alert_queries()]


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def test_the_files_are_what_the_code_makes() -> None:
    there = {path.name: path.read_text() for path in DASHBOARDS.iterdir()}

    assert there == rendered(), "run python -m scripts.dashboards"


@pytest.mark.parametrize("name", BOARDS)
def test_a_dashboard_can_be_imported_and_read(name: str) -> None:
    board = BOARDS[name]
    variables = [one["name"] for one in board["templating"]["list"]]

    assert name == f"{board['uid']}.json"
    assert len(board["uid"]) <= 40  # Grafana's limit
    assert variables[:2] == ["datasource", "namespace"]
    ids = Counter(panel["id"] for panel in board["panels"])
    assert max(ids.values()) == 1
    for panel in panels(board):
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["targets"], panel["title"]


@pytest.mark.parametrize("name", BOARDS)
def test_no_panel_lies_on_another(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in BOARDS[name]["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        taken |= cells


@pytest.mark.parametrize("name", BOARDS)
def test_every_variable_is_used_and_every_one_used_is_there(name: str) -> None:
    board = BOARDS[name]
    text = " ".join(t["expr"] for panel in panels(board) for t in panel["targets"])
    for variable in board["templating"]["list"][1:]:
        assert f"${variable['name']}" in text, variable["name"]
        assert selectors(variable["definition"])[0][0] in known()
    assert "$" not in asked_for_all(text)


@pytest.mark.parametrize("asked", QUERIES, ids=lambda asked: asked.who)
def test_a_query_asks_only_for_metrics_and_labels_that_there_are(asked: Asked) -> None:
    catalogue = known()
    found = selectors(asked.expr)

    assert found
    every: set[str] = set()
    for name, labels in found:
        assert name in catalogue
        assert labels <= catalogue[name], name
        every |= catalogue[name]
    assert grouped(asked.expr) <= every
    shown = {word.strip("}{ ") for word in asked.legend.split() if word.startswith("{{")}
    assert shown <= every


def test_runbooks_name_panels_and_dashboards_that_there_are() -> None:
    titles = {board["title"].removeprefix("kotaemon: ") for board in BOARDS.values()}
    for board in BOARDS.values():
        titles |= {panel["title"] for panel in board["panels"]}
        asked = (target for panel in panels(board) for target in panel["targets"])
        titles |= {target["legendFormat"] for target in asked}
    others = {"Last State", "before"}  # of kubectl; and a word that is stressed

    for path in RUNBOOKS.glob("*.md"):
        prose = re.sub(r"(?s)```.*?```|`[^`]*`", "", path.read_text("utf-8"))
        named = set(re.findall(r"(?<!\*)\*([^*\n]+)\*(?!\*)", prose)) - others
        # Its beginning is enough: "Lag of the loop" for "Lag of the loop, 99 %".
        unknown = {name for name in named if not any(it.startswith(name) for it in titles)}
        assert unknown == set(), path.stem


def test_every_metric_of_the_catalogues_is_shown_or_watched() -> None:
    asked = {name for query in QUERIES for name, _ in selectors(query.expr)}
    families = {name.removesuffix("_bucket").removesuffix("_count") for name in asked}

    for name in ours():
        family = name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count")
        assert family in families, f"{name} is on no dashboard"
