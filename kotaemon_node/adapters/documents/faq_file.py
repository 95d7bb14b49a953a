"""One entry of an FAQ as a JSON object: question, answer, tags and other ways to ask it."""

import json
from typing import Any, Final

from kotaemon_node.adapters.documents.parsed import Outline, ParsedDocument
from kotaemon_node.domain.errors import DocumentRefused
from kotaemon_node.domain.faq_entries import FaqEntry

_FORM: Final = '{"question": "…", "answer": "…", "tags": ["…"], "variants": ["…"]}'


def parse_faq_file(text: str, *, name: str) -> ParsedDocument:
    """Return the document; its title is the question. Raises ``DocumentRefused`` with the reason.

    Each way to ask it is an entry of its own: the nearest one is found, and cites the answer.
    """
    entry = _entry(text)
    problem = entry.problem() or entry.too_large()
    if problem is not None:
        raise DocumentRefused(problem)
    outline = Outline()
    outline.faq(entry.question, entry.answer, entry.label, variants=entry.variants)
    return outline.document(entry.question)


def _entry(text: str) -> FaqEntry:
    try:
        said = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DocumentRefused(f"it is not JSON: {error}") from error
    if not isinstance(said, dict):
        raise DocumentRefused(f"it is not a JSON object like {_FORM}")
    return FaqEntry.of(
        _text(said, "question"),
        _text(said, "answer"),
        tags=_texts(said, "tags"),
        variants=_texts(said, "variants"),
    )


def _text(said: dict[str, Any], name: str) -> str:
    value = said.get(name)
    if not isinstance(value, str):
        raise DocumentRefused(f"its {name!r} is not a text; it must be a JSON object like {_FORM}")
    return value


def _texts(said: dict[str, Any], name: str) -> list[str]:
    value = said.get(name) or []
    if not isinstance(value, list) or not all(isinstance(it, str) for it in value):
        raise DocumentRefused(f"its {name!r} is not a list of texts")
    return value
