"""Reads figures from load/results as people say them: rounded, in words of a page."""

import json
import statistics
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
RESULTS: Final = ROOT / "load" / "results"

_EVERY: Final = {3: ("three", "三"), 5: ("five", "五"), 7: ("seven", "七"), 10: ("ten", "十")}
"""Seconds from one strike of a chaos run to the next, in the words of the pages."""

_TEXTS: Final = (
    "frames",
    "text_is_not_what_was_committed",
    "text_is_not_the_undisturbed",
    "other_frames_when_read_again",
)
"""What ``wrong`` counts of the texts that readers saw."""

Figures = Mapping[str, str]


def kept(name: str) -> Any:
    """Return what ``load/results/{name}.json`` holds."""
    return json.loads((RESULTS / f"{name}.json").read_text("utf-8"))


def rounded(value: float, digits: int = 0) -> str:
    """Return a figure as people round it (half up), with thousands set apart."""
    return f"{Decimal(str(value)).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP):,}"


def chaos() -> Figures:
    """The kept run of ``make chaos``."""
    run = kept("chaos")
    minutes = round(run["seconds"] / 60)
    killed = run["kills"]["first_text_ms"]["kill_worker"]
    pause = round(run["seconds"] / run["kills"]["strikes"])
    every, every_zh = _EVERY.get(pause, (str(pause), f" {pause} "))
    seen = {promise["text"]: promise["seen"] for promise in run["promises"]}
    first, _, begun = seen["≥ 99.5% of turns answered first time, or all but one"].partition(" of ")
    return {
        "every": every,
        "every_zh": every_zh,
        "minutes": {10: "ten", 30: "thirty", 60: "sixty"}.get(minutes, str(minutes)),
        "minutes_zh": {10: "十", 30: "三十", 60: "六十"}.get(minutes, f" {minutes} "),
        "writers": str(run["writers"]),
        "faults": str(len(run["faults"])),
        "kills": rounded(run["kills"]["strikes"]),
        "hits": rounded(run["kills"]["turns_hit"]),
        "violations": rounded(len(run["violations"])),
        "turns": rounded(run["turns"]["sent"]),
        "crashed": rounded(run["turns"]["outcomes"].get("failed turn_crashed", 0)),
        "kill_p50": rounded(killed["p50"] / 1000, 1),
        "kill_p95": rounded(killed["p95"] / 1000, 1),
        "balancer": rounded(float(seen["streams go on within 1 s (p95)"].removesuffix(" s")), 1),
        "first": first,
        "begun": begun,
    }


def takeover() -> Figures:
    """Kills in mid-sentence, on one machine."""
    found = kept("takeover")["figures"]
    return {
        "kills": rounded(found["kills_with_a_turn"]),
        "turns": rounded(found["turns_hit"]),
        "wrong": rounded(sum(found["wrong"][name] for name in _TEXTS)),
        **{name: rounded(found["first_text_ms"][name]) for name in ("p50", "p95", "max")},
    }


def on_kubernetes() -> Figures:
    """The run of ``make e2e-k8s``: gaps of a forced delete, turns of all that was under load."""
    steps = kept("e2e-k8s")["steps"]
    gaps = [one["longest_gap_ms"] / 1000 for one in steps["delete-pod"]["rounds"]]
    loads = _loads(steps)
    return {
        "least": rounded(min(gaps), 1),
        "most": rounded(max(gaps), 1),
        "turns": rounded(sum(load["turns"]["sent"] for load in loads)),
        "violations": rounded(sum(len(load["violations"]) for load in loads)),
    }


def _loads(found: Any) -> list[Any]:
    if not isinstance(found, dict):
        return []
    own = [found] if "violations" in found and "turns" in found else []
    return own + [load for part in found.values() for load in _loads(part)]


def upgrade() -> Figures:
    """An older version beside this one, forward and back."""
    run = kept("upgrade")
    return {
        "violations": rounded(len(run["violations"])),
        "turns": rounded(run["turns"]["sent"]),
        "first": rounded(run["turns"]["answered_first_time_percent"], 1),
    }


