"""Measures what a long history costs a turn: the goal is at most 1.1 times a short one.

    python -m load.bench.history --out load/results/history

Sessions with 10 and with 1,000 turns take a turn in each round, in an order drawn anew, and so do
other sessions with 10 (A/A): how far those two lie apart is what this machine cannot tell. Once a
client asks the one worker of a cluster, and once only the store is asked: claim, append, commit.
A history is made of turns that the cluster answered before.
"""

import argparse
import os
import platform
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import requests

from kotaemon_node.adapters.redis import (
    RedisFrameLog,
    RedisSessionStore,
    RedisStore,
    SessionCache,
    connect,
)
from kotaemon_node.adapters.redis.keys import SessionKeys
from kotaemon_node.adapters.system import RandomIds, SystemClock, ThreadTasks
from kotaemon_node.domain.frames import FrameBody
from kotaemon_node.domain.session import Principal, SessionKey, Turn, TurnKey
from kotaemon_node.local import control
from kotaemon_node.ports.frame_log import FrameBatch
from kotaemon_node.ports.sessions import ClaimRequest, Ending
from load import surroundings
from load.bench.history_figures import Rounds, figures, report, within_goal
from load.kept import keep
from tests.cluster import Cluster
from tests.redis_server import RedisServer

ROOT = Path(__file__).resolve().parents[2]
ARMS = {"10": 10, "10 again": 10, "1000": 1_000}
SESSIONS = 20  # of each arm
QUESTIONS = (
    "How long does standard delivery to Singapore take?",
    "How do I return a cup that arrived broken?",
    "标准配送到新加坡需要多长时间？",
)
ANYBODY = Principal("default", "anonymous", "open")
_TIMEOUT_S = 60.0

Histories = dict[str, list[bytes | None]]
"""Arm to the values of a session's keys, as DUMP gives them, in the order of ``SessionKeys.head``.

None where there is no such key.
"""


@contextmanager
def running_redis() -> Iterator[RedisStore]:
    """Run a Redis for this measure alone."""
    server = RedisServer()
    server.start()
    try:
        yield connect(server.url)
    finally:
        server.remove()


class StoreTurns:
    """Whole turns without a pod: claim, append and commit."""

    def __init__(self, store: RedisStore, answers: Sequence[Turn], *, cache: SessionCache) -> None:
        self._sessions = RedisSessionStore(store, ttl_s=48 * 3600, idle_s=1800, cache=cache)
        self._frames = RedisFrameLog(store, clock=SystemClock(), tasks=ThreadTasks())
        self._answers = answers
        self._ids = RandomIds()

    def run(self, session_id: str, number: int) -> float:
        """Run a turn with answer ``number`` and return how long that took, in seconds."""
        answer = self._answers[number % len(self._answers)]
        key = TurnKey(SessionKey("default", session_id), self._ids.new_id())
        text = FrameBody("text", {"content": answer.answer, "offset": 0})
        done = FrameBody("done", {"state": "done"})
        began = time.perf_counter()
        work = self._sessions.claim(self._request(key, answer.message)).work
        assert work is not None
        failures = self._frames.append([FrameBatch(work.lease, 1, (text,))])
        ending = Ending(replace(answer, turn_id=key.turn_id), done, 2)
        self._sessions.commit(work.lease, ending, take_next=True)
        took = time.perf_counter() - began
        assert not any(failures), failures
        self._sessions.settle(key)
        return took

    def _request(self, key: TurnKey, message: str) -> ClaimRequest:
        return ClaimRequest(
            key=key,
            principal=ANYBODY,
            digest="digest",
            message=message,
            options={},
            on_busy="enqueue",
            owner="worker-0.0123456789ab",
            trace_id=self._ids.new_id(),
            create_session=True,
            new_epoch=self._ids.new_id(),
        )


def session_of(arm: str, number: int) -> str:
    """Return the id of a session; they are used in turn."""
    return f"history-{arm.replace(' ', '-')}-{number % SESSIONS}"


def histories(answers: Sequence[Turn]) -> Histories:
    """Return a session of each length as its keys stand in a Redis.

    In one of its own: a pod beside it would take over turns whose owner it never heard of.
    """
    with running_redis() as store:
        turns = StoreTurns(store, answers, cache=SessionCache())
        made = {}
        for arm, length in ARMS.items():
            for number in range(length):
                turns.run(arm.replace(" ", "-"), number)
            names = SessionKeys.of(SessionKey("default", arm.replace(" ", "-"))).head()
            made[arm] = [store.client.dump(name) for name in names]
        return made


def give(store: RedisStore, made: Histories) -> None:
    """Write the sessions that take turns, each a copy of that of its length."""
    for arm, values in made.items():
        for number in range(SESSIONS):
            names = SessionKeys.of(SessionKey("default", session_of(arm, number))).head()
            for name, value in zip(names, values, strict=True):
                if value is not None:
                    store.client.restore(name, 0, value)


