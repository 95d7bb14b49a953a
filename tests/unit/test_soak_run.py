"""Whatever fails while a soak runs or behind it is told, and what was seen until then is kept."""

import sys
import threading
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault

import pytest
import requests

from kotaemon_node.local.supervisor import NotRunning
from load.soak import run, watching
from load.soak.plan import Plan, Row
from load.soak.watching import Look, Watcher
from tests.unit.test_soak_figures import long_looks, rows

PLAN = Plan(port=0, users=100, seconds=180.0)


def test_a_look_that_fails_is_counted_and_the_next_one_follows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failures: list[Exception | None] = [
        None,
        NotRunning("gone"),
        Fault(1, "x"),
        KeyError("w"),
        None,
    ]
    done = threading.Event()

    def look(*_: Any) -> Look:
        failure = failures.pop(0)
        if not failures:
            done.set()
            failures.append(None)
        if failure is not None:
            raise failure
        return long_looks()[0]

    monkeypatch.setattr(watching, "look", look)
    target: Any = type("Target", (), {"redis_url": "redis://127.0.0.1:1"})
    with Watcher(target, 0.001) as watcher:
        assert done.wait(60)
    assert watcher.missed == {"NotRunning": 1, "Fault": 1, "KeyError": 1}
    assert len(watcher.looks) >= 2


class Cluster:
    """Answers while it is asked for the first time, and then no more."""

    port = 1
    redis_url = "redis://127.0.0.1:1"

    def __init__(self, *_: Any, stops: bool = True, **__: Any) -> None:
        self.stops = stops

    def up(self) -> None:
        """It is up."""

    def down(self) -> None:
        assert self.stops, "supervisord does not answer"

    def log(self, name: str) -> str:
        return "Server workers/worker-0 is UP\n"


class Watched:
    """A watcher that has looked for three minutes."""

    def __init__(self, *_: Any) -> None:
        self.looks = long_looks()[:4]
        self.missed = watching.Counter[str]()

    def __enter__(self) -> "Watched":
        return self

    def __exit__(self, *_: object) -> None:
        """It is over."""


def soaked(monkeypatch: pytest.MonkeyPatch, after: Any, *, stops: bool = True) -> dict[str, Any]:
    """Run without a cluster; ``after``: what pods tell in the end, or with what they fail."""
    told: list[Any] = [{"hit": 1.0}, after]

    def answer_cache(_: Any) -> Any:
        found = told.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(run.surroundings, "commit", lambda: "abc123")
    monkeypatch.setattr(run, "Cluster", lambda *_, **__: Cluster(stops=stops))
    monkeypatch.setattr(run, "Watcher", Watched)
    monkeypatch.setattr(run, "answer_cache", answer_cache)
    monkeypatch.setattr(run, "_users", lambda *_: run.Seen(rows(), 0.0, 180.0))
    monkeypatch.setattr(run, "write_documents", lambda *_, **__: None)
    return run.soak(PLAN, workers=3, look_s=60.0, tell=lambda _: None)[0]


def test_a_run_that_ends_well_has_nothing_to_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    found = soaked(monkeypatch, {"hit": 5.0})
    assert (found["wrong"], found["answer_cache"], found["looks"]) == ([], {"hit": 4.0}, 4)


@pytest.mark.parametrize("error", [requests.ConnectionError("down"), NotRunning("gone")])
def test_pods_that_tell_nothing_in_the_end_lose_nothing_of_the_run(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    found = soaked(monkeypatch, error, stops=False)
    assert found["wrong"] == [
        f"pods' figures could not be read: {type(error).__name__}",
        "the cluster did not stop: supervisord does not answer",
    ]
    assert (found["users"]["answered"], found["answer_cache"]) == (360, {})


def test_counters_of_a_pod_that_began_anew_tell_nothing() -> None:
    assert run.counted_since({"hit": 4.0}, {"hit": 9.0, "made": 2.0}) == {"hit": 5.0, "made": 2.0}
    assert run.counted_since({"hit": 4.0}, {"hit": 1.0, "made": 2.0}) == {}


USERS = """
import json, sys
from dataclasses import asdict
from load.soak.plan import Row
for at_s in (0.0, 60.0):
    print(json.dumps(asdict(Row(at_s=at_s, answered=2))))
print('{"at_s": 12')
sys.exit(3)
"""


def test_users_whose_process_dies_late_are_told_and_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "users.py").write_text(USERS)
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\nPYTHONPATH=. exec {sys.executable} {tmp_path}/users.py")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    seen = run._users(PLAN, lambda _: None)
    assert [row.answered for row in seen.rows] == [2, 2]
    assert isinstance(seen.rows[0], Row)
    assert seen.troubles == ["the users' process ended with status 3, in minute 1"]
    assert seen.ended_s > seen.began_s
