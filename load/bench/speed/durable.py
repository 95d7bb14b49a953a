"""What it costs that every frame is stored before it is shown: time to the client, and computing.

Goal: from a model's word to the client's byte at most 40 ms more at p99 than where the same frames
are kept nowhere, with 100 streams of 50 words a second; and at most 1.5 times the computing of a
frame.
"""

import os
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any, Final

import psutil

from load.bench.speed import reading
from load.bench.speed.arms import Context, Figures, Measured, at_most
from load.bench.speed.figures import Spread, ratio, spread
from load.bench.speed.rounds import Sample, Samples, in_rounds
from load.bench.speed.servers import Served, Stage, child, served_when_answering, wait_idle
from load.bench.speed.throughput import Feed
from tests.redis_server import free_port

_STREAMS: Final = 100
_WORD_MS: Final = 20.0
_WORDS_MAX: Final = 4_000  # the answer is ended when the window is over
_LATER_MAX_MS: Final = 40.0
_COMPUTING_MAX: Final = 1.5


def run(context: Context) -> Measured:
    """Measure the worker and the relay, each with the same paced model."""
    knowledge = context.knowledge()
    feed = Feed(knowledge.passages)
    streams = max(4, round(_STREAMS * context.share))
    with Stage(context.cores, models=context.models) as stage:
        model = paced_model(stage, word_ms=_WORD_MS, words=_WORDS_MAX)
        settings = {"LLM_BASE_URL": f"{model.url}/v1", "LLM_MODEL": "paced"}
        worker = stage.pod(stage.redis().url, knowledge, **settings)
        relay = _relay(stage, model, windows=True)
        plain = _relay(stage, model, windows=False)

        def read(served: Served) -> Sample:
            try:
                return sample_of(_read(context, served, feed, streams))
            finally:
                end_answers(model)
                wait_idle(served)

        arms = {
            "durable": lambda _: read(worker),
            "durable again": lambda _: read(worker),
            "same window, kept nowhere": lambda _: read(relay),
            "word by word, kept nowhere": lambda _: read(plain),
        }
        samples = in_rounds(
            arms, rounds=context.rounds, seed=context.seed, pause_s=1.0, tell=context.tell
        )
    return Measured(
        samples,
        _figures(samples, tuple(arms)),
        (
            at_most("durable_delay_p99_ms", _LATER_MAX_MS),
            at_most("durable_frame_cpu_over_undurable", _COMPUTING_MAX),
        ),
        drawn=(
            ("From the model's word to the client, p99", "delay_p99_ms", "ms", tuple(arms)),
            ("Computing for 1,000 words", "cpu_ms_per_1000_words", "ms", tuple(arms)),
            ("Computing for 1,000 frames", "cpu_ms_per_1000_frames", "ms", tuple(arms)),
        ),
        notes=(
            f"{streams} streams of {1000 / _WORD_MS:g} words a second. The goals compare a worker"
            " with a relay that sends the same frames and keeps none: words that come within a"
            " window of 25 to 200 ms share one, so that a long answer is few writes. Figures with"
            " `over_plain` compare it with a relay that sends each word as it comes, where the"
            " window itself is part of the delay. `durable_words_kept_up` is which share of the"
            " words that were due while it was measured came: below 1 the worker was slower than"
            " the model.",
        ),
    )


