"""What a second worker on a second core brings: goal, 1.8 times the answers of one."""

from concurrent.futures import ThreadPoolExecutor
from typing import Final

from load.bench.speed.arms import Context, Measured, at_least
from load.bench.speed.rounds import Sample, in_rounds
from load.bench.speed.servers import Stage, child
from load.bench.speed.throughput import CLIENTS, Feed, asked_of

_GOAL: Final = 1.8


def run(context: Context) -> Measured:
    """Measure two workers of one cluster, asked alone and together."""
    knowledge = context.knowledge()
    feed = Feed(knowledge.passages)
    other = frozenset({min(context.cores.around)})
    with Stage(context.cores, models=context.models) as stage:
        redis = stage.redis().url
        first = stage.pod(redis, knowledge, name="worker-0")
        second = stage.pod(redis, knowledge, name="worker-1", where=other)

        def one(number: int) -> Sample:
            return asked_of([first], context, feed, clients=CLIENTS)

        def two(number: int) -> Sample:
            return asked_of([first, second], context, feed, clients=2 * CLIENTS)

        def loops(*cores: frozenset[int]) -> Sample:
            with ThreadPoolExecutor(len(cores)) as pool:
                plan = {"seconds": context.seconds}
                said = pool.map(lambda core: child("spinning", plan, where=core), cores)
                return {"per_s": sum(one["per_s"] for one in said)}

        arms = {
            "one worker": one,
            "one worker again": one,
            "two workers": two,
            "one loop": lambda number: loops(context.cores.served),
            "two loops": lambda number: loops(context.cores.served, other),
        }
        samples = in_rounds(arms, rounds=context.rounds, seed=context.seed, tell=context.tell)
    figures = {
        "two_workers_over_one": samples.ratio("two workers", "one worker", "per_s"),
        "two_cores_over_one": samples.ratio("two loops", "one loop", "per_s"),
        "two_workers_over_one_cpu": samples.ratio("two workers", "one worker", "per_cpu_s"),
        "scaling_a_over_a": samples.ratio("one worker again", "one worker", "per_s"),
    }
    shared = len(context.cores.around) < 2
    return Measured(
        samples,
        figures,
        (at_least("two_workers_over_one", _GOAL),),
        drawn=(("Answers of 32 clients a worker", "per_s", "a second", tuple(arms)[:3]),),
        notes=(
            "Client and Redis share the core of the second worker: what they take, it lacks."
            if shared
            else "Client and Redis have cores beside both workers.",
            "`two_cores_over_one` is what a loop that only computes gets from a second core here: 2"
            " where cores share nothing, less where they are threads of one core. It is the limit.",
            "`two_workers_over_one_cpu` compares answers per second of the workers' own CPU time: 1"
            " means that a worker computes no more because there is another one.",
        ),
    )
