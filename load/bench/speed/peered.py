"""The nearest peer beside a worker: hayhooks, which serves pipelines of Haystack.

Both answer new questions through the same language model, which is none and says its words at once.
The peer keeps no session and, on this route, nothing of the answer; a worker stores each frame
before it shows it, and the session. The peer has a thousand passages of its own, the worker those
of all measures, so what finding costs is to the worker's disadvantage.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from load.bench.speed.arms import Context, Measured
from load.bench.speed.durable import paced_model
from load.bench.speed.knowledge import MODEL
from load.bench.speed.rounds import Sample, in_rounds
from load.bench.speed.servers import Served, Stage, served_when_answering
from load.bench.speed.throughput import CLIENTS, Feed, asked_of
from tests.redis_server import free_port

_WORDS: Final = 40
_PATH: Final = "/rag/run"


def present(peers: Path | None) -> bool:
    """Tell whether the folder of peers has this one, and the environment names its program."""
    return peers is not None and _script(peers).is_file() and "HAYHOOKS" in os.environ


def run(context: Context) -> Measured:
    """Measure both. Raises ``FileNotFoundError`` where the peer is not there."""
    if context.peers is None or not present(context.peers):
        raise FileNotFoundError(
            "the nearest peer is not there: name by --peers a folder that has hayhooks/run.sh, and"
            " by HAYHOOKS the program of that name"
        )
    knowledge = context.knowledge()
    feed = Feed(knowledge.passages)
    with Stage(context.cores, models=context.models) as stage:
        model = paced_model(stage, word_ms=0.0, words=_WORDS)
        settings = {"LLM_BASE_URL": f"{model.url}/v1", "LLM_MODEL": "paced"}
        worker = stage.pod(stage.redis().url, knowledge, **settings)
        other = _peer(stage, context.peers, f"{model.url}/v1")

        def ours(clients: int) -> Callable[[int], Sample]:
            return lambda number: asked_of([worker], context, feed, clients=clients)

        def theirs(clients: int) -> Callable[[int], Sample]:
            return lambda number: asked_of(
                [other], context, feed, clients=clients, path=_PATH, asked_as="question"
            )

        arms = {
            "worker with a model": ours(CLIENTS),
            "worker with a model again": ours(CLIENTS),
            "nearest peer": theirs(CLIENTS),
            "worker with a model, 1 client": ours(1),
            "nearest peer, 1 client": theirs(1),
        }
        samples = in_rounds(arms, rounds=context.rounds, seed=context.seed, tell=context.tell)
    one, again, peer, alone, peer_alone = arms
    return Measured(
        samples,
        {
            "worker_over_peer": samples.ratio(one, peer, "per_s"),
            "worker_over_peer_cpu": samples.ratio(one, peer, "per_cpu_s"),
            "p50_over_peer": samples.ratio(alone, peer_alone, "p50_ms"),
            "peer_a_over_a": samples.ratio(again, one, "per_s"),
        },
        (),
        drawn=(
            (f"Answers of {CLIENTS} clients", "per_s", "a second", (one, again, peer)),
            ("One client's answer, median", "p50_ms", "ms", (alone, peer_alone)),
        ),
        notes=(
            f"The worker has {_WORDS} words of the model, which come at once, word by word; the"
            " peer one word as a whole. It runs without its durable mode: it keeps nothing, the"
            " worker each frame.",
        ),
    )


def _peer(stage: Stage, peers: Path, model_url: str) -> Served:
    port = free_port()
    environment = {
        **os.environ,
        "PEERS_DIR": str(peers.absolute()),
        "LLM_URL": model_url,
        "PORT": str(port),
        "WORKERS": "1",
        "EMBED_MODEL": str(stage.models / MODEL),
        "TOKENIZERS_PARALLELISM": "false",
        "HAYHOOKS": str(Path(os.environ["HAYHOOKS"]).absolute()),
    }
    command = ["bash", str(_script(peers).absolute())]
    log = stage.start(command, environment, where=stage.cores.served)
    return served_when_answering(port, "/status", log)


def _script(peers: Path) -> Path:
    return peers / "hayhooks" / "run.sh"
