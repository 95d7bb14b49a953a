"""The physical limit: what a turn cannot do without, in one loop, and nothing else.

    python -m load.bench.speed.limit < plan.json

Tokenise and encode a batch of questions (int8), search the index, and write each turn to Redis, all
of a batch in one round trip. No HTTP, no session, no frames, no citation, no safety.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import onnxruntime
import redis
from numpy.typing import NDArray
from tokenizers import Tokenizer

from load.bench.speed.knowledge import read_texts

_TOKENS_MAX = 256
_TOP_K = 4
_KEPT_S = 3600
WARM_S = 0.5

Encode = Callable[[Sequence[str]], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What the loop does."""

    texts: str
    vectors: str
    model: str
    """Folder of ``model.onnx`` and ``tokenizer.json``."""
    redis_url: str
    questions: list[str]
    batch: int
    seconds: float
    prefix: str
    together: bool = True
    """A batch is encoded in one call, padded; False: its texts one by one."""
    warm_s: float = WARM_S
    turns_a_session: int = 10


@dataclass(slots=True)
class Done:
    """What it did behind the warm-up."""

    answers: int = 0
    seconds: float = 0.0
    cpu_s: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)


def make_encode(folder: Path, *, together: bool) -> Encode:
    """Return the encoder: mean pooling, length 1, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
    )
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(_TOKENS_MAX)
    if together:
        tokenizer.enable_padding()
    else:
        tokenizer.no_padding()

    def encoded(texts: Sequence[str]) -> NDArray[np.float32]:
        tokens = tokenizer.encode_batch(list(texts))
        ids = np.array([one.ids for one in tokens], dtype=np.int64)
        mask = np.array([one.attention_mask for one in tokens], dtype=np.int64)
        feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        hidden = session.run(None, feeds)[0]
        shares = mask[..., np.newaxis].astype(np.float32)
        pooled = (hidden * shares).sum(1) / shares.sum(1)
        found: NDArray[np.float32] = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
        return found

    if together:
        return encoded
    return lambda texts: np.concatenate([encoded([text]) for text in texts])


def run(plan: Plan) -> Done:
    """Run the loop as planned."""
    faiss.omp_set_num_threads(1)
    texts = read_texts(Path(plan.texts))
    index = faiss.IndexFlatIP(np.load(plan.vectors, mmap_mode="r").shape[1])
    index.add(np.load(plan.vectors))
    encode = make_encode(Path(plan.model), together=plan.together)
    store = redis.Redis.from_url(plan.redis_url)
    done = Done()
    began_s = time.perf_counter()
    counted_s, cpu_s, warm = began_s, time.process_time(), True
    number = 0
    while (now_s := time.perf_counter()) < began_s + plan.warm_s + plan.seconds:
        if warm and now_s >= began_s + plan.warm_s:
            warm, counted_s, cpu_s = False, now_s, time.process_time()
        asked = plan.questions[number : number + plan.batch]
        if len(asked) < plan.batch:
            raise RuntimeError(f"all {len(plan.questions)} questions were asked; plan more")
        _, found = index.search(encode(asked), _TOP_K)
        _write(store, plan, number, asked, [texts[row[0]] for row in found])
        number += plan.batch
        if not warm:
            done.answers += plan.batch
            done.latencies_ms.append(round((time.perf_counter() - now_s) * 1e3, 3))
    done.seconds = time.perf_counter() - counted_s
    done.cpu_s = time.process_time() - cpu_s
    return done


def _write(
    store: "redis.Redis", plan: Plan, number: int, asked: Sequence[str], answers: Sequence[str]
) -> None:
    """Add each turn to its session, in one round trip."""
    pipeline: Any = store.pipeline(transaction=False)
    session = number // plan.batch // plan.turns_a_session
    for place, (message, answer) in enumerate(zip(asked, answers, strict=True)):
        key = f"session:{plan.prefix}-{place}-{session}"
        pipeline.rpush(key, json.dumps({"user": message, "bot": answer}))
        pipeline.expire(key, _KEPT_S)
    pipeline.execute()


if __name__ == "__main__":
    json.dump(asdict(run(Plan(**json.load(sys.stdin)))), sys.stdout)