def in_rounds(turn: Callable[[str, int], float], *, rounds: int, seed: int) -> Rounds:
    """Return the seconds of each arm's turn in each round, in order of rounds."""
    draw = random.Random(seed)
    took: Rounds = {arm: [] for arm in ARMS}
    for number in range(rounds):
        for arm in draw.sample(list(ARMS), len(ARMS)):
            took[arm].append(turn(session_of(arm, number), number))
    return took


def measured_at_pod(rounds: int, seed: int) -> tuple[dict[str, Any], Sequence[Turn], Histories]:
    """Ask the worker of a cluster; return the figures and of what the histories are made."""
    anew = {"ANSWER_CACHE_TTL_S": "0"}  # what a turn costs is asked, not what a hot answer does
    with (
        tempfile.TemporaryDirectory() as folder,
        Cluster(Path(folder) / "data", workers=1, environment=anew) as one,
    ):
        url = f"http://127.0.0.1:{one.worker_ports()[0]}"
        port = control.running_cluster(one.folder).redis_port
        store, client = connect(f"redis://127.0.0.1:{port}/0"), requests.Session()

        def ask(session_id: str, number: int) -> float:
            message = {"message": QUESTIONS[number % len(QUESTIONS)]}
            began = time.perf_counter()
            answer = client.post(
                f"{url}/v1/sessions/{session_id}/turns", json=message, timeout=_TIMEOUT_S
            )
            took = time.perf_counter() - began
            assert answer.json()["state"] == "done", answer.text
            return took

        for number in range(10 * len(QUESTIONS)):
            ask("warm", number)
        reader = RedisSessionStore(store, ttl_s=3600, idle_s=1800)
        key = SessionKey("default", "warm")
        answers = reader.load(key, ANYBODY, after_version=0, limit=len(QUESTIONS)).turns
        made = histories(answers)
        give(store, made)
        before = _cache_results(url)
        took = in_rounds(ask, rounds=rounds, seed=seed)
        after = _cache_results(url)
        used = {name: count - before[name] for name, count in after.items()}
    first, later = _split(took)
    found = {
        "a whole turn, by HTTP": figures(later, seed=seed),
        "the same, first turn of the session on this pod": figures(first, seed=seed),
    }
    return {"figures": found, "session_cache": used}, answers, made


def measured_at_store(
    answers: Sequence[Turn], made: Histories, *, rounds: int, seed: int
) -> dict[str, Any]:
    """Ask a Redis alone, with and without a memory of the sessions."""
    with running_redis() as store:
        give(store, made)
        warm = StoreTurns(store, answers, cache=SessionCache())
        cold = StoreTurns(store, answers, cache=SessionCache(entries_max=0))
        remembered = in_rounds(warm.run, rounds=rounds, seed=seed)
        forgotten = in_rounds(cold.run, rounds=rounds, seed=seed)
    return {
        "claim, append, commit": figures(_split(remembered)[1], seed=seed),
        "the same, nothing remembered": figures(forgotten, seed=seed),
    }


def _split(took: Rounds) -> tuple[Rounds, Rounds]:
    """Return the first turn of each session, and all others."""
    first = {arm: times[:SESSIONS] for arm, times in took.items()}
    return first, {arm: times[SESSIONS:] for arm, times in took.items()}


def _cache_results(url: str) -> Mapping[str, int]:
    name = 'kotaemon_session_cache_total{result="'
    lines = requests.get(f"{url}/metrics", timeout=_TIMEOUT_S).text.splitlines()
    rows = [line.removeprefix(name).split('"} ') for line in lines if line.startswith(name)]
    return {result: int(float(count)) for result, count in rows}


def _surroundings(seed: int) -> dict[str, Any]:
    return {
        "commit": surroundings.commit(),
        "machine": surroundings.machine(),
        "python": platform.python_version(),
        "seed": seed,
        "sessions": SESSIONS,
        "load_before": round(os.getloadavg()[0], 2),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure as asked and write the results; return 0 when the goal is met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="results: this name .json and .md")
    parser.add_argument("--rounds", type=int, default=400, help="at the store: 5 times as many")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args(arguments)
    around = _surroundings(asked.seed)
    found, answers, made = measured_at_pod(asked.rounds, asked.seed)
    found["figures"] |= measured_at_store(answers, made, rounds=5 * asked.rounds, seed=asked.seed)
    around["load_after"] = round(os.getloadavg()[0], 2)
    results = {"surroundings": around, **found}
    keep(asked.out, results, report(results))
    print(report(results))
    return 0 if within_goal(results) else 1


if __name__ == "__main__":
    sys.exit(main())
