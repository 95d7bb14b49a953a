"""Searches for a question and its parts: their passages in turn, the whole question's first.

Ranks are not fused: what answers one part alone stands far down for the whole question and the
other parts, and would lose to what says a little about all of them.
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import zip_longest

from kotaemon_node.domain.knowledge import Hit, SearchResult
from kotaemon_node.engine.understanding import Asked

Search = Callable[[str], SearchResult]
"""The best passages for one question, always of the same generation."""


def searched(asked: Asked, search: Search, *, top_k: int) -> SearchResult:
    """Return the best ``top_k`` passages for the question and its parts."""
    found = search(asked.search)
    if not asked.parts:
        return found
    results = [found, *map(search, asked.parts)]
    hits: dict[str, Hit] = {}
    for in_turn in zip_longest(*(result.hits for result in results)):
        for hit in filter(None, in_turn):
            hits.setdefault(hit.passage.id, hit)
    return replace(
        found,
        hits=tuple(hits.values())[:top_k],
        words_alone=any(result.words_alone for result in results),
        reranker=found.reranker if all(result.reranker for result in results) else "",
    )
