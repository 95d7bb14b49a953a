"""Embeddings in OpenAI's form: what a request may say, and what it is answered.

A text is embedded as it came: prefixes for questions or passages are the caller's.
"""

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import Invalid, NotFound, TooLarge
from kotaemon_node.retrieval.batching import BATCH_QUESTIONS_MAX, QuestionEncoder

Embed = Callable[[Sequence[str]], NDArray[np.float32]]
"""(n texts) to (n, dimension), of length 1. Raises ``Overloaded``."""

_CHARS_PER_TOKEN: Final = 4

_Text = Annotated[str, Field(max_length=limits.EMBEDDING_TEXT_CHARS_MAX)]


class EmbeddingsRequest(BaseModel):
    """The body; tokens in place of texts are not taken."""

    model_config = ConfigDict(strict=True, extra="ignore")

    input: _Text | Annotated[list[_Text], Field(max_length=limits.EMBEDDING_INPUTS_MAX)]
    model: str = ""
    """Empty: the first of those that are served."""
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None
    """The model's own or none: vectors are not shortened."""


def embeddings(asked: EmbeddingsRequest, models: Mapping[str, Embed]) -> Mapping[str, Any]:
    """Return the answer. Raises ``NotFound``, ``Invalid``, ``TooLarge`` and what embedding does."""
    texts = [asked.input] if isinstance(asked.input, str) else asked.input
    if not texts:
        raise Invalid("input: must hold at least one text")
    if sum(map(len, texts)) > limits.EMBEDDING_REQUEST_CHARS_MAX:
        raise TooLarge(f"input: more than {limits.EMBEDDING_REQUEST_CHARS_MAX} characters")
    model, embed = _served(asked.model, models)
    vectors = embed(texts)
    if asked.dimensions not in {None, vectors.shape[1]}:
        raise Invalid(f"dimensions: {model} has {vectors.shape[1]} and no other")
    rows = [
        {"object": "embedding", "index": index, "embedding": _written(row, asked.encoding_format)}
        for index, row in enumerate(vectors)
    ]
    # Clients want a number; ours is an estimate, since nobody is charged by it.
    tokens = sum(len(text) // _CHARS_PER_TOKEN + 1 for text in texts)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": rows, "model": model, "usage": usage}


def _served(model: str, models: Mapping[str, Embed]) -> tuple[str, Embed]:
    """Return a model by its name, letters' case and what stands before a slash aside."""
    if not model and models:
        return next(iter(models.items()))
    wanted = model.rpartition("/")[2].casefold()
    for name, embed in models.items():
        if name.rpartition("/")[2].casefold() == wanted:
            return name, embed
    raise NotFound(f"model: {', '.join(models)} can be had here")


def _written(vector: NDArray[np.float32], form: Literal["float", "base64"]) -> Any:
    little = vector.astype("<f4")
    return base64.b64encode(little.tobytes()).decode() if form == "base64" else little.tolist()


def batched(encoder: QuestionEncoder) -> Embed:
    """Return what embeds by ``encoder``, of one space and without prefixes.

    Texts of requests that come at the same time are encoded together.
    """

    def embed(texts: Sequence[str]) -> NDArray[np.float32]:
        rows: list[NDArray[np.float32]] = []
        for start in range(0, len(texts), BATCH_QUESTIONS_MAX):
            for found in encoder.encode_all(texts[start : start + BATCH_QUESTIONS_MAX]):
                (vector,) = found.values()
                rows.append(vector)
        return np.stack(rows)

    return embed
