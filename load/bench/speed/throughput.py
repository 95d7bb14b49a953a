"""How many uncached questions one core answers: the worker, the limit, the naive design.

Goal: at least 0.7 of the limit loop with 32 concurrent sessions, and for one client a median of at
most 1.5 times the loop's.
"""

import itertools
import json
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Final

from load.bench.speed import asking, limit
from load.bench.speed.arms import Context, Figures, Measured, at_least, at_most
from load.bench.speed.corpus import questions
from load.bench.speed.figures import quantile
from load.bench.speed.knowledge import MODEL, Knowledge
from load.bench.speed.rounds import Sample, Samples, in_rounds
from load.bench.speed.servers import Served, Stage, child
from load.bench.speed.yardsticks import naive, peer

CLIENTS: Final = 32
_A_SECOND_MAX: Final = 1_000
"""More than any arm answers: so many questions are laid ready."""
_CHECKED: Final = 20


def run(context: Context) -> Measured:
    """Measure; the knowledge is the same for all."""
    knowledge = context.knowledge()
    with Stage(context.cores, models=context.models) as stage:
        worker = stage.pod(stage.redis().url, knowledge)
        arms: dict[str, Served] = {
            "worker": worker,
            "worker again": worker,
            "naive": naive(stage, knowledge, encoder="torch"),
            "naive int8": naive(stage, knowledge, encoder="int8"),
        }
        if context.peers is not None:
            arms["naive of the peers"] = peer(stage, knowledge, context.peers)
        feed = Feed(knowledge.passages)
        limit_redis = stage.redis().url
        right = _answered_right(worker.url, knowledge)

        def loop(clients: int, together: bool) -> Callable[[int], Sample]:
            return lambda number: _limit(
                context, knowledge, feed, limit_redis, clients=clients, together=together
            )

        def clients_of(served: Served, clients: int) -> Callable[[int], Sample]:
            return lambda number: asked_of([served], context, feed, clients=clients)

        many = {name: clients_of(served, CLIENTS) for name, served in arms.items()}
        many |= {"limit": loop(CLIENTS, True), "limit one by one": loop(CLIENTS, False)}
        single = {f"{name}, 1 client": clients_of(served, 1) for name, served in arms.items()}
        single |= {"limit, 1 client": loop(1, True)}
        samples = in_rounds(
            {**many, **single}, rounds=context.rounds, seed=context.seed, tell=context.tell
        )
    return Measured(
        samples,
        {**_figures(samples), "answered_right": right},
        GOALS,
        drawn=(
            (f"Answers of {CLIENTS} clients", "per_s", "a second", tuple(many)),
            ("One client's answer, median", "p50_ms", "ms", tuple(single)),
        ),
    )


GOALS: Final = (
    at_least("worker_over_limit", 0.7),
    at_least("worker_over_naive_of_goal", 1.0),
    at_most("p50_over_limit", 1.5),
)


def _figures(samples: Samples) -> Figures:
    per_s = "per_s"
    over_limit = samples.ratio("worker", "limit", per_s)
    over_naive = samples.ratio("worker", "naive", per_s)
    limit_over_naive = samples.ratio("limit", "naive", per_s)
    return {
        "worker_over_limit": over_limit,
        "worker_over_naive": over_naive,
        "limit_over_naive": limit_over_naive,
        "worker_over_naive_of_goal": over_naive.median / (0.7 * limit_over_naive.median),
        "worker_over_naive_int8": samples.ratio("worker", "naive int8", per_s),
        "worker_over_limit_one_by_one": samples.ratio("worker", "limit one by one", per_s),
        "worker_over_limit_cpu": samples.ratio("worker", "limit", "per_cpu_s"),
        "worker_over_naive_cpu": samples.ratio("worker", "naive", "per_cpu_s"),
        "throughput_a_over_a": samples.ratio("worker again", "worker", per_s),
        "p50_over_limit": samples.ratio("worker, 1 client", "limit, 1 client", "p50_ms"),
        "p50_over_naive": samples.ratio("worker, 1 client", "naive, 1 client", "p50_ms"),
        "p50_a_over_a": samples.ratio("worker again, 1 client", "worker, 1 client", "p50_ms"),
        "client_cpu_share": samples.spread("worker", "client_cpu_share"),
    }


