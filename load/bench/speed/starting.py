"""How soon a worker is ready with warm files, and what memory a further one takes."""

import os
from typing import Any, Final

import psutil

from load.bench.speed.arms import Context, Measured, at_most
from load.bench.speed.rounds import Sample, in_rounds
from load.bench.speed.servers import Served, Stage
from load.bench.speed.throughput import Feed, asked_of

_READY_S: Final = 3.0
_MIB: Final = 1024 * 1024
_MEMORY_MIB: Final = 250.0 * 1e6 / _MIB  # 250 MB
_ROUNDS_MAX: Final = 9


def run(context: Context) -> Measured:
    """Start workers; the first one stays, so that each further one finds warm files."""
    knowledge = context.knowledge()
    feed = Feed(knowledge.passages)
    with Stage(context.cores, models=context.models) as stage:
        redis = stage.redis().url
        first = stage.pod(redis, knowledge, name="worker-0")
        asked_of([first], context, feed, clients=8)
        alone = _pss_mib([first])

        def further(number: int) -> Sample:
            with Stage(context.cores, models=context.models) as aside:
                second = aside.pod(redis, knowledge, name=f"further-{number}")
                ready_cpu_s = second.cpu_s() + _parent_cpu_s(second)
                fresh = _pss_mib([second])
                asked_of([second], context, feed, clients=8)
                both = _pss_mib([first, second])
                return {
                    "ready_s": second.started_s,
                    "ready_cpu_s": ready_cpu_s,
                    "fresh_mib": fresh,
                    "asked_mib": _pss_mib([second]),
                    "added_mib": both - alone,
                }

        arms = {"a further worker": further, "a further worker again": further}
        rounds = min(context.rounds, _ROUNDS_MAX)
        samples = in_rounds(arms, rounds=rounds, seed=context.seed, tell=context.tell)
    one, again = arms
    figures = {
        "worker_start_s": samples.spread(one, "ready_s"),
        "worker_start_cpu_s": samples.spread(one, "ready_cpu_s"),
        "further_worker_mib": samples.spread(one, "asked_mib"),
        "further_worker_fresh_mib": samples.spread(one, "fresh_mib"),
        "further_worker_added_mib": samples.spread(one, "added_mib"),
        "first_worker_mib": alone,
        "start_a_over_a": samples.ratio(again, one, "ready_s"),
    }
    return Measured(
        samples,
        figures,
        (at_most("worker_start_s", _READY_S), at_most("further_worker_mib", _MEMORY_MIB)),
        drawn=(
            ("From start to ready", "ready_s", "s", tuple(arms)),
            ("Proportional memory when asked", "asked_mib", "MiB", tuple(arms)),
        ),
        notes=(
            "Memory is proportional (PSS: a page that several processes map counts in shares) of a"
            " worker with its parent, behind some turns; `further_worker_added_mib` is by how much"
            " that of all workers together grew. The goal of 250 MB is 238 MiB.",
        ),
    )


def _pss_mib(workers: list[Served]) -> float:
    """Return the proportional memory of workers and their parents."""
    total = 0
    for one in workers:
        for process in _of(one):
            sizes: Any = process.memory_full_info()
            total += sizes.pss
    return total / _MIB


def _of(worker: Served) -> list[psutil.Process]:
    serving = psutil.Process(worker.pid)
    parent = serving.parent()
    parents = [parent] if parent is not None and parent.pid != os.getpid() else []
    return [serving, *serving.children(recursive=True), *parents]


def _parent_cpu_s(worker: Served) -> float:
    # What the parent imports the worker inherits by the fork.
    times = psutil.Process(psutil.Process(worker.pid).ppid()).cpu_times()
    return float(times.user + times.system)
