"""What a turn decided on its way, as it is journalled and replayed.

A takeover must go on with the same passages of the same generation, even where a newer one is
served by now or the old one is gone. So the passages themselves are journalled, not their names.
"""

from collections.abc import Mapping
from typing import Any, Final

from kotaemon_node.domain.knowledge import Hit, Passage, SearchResult

ASKED: Final = "asked"
"""Step: the question that stands alone, where it is not the message itself."""
RETRIEVAL: Final = "retrieval"
"""Step: what was found."""
DEGRADED: Final = "degraded"
"""Step: the error code for which the language model was given up."""


def retrieval_to_json(found: SearchResult) -> Mapping[str, Any]:
    """Return a search result as a JSON object."""
    hits = [{**_fields(hit), "passage": _fields(hit.passage)} for hit in found.hits]
    return {**_fields(found), "hits": hits}


def retrieval_from_json(fields: Mapping[str, Any]) -> SearchResult:
    """Read ``retrieval_to_json`` back."""
    hits = tuple(
        Hit(**{**hit, "passage": _passage_from_json(hit["passage"])}) for hit in fields["hits"]
    )
    return SearchResult(**{**fields, "hits": hits})


def _fields(value: SearchResult | Hit | Passage) -> dict[str, Any]:
    """Return what ``asdict`` would, of one whose fields hold nothing to be copied."""
    return {name: getattr(value, name) for name in value.__slots__}


def _passage_from_json(fields: Mapping[str, Any]) -> Passage:
    start, end = fields["span"]
    return Passage(**{**fields, "heading": tuple(fields["heading"]), "span": (start, end)})