def convergence() -> Figures:
    """How soon all pods serve a change."""
    run = kept("convergence")
    shown = run["published_to_all_pods_ms"]
    return {
        "changes": rounded(run["changes"]),
        "kills": rounded(run["kills"]),
        "p50": rounded(shown["p50"]),
        "max": rounded(shown["max"]),
        "file": rounded(run["file_to_all_pods_ms"]["max"] / 1000, 1),
    }


def swap() -> Figures:
    """What a swap costs searches, beside what two quiet rounds differ by."""
    ratio = kept("swap")["p99_ratio"]
    return {
        "swapping": rounded(ratio["swapping"]["value"], 2),
        "quiet": rounded(ratio["quiet again"]["value"], 2),
    }


def memory() -> Figures:
    """The most that a worker takes, before turns: resident, shared by three, and its own."""
    run = kept("pod_memory")
    before = [row for name, row in run["before"].items() if name.startswith("worker-")]
    after = run["after"]
    return {
        "rss": _tens(max(row["rss_mb"] for row in before)),
        "pss": _tens(max(row["pss_mb"] for row in before)),
        "own": _tens(max(row["own_mb"] for row in before)),
        "coordinator": rounded(after["coordinator"]["rss_mb"]),
        "redis": rounded(after["redis"]["rss_mb"]),
        "haproxy": rounded(after["haproxy"]["rss_mb"]),
    }


def _tens(value: float) -> str:
    return rounded(value / 10) + "0"


def capacity() -> Figures:
    """Turns a second of one pod."""
    run = kept("capacity")
    by = {("plain", row["clients"]): row for row in run["plain"]}
    by |= {("streamed", row["clients"]): row for row in run["streamed"]}
    return {
        "one": rounded(by["plain", 1]["turns_per_s"]),
        "eight": rounded(by["plain", 8]["turns_per_s"]),
        **{f"s{n}": rounded(by["streamed", n]["turns_per_s"], 1) for n in (25, 50, 100)},
        "f25": rounded(by["streamed", 25]["first_text_p50_ms"]),
        "f50": rounded(by["streamed", 50]["first_text_p50_ms"]),
        "f100": rounded(by["streamed", 100]["first_text_p50_ms"] / 1000, 1),
    }


def retrieval() -> Figures:
    """Both legs together beside each alone: the mean of all sets."""
    sets = kept("retrieval")["sets"].values()

    def mean(leg: str, figure: str) -> str:
        return rounded(statistics.mean(one["figures"][leg][figure]["mean"] for one in sets), 2)

    return {
        "both": mean("hybrid", "ndcg@10"),
        "words": mean("lexical", "ndcg@10"),
        "vectors": mean("dense", "ndcg@10"),
        "recall": mean("hybrid", "recall@5"),
        "sets": str(len(sets)),
    }


def unknown() -> Figures:
    """Both errors of not knowing, at the threshold that is the default, in percent."""
    found = kept("answers")
    refused, answered = found["dont_know"]["now"]["curve"][str(float(found["evidence_min"]))]
    return {
        "refused": rounded(refused * 100),
        "answered": rounded(answered * 100),
        "auroc": rounded(found["dont_know"]["now"]["auroc_mean"], 3).removeprefix("0"),
    }


def follow_ups() -> Figures:
    """Recall of questions as asked and as the rules complete them: the mean of all sets."""
    sets = kept("conversation")["conversations"].values()
    return {
        way: rounded(statistics.mean(one["figures"][way]["recall@5"]["mean"] for one in sets), 2)
        for way in ("raw", "rules")
    }


def hot_answers() -> Figures:
    """The share of looks that find a hot answer, from a cold start, in percent."""
    runs = kept("answer_cache")["hits"]["looks"]["by_seed"]
    return {"share": rounded(100 * statistics.mean(run["hit_share"] for run in runs))}


def bad_http() -> Figures:
    """Raw HTTP messages that were tried at a balancer and at a pod."""
    return {"messages": rounded(kept("bad-input")["http"]["messages"])}
