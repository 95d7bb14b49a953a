"""A command loads what it needs, and every command is there."""

import json
import subprocess
import sys

import pytest
import typer

from kotaemon_node.cli.commands import PLACES
from kotaemon_node.cli.main import app

_PROGRAM = """
import json, sys
from kotaemon_node.cli.main import app
try:
    app(["down", "--help"])
except SystemExit:
    pass
print("\\n" + json.dumps(sorted(sys.modules)))
"""


def test_a_command_does_not_load_the_others() -> None:
    run = subprocess.run(
        [sys.executable, "-c", _PROGRAM], capture_output=True, text=True, timeout=60, check=True
    )
    assert "Stop the cluster" in run.stdout
    loaded = set(json.loads(run.stdout.splitlines()[-1]))
    assert "kotaemon_node.cli.cluster" in loaded
    assert loaded.isdisjoint({"kotaemon_node.cli.restore", "kotaemon_node.cli.chat"})
    assert loaded.isdisjoint({"kafka", "faiss", "onnxruntime", "flask"})


@pytest.mark.parametrize("name", PLACES)
def test_each_command_is_there_under_its_name(name: str) -> None:
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    assert command.name == name
    assert command.help
