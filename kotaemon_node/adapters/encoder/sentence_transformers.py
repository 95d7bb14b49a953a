"""Encoders of sentence-transformers: full precision on a CPU, half of it on a GPU.

On a GPU half precision (fp16 under autocast: sums and norms stay in float32) is several times as
fast. Its vectors are those of float32 within what the port allows, which each start tries; where
they are not, this process computes in float32. So one name stands for both, and a coordinator with
a GPU may build what pods without one are asked for.

The only module that imports torch, so import it only when it is asked for (extra ``torch``).
"""

import hashlib
import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import structlog
from numpy.typing import NDArray

from kotaemon_node.adapters.encoder.agreement import probes_of
from kotaemon_node.adapters.encoder.catalogue import MODELS, Model, find_model
from kotaemon_node.adapters.encoder.errors import ModelMissing
from kotaemon_node.adapters.encoder.texts import space_name, tokenizable
from kotaemon_node.ports.encoder import SpaceVectors

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_log = structlog.get_logger(__name__)

_BATCH: Final = 32
_GPU_BATCH: Final = 256
"""A GPU is idle between small batches; 256 of 512 tokens take less than 4 GB of a small model."""

HALF_AGREEMENT_MIN: Final = 0.999
"""Cosine between half and full precision, of each text that is tried."""


def load_reference(
    name: str,
    *,
    model_dir: Path,
    threads: int,
    device: str | None = None,
    half: bool | None = None,
) -> "SentenceTransformersEncoder":
    """Load a model by name, alias or folder; ``device`` None takes the best one there is.

    ``half``: whether to compute in half precision where it agrees; None: on a GPU.

    A folder ``model_dir/<name>`` that holds a sentence-transformers model is taken before the
    network is asked. Raises ``ModelMissing`` when torch is not installed or the model cannot be
    loaded.
    """
    try:
        import torch  # noqa: PLC0415
        from sentence_transformers import SentenceTransformer  # noqa: PLC0415
    except ImportError as error:
        raise ModelMissing(
            "ENCODER_BACKEND=torch needs the extra: pip install 'kotaemon-cluster[torch]'."
        ) from error
    known = find_model(name)
    folder = model_dir / (known.name if known else name)
    installed = (folder / "modules.json").is_file()
    source = str(folder) if installed else known.reference if known else name
    torch.set_num_threads(threads)
    try:
        # Without ``float`` a model keeps the precision that its file has, which may be a half.
        transformer = SentenceTransformer(source, device=device, local_files_only=installed).float()
    except (OSError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise ModelMissing(f"sentence-transformers cannot load '{source}': {reason}") from error
    encoder = SentenceTransformersEncoder(transformer, name=name, model=known)
    if transformer.device.type == "cuda" if half is None else half:
        encoder.take_half()
    _log.info(
        "encoder_loaded",
        model=encoder.name,
        device=str(transformer.device),
        precision="half" if encoder.is_half else "full",
        agreement=encoder.half_agreement,
    )
    return encoder


class SentenceTransformersEncoder:
    """One sentence-transformers model, one space."""

    def __init__(
        self, transformer: "SentenceTransformer", *, name: str, model: Model | None
    ) -> None:
        """Use ``transformer``, with the prefixes of ``model`` where the catalogue has it."""
        self._transformer = transformer
        # The library sets the tokenizer's truncation at each call: two at once would collide.
        self._lock = threading.Lock()
        self._space = model.space if model else space_name(name)
        self._passage_prefix = model.passage_prefix if model else ""
        self._query_prefix = model.query_prefix if model else ""
        self._tokens_max = int(transformer.max_seq_length or 512)
        # The library's own property for it was renamed between the versions that we allow.
        self._dimension = int(transformer.encode([""], show_progress_bar=False).shape[1])
        self._name = f"{self._space}:torch-fp32:{self._fingerprint()}"
        self._batch = _GPU_BATCH if transformer.device.type == "cuda" else _BATCH
        self.is_half = False
        """Whether it computes in half precision."""
        self.half_agreement: float | None = None
        """Lowest cosine between half and full precision; None: not tried."""

    def take_half(self) -> None:
        """Compute in half precision from now on, if that agrees with full precision."""
        texts = sorted({probe.text for model in MODELS for probe in probes_of(model.name)})
        full = self.encode_passages(texts)[self._space].vectors
        self.is_half = True
        half = self.encode_passages(texts)[self._space].vectors
        self.half_agreement = float((full * half).sum(axis=1).min())
        # Written this way round, a vector that is not a number fails.
        self.is_half = self.half_agreement >= HALF_AGREEMENT_MIN

    def plain(self) -> "SentenceTransformersEncoder":
        """Return this encoder without prefixes: for callers who have put their own."""
        twin = copy(self)
        twin._passage_prefix = twin._query_prefix = ""
        return twin

    @property
    def name(self) -> str:
        return self._name

    @property
    def spaces(self) -> Mapping[str, int]:
        return {self._space: self._dimension}

    def encode_passages(self, texts: Sequence[str]) -> Mapping[str, SpaceVectors]:
        return self._encode(texts, prefix=self._passage_prefix)

    def encode_queries(self, texts: Sequence[str]) -> Mapping[str, SpaceVectors]:
        return self._encode(texts, prefix=self._query_prefix)

    def _encode(self, texts: Sequence[str], *, prefix: str) -> Mapping[str, SpaceVectors]:
        if not texts:
            return {}
        readable = [tokenizable(prefix + text, tokens_max=self._tokens_max) for text in texts]
        # The library sorts by length itself. Companions and padding hardly show.
        with self._lock, self._precision():
            found: NDArray[np.floating[Any]] = self._transformer.encode(
                readable,
                prompt="",  # some models name prompts of their own; the prefix is ours
                batch_size=self._batch,
                convert_to_numpy=True,
                show_progress_bar=False,
            )
        vectors = found.astype(np.float32)
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return {
            self._space: SpaceVectors(
                positions=np.arange(len(texts), dtype=np.int64),
                vectors=np.ascontiguousarray(vectors),
            )
        }

    def _precision(self) -> AbstractContextManager[object]:
        if not self.is_half:
            return nullcontext()
        import torch  # noqa: PLC0415 - loaded long ago

        autocast: AbstractContextManager[object] = torch.autocast(
            self._transformer.device.type, dtype=torch.float16
        )
        return autocast

    def _fingerprint(self) -> str:
        """12 hex digits over weights and recipe: a model is the same wherever it came from."""
        digest = hashlib.sha256(
            "\x00".join((str(self._tokens_max), self._query_prefix, self._passage_prefix)).encode()
        )
        for key, weights in sorted(self._transformer.state_dict().items()):
            digest.update(key.encode())
            digest.update(np.ascontiguousarray(weights.cpu().numpy()).data)
        return digest.hexdigest()[:12]
