"""The reference pages say what the code says, row by row."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from kotaemon_node.api.app import create_app
from kotaemon_node.api.errors import ERRORS, TurnFailed, UnsupportedMediaType
from kotaemon_node.api.openapi import methods_of, template
from kotaemon_node.api.permissions import PERMISSIONS
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import NodeError
from kotaemon_node.telemetry.catalogue import CATALOGUE
from tests.fakes.services import FakeCluster

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


def rows(page: str) -> list[tuple[str, ...]]:
    """Return the cells of the page's table, without its head and without back-ticks."""
    lines = [line for line in (REFERENCE / page).read_text().splitlines() if line.startswith("| `")]
    return [
        tuple(cell.strip().replace("`", "") for cell in line.strip("|").split("|"))
        for line in lines
    ]


def descendants(base: type[NodeError]) -> Iterator[type[NodeError]]:
    for child in base.__subclasses__():
        yield child
        yield from descendants(child)


def test_routes() -> None:
    app = create_app(FakeCluster().services())
    served = []
    for rule, method in methods_of(app.url_map.iter_rules()):
        access = PERMISSIONS[rule.endpoint]
        roles = "everybody" if access.public else ", ".join(sorted(access.roles))
        roles = "signed" if access.signed else roles
        served.append((method, template(rule), roles))

    assert [row[:3] for row in rows("routes.md")] == served


def test_errors() -> None:
    retryable = {error.code for error in descendants(NodeError) if error.retryable}

    expected = [
        (code, str(row.status), "yes" if code in retryable else "no", row.meaning)
        for code, row in ERRORS.items()
    ]

    assert rows("errors.md") == expected


def test_metrics() -> None:
    expected = [
        (row.name, row.kind, ", ".join(row.labels) or "—", row.meaning) for row in CATALOGUE
    ]

    assert rows("metrics.md") == expected


@pytest.mark.parametrize("error", [NodeError, *descendants(NodeError)])
def test_every_error_has_a_status(error: type[NodeError]) -> None:
    assert error.code in ERRORS


def test_every_retryable_refusal_says_when_to_come_back() -> None:
    for code, row in ERRORS.items():
        assert (row.retry_after_s is not None) == (row.status in (429, 503)), code


def test_errors_of_the_routes_themselves_are_among_them() -> None:
    assert UnsupportedMediaType.code in ERRORS
    assert TurnFailed("x", message="", retryable=False).code in ERRORS


def test_the_limits_that_the_page_names_are_those_of_the_code() -> None:
    text = re.sub(r"\s+", " ", (REFERENCE / "routes.md").read_text())

    assert f"{limits.BODY_BYTES_MAX // 2**20} MiB, {limits.JSON_DEPTH_MAX} levels" in text
    assert f"{limits.JSON_VALUES_MAX:,} values" in text
    assert f"{limits.MESSAGE_CHARS_MAX:,} characters" in text
    assert f"at most {limits.JSON_WAIT_MAX_S:.0f} s" in text
    assert f"every {limits.HEARTBEAT_RUNNING_S:.0f} s while a turn runs" in text
    assert f"every {limits.HEARTBEAT_IDLE_S:.0f} s otherwise" in text
    assert f"{limits.STREAMS_PER_POD_MAX:,} streams" in text
