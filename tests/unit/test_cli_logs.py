"""Where a command prints results, its logs stand beside them; a service logs where pods do."""

import json
import os
import subprocess
import sys
from pathlib import Path

COMMAND = "from kotaemon_node.cli.main import app; app()"
PLUGIN = """
import logging
from kotaemon_node.plugins import BasePlugin


class Loud(BasePlugin):
    name = "loud"

    def run(self):
        logging.getLogger("loud").error("the shop is away")
        return {"orders": 3}
"""
SERVICE = """
import structlog
from kotaemon_node.composition import turn_logs

turn_logs.run = lambda *_, **__: structlog.get_logger("sink").warning("nothing is kept now")
"""
BUILD = """
import structlog
from coordinator import once

def make_encoder(*_, **__):
    structlog.get_logger("encoder").error("slow", problem="of nobody")
    raise ValueError("no such model")

once.make_encoder = make_encoder
once.main()
"""


def ran(code: str, *words: str, **environment: str) -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout, done.stderr


def test_what_a_tried_plugin_logs_is_no_part_of_what_it_answers(tmp_path: Path) -> None:
    (tmp_path / "loud.py").write_text(PLUGIN)
    words = ["plugins", "try", str(tmp_path / "loud.py"), "--run", "{}", "--no-sandboxed"]
    told, logged = ran(COMMAND, *words)
    assert json.loads(told) == {"orders": 3}
    assert json.loads(logged)["event"] == "the shop is away"


def test_what_a_build_for_an_experiment_logs_is_none_of_the_facts_that_it_tells(
    tmp_path: Path,
) -> None:
    words = [f"--{name}={tmp_path}" for name in ("documents", "artifacts", "signing-key", "models")]
    told, logged = ran(BUILD, *words)
    assert json.loads(told) == {"problem": "no such model"}
    assert json.loads(logged)["event"] == "slow"


def test_the_log_of_turns_is_a_service_and_logs_where_pods_do(tmp_path: Path) -> None:
    words = ["turn-log", "--to", f"file:{tmp_path}/turns.jsonl", "--data", str(tmp_path)]
    logged, besides = ran(SERVICE + COMMAND, *words, TURN_LOG="on")
    assert json.loads(logged)["event"] == "nothing is kept now"
    assert besides == ""
