"""Measures how long it takes until all pods have another version of a plugin.

    python -m load.bench.plugin_change --out load/results/plugin_change

On a cluster of three pods, again and again: the file in the plugin folder changes; a bundle is
pushed for a tenth of the sessions; that is promoted; the plugin is switched off and on. Each time
until ``/v1/cluster`` shows it for every pod: a pod tells by its heartbeat, so up to half a second
of it is the telling. Meanwhile a reader asks without a pause, and no pod may be started anew.
"""

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import requests

from kotaemon_node.adapters.signing import read_signing_key
from kotaemon_node.chaos.figures import spread
from kotaemon_node.domain.plugin_bundle import digest_of, message_of, packed
from kotaemon_node.domain.plugin_signature import signature_line
from load import surroundings
from load.bench.convergence import Readers
from load.kept import keep, progress
from tests.cluster import Cluster

WORKERS: Final = 3
READERS: Final = 1
WITHIN_S: Final = 30.0
GOAL_MS: Final = 2_000.0
SOURCE: Final = """
from kotaemon_node.plugins import BasePlugin

class Measured(BasePlugin):
    name, description = "measured", "Says its number."

    def run(self):
        return {"result": NUMBER}
"""
STEPS: Final = ("file changed", "pushed for 10 %", "promoted", "switched off", "switched on")


class Changes:
    """Changes the plugin of a running cluster, and waits for all pods."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self._url = cluster.url
        self._folder = folder
        self._signer = read_signing_key(cluster.folder.path / "keys" / "signing.pem")
        self._before: frozenset[str] = frozenset()
        self.found: dict[str, list[float]] = {step: [] for step in STEPS}

    def round(self, number: int) -> None:
        """Make each change once."""
        first, second = (SOURCE.replace("NUMBER", str(number + it)) for it in (0, 0.5))
        path = self._folder / "measured.py"
        self._timed("file changed", lambda: path.write_text(first), self._newer)
        self._timed(
            "pushed for 10 %", lambda: self._push(second), lambda row: bool(row.get("next"))
        )
        self._timed("promoted", lambda: self._put(rollout_percent=100), self._promoted)
        self._timed(
            "switched off", lambda: self._put(enabled=False), lambda row: not row["version"]
        )
        self._timed("switched on", lambda: self._put(enabled=True), self._promoted)
        self._before = self._versions()

    def _timed(
        self, step: str, make: Callable[[], Any], holds: Callable[[Mapping[str, Any]], bool]
    ) -> None:
        began_s = time.monotonic()
        make()
        while not all(row and holds(row) for row in self._rows()):
            assert time.monotonic() - began_s < WITHIN_S, f"{step}: {self._rows()}"
            time.sleep(0.01)
        self.found[step].append((time.monotonic() - began_s) * 1000)

    def _newer(self, row: Mapping[str, Any]) -> bool:
        return bool(row["version"]) and row["version"] not in self._before

    def _promoted(self, row: Mapping[str, Any]) -> bool:
        return bool(row["version"]) and "next" not in row

    def _versions(self) -> frozenset[str]:
        return frozenset(str(row.get("version")) for row in self._rows())

    def _rows(self) -> list[Mapping[str, Any]]:
        pods = requests.get(f"{self._url}/v1/cluster", timeout=10).json()["pods"]
        return [pod.get("plugins", {}).get("measured", {}) for pod in pods]

    def _put(self, **wish: Any) -> None:
        answer = requests.put(f"{self._url}/v1/plugins/measured", json=wish, timeout=30)
        assert answer.ok, answer.text

    def _push(self, source: str) -> None:
        raw = packed({"measured.py": source.encode()})
        signature = self._signer.sign(message_of("measured", digest_of(raw)))
        files = {"bundle": raw, "signature": signature_line(self._signer.key_id, signature)}
        answer = requests.post(
            f"{self._url}/v1/plugins",
            files=files,
            data={"rollout_percent": json.dumps(10)},
            timeout=30,
        )
        assert answer.ok, answer.text


def measure(*, rounds: int) -> Mapping[str, Any]:
    """Run everything; return the results."""
    with tempfile.TemporaryDirectory(prefix="kn-plugins-") as root:
        folder = Path(root) / "plugins"
        folder.mkdir()
        environment = {"PLUGINS_DIR": str(folder)}
        with Cluster(Path(root) / "data", workers=WORKERS, environment=environment) as cluster:
            pids = [cluster.pid(f"worker-{number}") for number in range(WORKERS)]
            readers = Readers(cluster.url)
            threads = [threading.Thread(target=readers.ask, args=(it,)) for it in range(READERS)]
            for thread in threads:
                thread.start()
            changes = Changes(cluster, folder)
            try:
                for number in range(rounds):
                    changes.round(number)
                    progress(f"{number + 1} of {rounds} rounds")
            finally:
                readers.stopped.set()
                for thread in threads:
                    thread.join()
            again = [cluster.pid(f"worker-{number}") for number in range(WORKERS)]
    return {
        "commit": surroundings.commit(),
        "machine": surroundings.machine(),
        "workers": WORKERS,
        "rounds": rounds,
        "answers": readers.answers,
        "errors": readers.errors,
        "restarted": sum(one != other for one, other in zip(pids, again, strict=True)),
        "ms": {step: spread(values) for step, values in changes.found.items()},
    }


def report(found: Mapping[str, Any]) -> str:
    """Return the results as Markdown."""
    lines = [
        "# How soon all pods have another version of a plugin",
        "",
        "Made by `python -m load.bench.plugin_change`; what is measured stands there. The goal:",
        f"within {GOAL_MS / 1000:g} s, no error, no restart. Pods tell by heartbeats, up to 0.5 s"
        " later.",
        "",
        f"Commit {found['commit']}, {found['machine']}; {found['rounds']} rounds,"
        f" {found['workers']} workers.",
        "",
        "| ms until all pods have it | p50 | p95 | longest |",
        "|---|---|---|---|",
    ]
    for step, row in found["ms"].items():
        lines.append(f"| {step} | {row['p50']:.0f} | {row['p95']:.0f} | {row['max']:.0f} |")
    told = f"Turns answered meanwhile: {found['answers']}; errors: {len(found['errors'])}"
    lines += ["", f"{told}; pods started anew: {found['restarted']}.", ""]
    return "\n".join(lines)


def within_goal(found: Mapping[str, Any]) -> bool:
    """Return whether all pods had every change in time, and nobody noticed."""
    longest = max(row["max"] for row in found["ms"].values())
    return not found["errors"] and not found["restarted"] and longest <= GOAL_MS


def main() -> int:
    """Run as asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="this, .json and .md")
    parser.add_argument("--rounds", type=int, default=20)
    asked = parser.parse_args()
    found = measure(rounds=asked.rounds)
    text = report(found)
    keep(asked.out, found, text)
    print(text)
    return 0 if within_goal(found) else 1


if __name__ == "__main__":
    sys.exit(main())
