"""Measures what an audit record takes: bytes in the session store, and time before the commit.

    python -m load.bench.audit --out load/results/audit

One worker with the sample knowledge answers conversations of five turns, without and with a
language model, whose answers have 80 tokens; no hot answers. Turns are asked of two clusters, one
of which keeps no records, in turns: how much longer one of the other takes is what a record costs.
"""

import argparse
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter
from typing import Any

import orjson
import requests

from kotaemon_node.adapters.redis import RedisStore, connect
from load import surroundings
from load.kept import keep, progress
from tests.cluster import Cluster
from tests.fakes.llm_server import FakeLlmServer

ROUNDS = 12
QUESTIONS = (
    "How long does standard delivery to Singapore take?",
    "How do I return a cup that arrived broken?",
    "标准配送到新加坡需要多长时间？",
    "How long is the warranty on lamps?",
    "Within how many days can I return an item?",
)
_TIMEOUT_S = 60.0


def asked(one: Cluster, session: str, question: str) -> float:
    """Run a turn and return how long that took, in seconds."""
    began = perf_counter()
    answer = requests.post(
        f"{one.url}/v1/sessions/{session}/turns", json={"message": question}, timeout=_TIMEOUT_S
    )
    took = perf_counter() - began
    assert answer.json()["state"] == "done", answer.text
    return took


def sizes(store: RedisStore) -> dict[str, float]:
    """Return what records take on average: as JSON, and as Redis keeps them."""
    names = list(store.client.scan_iter(match="kn:*:record:*", count=1_000))
    traces = list(store.client.scan_iter(match="kn:*:trace:*", count=1_000))
    traced = [store.client.memory_usage(name, samples=0) for name in traces]
    kept = [store.client.memory_usage(name, samples=0) for name in names]
    return {
        "records": len(names),
        "stored_bytes": round(statistics.mean(kept) + statistics.mean(traced)),
        "largest_stored_bytes": max(kept),
    }


def json_bytes(one: Cluster, session: str) -> int:
    """Return the mean size of a session's records as JSON."""
    turns = requests.get(f"{one.url}/v1/sessions/{session}", timeout=_TIMEOUT_S).json()["turns"]
    records = [
        requests.get(f"{one.url}/v1/traces/{turn['trace_id']}", timeout=_TIMEOUT_S).json()
        for turn in turns
    ]
    return round(statistics.mean(len(orjson.dumps(record)) for record in records))


def measured(folder: Path, settings: Mapping[str, str]) -> dict[str, Any]:
    """Ask both clusters and return the figures."""
    common = {"ANSWER_CACHE_TTL_S": "0", **settings}
    took: dict[str, list[float]] = {"with": [], "without": []}
    with ExitStack() as stack:
        pair = {
            name: stack.enter_context(
                Cluster(folder / name, workers=1, environment={**common, **more})
            )
            for name, more in (("with", {}), ("without", {"AUDIT_TTL_S": "0"}))
        }
        for number in range(-1, ROUNDS):  # the first round warms up
            for question in QUESTIONS:
                for name in sorted(pair, reverse=bool(number % 2)):
                    seconds = asked(pair[name], f"s{number}", question)
                    if number >= 0:
                        took[name].append(seconds)
        found = sizes(connect(pair["with"].redis_url))
        found["json_bytes"] = json_bytes(pair["with"], "s1")
    median_ms = {name: 1000 * statistics.median(times) for name, times in took.items()}
    costs = [1000 * (a - b) for a, b in zip(took["with"], took["without"], strict=True)]
    return {
        **found,
        "turn_ms": {name: round(ms, 2) for name, ms in median_ms.items()},
        "record_ms": round(statistics.median(costs), 2),
    }


def report(results: Mapping[str, Any]) -> str:
    """Return the figures as Markdown."""
    lines = [
        "# What an audit record takes",
        "",
        f"Commit {results['commit']}, {results['machine']}. Conversations of {len(QUESTIONS)} turns"
        " on the sample knowledge, one worker; medians of pairs of turns with and without records.",
        "",
        "| turns | records | JSON | in Redis | largest | turn without | a record adds |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in results["turns"].items():
        lines.append(
            f"| {name} | {row['records']} | {row['json_bytes']:,} B | {row['stored_bytes']:,} B"
            f" | {row['largest_stored_bytes']:,} B | {row['turn_ms']['without']} ms"
            f" | {row['record_ms']} ms |"
        )
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and keep."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args(arguments)
    turns: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name, FakeLlmServer(tokens_min=80) as model:
        for kind, settings in (
            ("extractive", {}),
            ("language model", {"LLM_BASE_URL": model.base_url}),
        ):
            progress(kind)
            turns[kind] = measured(Path(name) / kind.partition(" ")[0], settings)
    results = {
        "commit": surroundings.commit(),
        "machine": surroundings.machine(),
        "turns": turns,
    }
    keep(chosen.out, results, report(results))


if __name__ == "__main__":
    main()
