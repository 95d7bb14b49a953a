"""Knowledge bases of any size out of real texts: passages of public sets, multiplied.

Each passage of the sets is encoded once, by the product's encoder; what was encoded is kept in a
folder. A copy of it has a vector that was moved a little (and is of unit length again) and a text
of which some pieces were exchanged for pieces of others of its language. Questions are those of the
sets. The same numbers give the same knowledge base.
"""

import hashlib
import json
import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coordinator.chunking import weight
from kotaemon_node.domain.knowledge import Passage, passage_id
from kotaemon_node.domain.language import Language, language_of
from kotaemon_node.domain.limits import CHUNK_CHARS_TARGET
from kotaemon_node.ports.encoder import Encoder, SpaceVectors
from kotaemon_node.retrieval.analysis import terms

PASSAGES_PER_DOCUMENT = 20
# The cosine of a copy and its passage is about 0.9: copies of one passage are no nearer to each
# other than passages of one document often are.
MOVED_BY = 0.48
PIECES_EXCHANGED = 0.25
QUESTIONS = 1_000
_ENCODE_BATCH = 16
_BETWEEN = " \n\t。！？；，、"
_PIECE = re.compile(rf"[^{_BETWEEN}]+[{_BETWEEN}]*")
_SETS = (
    ("dify_docs_en_zh", "passages.en", "queries.en"),
    ("dify_docs_en_zh", "passages.zh", "queries.zh"),
    ("tidb_docs_zh", "passages", "queries"),
    ("redis_docs", "passages", "queries"),
    ("cranfield", "passages", "queries"),
    ("dureader_demo", "passages", "queries"),
    ("xquad_en_zh", "passages", "queries"),
    ("drcd", "passages", "queries"),
    ("cmrc2018_dev", "passages", "queries"),
    ("hotpot_sample", "passages", "queries"),
)


@dataclass(frozen=True, slots=True)
class Source:
    """What is multiplied: passages with their vectors, and questions with theirs."""

    titles: tuple[str, ...]
    texts: tuple[str, ...]
    pieces: tuple[tuple[str, ...], ...]
    """The texts, cut where no word is; of long ones the beginning."""
    vectors: Mapping[str, SpaceVectors]
    questions: tuple[str, ...]
    asked: Mapping[str, SpaceVectors]


@dataclass(frozen=True, slots=True)
class Document:
    """A made document: its canonical text and its passages."""

    name: str
    revision: str
    text: str
    passages: tuple[Passage, ...]
    terms: tuple[Mapping[str, int], ...]
    """Of each passage, as the product makes them of its title and text."""
    places: tuple[int, ...]
    """Of each passage, which of the source it was made of."""


def source_of(data: Path, encoder: Encoder, kept: Path) -> Source:
    """Read and encode the sets below ``data``, or what ``kept`` has of them by this encoder."""
    passages: dict[str, str] = {}
    questions: list[str] = []
    for folder, found, asked in _SETS:
        for row in _rows(data / folder / "dev" / f"{found}.jsonl"):
            passages.setdefault(row["text"], row["title"] or "")
        questions += [row["query"] for row in _rows(data / folder / "dev" / f"{asked}.jsonl")]
    chosen = random.Random(1).sample(sorted(set(questions)), min(QUESTIONS, len(questions)))
    # Sorted by a digest: neighbours are of many sets, so each segment is like the whole.
    texts = sorted(passages, key=lambda text: hashlib.sha256(text.encode()).digest())
    titles = [passages[text] for text in texts]
    return source_from(titles, texts, chosen, encoder, kept)


def source_from(
    titles: Sequence[str],
    texts: Sequence[str],
    questions: Sequence[str],
    encoder: Encoder,
    kept: Path,
) -> Source:
    """Encode passages and questions, or take from ``kept`` what this encoder made of them."""
    whole = [
        f"{title}\n{text}" if title else text for title, text in zip(titles, texts, strict=True)
    ]
    made = _encoded(whole, encoder.encode_passages, kept, f"{encoder.name} passages")
    asked = _encoded(questions, encoder.encode_queries, kept, f"{encoder.name} questions")
    pieces = tuple(map(_pieces, texts))
    return Source(tuple(titles), tuple(texts), pieces, made, tuple(questions), asked)


