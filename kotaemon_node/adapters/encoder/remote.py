"""An encoder elsewhere: a server of OpenAI-compatible embeddings, which scales on its own.

What the server does with a text is its own business (window, pooling); prefixes are ours, where the
catalogue knows the model. Its name in manifests says model, size and prefixes, and never the
address: two servers of one model are one encoder. That it *is* the same model is tried on vectors:
on the probes of the catalogue, and on passages of a generation before that is served.
"""

import hashlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kotaemon_node.adapters.encoder.catalogue import Model, find_model
from kotaemon_node.adapters.encoder.embeddings import (
    PASSAGES,
    QUESTIONS,
    Count,
    EmbeddingsClient,
    NotLiked,
    Patience,
)
from kotaemon_node.adapters.encoder.errors import EncoderSetupError
from kotaemon_node.adapters.encoder.texts import space_name, tokenizable
from kotaemon_node.domain import limits
from kotaemon_node.ports.encoder import EncoderUnavailable, SpaceVectors

_FIRST_TEXT: Final = "How large is a vector?"
_CUT_CHARS_MIN: Final = 256
"""A server that refuses so little refuses something else."""


def _count_nothing(_outcome: str) -> None:
    pass


@dataclass(frozen=True, slots=True)
class RemotePlace:
    """Where encoders elsewhere are: ``ENCODER_URL``, ``ENCODER_API_KEY``."""

    url: str
    api_key: str = ""
    count: Count = _count_nothing
    """Told each request's outcome."""


def load_remote(name: str, place: RemotePlace) -> "RemoteEncoder":
    """Return the encoder ``name`` of the server; asks it for a first vector.

    Raises ``EncoderSetupError``: no address, no answer for some twenty seconds, unknown model.
    """
    if not place.url:
        raise EncoderSetupError("ENCODER_BACKEND=http needs ENCODER_URL, as http://host:port/v1.")
    client = EmbeddingsClient(place.url, place.api_key, name, count=place.count)
    return RemoteEncoder(
        client, name=name, model=find_model(name), dimension=_dimension(client, name)
    )


def _dimension(client: EmbeddingsClient, name: str) -> int:
    try:
        try:
            return int(client.embed([_FIRST_TEXT], PASSAGES).shape[1])
        except NotLiked:
            client.form = "float"  # not every server knows the shorter one
            return int(client.embed([_FIRST_TEXT], PASSAGES).shape[1])
    except (NotLiked, EncoderUnavailable) as error:
        raise EncoderSetupError(
            f"ENCODER_URL gives no vectors of {name}: {error}. See that a server of"
            " OpenAI-compatible embeddings runs there and has this model."
        ) from error


class RemoteEncoder:
    """One model of a server, one space."""

    elsewhere = True
    """Its calls wait for a network and compute nothing (``ports.encoder.is_elsewhere``)."""

    def __init__(
        self,
        client: EmbeddingsClient,
        *,
        name: str,
        model: Model | None,
        dimension: int,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """``model`` is what the catalogue knows of it; ``now_s`` is a monotonic clock."""
        self._client = client
        self._space = model.space if model else space_name(name)
        self._passage_prefix = model.passage_prefix if model else ""
        self._query_prefix = model.query_prefix if model else ""
        self._dimension = dimension
        self._rest = _Rest(now_s)
        recipe = "\x00".join((name, self._query_prefix, self._passage_prefix))
        digest = hashlib.sha256(recipe.encode()).hexdigest()[:12]
        self._name = f"{self._space}:http-{dimension}:{digest}"

    @property
    def name(self) -> str:
        return self._name

    @property
    def spaces(self) -> Mapping[str, int]:
        return {self._space: self._dimension}

    def encode_passages(self, texts: Sequence[str]) -> Mapping[str, SpaceVectors]:
        return self._rows([self._passage_prefix + text for text in texts], PASSAGES)

    def encode_queries(self, texts: Sequence[str]) -> Mapping[str, SpaceVectors]:
        if not self._rest.may_ask():
            self._client.count("skipped")
            raise EncoderUnavailable("the encoder's server failed a moment ago")
        try:
            rows = self._rows([self._query_prefix + text for text in texts], QUESTIONS)
        except EncoderUnavailable:
            self._rest.failed()
            raise
        self._rest.answered()
        return rows

    def _rows(self, texts: Sequence[str], patience: Patience) -> Mapping[str, SpaceVectors]:
        if not texts:
            return {}
        readable = [_sendable(text) for text in texts]
        parts = [self._embedded(batch, patience) for batch in _batches(readable)]
        vectors = np.concatenate(parts)
        if vectors.shape[1] != self._dimension:
            raise EncoderUnavailable("the encoder's server sent vectors of another size")
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return {
            self._space: SpaceVectors(
                positions=np.arange(len(texts), dtype=np.int64),
                vectors=np.ascontiguousarray(vectors / lengths, dtype=np.float32),
            )
        }

    def _embedded(self, texts: Sequence[str], patience: Patience) -> NDArray[np.float32]:
        """Return the vectors of one request; where a text is too long, that one is cut."""
        try:
            return self._client.embed(texts, patience)
        except NotLiked as refusal:
            if len(texts) > 1:
                # Halves, so that one text costs a few requests more and the others stay whole.
                middle = len(texts) // 2
                halves = (texts[:middle], texts[middle:])
                return np.concatenate([self._embedded(half, patience) for half in halves])
            if len(texts[0]) <= _CUT_CHARS_MIN:
                raise EncoderUnavailable(f"the encoder's server: {refusal}") from refusal
            return self._embedded([texts[0][: len(texts[0]) // 2]], patience)


class _Rest:
    """After a failure no question is sent for a while, so that not each one waits in vain.

    Then one is: if it fails, too, the rest is twice as long.
    """

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._lock = threading.Lock()
        self._until_s = float("-inf")
        self._rest_s = limits.ENCODER_REST_MIN_S

    def may_ask(self) -> bool:
        with self._lock:
            now_s = self._now_s()
            if now_s < self._until_s:
                return False
            if self._until_s > float("-inf"):
                # Who asks now tries it for all.
                self._until_s = now_s + limits.ENCODER_QUESTIONS_TIMEOUT_S
            return True

    def failed(self) -> None:
        with self._lock:
            self._until_s = self._now_s() + self._rest_s
            self._rest_s = min(2 * self._rest_s, limits.ENCODER_REST_MAX_S)

    def answered(self) -> None:
        with self._lock:
            self._until_s = float("-inf")
            self._rest_s = limits.ENCODER_REST_MIN_S


def _sendable(text: str) -> str:
    """Servers refuse an empty text, and some what is longer than their window."""
    most = limits.ENCODER_TEXT_CHARS_MAX
    return tokenizable(text[:most], tokens_max=most) or " "


def _batches(texts: Sequence[str]) -> Sequence[Sequence[str]]:
    """Cut into requests, bounded in texts and in characters."""
    batches: list[list[str]] = []
    chars = 0
    for text in texts:
        full = batches and len(batches[-1]) == limits.ENCODER_INPUTS_MAX
        if not batches or full or chars + len(text) > limits.ENCODER_REQUEST_CHARS_MAX:
            batches.append([])
            chars = 0
        batches[-1].append(text)
        chars += len(text)
    return batches
