"""The encoder of CPUs: int8 weights on onnxruntime.

Each text is run by itself. Dynamic quantisation takes one scale for a whole tensor, so a companion
in the batch, or its padding, moves a text's vector by up to 0.027 in a component, far beyond what
the port allows; and on a CPU a batch is no faster than its texts one by one (ADR 0003 has figures).
"""

import ctypes
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

from kotaemon_node.adapters.encoder.catalogue import MODEL_FILE, TOKENIZER_FILE, Model, Pooling
from kotaemon_node.adapters.encoder.checksum import sha256_of
from kotaemon_node.adapters.encoder.errors import ModelMissing
from kotaemon_node.adapters.encoder.texts import tokenizable
from kotaemon_node.ports.encoder import SpaceVectors

_Pool = Callable[[NDArray[np.float32]], NDArray[np.float32]]

# (tokens, dimension) to (dimension,). Without padding every token counts, so no mask is needed.
_POOLS: Final[Mapping[Pooling, _Pool]] = {
    "mean": lambda tokens: np.asarray(tokens.mean(axis=0)),
    "cls": lambda tokens: np.asarray(tokens[0]),
}


class OnnxEncoder:
    """One model, one space. Its files are read once, checked against the catalogue and closed."""

    def __init__(self, model: Model, *, folder: Path, threads: int = 1) -> None:
        """Load ``folder/<file>`` for each file of ``model``, computing on ``threads`` threads.

        Raises ``ModelMissing`` when a file is absent or is not the one that the catalogue pins.
        """
        _check_files(model, folder=folder)
        self._model = model
        self._pool = _POOLS[model.pooling]
        self._session = onnxruntime.InferenceSession(
            str(folder / MODEL_FILE),
            sess_options=_session_options(threads),
            providers=["CPUExecutionProvider"],
        )
        self._inputs = frozenset(node.name for node in self._session.get_inputs())
        self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(model.tokens_max)
        _give_back_memory()

    @property
    def name(self) -> str:
        return f"{self._model.name}:onnx-int8:{self._model.fingerprint}"

    @property
    def spaces(self) -> Mapping[str, int]:
        return {self._model.space: self._model.dimension}

    def plain(self) -> "OnnxEncoder":
        """Return this encoder without prefixes: for callers who have put their own."""
        twin = copy(self)
        twin._model = replace(self._model, query_prefix="", passage_prefix="")
        return twin

    def encode_passages(self, texts: Sequence[str]) -> Mapping[str, SpaceVectors]:
        return self._encode(texts, prefix=self._model.passage_prefix)

    def encode_queries(self, texts: Sequence[str]) -> Mapping[str, SpaceVectors]:
        return self._encode(texts, prefix=self._model.query_prefix)

    def _encode(self, texts: Sequence[str], *, prefix: str) -> Mapping[str, SpaceVectors]:
        if not texts:
            return {}
        vectors = np.empty((len(texts), self._model.dimension), dtype=np.float32)
        for row, text in enumerate(texts):
            vectors[row] = self._vector(
                tokenizable(prefix + text, tokens_max=self._model.tokens_max)
            )
        positions = np.arange(len(texts), dtype=np.int64)
        return {self._model.space: SpaceVectors(positions=positions, vectors=vectors)}

    def _vector(self, text: str) -> NDArray[np.float32]:
        # ``encode_batch`` would start a thread pool of its own, which a forked pod must not have.
        ids = np.asarray([self._tokenizer.encode(text).ids], dtype=np.int64)
        feeds: dict[str, Any] = {
            "input_ids": ids,
            "attention_mask": np.ones_like(ids),
            "token_type_ids": np.zeros_like(ids),
        }
        hidden = self._session.run(None, {name: feeds[name] for name in self._inputs})[0]
        pooled = self._pool(hidden[0])
        return pooled / np.float32(max(float(np.linalg.norm(pooled)), 1e-12))


def _give_back_memory() -> None:
    """Have the system get what loading a model took for a moment: 15 MiB with ours."""
    # Of glibc (https://man7.org/linux/man-pages/man3/malloc_trim.3.html); others have no such call.
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _session_options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Spinning threads would take the core from the serving loop between two texts.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Memory patterns are kept per input shape; with a shape per text length they only grow.
    options.enable_mem_pattern = False
    return options


def _check_files(model: Model, *, folder: Path) -> None:
    for file in model.files:
        path = folder / file.name
        if not path.is_file():
            raise ModelMissing(
                f"The encoder model {model.name} is not in {folder}; run `kotaemon models`."
            )
        if sha256_of(path) != file.sha256:
            raise ModelMissing(
                f"{path} is not the file that the catalogue pins; "
                "delete it and run `kotaemon models`."
            )
