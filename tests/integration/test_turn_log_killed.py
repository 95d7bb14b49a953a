"""``kotaemon turn-log`` is killed in the middle: each turn stands once in file and index."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from kotaemon_node.adapters.redis import RedisStreamsBus, connect
from kotaemon_node.adapters.system import SystemClock
from tests.fakes.elasticsearch import FakeElasticsearch
from tests.redis_server import RedisServer
from tests.unit.test_turn_sinks import message

ROOT = Path(__file__).parents[2]
TURNS = 4_000


def keeping(server: RedisServer, to: str, folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "kotaemon_node.cli.main", "turn-log", "--to", to]
    return subprocess.Popen(
        [*command, "--refused", str(folder / "refused.jsonl")],
        env={**os.environ, "REDIS_URL": server.url, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
    )


def until(condition: Callable[[], bool]) -> None:
    for _ in range(12_000):
        if condition():
            return
        threading.Event().wait(0.005)
    raise AssertionError("it never came to that")


@pytest.mark.long
@pytest.mark.parametrize("kind", ["file", "elasticsearch"])
def test_each_turn_is_kept_once_though_its_keeper_is_killed(tmp_path: Path, kind: str) -> None:
    server, index = RedisServer(), FakeElasticsearch()
    server.start()
    path = tmp_path / "turns.jsonl"
    to = f"file:{path}" if kind == "file" else f"elasticsearch:{index.url}"

    def kept() -> list[str]:
        if kind == "elasticsearch":
            return index.ids()
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line)["event_id"] for line in lines]

    def count() -> int:
        if kind == "elasticsearch":
            return len(index.documents)
        return path.read_bytes().count(b"\n") if path.exists() else 0

    bus = RedisStreamsBus(connect(server.url), clock=SystemClock())
    for number in range(TURNS):
        bus.publish(message(number))
    for share in (0.1, 0.4):
        index.statuses = [0, 503, 0, 429]
        keeper = keeping(server, to, tmp_path)
        until(lambda wanted=share * TURNS: count() >= wanted)  # type: ignore[misc]
        keeper.kill()
        keeper.wait(60)
    assert count() < TURNS, "it was never killed in the middle"
    index.die_behind = 300
    keeper = keeping(server, to, tmp_path)
    until(lambda: count() >= TURNS)
    keeper.terminate()
    assert keeper.wait(60) == 0
    index.close()
    server.remove()
    assert len(kept()) == len(set(kept())) == TURNS
