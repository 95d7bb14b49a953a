"""That effects happen once: each step of a cancellation disturbed a hundred times, in three shops.

    python -m load.bench.effects --out load/results/effects [--times 100] [--shop keys]

Two pods of one process on a Redis of their own; a shop really listens. When a lost pod goes on is
chosen by a seed that follows from shop, place and manner. Fails where one order was cancelled
twice, or somebody was told what is not so.
"""

import argparse
import json
import logging
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import structlog

from load.effects.cases import Ended, Mode, World, case_of
from load.effects.pods import DURING, PLACES, Place
from load.effects.shops import KINDS, Kind, Shop
from load.kept import keep, progress
from load.surroundings import commit, machine
from tests.redis_server import RedisServer

_MANNERS: tuple[tuple[Mode, tuple[Place, ...]], ...] = (
    ("crash", PLACES),
    ("freeze", PLACES),
    ("cancel", DURING),
    ("interrupt", DURING),
)


def main(arguments: Sequence[str]) -> int:
    """Disturb, count and keep; return 1 where a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--shop", choices=KINDS, action="append", help="only these; others stay")
    given = parser.parse_args(arguments)
    # What is lost on purpose is no news.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    begun_s = time.monotonic()
    here = commit()
    rows, before_s = _before(given.out, here, without=given.shop or KINDS)
    for kind in given.shop or KINDS:
        server = RedisServer()
        server.start()
        with Shop(kind) as shop:
            world = World(server, shop)
            for manner, places in _MANNERS:
                for place in places:
                    rows.append(_row(world, kind, place, manner, times=given.times))
        server.remove()
        progress(f"{kind}: {time.monotonic() - begun_s:.0f} s")
    results = {
        "commit": here,
        "machine": machine(),
        "took_s": round(before_s + time.monotonic() - begun_s),
        "cancellations": sum(row["times"] for row in rows),
        "problems": sum(len(row["problems"]) for row in rows),
        "rows": rows,
    }
    keep(given.out, results, report(results))
    return 1 if results["problems"] else 0


def _before(out: Path, here: str, *, without: Sequence[Kind]) -> tuple[list[dict[str, Any]], float]:
    """Return what the same commit measured of other shops, and how long that took in all."""
    file = out.with_suffix(".json")
    known = json.loads(file.read_text("utf-8")) if file.exists() else {}
    if known.get("commit") != here:
        return [], 0.0
    return [row for row in known["rows"] if row["shop"] not in without], known["took_s"]


def _row(world: World, shop: Kind, place: Place, manner: Mode, *, times: int) -> dict[str, Any]:
    chance = random.Random(f"{shop} {place} {manner}")
    ends: list[Ended] = []
    problems: list[str] = []
    for _ in range(times):
        case = case_of(shop, place, manner, chance)
        ended = world.happens(case)
        ends.append(ended)
        if problem := ended.problem(case):
            problems.append(f"{case}: {problem}")
    told = Counter(" → ".join(ended.told) for ended in ends)
    return {
        "shop": shop,
        "manner": manner,
        "place": place,
        "times": times,
        "done": sum(ended.effects == 1 for ended in ends),
        "not_done": sum(ended.effects == 0 for ended in ends),
        "twice": sum(ended.effects > 1 for ended in ends),
        "told": dict(told.most_common()),
        "problems": problems,
    }


def report(results: dict[str, Any]) -> str:
    """Return the rows for people."""
    lines = [
        "# Effects happen once",
        "",
        "Made by `python -m load.bench.effects`. A pod that cancels an order is lost at a step of",
        "it, or its turn is cancelled or interrupted; another one goes on. Three shops over HTTP:",
        "`keys` honours the key of a call, `lookup` ignores it and tells what was cancelled,",
        "`neither` does neither. *Told*: what the user heard: the answer, perhaps a follow-up.",
        "",
        f"{results['cancellations']:,} cancellations in {results['took_s']} s, "
        f"{results['problems']} with a second effect or an untruth. Commit `{results['commit']}`, "
        f"{results['machine']}.",
        "",
        "| shop | lost by | where | times | cancelled once | not | twice | told |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in results["rows"]:
        told = "; ".join(f"{said} ({times})" for said, times in row["told"].items())
        lines.append(
            f"| {row['shop']} | {row['manner']} | {row['place']} | {row['times']} | {row['done']} "
            f"| {row['not_done']} | {row['twice']} | {told} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
