"""Measures what a call of a plugin costs beside what the plugin itself does.

    python -m load.bench.plugin_calls --out load/results/plugin-calls

The process is patched by gevent, as a pod is. A real plugin in its confined process answers calls
that do nothing, one after the other; then with what calls bring along. Starts are measured, too.
"""

from gevent import monkey

monkey.patch_all()

import argparse  # noqa: E402 - after the patch
import statistics  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable, Mapping, Sequence  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from load import surroundings  # noqa: E402
from load.kept import keep, progress  # noqa: E402
from tests.sandboxed import Started, started  # noqa: E402

SOURCE = """
    from kotaemon_node.plugins import BasePlugin, IntentHook

    class Empty(BasePlugin):
        name, description = "empty", "Does nothing."

        @IntentHook(intent="nothing")
        def hook(self, user_input, session_id):
            return "nothing"

        @IntentHook(intent="user")
        def user(self, session_id):
            return self.shared_storage.get(f"user_id:{session_id}")

        def run(self, text: str = ""):
            return text
"""
WARM = 200


def timed_ms(call: Callable[[], Any], calls: int) -> Sequence[float]:
    """Return how long each call took."""
    for _ in range(WARM):
        call()
    took = []
    for _ in range(calls):
        begun_s = time.perf_counter()
        call()
        took.append(1000 * (time.perf_counter() - begun_s))
    return sorted(took)


def figures(took: Sequence[float]) -> Mapping[str, float]:
    """Return the quantiles that are told."""
    return {
        "p50_ms": round(took[len(took) // 2], 3),
        "p95_ms": round(took[int(len(took) * 0.95)], 3),
        "p99_ms": round(took[int(len(took) * 0.99)], 3),
    }


def cases(plugin: Started) -> Mapping[str, Callable[[], Any]]:
    """Return what is called."""
    text = "x" * 8_000
    return {
        "a hook that answers at once": lambda: plugin.hook("hook", "Where is my order?"),
        "a hook that asks for the session's user": lambda: plugin.hook("user"),
        "a tool with 8 kB there and back": lambda: plugin.run(text=text),
    }


def starts_ms(count: int) -> Sequence[float]:
    """Return how long starts took, until the plugin could be called."""
    took = []
    for _ in range(count):
        with tempfile.TemporaryDirectory() as folder:
            begun_s = time.perf_counter()
            with started(Path(folder), SOURCE, name="empty"):
                took.append(1000 * (time.perf_counter() - begun_s))
    return sorted(took)


def report(results: Mapping[str, Any]) -> str:
    """Return the results for people."""
    lines = [
        "# What a call of a plugin costs",
        "",
        f"Commit {results['commit']}, {results['machine']}. {results['calls']} calls each, one "
        "after the other, from a process that gevent has patched; the plugin runs in its confined "
        "process and does nothing.",
        "",
        "| call | p50 | p95 | p99 |",
        "|---|---|---|---|",
    ]
    for name, row in results["rows"].items():
        lines.append(f"| {name} | {row['p50_ms']} ms | {row['p95_ms']} ms | {row['p99_ms']} ms |")
    lines += ["", f"A start takes {results['start_ms']:.0f} ms (median of {results['starts']})."]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--calls", type=int, default=5_000)
    parser.add_argument("--starts", type=int, default=10)
    chosen = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        started(Path(folder), SOURCE, "timeout_s: 20", name="empty") as plugin,
    ):
        rows = {}
        for name, call in cases(plugin).items():
            rows[name] = figures(timed_ms(call, chosen.calls))
            progress(f"{name}: {rows[name]}")
    results = {
        "commit": surroundings.commit(),
        "machine": surroundings.machine(),
        "calls": chosen.calls,
        "rows": rows,
        "starts": chosen.starts,
        "start_ms": round(statistics.median(starts_ms(chosen.starts)), 1),
    }
    keep(chosen.out, results, report(results))


if __name__ == "__main__":
    main()
