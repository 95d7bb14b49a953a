"""What a question costs that was asked before: goal, a median of 3 ms for one client."""

from collections.abc import Callable
from itertools import islice
from typing import Final

from load.bench.speed.arms import Context, Measured, at_least, at_most
from load.bench.speed.corpus import questions
from load.bench.speed.rounds import Sample, in_rounds
from load.bench.speed.servers import Served, Stage
from load.bench.speed.throughput import CLIENTS, Feed, asked_of

_DISTINCT: Final = 50
"""Questions that are asked again and again."""
_ASKED_BEFORE: Final = 3.0
"""Seconds: an answer is kept from its second time on, so all have to be asked twice."""


def run(context: Context) -> Measured:
    """Measure."""
    knowledge = context.knowledge()
    feed = Feed(knowledge.passages)
    # Of the far end: no uncached question is one of them.
    first = 8 * knowledge.passages
    known = list(islice(questions(knowledge.passages, first=first), _DISTINCT))
    with Stage(context.cores, models=context.models) as stage:
        worker = stage.pod(stage.redis().url, knowledge)
        _ask_until_kept(worker, context, feed, known)

        def asked(clients: int, *, repeated: list[str] | None) -> Callable[[int], Sample]:
            return lambda number: asked_of(
                [worker], context, feed, clients=clients, repeated=repeated
            )

        arms = {
            "cached": asked(CLIENTS, repeated=known),
            "cached again": asked(CLIENTS, repeated=known),
            "uncached": asked(CLIENTS, repeated=None),
            "cached, 1 client": asked(1, repeated=known),
            "cached again, 1 client": asked(1, repeated=known),
            "uncached, 1 client": asked(1, repeated=None),
        }
        samples = in_rounds(arms, rounds=context.rounds, seed=context.seed, tell=context.tell)
    figures = {
        "cached_p50_ms": samples.spread("cached, 1 client", "p50_ms"),
        "cached_over_uncached": samples.ratio("cached", "uncached", "per_s"),
        "cached_over_uncached_cpu": samples.ratio("cached", "uncached", "per_cpu_s"),
        "cached_per_cpu_s": samples.spread("cached", "per_cpu_s"),
        "cached_a_over_a": samples.ratio("cached again", "cached", "per_s"),
        "cached_client_cpu_share": samples.spread("cached", "client_cpu_share"),
    }
    return Measured(
        samples,
        figures,
        (at_most("cached_p50_ms", 3.0), at_least("cached_over_uncached", 5.0)),
        drawn=(
            (f"Answers of {CLIENTS} clients", "per_s", "a second", tuple(arms)[:3]),
            ("One client's answer, median", "p50_ms", "ms", tuple(arms)[3:]),
        ),
        notes=(
            f"{_DISTINCT} questions, each in sessions where it was not asked before. The first time"
            " a question is only noted, from the second on its answer is kept.",
        ),
    )


def _ask_until_kept(worker: Served, context: Context, feed: Feed, known: list[str]) -> None:
    for _ in range(round(_ASKED_BEFORE)):
        asked_of([worker], context, feed, clients=4, repeated=known)
