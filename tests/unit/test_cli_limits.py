"""``kotaemon limits``: what is left, as a table; and a file that is wrong is told where."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from kotaemon_node.cli import limits, service
from kotaemon_node.cli.main import app

FOUND = {
    "tenant": "acme",
    "subject": "ann",
    "limits": [
        {"scope": "principal", "name": "requests", "limit": 1200.0, "used": 7.0, "window_s": 60,
         "reset_s": 3.2},
        {"scope": "tenant", "name": "streams", "limit": 9.0, "used": 0.0, "window_s": None,
         "reset_s": 0.0},
    ],
}  # fmt: skip


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["limits", *arguments])


def test_limits_are_shown_as_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "get", lambda *_, **__: FOUND)

    told = run("--url", "http://127.0.0.1:9").stdout

    lines = [line.split() for line in told.splitlines()]
    assert ["requests", "ann", "7", "1,200", "a", "minute"] in lines
    assert ["streams", "tenant", "acme", "0", "9", "at", "once"] in lines


def test_a_file_is_checked_without_a_cluster(tmp_path: Path) -> None:
    path = tmp_path / "limits.yaml"
    path.write_text("tenant: {streams: 3}")
    assert "is right" in " ".join(run("--check", str(path)).stdout.split())
    path.write_text("tenant: {stream: 3}")

    with pytest.raises(service.ServiceError, match="'stream' is not one of"):
        limits.limits(check=path)
