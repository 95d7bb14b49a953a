"""A flame graph of a worker under questions: where its time goes, for whoever makes it faster.

    python -m load.bench.speed.flame docs/images/flame.svg [--cached] [--seconds 20]

One worker on its core, clients on the others, as in the measure `throughput`; py-spy
(https://github.com/benfred/py-spy) looks at it from outside and counts only what holds Python's
lock. Writes the picture and prints the functions that took most, with what they called.
"""

import argparse
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from load.bench.speed import asking
from load.bench.speed.cores import cores
from load.bench.speed.knowledge import ROOM, prepared
from load.bench.speed.run import ROOT
from load.bench.speed.servers import Served, Stage, child
from load.bench.speed.throughput import CLIENTS, Feed

_RATE_HZ: Final = 100
_WARM_S: Final = 2.0
_SHOWN: Final = 40
_REPEATED: Final = 50


def record(served: Served, picture: Path, *, seconds: float) -> None:
    """Watch a server for so long and write what was seen as ``picture``, and as ``.raw`` beside.

    Raises ``CalledProcessError`` where py-spy may not look: it needs the right to trace.
    """
    watchers = [
        subprocess.Popen(
            [
                "py-spy", "record", "--pid", str(served.pid), "--gil", "--rate", str(_RATE_HZ),
                "--duration", str(round(seconds)), "--format", form, "--output", str(path),
            ],
            stdout=subprocess.DEVNULL,
        )
        for form, path in (("flamegraph", picture), ("raw", picture.with_suffix(".raw")))
    ]  # fmt: skip
    for watcher in watchers:
        if watcher.wait() != 0:
            raise subprocess.CalledProcessError(watcher.returncode, watcher.args)


def most(raw: str) -> list[tuple[str, float]]:
    """Return functions and their share of all samples, 0 to 1, what they called included.

    ``raw``: a line a stack, ``outer;inner 12``, as py-spy and flamegraph.pl have it.
    """
    seen: Counter[str] = Counter()
    total = 0
    for line in raw.splitlines():
        stack, _, samples = line.rpartition(" ")
        total += int(samples)
        # A function that calls itself counts once; lines of one function are one.
        functions = (f"{frame.rpartition(':')[0]})" for frame in stack.split(";"))
        for function in dict.fromkeys(functions):  # outer ones first
            seen[function] += int(samples)
    return [(function, count / total) for function, count in seen.most_common()]


def main() -> None:
    """Record as asked."""
    parser = argparse.ArgumentParser(prog="python -m load.bench.speed.flame", description=__doc__)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--cached", action="store_true", help="questions that were asked before")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--passages", type=int, default=10_000)
    parser.add_argument("--models", type=Path, default=ROOT / ".models")
    parser.add_argument("--room", type=Path, default=ROOM)
    asked = parser.parse_args()
    knowledge = prepared(
        passages=asked.passages, models=asked.models.absolute(), room=asked.room, tell=print
    )
    with Stage(cores(), models=asked.models.absolute()) as stage:
        worker = stage.pod(stage.redis().url, knowledge)
        feed = Feed(asked.passages)
        plan = asking.Plan(
            ports=[worker.port],
            questions=feed.take(_REPEATED if asked.cached else round(asked.seconds) * 500),
            connections=CLIENTS,
            seconds=asked.seconds + 2 * _WARM_S,
            prefix=feed.name(),
            repeat=asked.cached,
            sessions=[],
        )
        answered: list[dict[str, Any]] = []
        clients = threading.Thread(
            target=lambda: answered.append(child("asking", asdict(plan), where=stage.cores.around))
        )
        clients.start()
        time.sleep(plan.warm_s + _WARM_S)
        record(worker, asked.picture, seconds=asked.seconds)
        clients.join()
    if not answered or answered[0]["errors"]:
        sys.exit(f"questions were refused: {answered}")
    for function, share in most(asked.picture.with_suffix(".raw").read_text("utf-8"))[:_SHOWN]:
        print(f"{share:6.1%}  {function}")


if __name__ == "__main__":
    main()
