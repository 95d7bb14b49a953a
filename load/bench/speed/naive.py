"""The naive design, as a yardstick: the same job done the plain way, with nothing that lasts.

One process; the history is one JSON value a session in Redis, read and written whole; each request
encodes its question by itself. Two turns of a session at once lose one of them, a turn costs what
its history is long, nothing is streamed, retried or handed over. The environment says the rest:

    NAIVE_REDIS_URL   NAIVE_TEXTS and NAIVE_VECTORS (of ``knowledge``)
    NAIVE_ENCODER     ``torch``: sentence-transformers at full precision, as is usual;
                      ``int8``: the encoder of the limit loop, so that the design alone differs
    NAIVE_MODEL       folder of the model's weights for either
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import redis
from flask import Flask, Response, jsonify, request
from numpy.typing import NDArray

from load.bench.speed.knowledge import read_texts
from load.bench.speed.limit import make_encode

_TOP_K = 3
_KEPT_S = 3600

Encode = Callable[[str], NDArray[np.float32]]


def make_encoder() -> Encode:
    """Return what encodes one question, as (1, dimension)."""
    folder = os.environ["NAIVE_MODEL"]
    if os.environ["NAIVE_ENCODER"] == "int8":
        encode = make_encode(Path(folder), together=False)
        return lambda question: encode([question])
    # Imported here: torch takes seconds, and the other arm has no use for it.
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415

    model = SentenceTransformer(folder, device="cpu")
    return lambda question: np.asarray(
        model.encode([question], show_progress_bar=False), dtype=np.float32
    )


def make_app() -> Flask:
    """Return the application."""
    app = Flask(__name__)
    store: Any = redis.Redis.from_url(os.environ["NAIVE_REDIS_URL"])
    texts = read_texts(Path(os.environ["NAIVE_TEXTS"]))
    vectors = np.load(os.environ["NAIVE_VECTORS"])
    faiss.omp_set_num_threads(1)
    index = faiss.IndexFlatL2(vectors.shape[1])
    index.add(vectors)
    encode = make_encoder()

    def retrieved(question: str) -> list[str]:
        _, found = index.search(encode(question), _TOP_K)
        return [texts[row] for row in found[0]]

    @app.post("/chat")
    def chat() -> Response:
        asked: Any = request.json
        key = f"session:{asked['session_id']}"
        saved = store.get(key)
        history = json.loads(saved)["history"] if saved else []
        answer = retrieved(asked["message"])[0]
        history.append({"user": asked["message"], "bot": answer})
        store.setex(key, _KEPT_S, json.dumps({"history": history}))
        store.publish("session_updated", json.dumps({"session_id": asked["session_id"]}))
        return jsonify(response=answer)

    @app.get("/")
    def alive() -> Response:
        return jsonify(alive=True)

    return app
