"""Measures how long it takes until all pods serve new knowledge, while pods are being killed.

    python -m load.bench.convergence --out load/results/convergence

A document of a running cluster changes again and again; every few seconds a worker is killed. Two
times are taken of each change: from the change of the file, and from the manifest's own time of
publication, until every pod that is up serves the generation. A pod that was down meanwhile counts
from when it is ready again: it must not come back with older knowledge. Beside them, readers ask
through the balancer without a pause and note every answer that is not served and every session that
would go back.
"""

import argparse
import random
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from kotaemon_node.adapters.store.file_store import FileArtifactStore
from kotaemon_node.domain.artifact_names import knowledge_base_prefix
from load import surroundings
from load.bench.convergence_figures import Change, figures, report, within_goal
from load.kept import keep
from tests.cluster import Cluster

KB = TENANT = "default"
WORKERS = 3
READERS = 2
KILL_EVERY_S = (3.0, 8.0)
POLL_S = 0.02
SERVED_WITHIN_S = 60.0
TIMEOUT_S = 10.0
QUESTION = "How much does the Meteor lamp cost?"


@dataclass(slots=True)
class Watch:
    """What the pods serve now, asked again and again. One thread a pod writes its own row."""

    stopped: threading.Event = field(default_factory=threading.Event)
    served: dict[str, int] = field(default_factory=dict)
    """Pod to the generation it serves; a pod that is not ready is not in here."""
    stale_starts: list[str] = field(default_factory=list)
    """Pods that came back ready with a generation that all others had left behind."""
    everywhere: int = 0
    """The highest generation that all pods that are up were seen to serve."""

    def follow(self, name: str, url: str) -> None:
        """Keep the row of one pod."""
        client = requests.Session()
        while not self.stopped.wait(POLL_S):
            try:
                shown = client.get(f"{url}/readyz", timeout=TIMEOUT_S)
                generation = int(shown.json()["generations"][KB]) if shown.ok else 0
            except (requests.RequestException, KeyError, ValueError):
                generation = 0
            if not generation:
                self.served.pop(name, None)
                continue
            everywhere = self.everywhere
            if name not in self.served and generation < everywhere:
                self.stale_starts.append(f"{name} serves {generation}, others {everywhere}")
            self.served[name] = generation

    def all_serve(self, generation: int) -> bool:
        """Tell whether every pod that is up serves it, and one is up."""
        served = list(self.served.values())
        found = bool(served) and min(served) >= generation
        if found:
            self.everywhere = max(self.everywhere, generation)
        return found


@dataclass(slots=True)
class Readers:
    """Who asks through the balancer meanwhile."""

    url: str
    stopped: threading.Event = field(default_factory=threading.Event)
    answers: int = 0
    errors: list[str] = field(default_factory=list)

    def ask(self, number: int) -> None:
        """Ask in one session until stopped; its generation must never go back."""
        newest, turn = 0, 0
        while not self.stopped.wait(0.1):
            turn += 1
            body = {"message": QUESTION, "turn_id": f"r{number}-{turn}"}
            try:
                answer = requests.post(
                    f"{self.url}/v1/sessions/reader-{number}/turns", json=body, timeout=70
                )
                found = answer.json()
                generation = int(found["generation"][KB])
            except (requests.RequestException, KeyError, ValueError, TypeError) as error:
                self.errors.append(f"reader {number}, turn {turn}: {error!r}")
                continue
            if generation < newest:
                self.errors.append(f"reader {number} went from {newest} back to {generation}")
            newest = max(newest, generation)
            self.answers += 1


def kill_now_and_then(cluster: Cluster, stopped: threading.Event, chance: random.Random) -> int:
    """Kill workers until stopped, one at a time; return how many."""
    kills = 0
    while not stopped.wait(chance.uniform(*KILL_EVERY_S)):
        ready = [row["name"] for row in cluster.ps() if row["role"] == "worker" and row["ready"]]
        # One stays at least: what nobody serves converges nowhere.
        if len(ready) > 1:
            cluster.kill(chance.choice(ready))
            kills += 1
    return kills


def newest(store: FileArtifactStore) -> int:
    """Return the number of the newest generation that exists."""
    prefix = f"{knowledge_base_prefix(TENANT, KB)}manifests/"
    numbers = (name.removeprefix(prefix).partition(".")[0] for name in store.list(prefix))
    return max(int(number) for number in numbers if number.isdigit())


def change(knowledge: Path, store: FileArtifactStore, watch: Watch, number: int) -> Change:
    """Change the document and wait until all pods that are up serve it."""
    before = newest(store)
    text = f"# Meteor lamp\n\nThe Meteor lamp costs {1000 + number} dollars today.\n"
    (knowledge / "lamp.md").write_text(text, "utf-8")
    began_s, began_at = time.monotonic(), time.time()
    deadline_s = began_s + SERVED_WITHIN_S
    while (generation := newest(store)) <= before:
        assert time.monotonic() < deadline_s, f"change {number} was not published"
        time.sleep(POLL_S)
    published_s = time.monotonic() - began_s
    while not watch.all_serve(generation):
        assert time.monotonic() < deadline_s, f"{generation} is not served: {watch.served}"
        time.sleep(POLL_S)
    return Change(began_at, published_s, time.monotonic() - began_s)


def measure(*, changes: int, seed: int) -> Mapping[str, Any]:
    """Run everything; return the results."""
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="kn-convergence-") as folder:
        knowledge = Path(folder) / "knowledge"
        knowledge.mkdir()
        (knowledge / "lamp.md").write_text("# Meteor lamp\n\nNo price yet.\n", "utf-8")
        with Cluster(Path(folder) / "data", workers=WORKERS, knowledge=knowledge) as cluster:
            store = FileArtifactStore(cluster.folder.artifacts)
            watch, readers = Watch(), Readers(cluster.url)
            kills: list[int] = []
            threads = [
                *(
                    threading.Thread(target=watch.follow, args=(name, cluster.pod_url(name)))
                    for name in (f"worker-{number}" for number in range(WORKERS))
                ),
                *(threading.Thread(target=readers.ask, args=(n,)) for n in range(READERS)),
                threading.Thread(
                    target=lambda: kills.append(
                        kill_now_and_then(cluster, watch.stopped, random.Random(seed))
                    )
                ),
            ]
            for thread in threads:
                thread.start()
            found = []
            try:
                for number in range(1, changes + 1):
                    found.append(change(knowledge, store, watch, number))
                    time.sleep(chance.uniform(0, 1.0))
                    if number % 20 == 0:
                        print(f"  {number} of {changes} changes", flush=True)
            finally:
                watch.stopped.set()
                readers.stopped.set()
                for thread in threads:
                    thread.join()
    return {
        "seed": seed,
        "commit": surroundings.commit(),
        "machine": surroundings.machine(),
        "workers": WORKERS,
        "kills": sum(kills),
        "answers": readers.answers,
        "errors": readers.errors,
        "stale_starts": watch.stale_starts,
        **figures(found),
    }


def main() -> int:
    """Run as asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="this, .json and .md")
    parser.add_argument("--changes", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    found = measure(changes=asked.changes, seed=asked.seed)
    text = report(found)
    keep(asked.out, found, text)
    print(text)
    return 0 if within_goal(found) else 1


if __name__ == "__main__":
    sys.exit(main())
