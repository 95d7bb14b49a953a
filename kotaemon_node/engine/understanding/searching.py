"""Searches for a question and its parts: several results as one, by reciprocal ranks."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from kotaemon_node.domain.knowledge import Hit, SearchResult
from kotaemon_node.engine.understanding import Asked

_RRF_K: Final = 60
"""As in ``retrieval.fusion``: results are rankings, their scores are not comparable."""

Search = Callable[[str], SearchResult]
"""The best passages for one question, always of the same generation."""


def searched(asked: Asked, search: Search, *, top_k: int) -> SearchResult:
    """Return the best ``top_k`` passages for the question and its parts."""
    found = search(asked.search)
    if not asked.parts:
        return found
    scores: dict[str, float] = {}
    hits: dict[str, Hit] = {}
    for result in (found, *map(search, asked.parts)):
        for rank, hit in enumerate(result.hits, start=1):
            name = hit.passage.id
            scores[name] = scores.get(name, 0.0) + 1 / (_RRF_K + rank)
            hits.setdefault(name, hit)  # what the whole question says of it goes first
    best = sorted(hits, key=lambda name: -scores[name])[:top_k]
    return replace(found, hits=tuple(hits[name] for name in best))
