"""Ten thousand open streams on one worker, a hundred of them being answered.

Goal: at most 25 kB of memory each, heartbeats at most 200 ms late at p99, the first text of a
question within 300 ms at p99.
"""

from collections.abc import Callable
from dataclasses import asdict
from typing import Final

from load.bench.speed import reading
from load.bench.speed.arms import Context, Measured, at_most
from load.bench.speed.durable import end_answers, paced_model, sample_of, serving
from load.bench.speed.rounds import Sample, in_rounds
from load.bench.speed.servers import Stage, child
from load.bench.speed.throughput import Feed

_FOLLOWERS: Final = 99
"""Of each turn that is quiet; its own asker reads it, too."""
_QUIET: Final = 99
_SPEAKING: Final = 100
_WORD_MS: Final = 50.0
_WORDS: Final = 100
_ROUNDS_MAX: Final = 3
_WINDOW_S: Final = 20.0
_ANSWER_S: Final = _WORDS * _WORD_MS / 1e3
_KIB: Final = 1024
_STREAM_KIB: Final = 25_000 / _KIB


def run(context: Context) -> Measured:
    """Measure; each round has a worker of its own, whose memory nothing was in before."""
    knowledge = context.knowledge()
    feed = Feed(knowledge.passages)
    quiet = max(2, round(_QUIET * context.share))
    speaking = max(4, round(_SPEAKING * context.share))
    # An answer takes five seconds: in a shorter window no question has a first text.
    seconds = _WINDOW_S if context.share == 1.0 else max(context.seconds, _ANSWER_S + 1)

    def opened(share: float) -> Callable[[int], Sample]:
        """Return what opens this share of the followers."""

        def read(number: int) -> Sample:
            with Stage(context.cores, models=context.models) as stage:
                model = paced_model(stage, word_ms=_WORD_MS, words=_WORDS)
                settings = {"LLM_BASE_URL": f"{model.url}/v1", "LLM_MODEL": "paced"}
                worker = stage.pod(stage.redis().url, knowledge, **settings)
                plan = reading.Plan(
                    port=worker.port,
                    pids=serving(worker),
                    question=feed.take(1)[0],
                    prefix=feed.name(),
                    seconds=seconds,
                    speaking=speaking,
                    again=True,
                    quiet=quiet,
                    followers=round(_FOLLOWERS * share),
                    settle_s=5.0,
                )
                seen = child("reading", asdict(plan), where=context.cores.around)
                end_answers(model)
            followers = quiet * plan.followers
            grown = (seen["memory_open"] - seen["memory_before"]) / _KIB
            cores = seen["server_cpu_s"] / seen["seconds"]
            return {**sample_of(seen), "stream_kib": grown / max(followers, 1), "cores": cores}

        return read

    arms = {
        "all streams": opened(1.0),
        "all streams again": opened(1.0),
        "a tenth of them": opened(0.1),
    }
    rounds = min(context.rounds, _ROUNDS_MAX)
    samples = in_rounds(arms, rounds=rounds, seed=context.seed, tell=context.tell)
    one, again, few = arms
    figures = {
        "stream_kib_each": samples.spread(one, "stream_kib"),
        "heartbeat_lateness_p99_ms": samples.spread(one, "late_p99_ms"),
        "first_text_p99_ms": samples.spread(one, "first_text_p99_ms"),
        "first_text_p50_ms": samples.spread(one, "first_text_p50_ms"),
        "first_text_p99_ms_few_streams": samples.spread(few, "first_text_p99_ms"),
        "streams_open": samples.spread(one, "opened"),
        "streams_cores": samples.spread(one, "cores"),
        "streams_a_over_a": samples.ratio(again, one, "late_p99_ms"),
    }
    return Measured(
        samples,
        figures,
        (
            at_most("stream_kib_each", _STREAM_KIB),
            at_most("heartbeat_lateness_p99_ms", 200.0),
            at_most("first_text_p99_ms", 300.0),
        ),
        drawn=(
            ("Heartbeats later than due, p99", "late_p99_ms", "ms", tuple(arms)),
            ("First text of a question, p99", "first_text_p99_ms", "ms", tuple(arms)),
        ),
        notes=(
            f"{quiet} turns whose model says a word each ten seconds, each read by its asker and"
            f" by {_FOLLOWERS} followers by the public route; and {speaking} clients, each of whom"
            f" asks again when an answer of {_WORDS} words, {1000 / _WORD_MS:g} a second, is whole."
            " Memory is by how much that of the worker (PSS) grew with the followers. A heartbeat"
            " is due two seconds behind what the stream said last. The goal of 25 kB is 24.4 KiB.",
        ),
    )