class Feed:
    """Hands out questions that nobody was asked before."""

    def __init__(self, passages: int) -> None:
        self._questions = questions(passages)
        self._names = itertools.count()

    def take(self, many: int) -> list[str]:
        """Return the next ones."""
        return list(itertools.islice(self._questions, many))

    def name(self) -> str:
        """Return a prefix of sessions that nobody had before."""
        return f"bench-{next(self._names)}"


def asked_of(
    servers: list[Served],
    context: Context,
    feed: Feed,
    *,
    clients: int,
    repeated: list[str] | None = None,
    sessions: list[str] | None = None,
    path: str = "/chat",
    asked_as: str = "message",
) -> Sample:
    """Have clients ask one or several servers.

    ``repeated``: the same questions over and over; ``sessions``: in these, and not in new ones;
    ``path`` and ``asked_as``: the route and the question's name in the body, of another's server.
    """
    needed = int((context.seconds + asking.WARM_S) * _A_SECOND_MAX * len(servers))
    plan = asking.Plan(
        ports=[one.port for one in servers],
        questions=repeated or feed.take(needed),
        connections=clients,
        seconds=context.seconds,
        prefix=feed.name(),
        repeat=repeated is not None,
        sessions=sessions or [],
        path=path,
        asked_as=asked_as,
    )
    cpu_s, waited_s = sum(one.cpu_s() for one in servers), sum(one.waited_s() for one in servers)
    asked = child("asking", asdict(plan), where=context.cores.around)
    if asked["errors"]:
        raise RuntimeError(f"questions were refused: {asked['errors']}")
    # The warm-up is in the processor's time, and so it is in what that time is divided by.
    used_s = sum(one.cpu_s() for one in servers) - cpu_s
    whole = asked["answers"] * (context.seconds + plan.warm_s) / asked["seconds"]
    return {
        **_times(asked),
        "per_cpu_s": whole / used_s,
        "client_cpu_share": asked["cpu_s"] / asked["seconds"],
        "waited_s": sum(one.waited_s() for one in servers) - waited_s,
    }


def _limit(
    context: Context,
    knowledge: Knowledge,
    feed: Feed,
    redis_url: str,
    *,
    clients: int,
    together: bool,
) -> Sample:
    needed = int((context.seconds + limit.WARM_S) * _A_SECOND_MAX)
    plan = limit.Plan(
        texts=str(knowledge.texts),
        vectors=str(knowledge.vectors),
        model=str(context.models / MODEL),
        redis_url=redis_url,
        questions=feed.take(needed),
        batch=clients,
        seconds=context.seconds,
        prefix=feed.name(),
        together=together,
    )
    done = child("limit", asdict(plan), where=context.cores.served)
    return {**_times(done), "per_cpu_s": done["answers"] / done["cpu_s"]}


def _times(said: Mapping[str, Any]) -> dict[str, Any]:
    latencies = said["latencies_ms"]
    if not latencies:
        raise RuntimeError("nothing was answered in this time; measure longer by --seconds")
    return {
        "per_s": said["answers"] / said["seconds"],
        "p50_ms": quantile(latencies, 0.5),
        "p99_ms": quantile(latencies, 0.99),
        "answers": said["answers"],
        "latencies_ms": latencies,
    }


def _answered_right(url: str, knowledge: Knowledge) -> float:
    """Return the share of some questions whose answer says the form they ask about."""
    right = 0
    for place, question in enumerate(itertools.islice(questions(knowledge.passages), _CHECKED)):
        # Of the far end, so that no measure asks them again.
        text = f"{question} (check {place})"
        (form,) = [word.strip("?.,:()") for word in question.split() if word[2:3] == "-"]
        body = json.dumps({"session_id": f"check-{place}", "message": text}).encode()
        request = urllib.request.Request(
            f"{url}/chat", data=body, headers={"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            right += form in answer.read().decode()
    return right / _CHECKED
