"""The reference encoder: full precision by sentence-transformers, on a GPU where there is one.

The only module that imports torch, so import it only when it is asked for (extra ``torch``).
"""

import hashlib
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from kotaemon_node.adapters.encoder.catalogue import Model, find_model
from kotaemon_node.adapters.encoder.errors import ModelMissing
from kotaemon_node.adapters.encoder.texts import tokenizable
from kotaemon_node.ports.encoder import SpaceVectors

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_BATCH: Final = 32
_SPACE_CHARS: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_.-")


def load_reference(
    name: str, *, model_dir: Path, threads: int, device: str | None = None
) -> "SentenceTransformersEncoder":
    """Load a model by name, alias or folder; ``device`` None takes the best one there is.

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
    return SentenceTransformersEncoder(transformer, name=name, model=known)


class SentenceTransformersEncoder:
    """One sentence-transformers model, one space. Float32 everywhere: CPU and GPU agree."""

    def __init__(
        self, transformer: "SentenceTransformer", *, name: str, model: Model | None
    ) -> None:
        """Use ``transformer``, with the prefixes of ``model`` where the catalogue has it."""
        self._transformer = transformer
        # The library sets the tokenizer's truncation at each call: two at once would collide.
        self._lock = threading.Lock()
        self._space = model.space if model else _space_name(name)
        self._passage_prefix = model.passage_prefix if model else ""
        self._query_prefix = model.query_prefix if model else ""
        self._tokens_max = int(transformer.max_seq_length or 512)
        # The library's own property for it was renamed between the versions that we allow.
        self._dimension = int(transformer.encode([""], show_progress_bar=False).shape[1])
        self._name = f"{self._space}:torch-fp32:{self._fingerprint()}"

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
        # The library sorts by length itself. In float32 companions and padding do not show.
        with self._lock:
            vectors: NDArray[np.float32] = self._transformer.encode(
                readable,
                prompt="",  # some models name prompts of their own; the prefix is ours
                batch_size=_BATCH,
                normalize_embeddings=True,
                convert_to_numpy=True,
                show_progress_bar=False,
            )
        return {
            self._space: SpaceVectors(
                positions=np.arange(len(texts), dtype=np.int64),
                vectors=np.ascontiguousarray(vectors, dtype=np.float32),
            )
        }

    def _fingerprint(self) -> str:
        """12 hex digits over weights and recipe: a model is the same wherever it came from."""
        digest = hashlib.sha256(
            "\x00".join((str(self._tokens_max), self._query_prefix, self._passage_prefix)).encode()
        )
        for key, weights in sorted(self._transformer.state_dict().items()):
            digest.update(key.encode())
            digest.update(np.ascontiguousarray(weights.cpu().numpy()).data)
        return digest.hexdigest()[:12]


def _space_name(name: str) -> str:
    """Return ``name`` (a repository or a folder) with what a space name may not have replaced."""
    last = name.rstrip("/").rsplit("/", 1)[-1]
    return "".join(letter if letter.lower() in _SPACE_CHARS else "-" for letter in last)[-128:]