def _pieces(text: str) -> tuple[str, ...]:
    """Cut a text, of which no more is taken than a passage of the product has."""
    pieces: list[str] = []
    left = CHUNK_CHARS_TARGET
    for piece in _PIECE.findall(text):
        left -= weight(piece)
        if left < 0 and pieces:
            break
        pieces.append(piece if piece[-1] in _BETWEEN else piece + " ")
    return tuple(pieces) or (text,)


def _rows(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _encoded(
    texts: Sequence[str], encode: Any, kept: Path, kind: str
) -> Mapping[str, SpaceVectors]:
    key = hashlib.sha256(json.dumps([kind, *texts]).encode()).hexdigest()[:16]
    path = kept / f"{key}.npz"
    if not path.exists():
        found: dict[str, list[tuple[NDArray[np.int64], NDArray[np.float32]]]] = {}
        for start in range(0, len(texts), _ENCODE_BATCH):
            for space, rows in encode(texts[start : start + _ENCODE_BATCH]).items():
                found.setdefault(space, []).append((rows.positions + start, rows.vectors))
        arrays = {}
        for space, parts in found.items():
            arrays[f"{space} positions"] = np.concatenate([at for at, _ in parts])
            arrays[f"{space} vectors"] = np.concatenate([vectors for _, vectors in parts])
        kept.mkdir(parents=True, exist_ok=True)
        np.savez(path, **arrays)
    read = np.load(path)
    return {
        name.removesuffix(" vectors"): SpaceVectors(
            positions=read[name.replace(" vectors", " positions")], vectors=read[name]
        )
        for name in read.files
        if name.endswith(" vectors")
    }


def documents(source: Source, first: int, last: int) -> Iterator[Document]:
    """Make the documents of numbers ``first`` to ``last - 1``."""
    by_language: dict[str, list[str]] = {}
    for text, pieces in zip(source.texts, source.pieces, strict=True):
        by_language.setdefault(language_of(text), []).extend(pieces)
    for number in range(first, last):
        yield _document(source, number, by_language)


def _document(source: Source, number: int, others: Mapping[str, Sequence[str]]) -> Document:
    chance = random.Random(number)
    start = number * PASSAGES_PER_DOCUMENT
    places = [(start + at) % len(source.texts) for at in range(PASSAGES_PER_DOCUMENT)]
    texts, counted = [], []
    for place in places:
        exchange = others[_language_of(source.texts[place])]
        chosen = [
            chance.choice(exchange) if chance.random() < PIECES_EXCHANGED else piece
            for piece in source.pieces[place]
        ]
        counted.append(
            Counter(chain.from_iterable(map(_terms_of, (source.titles[place], *chosen))))
        )
        texts.append("".join(chosen).strip())
    whole = "\n\n".join(texts)
    name = f"made/{number % 100:02}/document-{number:07}.md"
    revision = hashlib.sha256(whole.encode()).hexdigest()
    passages = []
    begin = 0
    for place, text in zip(places, texts, strict=True):
        span = (begin, begin + len(text))
        begin = span[1] + 2
        passages.append(
            Passage(
                id=passage_id(document=name, revision=revision, span=span),
                document=name,
                revision=revision,
                title=source.titles[place],
                heading=(),
                page=None,
                span=span,
                text=text,
                # What was exchanged is of the same language.
                language=_language_of(source.texts[place]),
            )
        )
    return Document(name, revision, whole, tuple(passages), tuple(counted), tuple(places))


@cache
def _language_of(text: str) -> Language:
    return language_of(text)


@cache
def _terms_of(piece: str) -> tuple[str, ...]:
    """Return the terms of a piece: cut at blanks and marks, so those of a text are their sum."""
    return tuple(Counter(terms(piece)).elements())


def moved(source: Source, places: Sequence[int], *, seed: int) -> Mapping[str, SpaceVectors]:
    """Return vectors for copies of the passages at ``places``: near theirs, of unit length."""
    made: dict[str, SpaceVectors] = {}
    wanted = np.asarray(places, dtype=np.int64)
    for number, (space, found) in enumerate(sorted(source.vectors.items())):
        at = np.searchsorted(found.positions, wanted)
        at = np.minimum(at, len(found.positions) - 1)
        has = np.flatnonzero(found.positions[at] == wanted)
        chance = np.random.default_rng([seed, number])
        vectors = found.vectors[at[has]]
        size = vectors.shape[1]
        noise = chance.standard_normal(vectors.shape, dtype=np.float32)
        vectors = vectors + noise * np.float32(MOVED_BY / size**0.5)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        made[space] = SpaceVectors(positions=has, vectors=vectors.astype(np.float32, copy=False))
    return made
