"""How much of the encoder's own speed ingest reaches on one core: goal, 0.8.

Ingest is the coordinator's program: reading, cutting, encoding in all spaces, segments, manifest.
The encoder's own limit is the same passages' texts through the same models and nothing else.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import psutil

from kotaemon_node.adapters.encoder.factory import make_encoder
from kotaemon_node.adapters.signing import create_signing_key
from load.bench.speed.arms import Context, Measured, at_least
from load.bench.speed.cores import kept_on
from load.bench.speed.corpus import policy, write_documents
from load.bench.speed.knowledge import read_texts
from load.bench.speed.limit import Encode, make_encode
from load.bench.speed.rounds import Sample, in_rounds
from load.bench.speed.servers import ROOT, Stage, child

_PASSAGES: Final = 400
_MODELS: Final = ("all-MiniLM-L6-v2", "bge-small-zh-v1.5")
_BATCH: Final = 32
_WARM: Final = 8
_GOAL: Final = 0.8
_ROUNDS_MAX: Final = 5


@dataclass(frozen=True, slots=True)
class Plan:
    """What is encoded by whom."""

    texts: str
    models: str
    way: str
    """``product``: by the product's encoder; ``batches``: sorted by length, padded, 32 at once."""


def run(context: Context) -> Measured:
    """Measure."""
    passages = max(40, round(_PASSAGES * context.share))
    with Stage(context.cores, models=context.models) as stage:
        documents = stage.folder / "documents"
        write_documents(documents, passages=passages)
        texts = stage.folder / "texts.jsonl"
        rows = (json.dumps({"text": "\n".join(policy(number))}) for number in range(passages))
        texts.write_text("\n".join(rows) + "\n", "utf-8")

        def encoded(way: str) -> Callable[[int], Sample]:
            plan = Plan(str(texts), str(context.models), way)
            return lambda _: child("ingesting", asdict(plan), where=context.cores.served)

        arms: dict[str, Callable[[int], Sample]] = {
            "ingest": lambda _: _ingested(context, documents, passages),
            "ingest again": lambda _: _ingested(context, documents, passages),
            "encoder alone": encoded("product"),
            "encoder in batches": encoded("batches"),
        }
        rounds = min(context.rounds, _ROUNDS_MAX)
        samples = in_rounds(arms, rounds=rounds, seed=context.seed, tell=context.tell)
    best = max(
        ("encoder alone", "encoder in batches"),
        key=lambda arm: samples.spread(arm, "per_cpu_s").median,
    )
    figures = {
        "ingest_over_limit": samples.ratio("ingest", best, "per_s"),
        "ingest_over_limit_cpu": samples.ratio("ingest", best, "per_cpu_s"),
        "ingest_over_encoder_alone": samples.ratio("ingest", "encoder alone", "per_s"),
        "ingest_per_s": samples.spread("ingest", "per_s"),
        "ingest_a_over_a": samples.ratio("ingest again", "ingest", "per_s"),
    }
    return Measured(
        samples,
        figures,
        (at_least("ingest_over_limit", _GOAL),),
        drawn=(("Passages on one core", "per_s", "a second", tuple(arms)),),
        notes=(
            f"{passages} passages, each in the spaces of {' and '.join(_MODELS)}; int8 on one"
            f" thread. The limit is the faster of the two ways to encode: {best}. Starting the"
            " program and loading the models is not in it.",
        ),
    )


def _ingested(context: Context, documents: Path, passages: int) -> Sample:
    """Have a folder made into a generation; count from its first document on."""
    with TemporaryDirectory(prefix="kn-ingest-") as room:
        key = Path(room) / "signing.pem"
        create_signing_key(key)
        command = [
            *kept_on(context.cores.served), sys.executable, "-m", "coordinator.once",
            f"--documents={documents}", f"--artifacts={room}/artifacts", f"--signing-key={key}",
            f"--models={context.models}", "--threads=1",
        ]  # fmt: skip
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as program:
            assert program.stdout is not None
            began_s = cpu_s = 0.0
            made: Any = None
            for line in program.stdout:
                said = json.loads(line)
                if not began_s:
                    began_s, cpu_s = time.perf_counter(), _cpu_s(psutil.Process(program.pid))
                made = said.get("made", made)
                if made:
                    took_s = time.perf_counter() - began_s
                    used_s = _cpu_s(psutil.Process(program.pid)) - cpu_s
    if made is None or made["passages"] != passages:
        raise RuntimeError(f"{passages} passages were to be ingested: {made}")
    return {"per_s": passages / took_s, "per_cpu_s": passages / used_s, "seconds": took_s}


def _cpu_s(process: Any) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def encode_all(plan: Plan) -> dict[str, float]:
    """Encode as planned; return how fast."""
    texts = read_texts(Path(plan.texts))
    models = Path(plan.models)
    if plan.way == "product":
        encoder = make_encoder("", "onnx", models, 1)
        encode: Callable[[Sequence[str]], object] = encoder.encode_passages
    else:
        ways = [make_encode(models / name, together=True) for name in _MODELS]
        encode = partial(_in_batches, ways)
    encode(texts[:_WARM])
    began_s, cpu_s = time.perf_counter(), time.process_time()
    encode(texts)
    took_s, used_s = time.perf_counter() - began_s, time.process_time() - cpu_s
    return {"per_s": len(texts) / took_s, "per_cpu_s": len(texts) / used_s, "seconds": took_s}


def _in_batches(ways: Sequence[Encode], texts: Sequence[str]) -> None:
    ordered = sorted(texts, key=len)
    for encode in ways:
        for start in range(0, len(ordered), _BATCH):
            encode(ordered[start : start + _BATCH])


if __name__ == "__main__":
    json.dump(encode_all(Plan(**json.load(sys.stdin))), sys.stdout)
