"""A real small language model behind two pods of one process: what a takeover makes of its answer.

    python -m load.bench.small_model_pods --python ENV/bin/python --gguf MODEL.gguf \\
        --out load/results/small_model_pods

The quick form of ``small_model.py``: engine, store, adapter and model are real, the cluster is not.
The first pod stops in the middle of its answer; the second takes the turn.
"""

import argparse
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kotaemon_node.adapters.llm.openai import OpenAiLanguageModel
from kotaemon_node.domain.knowledge import Hit, Passage, SearchResult
from kotaemon_node.engine.answering import Answerer
from kotaemon_node.engine.terms import ModelTerms
from load import surroundings
from load.bench.small_model import small_model
from load.kept import keep
from tests.engine_pods import ANYBODY, TestPod, key, text_of
from tests.redis_server import RedisServer, ServerClock

TEXT = (
    "You may return a lamp within 30 days. The return is free of charge. The money is paid back"
    " within 5 days."
)
QUESTION = "Within how many days may I return a lamp, and what does it cost?"
SAMPLING = {"temperature": 0.0, "seed": 7.0}
TERMS = ModelTerms(0.1, 0.4, SAMPLING, 6_000)
STOPS_AT = 9
"""The piece before which the first pod stops."""


class OnePassage:
    """Knowledge that always finds the same."""

    @contextmanager
    def pinned(self, kb: str, *, min_generation: int = 0) -> Iterator["OnePassage"]:
        """Lend it."""
        yield self

    def search(self, question: str, **_: object) -> SearchResult:
        """Return the passage."""
        passage = Passage(
            id="p1",
            document="returns.md",
            revision="r",
            title="Returns",
            heading=(),
            page=None,
            span=(0, len(TEXT)),
            text=TEXT,
            language="en",
        )
        return SearchResult("default", 7, "d", (Hit(passage, 1.0, 0.9, 1.0, 0.5),))


class Held(OpenAiLanguageModel):
    """Holds its pod before a piece."""

    hold: Callable[[], None] = staticmethod(lambda: None)
    at = 0

    def stream(self, *arguments: Any, **options: Any) -> Iterator[Any]:
        """Stream as ever, but for that."""
        for number, piece in enumerate(super().stream(*arguments, **options), start=1):
            if number == self.at:
                self.hold()
            yield piece


def pod(name: str, server: RedisServer, url: str, *, continues: Any) -> tuple[TestPod, Held]:
    """Return a pod that asks the model at ``url``."""
    made = TestPod(name, server)
    model = Held(
        base_url=url, api_key="", model="small", continue_mode=continues, sampling=SAMPLING
    )
    answerer = Answerer(
        OnePassage(),  # type: ignore[arg-type]
        language_model=model,
        clock=ServerClock(server),
        metrics=made.metrics,
        terms=TERMS,
    )
    made.answerer.answer = answerer.answer  # type: ignore[method-assign]
    return made, model


def taken_over(server: RedisServer, url: str, *, continues: str) -> dict[str, Any]:
    """Let one pod begin and another one end; return what a follower saw."""
    first, model = pod(f"a-{continues}", server, url, continues=continues)
    second, _ = pod(f"b-{continues}", server, url, continues=continues)
    reached, over = threading.Event(), threading.Event()

    def hold() -> None:
        reached.set()
        over.wait(120)

    model.hold, model.at = hold, STOPS_AT  # type: ignore[method-assign]
    turn_id = f"t-{continues}"
    begun_s = time.monotonic()
    first.submit(turn_id, message=QUESTION)
    stopped = reached.wait(60)
    time.sleep(0.5)  # what was written is stored
    second.engine.take(key(turn_id), from_owner=first.name)
    frames = second.frames(turn_id)
    took_s = time.monotonic() - begun_s
    over.set()
    turn = second.sessions.turn(key(turn_id), ANYBODY)
    kinds = [(frame.type, frame.fields.get("phase", "")) for frame in frames]
    before = frames[: kinds.index(("status", "taken_over"))] if stopped else []
    return {
        "shown_before": text_of(before),
        "answer": turn.answer,
        "goes_on": turn.answer.startswith(text_of(before)),
        "restarts": sum(frame.type == "restart" for frame in frames),
        "whole": text_of(frames) == turn.answer,
        "attempts": turn.attempts,
        "degraded": turn.degraded,
        "usage": dict(turn.usage),
        "seconds": round(took_s, 1),
    }


def report(found: Mapping[str, Any]) -> str:
    """Return the Markdown."""
    lines = [
        "# A real small language model behind two pods",
        "",
        f"`{found['model']}` by llama.cpp on the processors, greedy; commit {found['commit']},"
        f" {found['machine']}, busy. One pod begins the answer and stops, the other one takes the"
        " turn. What a model of this size says is not judged.",
    ]
    for continues, one in found["takeovers"].items():
        usage = one["usage"]
        lines += [
            "",
            f"## `LLM_CONTINUE={continues}`",
            "",
            f"- shown before: {one['shown_before']!r}",
            f"- answer: {one['answer']!r}",
            f"- begins with what was shown: {one['goes_on']}; `restart` frames: {one['restarts']};"
            f" frames make the answer: {one['whole']}",
            f"- attempts {one['attempts']}, degraded {one['degraded'] or 'no'}, {one['seconds']} s;"
            f" tokens {usage.get('prompt_tokens')} in, {usage.get('completion_tokens')} out, cost"
            f" {usage.get('cost')} (of the second owner)",
        ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and keep; fail where an answer was not whole."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", type=Path, required=True, help="an environment with xllamacpp")
    parser.add_argument("--gguf", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    server = RedisServer()
    server.start()
    try:
        with small_model(asked.python, asked.gguf) as url:
            takeovers = {
                mode: taken_over(server, url, continues=mode) for mode in ("prefill", "none")
            }
    finally:
        server.remove()
    found = {
        "commit": surroundings.commit(),
        "machine": surroundings.machine(),
        "model": asked.gguf.name,
        "takeovers": takeovers,
    }
    keep(asked.out, found, report(found))
    if not all(one["whole"] and one["degraded"] is None for one in takeovers.values()):
        raise SystemExit("an answer was not what it should be; see the report")


if __name__ == "__main__":
    main()