def _figures(samples: Samples, arms: Sequence[str]) -> Figures:
    durable, again, same, plain = arms
    words, frames, p99 = "cpu_ms_per_1000_words", "cpu_ms_per_1000_frames", "delay_p99_ms"

    def later(than: str) -> Spread:
        pairs = zip(samples.of(durable, p99), samples.of(than, p99), strict=True)
        return spread([one - other for one, other in pairs])

    return {
        "durable_delay_p99_ms": later(same),
        "durable_delay_over_plain_p99_ms": later(plain),
        "durable_word_to_client_p50_ms": samples.spread(durable, "delay_p50_ms"),
        "durable_word_to_client_p99_ms": samples.spread(durable, p99),
        "undurable_word_to_client_p99_ms": samples.spread(same, p99),
        "plain_word_to_client_p99_ms": samples.spread(plain, p99),
        "durable_frame_cpu_over_undurable": samples.ratio(durable, same, frames),
        "durable_cpu_over_undurable": samples.ratio(durable, same, words),
        "durable_frame_cpu_over_plain": samples.ratio(durable, plain, frames),
        "durable_cpu_over_plain": samples.ratio(durable, plain, words),
        "durable_cpu_ms_per_1000_words": samples.spread(durable, words),
        "durable_a_over_a": ratio(samples.of(again, p99), samples.of(durable, p99)),
        "durable_words_kept_up": samples.spread(durable, "words_of_due"),
        "plain_words_kept_up": samples.spread(plain, "words_of_due"),
    }


def paced_model(stage: Stage, *, word_ms: float, words: int) -> Served:
    """Start the model on the cores around."""
    port = free_port()
    command = [
        sys.executable, "-m", "load.bench.speed.model", "--port", str(port),
        "--token-ms", str(word_ms), "--tokens", str(words),
    ]  # fmt: skip
    log = stage.start(command, os.environ, where=stage.cores.around)
    return served_when_answering(port, "/v1/models", log)


def end_answers(model: Served) -> None:
    """Have all answers end that run."""
    request = urllib.request.Request(f"{model.url}/end", data=b"", method="POST")
    with suppress(OSError), urllib.request.urlopen(request, timeout=10):
        pass


def sample_of(seen: Mapping[str, Any]) -> Sample:
    """Return the figures of what was read; raises ``RuntimeError`` where something was lost."""
    if seen["lost"] or seen["errors"]:
        raise RuntimeError(f"{seen['lost']} streams were lost: {seen['errors']}")
    found = {name: value for name, value in seen.items() if name not in ("errors", "lost")}
    for name in ("delay", "first_text", "late"):
        counts = {int(at): many for at, many in seen[f"{name}_ms"].items()}
        if counts:
            found |= {f"{name}_p{share}_ms": float(_at(counts, share)) for share in (50, 99)}
    if seen["words"]:
        found["cpu_ms_per_1000_words"] = seen["server_cpu_s"] / seen["words"] * 1e6
        found["cpu_ms_per_1000_frames"] = seen["server_cpu_s"] / seen["frames"] * 1e6
    return found


def _at(counts: Mapping[int, int], share: int) -> int:
    """Return the value below or at which so many per cent of the samples lie."""
    wanted = sum(counts.values()) * share / 100
    for value in sorted(counts):
        wanted -= counts[value]
        if wanted <= 0:
            return value
    return max(counts)


def _read(context: Context, served: Served, feed: Feed, streams: int) -> dict[str, Any]:
    plan = reading.Plan(
        port=served.port,
        pids=serving(served),
        question=feed.take(1)[0],
        prefix=feed.name(),
        seconds=context.seconds,
        speaking=streams,
    )
    seen = child("reading", asdict(plan), where=context.cores.around)
    due = streams * seen["seconds"] * 1e3 / _WORD_MS
    return {**seen, "words_of_due": seen["words"] / due}


def serving(served: Served) -> list[int]:
    """Return the processes that do the work of a server."""
    one = psutil.Process(served.pid)
    return [one.pid, *(each.pid for each in one.children(recursive=True))]


def _relay(stage: Stage, model: Served, *, windows: bool) -> Served:
    port = free_port()
    environment = {**os.environ, "RELAY_MODEL_URL": f"{model.url}/v1"}
    environment["RELAY_WINDOWS"] = "1" if windows else ""
    command = [
        sys.executable, "-m", "gunicorn", "-b", f"127.0.0.1:{port}", "-w", "1", "-k", "gevent",
        "--worker-connections", "2000", "--log-level", "warning",
        "load.bench.speed.relay:make_app()",
    ]  # fmt: skip
    log = stage.start(command, environment, where=stage.cores.served)
    return served_when_answering(port, "/", log)
