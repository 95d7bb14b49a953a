"""Measures what counting costs: a request with and without limits, side by side, and Redis alone.

    python -m load.bench.limits --out load/results/limits

Two real pods on one Redis, one with limits that are never reached, are asked in turns, so that
what else the machine does meets both. ``GET /v1/sessions`` is one small read of the store;
``POST /chat`` a whole turn with a scripted answer. The script alone is run beside PING.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import requests

from kotaemon_node.adapters.redis import RedisStore, connect
from kotaemon_node.adapters.redis.use import RedisUse
from kotaemon_node.domain.quotas import Quota
from kotaemon_node.ports.use import User, Wanted
from load import surroundings
from load.kept import keep, progress
from tests.redis_server import RedisServer
from tests.scripted_pods import ScriptedPod

LIMITED = {
    "LIMIT_REQUESTS_PER_MINUTE": "1000000",
    "LIMIT_TOKENS_PER_MINUTE": "1000000000",
    "LIMIT_COST_PER_DAY": "1000000",
    "LIMIT_STREAMS": "100000",
}
ALL = Quota(10**6, 10**9, 1e6, 10**5)
Ask = Callable[[requests.Session, str], requests.Response]
ASKED: Mapping[str, Ask] = {
    "GET /v1/sessions": lambda http, url: http.get(f"{url}/v1/sessions", timeout=60),
    "POST /chat": lambda http, url: http.post(f"{url}/chat", json={"message": "hi"}, timeout=60),
}


def main() -> int:
    """Measure, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=600)
    options = parser.parse_args()
    server, busy_before = RedisServer(), os.getloadavg()[0]
    server.start()
    try:
        with tempfile.TemporaryDirectory() as folder:
            routes = _routes(Path(folder), server, options.pairs)
        figures: dict[str, Mapping[str, object]] = {
            "routes": routes,
            "script": _script(server, 10 * options.pairs),
        }
    finally:
        server.remove()
    busy = f"load average {busy_before:.1f} before, {os.getloadavg()[0]:.1f} after"
    taken = f"Commit {surroundings.commit()}; {surroundings.machine()}; {busy}"
    results = {"pairs": options.pairs, **figures, "surroundings": taken}
    keep(options.out, results, _report(figures, options.pairs, taken=taken))
    return 0


def _routes(folder: Path, server: RedisServer, pairs: int) -> dict[str, dict[str, float]]:
    with (
        ScriptedPod(folder, server.url, name="free") as free,
        ScriptedPod(folder, server.url, name="limited", settings=LIMITED) as limited,
    ):
        found = {}
        for name, ask in ASKED.items():
            found[name] = _side_by_side(ask, free.url, limited.url, pairs)
            progress(f"{name}: {found[name]}")
        return found


def _side_by_side(ask: Ask, free: str, limited: str, pairs: int) -> dict[str, float]:
    took: dict[str, list[float]] = {free: [], limited: []}
    ratios = []
    with requests.Session() as http:
        for number in range(pairs + 20):
            for url in (free, limited) if number % 2 else (limited, free):
                began_s = time.perf_counter()
                ask(http, url).raise_for_status()
                took[url].append(1_000 * (time.perf_counter() - began_s))
            ratios.append(took[limited][-1] / took[free][-1])
    medians = {url: statistics.median(ms[20:]) for url, ms in took.items()}
    return {
        "without_ms": round(medians[free], 3),
        "with_ms": round(medians[limited], 3),
        "more_ms": round(medians[limited] - medians[free], 3),
        "ratio_of_pairs": round(statistics.median(ratios[20:]), 3),
    }


def _script(server: RedisServer, runs: int) -> dict[str, float]:
    """Return what one check takes of Redis and of its caller, in µs, and a PING beside it."""
    store = connect(server.url)
    use, user = RedisUse(store), User("bench", "ann", ALL, ALL)
    wanted = Wanted(requests=1, tokens=1_000, cost=0.001)
    store.client.config_resetstat()
    check_us, ping_us = [], []
    for number in range(runs):
        ping_us.append(_timed(store.client.ping))
        turn = Wanted(wanted.requests, wanted.tokens, wanted.cost, turn=f"t{number}")
        check_us.append(_timed(lambda turn=turn: use.take(user, turn)))  # type: ignore[misc]
    return {
        "check_us": round(statistics.median(check_us), 1),
        "ping_us": round(statistics.median(ping_us), 1),
        "redis_us": _per_call(store),
    }


def _timed(call: Callable[[], object]) -> float:
    began_s = time.perf_counter()
    call()
    return 1e6 * (time.perf_counter() - began_s)


def _per_call(store: RedisStore) -> float:
    stats = store.client.info("commandstats")
    return float(stats["cmdstat_evalsha"]["usec_per_call"])


def _report(figures: Mapping[str, Mapping[str, object]], pairs: int, *, taken: str) -> str:
    lines = [
        "# What counting costs a request",
        "",
        f"Medians of {pairs} pairs, a request of each in turns, on two pods on one Redis, of which",
        "one counts requests, tokens, cost and streams. See `load/bench/limits.py`.",
        "",
        "| request | without limits (ms) | with (ms) | more (ms) | ratio of pairs |",
        "|---|---|---|---|---|",
    ]
    for name, row in figures["routes"].items():
        assert isinstance(row, dict)
        cells = " | ".join(f"{value:g}" for value in row.values())
        lines.append(f"| `{name}` | {cells} |")
    script = figures["script"]
    lines += [
        "",
        f"The script alone, of a turn, limits of principal and tenant: {script['check_us']} µs",
        f"for the caller, beside {script['ping_us']} µs of a PING; {script['redis_us']} µs in it.",
        "",
        f"{taken}. What else the machine did met both of each pair: go by the ratio.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
