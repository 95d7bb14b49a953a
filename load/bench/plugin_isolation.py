"""Measures how much a plugin that loops without end slows other turns of its pod.

    python -m load.bench.plugin_isolation --out load/results/plugin-isolation

The process is patched by gevent, as a pod is. Its work stands for turns that use no plugin: some
Python in the loop that serves, and native computing on the pod's threads, from several greenlets at
once, so that all processors are busy, or with pauses, so that they are not. It runs in turns alone
and beside calls that compute without end and are called again as soon as they were ended.
"""

from gevent import monkey

monkey.patch_all()

import argparse  # noqa: E402 - after the patch
import statistics  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from collections.abc import Mapping, Sequence  # noqa: E402
from itertools import chain  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import gevent  # noqa: E402
import numpy as np  # noqa: E402
from gevent.threadpool import ThreadPool  # noqa: E402

from kotaemon_node.ports.tools import ToolFailed  # noqa: E402
from load import surroundings  # noqa: E402
from load.kept import keep, progress  # noqa: E402
from tests.sandboxed import WILD, Started, started  # noqa: E402

SIDE = 384
PYTHON_STEPS = 8_000
GREENLETS = 4
KINDS = {"all processors busy": 0.0, "with pauses": 0.02}


class Work:
    """Turns without plugins: as many as fit into a span of time."""

    def __init__(self) -> None:
        self._threads = ThreadPool(2)
        self._matrix = np.random.default_rng(1).standard_normal((SIDE, SIDE))

    def turn(self) -> None:
        """Do what one turn does: a part in the loop, a part on a native thread."""
        sum(number * number for number in range(PYTHON_STEPS))
        self._threads.apply(np.dot, (self._matrix, self._matrix))

    def for_s(self, span_s: float, pause_s: float) -> Sequence[float]:
        """Return how long each turn took that ended within the span, in ms."""
        until_s = time.perf_counter() + span_s
        took: list[float] = []

        def turns() -> None:
            while time.perf_counter() < until_s:
                begun_s = time.perf_counter()
                self.turn()
                took.append(1000 * (time.perf_counter() - begun_s))
                gevent.sleep(pause_s)

        gevent.joinall([gevent.spawn(turns) for _ in range(GREENLETS)])
        return took


def spin(plugin: Started, until_s: float) -> None:
    """Call what never ends, again and again."""
    while time.perf_counter() < until_s:
        try:
            plugin.does("while True: pass")
        except ToolFailed:
            continue


def rounds(
    work: Work, plugin: Started, *, count: int, span_s: float, spinning: int, pause_s: float
) -> Mapping[str, Any]:
    """Return the figures of ``count`` pairs: alone, then beside ``spinning`` endless calls."""
    alone: list[Sequence[float]] = []
    beside: list[Sequence[float]] = []
    for _ in range(count):
        alone.append(work.for_s(span_s, pause_s))
        until_s = time.perf_counter() + span_s
        spinners = [gevent.spawn(spin, plugin, until_s) for _ in range(spinning)]
        beside.append(work.for_s(span_s, pause_s))
        gevent.joinall(spinners)
    slower = [np.mean(b) / np.mean(a) for a, b in zip(alone, beside, strict=True)]
    fewer = [len(b) / len(a) for a, b in zip(alone, beside, strict=True)]
    everything = [sorted(chain.from_iterable(it)) for it in (alone, beside)]
    return {
        "turns_ratio": round(statistics.median(fewer), 3),
        "mean_ratio": round(float(statistics.median(slower)), 3),
        "p50_ms": [round(it[len(it) // 2], 2) for it in everything],
        "p95_ms": [round(it[int(len(it) * 0.95)], 2) for it in everything],
    }


def report(results: Mapping[str, Any]) -> str:
    """Return the results for people."""
    lines = [
        "# How much a plugin that loops slows other turns",
        "",
        f"Commit {results['commit']}, {results['machine']}. {results['pairs']} pairs of "
        f"{results['span_s']:g} s: work without plugins alone, then beside calls that compute "
        f"without end (a call is ended after {results['call_s']:g} s, and made again). Ratios are "
        "the medians of the pairs: beside to alone.",
        "",
        "| work | endless calls | turns done | mean time of a turn | p50 | p95 |",
        "|---|---|---|---|---|---|",
    ]
    for row in results["rows"]:
        p50, p95 = ("{} → {} ms".format(*row[it]) for it in ("p50_ms", "p95_ms"))
        lines.append(
            f"| {row['work']} | {row['spinning']} | × {row['turns_ratio']} | × {row['mean_ratio']} "
            f"| {p50} | {p95} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--span-s", type=float, default=6.0)
    parser.add_argument("--call-s", type=float, default=10.0)
    chosen = parser.parse_args()
    manifest = f"{{timeout_s: {chosen.call_s}, limits: {{cpu_s: 10}}}}"
    rows = []
    work = Work()
    work.for_s(1.0, 0.0)
    with (
        tempfile.TemporaryDirectory() as folder,
        started(Path(folder), WILD, manifest) as plugin,
    ):
        for name, pause_s in KINDS.items():
            for spinning in (1, 4):
                figures = rounds(
                    work, plugin, count=chosen.pairs, span_s=chosen.span_s,
                    spinning=spinning, pause_s=pause_s,
                )  # fmt: skip
                rows.append({"work": name, "spinning": spinning, **figures})
                progress(str(rows[-1]))
    results = {
        "commit": surroundings.commit(),
        "machine": surroundings.machine(),
        "pairs": chosen.pairs,
        "span_s": chosen.span_s,
        "call_s": chosen.call_s,
        "rows": rows,
    }
    keep(chosen.out, results, report(results))


if __name__ == "__main__":
    main()
