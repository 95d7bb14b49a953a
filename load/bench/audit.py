"""Measures what an audit record takes: bytes in the session store, and time before the commit.

    python -m load.bench.audit --out load/results/audit

Two pods of one process on a real Redis answer conversations of five turns from passages of 800
characters of the sample knowledge, in turns; one of them keeps no records. Nothing is encoded and
nobody writes slowly: what is measured is the record alone.
"""

import argparse
import random
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from kotaemon_node.domain.knowledge import Hit, Passage, SearchResult, passage_id
from kotaemon_node.engine.record import no_record
from load import surroundings
from load.kept import keep, progress
from tests.book_pods import BookPod, Saying
from tests.redis_server import RedisServer

ROOT = Path(__file__).resolve().parents[2]
SESSIONS, TURNS = 20, 5
PASSAGE_CHARS = 800
REVISION = "0" * 64
QUESTION = "How long does standard delivery to Singapore take, and what does it cost? ({number})"


def passages(seed: int) -> list[Passage]:
    """Return pieces of the sample texts, in an order drawn by ``seed``."""
    found = []
    for path in sorted((ROOT / "sample" / "knowledge").rglob("*.md")):
        text, name = path.read_text("utf-8"), path.name
        for start in range(0, len(text), PASSAGE_CHARS):
            end = min(start + PASSAGE_CHARS, len(text))
            place = passage_id(document=name, revision=REVISION, span=(start, end))
            found.append(
                Passage(
                    place, name, REVISION, path.stem.title(), ("Delivery", "Abroad"), None,
                    (start, end), text[start:end], "en",
                )
            )  # fmt: skip
    random.Random(seed).shuffle(found)
    return found


def searching(pod: BookPod, seed: int) -> None:
    """Have ``pod`` find four passages for any question, others each time."""
    pieces, draw = passages(seed), random.Random(seed)

    def search(question: str, *, top_k: int, **_: Any) -> SearchResult:
        hits = tuple(
            Hit(piece, draw.random(), draw.random(), 10 * draw.random(), 0.9, draw.random())
            for piece in draw.sample(pieces, top_k)
        )
        return SearchResult("default", 12, "f" * 64, hits)

    pod.shelf.search = search  # type: ignore[method-assign]


def measured(model: Saying | None, seed: int) -> dict[str, Any]:
    """Ask both pods and return the figures."""
    server = RedisServer()
    server.start()
    try:
        pods = {name: BookPod(name, server, model=model) for name in ("with", "without")}
        pods["without"].recorder = no_record  # type: ignore[assignment]
        took: dict[str, list[float]] = {name: [] for name in pods}
        for session in range(SESSIONS):
            for name, pod in sorted(pods.items(), reverse=bool(session % 2)):
                searching(pod, seed + session)
                for turn in range(TURNS):
                    asked = QUESTION.format(number=session * TURNS + turn)
                    done = pod.ask(f"{name}-{session}", f"t{turn}", asked)
                    took[name].append(1000 * done.timings["total"])
        return {**_sizes(pods["with"]), **_times(took)}
    finally:
        server.remove()


def _sizes(pod: BookPod) -> dict[str, float]:
    """Return what records take: as JSON, and as Redis keeps them with the way to them."""
    client = pod.store.client
    kept = [client.memory_usage(name, samples=0) for name in client.scan_iter("kn:*:record:*")]
    traces = [client.memory_usage(name, samples=0) for name in client.scan_iter("kn:*:trace:*")]
    said = [
        len(orjson.dumps(pod.record(f"trace-with-{session}-t{turn}")))
        for session in range(SESSIONS)
        for turn in range(TURNS)
    ]
    return {
        "records": len(kept),
        "json_bytes": round(statistics.mean(said)),
        "stored_bytes": round(statistics.mean(kept) + statistics.mean(traces)),
        "largest_stored_bytes": max(kept),
    }


def _times(took: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Return the median turn without records, and by how much longer one with a record takes."""
    medians = {name: statistics.median(times) for name, times in took.items()}
    return {
        "turn_ms": round(medians["without"], 2),
        "record_ms": round(medians["with"] - medians["without"], 2),
    }


def report(results: Mapping[str, Any]) -> str:
    """Return the figures as Markdown."""
    lines = [
        "# What an audit record takes",
        "",
        f"Commit {results['commit']}, {results['machine']}. Conversations of {TURNS} turns, four"
        f" passages of {PASSAGE_CHARS} characters each; medians. In Redis: the record and its entry"
        " under the trace.",
        "",
        "| turns | records | JSON | in Redis | largest | turn without | a record adds |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in results["turns"].items():
        lines.append(
            f"| {name} | {row['records']} | {row['json_bytes']:,} B | {row['stored_bytes']:,} B"
            f" | {row['largest_stored_bytes']:,} B | {row['turn_ms']} ms | {row['record_ms']} ms |"
        )
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and keep."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args(arguments)
    turns: dict[str, Any] = {}
    said = Saying(*(f"It takes {number} to four days by parcel [1]. " for number in range(12)))
    for kind, model in (("extractive", None), ("language model", said)):
        progress(kind)
        turns[kind] = measured(model, chosen.seed)
    results = {
        "commit": surroundings.commit(),
        "machine": surroundings.machine(),
        "seed": chosen.seed,
        "turns": turns,
    }
    keep(chosen.out, results, report(results))


if __name__ == "__main__":
    main()
