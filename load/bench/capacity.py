"""Measures how many turns and streams one pod carries: the figures of docs/how-to/capacity.md.

    python -m load.bench.capacity --out load/results/capacity

One worker behind HAProxy, Redis and the clients on the same machine. Clients ask without a pause,
each in a session of its own. First without a language model (one JSON answer a turn), then with a
paced one (50 tokens a second, streamed), where the pod only relays. CPU is that of the processes
themselves, so a turn's cost holds where other work shares the machine; turns a second do not.
"""

import argparse
import itertools
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import requests

from load import surroundings
from load.bench.swap_figures import percentile
from load.bench.takeover import QUESTIONS, paced_model
from load.kept import keep, progress
from tests.cluster import Cluster

PLAIN = (1, 8, 32)
STREAMED = (25, 50, 100)
WARM_S = 3.0
TIMEOUT_S = 75.0
_ROLES = ("worker", "redis", "haproxy")


@dataclass(slots=True)
class Asked:
    """What the clients of one arm saw. Times are seconds since the request was sent."""

    first_s: list[float] = field(default_factory=list)
    whole_s: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def ask(session: requests.Session, url: str, turn: Mapping[str, str], *, streamed: bool) -> float:
    """Run one turn to its end; return when its first text came. Raises for all but a whole one."""
    began_s = time.perf_counter()
    accept = "text/event-stream" if streamed else "application/json"
    answer = session.post(
        url, json=turn, headers={"Accept": accept}, stream=streamed, timeout=TIMEOUT_S
    )
    answer.raise_for_status()
    if not streamed:
        if answer.json()["state"] != "done":
            raise requests.RequestException(answer.text[:200])
        return time.perf_counter() - began_s
    first_s, last = 0.0, b""
    for line in answer.iter_lines():
        if line.startswith(b"event: "):
            last = line
            if not first_s and line == b"event: text":
                first_s = time.perf_counter() - began_s
    if last != b"event: done":
        raise requests.RequestException(f"the stream ended with {last!r}")
    return first_s


def measure(cluster: Cluster, *, clients: int, streamed: bool, seconds: float) -> dict[str, Any]:
    """Let so many clients ask for so long; return the figures of the arm."""
    asked, stop = Asked(), threading.Event()
    counted_from_s = time.perf_counter() + WARM_S
    label = f"capacity-{'streamed' if streamed else 'plain'}-{clients}"

    def client(number: int) -> None:
        url = f"{cluster.url}/v1/sessions/{label}-{number}/turns"
        with requests.Session() as session:
            for turn in itertools.count():
                if stop.is_set():
                    return
                message = QUESTIONS[(number + turn) % len(QUESTIONS)]
                began_s = time.perf_counter()
                try:
                    first_s = ask(
                        session, url, {"message": message, "turn_id": f"t{turn}"}, streamed=streamed
                    )
                except requests.RequestException as error:
                    asked.errors.append(str(error))
                    continue
                ended_s = time.perf_counter()
                if ended_s >= counted_from_s and not stop.is_set():
                    asked.first_s.append(first_s)
                    asked.whole_s.append(ended_s - began_s)

    with ThreadPoolExecutor(clients) as pool:
        running = [pool.submit(client, number) for number in range(clients)]
        time.sleep(WARM_S)
        before, began_s = cpu_s(cluster), time.perf_counter()
        time.sleep(seconds)
        after, took_s = cpu_s(cluster), time.perf_counter() - began_s
        stop.set()
    for one in running:
        one.result()
    return figures(asked, clients=clients, took_s=took_s, before=before, after=after)


def cpu_s(cluster: Cluster) -> dict[str, float]:
    """Return role to seconds of CPU that its process has used."""
    used: dict[str, float] = {}
    for row in cluster.ps():
        if row["role"] in _ROLES:
            times = psutil.Process(row["pid"]).cpu_times()
            used[row["role"]] = times.user + times.system
    return used


def figures(
    asked: Asked,
    *,
    clients: int,
    took_s: float,
    before: Mapping[str, float],
    after: Mapping[str, float],
) -> dict[str, Any]:
    """Return what is kept of an arm. A turn counts that ended behind the warm-up and in time."""
    turns = len(asked.whole_s)
    return {
        "clients": clients,
        "turns": turns,
        "errors": len(asked.errors),
        "errors_seen": sorted(set(asked.errors))[:5],
        "turns_per_s": turns / took_s,
        "first_text_p50_ms": percentile(sorted(asked.first_s), 0.5) * 1000,
        "first_text_p99_ms": percentile(sorted(asked.first_s), 0.99) * 1000,
        "whole_p50_ms": percentile(sorted(asked.whole_s), 0.5) * 1000,
        "whole_p99_ms": percentile(sorted(asked.whole_s), 0.99) * 1000,
        "cores": {role: (after[role] - used) / took_s for role, used in before.items()},
    }


def rows(arms: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Return the lines of a table, one an arm."""
    yield (
        "| clients | turns/s | errors | first text p50 / p99, ms | whole turn p50 / p99, ms"
        " | worker, cores | Redis | HAProxy |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    for arm in arms:
        cores = arm["cores"]
        yield (
            f"| {arm['clients']} | {arm['turns_per_s']:.1f} | {arm['errors']}"
            f" | {arm['first_text_p50_ms']:.0f} / {arm['first_text_p99_ms']:.0f}"
            f" | {arm['whole_p50_ms']:.0f} / {arm['whole_p99_ms']:.0f}"
            f" | {cores['worker']:.2f} | {cores['redis']:.2f} | {cores['haproxy']:.2f} |"
        )


def report(results: Mapping[str, Any]) -> str:
    """Return the figures for people."""
    return "\n".join(
        [
            "# What one pod carries",
            "",
            "Made by `python -m load.bench.capacity`; what is measured stands there.",
            f"{results['surroundings']}; load before the start {results['load']:.2f};"
            f" {results['seconds']:.0f} s an arm, the sample knowledge.",
            "",
            "Without a language model, one JSON answer a turn:",
            "",
            *rows(results["plain"]),
            "",
            "With a paced one, 50 tokens a second and at least 80 an answer, streamed:",
            "",
            *rows(results["streamed"]),
            "",
        ]
    )


def main() -> int:
    """Measure, and keep the results; 1 where a turn failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    results: dict[str, Any] = {
        "surroundings": f"Commit {surroundings.commit()}; {surroundings.machine()}",
        "load": psutil.getloadavg()[0],
        "seconds": arguments.seconds,
    }
    for streamed, name, counts in ((False, "plain", PLAIN), (True, "streamed", STREAMED)):
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            environment = {"ANSWER_CACHE_TTL_S": "0"}  # each turn is to be made anew
            if streamed:
                environment |= {
                    "LLM_BASE_URL": stack.enter_context(paced_model()),
                    "LLM_CONTINUE": "prefill",
                }
            cluster = stack.enter_context(
                Cluster(folder / "data", workers=1, environment=environment)
            )
            results[name] = []
            for clients in counts:
                arm = measure(
                    cluster, clients=clients, streamed=streamed, seconds=arguments.seconds
                )
                results[name].append(arm)
                progress(f"{name}, {clients} clients: {arm['turns_per_s']:.1f} turns/s")
    text = report(results)
    keep(arguments.out, results, text)
    print(text)
    return int(any(arm["errors"] for name in ("plain", "streamed") for arm in results[name]))


if __name__ == "__main__":
    sys.exit(main())
