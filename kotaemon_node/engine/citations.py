"""What a ``source`` frame says of the passages that an answer cites."""

from collections.abc import Mapping, Sequence
from typing import Any

from kotaemon_node.domain.knowledge import Hit, SearchResult, source_path


def citations(
    hits: Sequence[Hit],
    found: SearchResult,
    *,
    quotes: Sequence[Sequence[tuple[int, int]]] = (),
) -> list[Mapping[str, Any]]:
    """Return the ``docs`` of a ``source`` frame: hit number ``n - 1`` is cited as ``[n]``.

    ``quotes`` are, for each hit, the spans of its document that the answer shows word for word;
    none where a model answers in its own words.
    """
    return [
        {
            "id": hit.passage.id,
            "n": place,
            "title": hit.passage.title,
            "document": hit.passage.document,
            "revision": hit.passage.revision,
            "page": hit.passage.page,
            "heading": list(hit.passage.heading),
            "span": list(hit.passage.span),
            "quotes": [list(span) for span in quotes[place - 1]] if quotes else [],
            "kb": found.kb,
            "generation": found.generation,
            "url": source_path(kb=found.kb, generation=found.generation, passage=hit.passage.id),
        }
        for place, hit in enumerate(hits, start=1)
    ]
