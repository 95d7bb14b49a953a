"""What company in a batch does to the vector of a text, and to the speed."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

from kotaemon_node.adapters.encoder.catalogue import known_model


def batch_effect(name: str, folder: Path, texts: Sequence[str]) -> list[dict[str, float]]:
    """Run ``texts``, sorted by length, in padded batches; compare with each text by itself.

    Returns for each batch size the texts a second, and how far the worst vector moved.
    """
    tokenizer = Tokenizer.from_file(str(folder / name / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(known_model(name).tokens_max)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(folder / name / "model.onnx"), sess_options=options)
    ids = sorted((tokenizer.encode(text).ids for text in texts), key=len)
    alone = np.empty(0)
    results = []
    for size in (1, 4, 8, 16, 32):
        begin = time.process_time()
        batches = [ids[at : at + size] for at in range(0, len(ids), size)]
        vectors = np.concatenate([_padded_run(session, batch, name) for batch in batches])
        seconds = time.process_time() - begin
        alone = vectors if size == 1 else alone
        results.append(
            {
                "batch": size,
                "texts_per_s": len(texts) / seconds,
                "component_change_max": float(np.abs(vectors - alone).max()),
                "cosine_min": float((vectors * alone).sum(axis=1).min()),
            }
        )
    return results


def _padded_run(session: Any, batch: Sequence[Sequence[int]], name: str) -> NDArray[np.float32]:
    ids = np.zeros((len(batch), max(map(len, batch))), dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, tokens in enumerate(batch):
        ids[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = 1
    feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    hidden = session.run(None, feeds)[0]
    if known_model(name).pooling == "cls":
        pooled = hidden[:, 0]
    else:
        pooled = (hidden * mask[..., None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
    return pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
