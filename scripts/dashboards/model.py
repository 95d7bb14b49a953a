"""What a dashboard is made of, and its JSON as Grafana reads it (schema 39, Grafana 11 and newer).

Queries are written with words in place of selectors, which the dashboard's variables fill in:
``{NS}``, ``{POD}``, ``{KB}`` (also as the beginning of a longer selector), and ``[R]`` for the
range of a rate.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

WORDS: Final = {
    "{NS": '{namespace=~"$namespace"',
    "{POD": '{namespace=~"$namespace",pod=~"$pod"',
    "{KB": '{namespace=~"$namespace",kb=~"$kb"',
    "[R]": "[$__rate_interval]",
}
SCHEMA_VERSION: Final = 39
COLUMNS: Final = 24
_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}

Kind = Literal["timeseries", "stat", "table"]
Steps = tuple[tuple[float, str], ...]
"""From this value on, this colour; what lies below the first is green."""


@dataclass(frozen=True, slots=True)
class Query:
    """One line, or one family of lines, of a panel."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture. ``unit`` is Grafana's word: s, percentunit, short, ops, bytes …"""

    title: str
    meaning: str
    queries: tuple[Query, ...]
    unit: str = "short"
    kind: Kind = "timeseries"
    steps: Steps = ()
    width: int = 8
    height: int = 7
    stacked: bool = False
    words: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Value to text and colour, where a number stands for a word."""
    low_is_bad: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One page."""

    uid: str
    title: str
    meaning: str
    rows: tuple[Row, ...]
    variables: tuple[str, ...] = ("namespace",)


def filled(expr: str) -> str:
    """Return the query with its words replaced."""
    for word, text in WORDS.items():
        expr = expr.replace(word, text)
    return expr


def as_json(board: Dashboard) -> dict[str, Any]:
    """Return what Grafana imports."""
    return {
        "uid": board.uid,
        "title": board.title,
        "description": board.meaning,
        "tags": ["kotaemon"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "links": [
            {
                "title": "kotaemon",
                "type": "dashboards",
                "tags": ["kotaemon"],
                "icon": "external link",
                "tooltip": "",
                "targetBlank": False,
                "asDropdown": True,
                "includeVars": True,
                "keepTime": True,
            }
        ],
        "annotations": {"list": []},
        "templating": {"list": _variables(board.variables)},
        "panels": _placed(board.rows),
    }


_VARIABLES: Final = {
    "namespace": ("Namespace", "label_values(kotaemon_build_info, namespace)"),
    "pod": ("Pod", 'label_values(kotaemon_ready{namespace=~"$namespace"}, pod)'),
    "kb": (
        "Knowledge base",
        'label_values(kotaemon_knowledge_generation{namespace=~"$namespace"}, kb)',
    ),
}


def _variables(names: Sequence[str]) -> list[dict[str, Any]]:
    source = {
        "name": "datasource",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
        "refresh": 1,
    }
    return [source, *(_variable(name, *_VARIABLES[name]) for name in names)]


def _variable(name: str, label: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": _SOURCE,
        "definition": query,
        "query": {"query": query, "refId": f"{name}-values", "qryType": 1},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
    }


def _placed(rows: Sequence[Row]) -> list[dict[str, Any]]:
    placed: list[dict[str, Any]] = []
    y = 0
    for row in rows:
        place = {"x": 0, "y": y, "w": COLUMNS, "h": 1}
        placed.append(
            {
                "id": len(placed) + 1,
                "type": "row",
                "title": row.title,
                "collapsed": False,
                "gridPos": place,
                "panels": [],
            }
        )
        y += 1
        x = height = 0
        for panel in row.panels:
            if x + panel.width > COLUMNS:
                x, y, height = 0, y + height, 0
            place = {"x": x, "y": y, "w": panel.width, "h": panel.height}
            placed.append({"id": len(placed) + 1, "gridPos": place, **_panel(panel)})
            x, height = x + panel.width, max(height, panel.height)
        y += height
    return placed


def _panel(panel: Panel) -> dict[str, Any]:
    now = panel.kind != "timeseries"
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.meaning,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _OPTIONS[panel.kind],
        "targets": [
            {
                "refId": chr(ord("A") + place),
                "datasource": _SOURCE,
                "editorMode": "code",
                "expr": filled(query.expr),
                "legendFormat": query.legend or "__auto",
                "instant": now,
                "range": not now,
                **({"format": "table"} if panel.kind == "table" else {}),
            }
            for place, query in enumerate(panel.queries)
        ],
        **({"transformations": _COLUMNS_ONLY} if panel.kind == "table" else {}),
    }


def _defaults(panel: Panel) -> dict[str, Any]:
    below = "red" if panel.low_is_bad else "green"
    steps = [{"color": below, "value": None}]
    steps += [{"color": colour, "value": value} for value, colour in panel.steps]
    defaults: dict[str, Any] = {
        "unit": panel.unit,
        "thresholds": {"mode": "absolute", "steps": steps},
        "color": {"mode": "thresholds" if panel.kind == "stat" else "palette-classic"},
        "mappings": [],
        "noValue": "no data",
    }
    if panel.words:
        options = {
            value: {"text": text, "color": colour, "index": place}
            for place, (value, (text, colour)) in enumerate(panel.words.items())
        }
        defaults["mappings"] = [{"type": "value", "options": options}]
    if panel.kind == "timeseries":
        defaults["min"] = 0
        defaults["custom"] = {
            "drawStyle": "line",
            "lineWidth": 1,
            "fillOpacity": 25 if panel.stacked else 8,
            "showPoints": "never",
            "spanNulls": 60_000,
            "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
            "thresholdsStyle": {"mode": "dashed" if panel.steps else "off"},
        }
    return defaults


_OPTIONS: Final[Mapping[Kind, dict[str, Any]]] = {
    "timeseries": {
        "legend": {"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"]},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "stat": {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "background",
        "graphMode": "none",
        "textMode": "auto",
        "justifyMode": "auto",
        "orientation": "auto",
    },
    "table": {"showHeader": True, "cellHeight": "sm"},
}
_COLUMNS_ONLY: Final = [
    {"id": "organize", "options": {"excludeByName": {"Time": True}, "renameByName": {}}}
]
