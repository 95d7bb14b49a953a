"""Measures what ingest costs chat on the same processors: the goal is at most 10 % more.

    python -m load.bench.ingest_beside_chat --out load/results/ingest_beside_chat

One worker answers questions of several clients while the coordinator beside it reads and encodes
new documents. Rounds of ingest lie between quiet rounds, in an order drawn anew for each block;
every block has two quiet rounds (A/A), and how far those lie apart is what this machine cannot
tell. An answer counts for ingest only while documents wait to be indexed.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests

from load import surroundings
from load.bench.swap import KB, OTHERS, TIMEOUT_S, write_corpus
from load.bench.swap_figures import percentile
from load.clients import Clients
from load.kept import keep
from tests.cluster import Cluster

ARMS = ("quiet", "quiet again", "ingesting")
CLIENTS = 2
THINK_S = 0.1
ROUND_S = 8.0
INGEST_MAX_S = 120.0
SECTIONS = 10
ANEW = {"ANSWER_CACHE_TTL_S": "0"}  # each question is to be searched for
GOAL = 1.10


def write_documents(folder: Path, *, block: int, passages: int, chance: random.Random) -> None:
    """Write documents of about ``SECTIONS`` passages each."""
    words = ("oak", "steel", "linen", "glass", "cork", "brass", "wool", "clay", "bamboo", "felt")
    for number in range(passages // SECTIONS):
        parts = [f"# Catalogue {block}-{number}\n"]
        for section in range(SECTIONS):
            sentences = [
                f"Item {chance.randint(0, 10**6)} is made of {', '.join(chance.sample(words, 3))}."
                for _ in range(12)
            ]
            parts.append(f"## Section {section}\n\n{' '.join(sentences)}\n")
        aside = folder / f".catalogue-{block}-{number}.md"
        aside.write_text("\n".join(parts), "utf-8")
        aside.rename(folder / aside.name.removeprefix("."))


class Askers(Clients):
    """Ask one pod, with a short pause between answers."""

    def __init__(self, url: str, *, seed: int) -> None:
        super().__init__(clients=CLIENTS, seed=seed)
        self._url = url
        self.asked: dict[str, list[float]] = {arm: [] for arm in ARMS}

    def _ask(self, chance: random.Random) -> None:
        with requests.Session() as session:
            while not self._stopped.wait(THINK_S * chance.uniform(0.5, 1.5)):
                arm, began_s = self.arm, time.perf_counter()
                try:
                    address = f"{self._url}/ask?q={quote(chance.choice(OTHERS))}"
                    answer = session.get(address, timeout=TIMEOUT_S)
                    answer.raise_for_status()
                except requests.RequestException as error:
                    self.errors.append(repr(error))
                    continue
                # What began in one round and ended in another belongs to none.
                if arm and arm == self.arm:
                    self.asked[arm].append(time.perf_counter() - began_s)


def documents_of(cluster: Cluster) -> Mapping[str, int]:
    """Return how many documents of the knowledge base are in which state."""
    shown = requests.get(f"{cluster.pod_url('coordinator')}/readyz", timeout=TIMEOUT_S).json()
    states: Mapping[str, int] = shown["knowledge"].get(KB, {}).get("documents", {})
    return states


def indexed(cluster: Cluster, documents: int) -> bool:
    """Tell whether so many documents can be found."""
    states = documents_of(cluster)
    return states.get("indexed", 0) >= documents and not states.get("waiting", 0)


def figures(asked: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Return the percentiles of each arm in ms, and how many times the quiet ones they are."""
    quiet = [*asked["quiet"], *asked["quiet again"]]
    rows = {**asked, "both quiet": quiet}
    found: dict[str, Any] = {
        arm: {
            "answers": len(times),
            "p50_ms": round(percentile(sorted(times), 0.5) * 1000, 2),
            "p95_ms": round(percentile(sorted(times), 0.95) * 1000, 2),
        }
        for arm, times in rows.items()
    }
    for share in ("p50_ms", "p95_ms"):
        found[f"{share[:3]}_times"] = round(
            found["ingesting"][share] / found["both quiet"][share], 3
        )
        found[f"{share[:3]}_times_between_quiet"] = round(
            found["quiet again"][share] / found["quiet"][share], 3
        )
    return found


