"""Measures the memory of each process of a running cluster, before and after turns.

    python -m load.bench.pod_memory --data .data --turns 300 --out load/results/pod_memory

PSS counts a page that several processes map (program, weights, segments) in shares: their sum is
what the machine needs. RSS counts it in each, which is what a container of its own is charged.
``own`` belongs to the process alone. Times are not measured, so the machine need not be quiet.
"""

import argparse
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import requests

from kotaemon_node.local import cluster as clusters
from kotaemon_node.local.folder import DataFolder
from load import kept, surroundings

QUESTION = "How long does standard delivery to Singapore take?"
TURNS_PER_SESSION = 5
AT_ONCE = 8


def memory(data: Path) -> dict[str, dict[str, float]]:
    """Return process name to its PSS, RSS and own memory in MB; of a worker with its parent."""
    command = [sys.executable, "-m", "kotaemon_node.cli.main", "ps", "--json", "--data", str(data)]
    rows = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        if row["pid"] is None:
            continue
        serving = psutil.Process(row["pid"])
        parents = [it for it in [serving.parent()] if it and "gunicorn" in " ".join(it.cmdline())]
        sizes = [it.memory_full_info() for it in [serving, *parents]]
        found[row["name"]] = {
            "pss_mb": sum(it.pss for it in sizes) / 1e6,
            "rss_mb": sum(it.rss for it in sizes) / 1e6,
            "own_mb": sum(it.uss for it in sizes) / 1e6,
        }
    return found


def talk(url: str, turns: int) -> int:
    """Run so many turns in sessions of five; return how many ended well."""

    def session(number: int) -> int:
        done = 0
        for turn in range(TURNS_PER_SESSION):
            answer = requests.post(
                f"{url}/v1/sessions/memory-{number}/turns",
                json={"message": QUESTION, "turn_id": f"t{turn}"},
                timeout=300,
            )
            done += answer.ok
        return done

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return sum(pool.map(session, range(turns // TURNS_PER_SESSION)))


def report(figures: dict[str, Any]) -> str:
    """Return the figures for people."""
    lines = [
        "# Memory of a cluster's processes",
        "",
        f"Made by `python -m load.bench.pod_memory`; what is measured stands there.\n"
        f"{figures['surroundings']}; the sample knowledge, {figures['turns']} turns of which"
        f" {figures['done']} ended well.",
        "",
        "| process | PSS before, MB | RSS | own | PSS after | RSS | own |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, before in figures["before"].items():
        after = figures["after"].get(name)
        if after is None:
            continue
        row = [f"{it[at]:.0f}" for it in (before, after) for at in ("pss_mb", "rss_mb", "own_mb")]
        lines.append(f"| {name} | {' | '.join(row)} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Measure, and keep the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(".data"))
    parser.add_argument("--turns", type=int, default=300)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    folder = DataFolder(arguments.data.absolute())
    cluster = clusters.load(folder)
    if cluster is None:
        print("There is no cluster in this data folder; start one with `kotaemon up`.")
        return 2
    before = memory(folder.path)
    done = talk(cluster.url, arguments.turns)
    figures = {
        "surroundings": f"Commit {surroundings.commit()}; {surroundings.machine()}",
        "turns": arguments.turns,
        "done": done,
        "before": before,
        "after": memory(folder.path),
    }
    text = report(figures)
    kept.keep(arguments.out, figures, text)
    print(text, json.dumps({"done": done}))
    return 0 if done == arguments.turns // TURNS_PER_SESSION * TURNS_PER_SESSION else 1


if __name__ == "__main__":
    sys.exit(main())
