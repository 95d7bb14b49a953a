"""How the rules' questions compare with those that people wrote: no search, only words."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kotaemon_node.domain.words import words
from kotaemon_node.engine.understanding.rewriting import stand_alone
from kotaemon_node.engine.understanding.topics import Exchange


@dataclass(frozen=True, slots=True)
class Pair:
    """A message in its talk, and the same as a person wrote it to stand alone."""

    past: list[Exchange]
    message: str
    reference: str


def rewrites(name: str, data: Path) -> dict[str, Any]:
    """Return how often the rules change what should change, and how near they come."""
    path, pairs_of = REWRITES[name]
    pairs = [
        pair
        for line in (data / path).read_text("utf-8").splitlines()
        for pair in pairs_of(json.loads(line))
        if pair.message.strip() and pair.reference.strip()
    ]
    began_s = time.process_time()
    made = [stand_alone(pair.message, pair.past) for pair in pairs]
    took_s = time.process_time() - began_s
    needy = [
        (pair, text)
        for pair, text in zip(pairs, made, strict=True)
        if words(pair.message) != words(pair.reference)
    ]
    alone = [
        text == pair.message
        for pair, text in zip(pairs, made, strict=True)
        if words(pair.message) == words(pair.reference)
    ]
    return {
        "needy": len(needy),
        "changed": _mean([text != pair.message for pair, text in needy]),
        "added_words_named": _mean([_named(pair, text) for pair, text in needy]),
        "f1_as_asked": _mean([_f1(pair.message, pair.reference) for pair, _ in needy]),
        "f1": _mean([_f1(text, pair.reference) for pair, text in needy]),
        "alone": len(alone),
        "unchanged": _mean(alone),
        "ms_each": round(1000 * took_s / len(pairs), 3),
    }


def _named(pair: Pair, text: str) -> float:
    """Return the share of the words that the person added which the rules added as well."""
    added = set(words(pair.reference)) - set(words(pair.message))
    return len(added & set(words(text))) / len(added) if added else 1.0


def _f1(one: str, other: str) -> float:
    first, second = Counter(words(one)), Counter(words(other))
    shared = sum((first & second).values())
    return 2 * shared / (sum(first.values()) + sum(second.values()))


def _mean(values: list[Any]) -> float | None:
    return round(sum(values) / len(values), 4) if values else None


def _of_cast(row: Mapping[str, Any]) -> Iterator[Pair]:
    past: list[Exchange] = []
    for turn in row["turns"]:
        said = turn["text"] or ""
        yield Pair(list(past), said, turn["rewrite"] or "")
        past.append(Exchange(said, turn.get("response") or ""))


def _of_canard(row: Mapping[str, Any]) -> Iterator[Pair]:
    said = row["history"]
    answers = [*said[1::2], ""]
    # The article is what the talk is about before its first question.
    past = [Exchange(row["title"], row["section"])]
    past += [Exchange(one, answer) for one, answer in zip(said[::2], answers, strict=False)]
    yield Pair(past, row["question"], row["rewrite"])


def _of_mtrag(row: Mapping[str, Any]) -> Iterator[Pair]:
    past = [Exchange(one, "") for one in row["user_turns"][:-1]]
    yield Pair(past, row["last"], row["rewrite"])


def _of_chat(row: Mapping[str, Any]) -> Iterator[Pair]:
    message, answer = row["history"]
    yield Pair([Exchange(message, answer)], row["question"], row["rewrite"])


REWRITES: Final[Mapping[str, tuple[str, Callable[[Mapping[str, Any]], Iterator[Pair]]]]] = {
    "cast-rewrites": ("cast/dev/conversations.jsonl", _of_cast),
    "canard": ("canard/dev/rewrites.jsonl", _of_canard),
    "mtrag-rewrite": ("mtrag_rewrite/dev/rewrites.jsonl", _of_mtrag),
    "rewrite-zh": ("rewrite_zh/dev/rewrites.jsonl", _of_chat),
}