def measure(*, blocks: int, passages: int, seed: int) -> dict[str, Any]:
    """Run everything; ``passages`` is of one round of ingest. Return the results."""
    chance = random.Random(seed)
    ingests_s: list[float] = []
    with tempfile.TemporaryDirectory(prefix="kn-beside-") as root:
        knowledge = Path(root) / "knowledge"
        knowledge.mkdir()
        documents = 200
        write_corpus(knowledge, documents=documents)
        with Cluster(
            Path(root) / "data", workers=1, knowledge=knowledge, environment=ANEW
        ) as cluster:
            cluster.wait_until(lambda: indexed(cluster, documents), what="all", timeout_s=600)
            with Askers(cluster.pod_url("worker-0"), seed=seed) as clients:
                time.sleep(ROUND_S)  # the first answers are slower
                for block in range(blocks):
                    for arm in chance.sample(ARMS, len(ARMS)):
                        began_s = time.perf_counter()
                        if arm == "ingesting":
                            write_documents(
                                knowledge, block=block, passages=passages, chance=chance
                            )
                            documents += passages // SECTIONS
                            goal = documents
                            clients.arm = arm
                            cluster.wait_until(
                                lambda goal=goal: indexed(cluster, goal),
                                what="ingest",
                                timeout_s=INGEST_MAX_S,
                            )
                            ingests_s.append(time.perf_counter() - began_s)
                        else:
                            clients.arm = arm
                            # Asked in all rounds alike: asking costs something, too.
                            while time.perf_counter() < began_s + ROUND_S:
                                documents_of(cluster)
                                time.sleep(0.1)
                        clients.arm = ""
                        time.sleep(1.0)
                    print(f"  block {block + 1} of {blocks}", flush=True)
    return {
        "seed": seed,
        "commit": surroundings.commit(required=False),
        "machine": surroundings.machine(),
        "blocks": blocks,
        "passages": blocks * passages,
        "clients": CLIENTS,
        "passages_per_s": round(blocks * passages / sum(ingests_s), 1),
        "errors": clients.errors,
        **figures(clients.asked),
    }


def report(found: Mapping[str, Any]) -> str:
    """Return what people read."""
    rows = "\n".join(
        f"| {arm} | {found[arm]['answers']:,} | {found[arm]['p50_ms']} | {found[arm]['p95_ms']} |"
        for arm in (*ARMS, "both quiet")
    )
    times, apart = (
        [found[f"{share}_times{which}"] for share in ("p50", "p95")]
        for which in ("", "_between_quiet")
    )
    return f"""# Ingest beside chat

{found["clients"]} clients ask one worker; beside it {found["passages"]:,} passages are read,
encoded and published, {found["passages_per_s"]} a second, in {found["blocks"]} blocks between quiet
rounds. Commit {found["commit"]}, {found["machine"]}.

| round | answers | p50 ms | p95 ms |
|---|---|---|---|
{rows}

While documents are ingested the p50 is {times[0]} times and the p95 {times[1]} times that of the
quiet rounds; the two kinds of quiet rounds lie {apart[0]} and {apart[1]} times apart. The goal is
{GOAL:.2f} times. Errors: {len(found["errors"])}.
"""


def main() -> int:
    """Run as asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="this, .json and .md")
    parser.add_argument("--blocks", type=int, default=8)
    parser.add_argument("--passages", type=int, default=250, help="of one round of ingest")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    found = measure(blocks=asked.blocks, passages=asked.passages, seed=asked.seed)
    text = report(found)
    keep(asked.out, found, text)
    print(text)
    return 0 if not found["errors"] and max(found["p50_times"], found["p95_times"]) <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
