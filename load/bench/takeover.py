"""Measures how long a client waits for the next text when the pod that answers is killed.

    python -m load.bench.takeover --out load/results/takeover [--kills 200]

A whole cluster, a paced language model that continues prefixes, clients that ask without end, and
a killer. Fails where an answer is not the one that was committed, or not that of an undisturbed
run; the time is reported, not judged. ``takeover_kills.py`` has the rules.
"""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from kotaemon_node.chaos.reader import Reading
from kotaemon_node.chaos.store import StoreView
from kotaemon_node.domain.session import TurnKey
from kotaemon_node.local.ports import choose_block
from load import surroundings
from load.bench.takeover_figures import report, right, rows, summary
from load.bench.takeover_kills import Hit, Killer, moments
from load.bench.takeover_talk import Expected, Talkers, undisturbed
from tests.cluster import Cluster

ROOT = Path(__file__).resolve().parents[2]
QUESTIONS = (
    "How long does standard delivery to Singapore take?",
    "How do I return a cup that arrived broken?",
    "标准配送到新加坡需要多长时间？",
)
WORKERS = 3
MODEL = {"first_ms": 30.0, "token_ms": 20.0, "end_ms": 250.0, "tokens_min": 80}
_SETTLE_S = 30.0


@contextmanager
def paced_model() -> Iterator[str]:
    """Run the fake language model in a process of its own; yield what LLM_BASE_URL is set to.

    In this process it would share an interpreter lock with the clients whose times count.
    """
    port = choose_block(1)
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in MODEL.items()]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.fakes.llm_server", f"--port={port}", *arguments],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
    )
    try:
        _wait_answer(f"http://127.0.0.1:{port}/stats")
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait()


def _wait_answer(url: str) -> None:
    deadline_s = time.monotonic() + _SETTLE_S
    while True:
        try:
            requests.get(url, timeout=1)
        except requests.RequestException:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.05)
        else:
            return


def measured(
    cluster: Cluster,
    *,
    kills: int,
    clients: int,
    seed: int,
    tail_s: float,
    ready_min: int = 2,
    label: str = "takeover",
) -> dict[str, Any]:
    """Kill ``kills`` times and return ``hits``, ``figures``, ``undisturbed``, ``other_turns``.

    ``ready_min``: workers in use before a kill. ``tail_s``: how long the cluster's model is silent
    behind its last text. ``label`` begins the ids of the sessions; a second run on one cluster
    needs another.
    """
    expected = undisturbed(cluster.url, QUESTIONS, label=f"{label}-u")
    with StoreView(cluster.redis_url) as store:
        with Talkers(cluster.url, expected, clients=clients, seed=seed, label=label) as talkers:
            killer = Killer(cluster, store, talkers, tail_s=tail_s, ready_min=ready_min)
            hits = killer.run(kills, draw=moments(seed), tell=_tell)
        turns = [talk.key for talk in talkers.done]
        unsettled = _unsettled(store, turns)
        without_event = sum(not sent for sent in store.events(turns))
    figures = summary(hits, missed=killer.missed)
    figures["wrong"] |= {"left_in_index": unsettled, "without_event": without_event}
    hit_sessions = {hit.session for hit in hits}
    others = [talk for talk in talkers.done if talk.reading.session_id not in hit_sessions]
    return {
        "hits": hits,
        "figures": figures,
        "undisturbed": [_as_json(one) for one in expected],
        "other_turns": {
            "turns": len(others),
            "errors": sum(bool(talk.reading.errors) for talk in others),
            "errors_seen": [str(error) for talk in others for error in talk.reading.errors][:20],
            "wrong": sum(not _same(talk.reading, talk.expected) for talk in others),
        },
    }


def _unsettled(store: StoreView, turns: Sequence[TurnKey]) -> int:
    """Return how many turns are in the index for good: a turn leaves it when its event is sent."""
    deadline_s = time.monotonic() + _SETTLE_S
    while True:
        left = sum(seen.indexed for seen in store.look(turns))
        if not left or time.monotonic() > deadline_s:
            return left
        time.sleep(0.2)


def _same(reading: Reading, expected: Expected) -> bool:
    return reading.complete and reading.text == expected.answer


def _as_json(one: Expected) -> Mapping[str, Any]:
    return {
        "question": one.question,
        "answer_chars": len(one.answer),
        "first_text_ms": round(one.first_text_s * 1000, 1),
        "duration_ms": round(one.duration_s * 1000, 1),
    }


def _tell(line: str) -> None:
    print(f"  {time.strftime('%H:%M:%S')} {line}", flush=True)


def _surroundings(setup: Mapping[str, Any], *, seed: int) -> Mapping[str, Any]:
    return {
        "commit": surroundings.commit(),
        "machine": surroundings.machine(),
        "python": platform.python_version(),
        "seed": seed,
        "load_before": os.getloadavg()[0],
        "setup": {**setup, "workers": WORKERS, **MODEL},
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure as asked and write the results; return 0 when no answer was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="results: this name .json and .md")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument(
        "--ready", type=int, default=WORKERS, help="workers that must be in use before a kill"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--continue", dest="continues", default="vllm", choices=("vllm", "prefill"))
    asked = parser.parse_args(arguments)
    # Whoever stops the measure must not leave its cluster behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    around = _surroundings(
        {"continue": asked.continues, "clients": asked.clients, "ready_min": asked.ready},
        seed=asked.seed,
    )
    with tempfile.TemporaryDirectory() as folder, paced_model() as base_url:
        environment = {
            "LLM_BASE_URL": base_url,
            "LLM_CONTINUE": asked.continues,
            # The same questions again are to be answered anew, word by word.
            "ANSWER_CACHE_TTL_S": "0",
        }
        data = Path(folder) / "data"
        with Cluster(data, workers=WORKERS, environment=environment) as cluster:
            found = measured(
                cluster,
                kills=asked.kills,
                clients=asked.clients,
                seed=asked.seed,
                ready_min=asked.ready,
                tail_s=MODEL["end_ms"] / 1000,
            )
    hits: list[Hit] = found.pop("hits")
    results = {"surroundings": around, **found, "hits": rows(hits)}
    asked.out.with_suffix(".json").write_text(
        json.dumps(results, indent=1, ensure_ascii=False) + "\n", "utf-8"
    )
    asked.out.with_suffix(".md").write_text(report(results), "utf-8")
    figures = results["figures"]
    print(f"  {figures['first_text_ms']} {figures['fell']} {figures['wrong']}")
    # A run in which no kill met a turn has shown nothing.
    return 0 if hits and right(figures) and not results["other_turns"]["wrong"] else 1


if __name__ == "__main__":
    sys.exit(main())
