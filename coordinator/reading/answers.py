"""A document that was read, as head and body of a message; what comes back is checked.

The body is the canonical text in UTF-8. A passage is a span of it, so its text is not said twice:

    {"title": …, "reason": null, "headings": [[…], …],
     "passages": [[begin, end, number of its headings, page or null, language, kind], …]}

Document, revision and ids are not in it: the parent knows what it asked for.
"""

from collections.abc import Mapping
from typing import Any, Final, get_args

from coordinator.ingest import Ingested, refused
from kotaemon_node.domain import limits
from kotaemon_node.domain.knowledge import Passage, PassageKind, passage_id
from kotaemon_node.domain.language import Language

_LANGUAGES: Final = frozenset(get_args(Language))
_KINDS: Final = frozenset(get_args(PassageKind))
_TITLE_CHARS_MAX: Final = 1_000


class Nonsense(ValueError):
    """A message that no reader of ours has written."""


def packed(it: Ingested) -> tuple[dict[str, Any], bytes]:
    """Return head and body that say ``it``, but for its vectors."""
    headings = {heading: at for at, heading in enumerate({p.heading: None for p in it.passages})}
    head = {
        "title": it.title,
        "reason": it.reason,
        "headings": list(headings),
        "passages": [
            [*p.span, headings[p.heading], p.page, p.language, p.kind] for p in it.passages
        ],
    }
    return head, it.text.encode()


def unpacked(
    document: str, revision: str, file_bytes: int, head: Mapping[str, Any], body: bytes
) -> Ingested:
    """Return the document that ``packed`` was given. Raises ``Nonsense``, and believes nothing."""
    try:
        reason = head["reason"]
        if reason is not None:
            return refused(document, revision, file_bytes=file_bytes, reason=_text(reason))
        title = _text(head["title"])[:_TITLE_CHARS_MAX]
        headings = [tuple(_text(step) for step in path) for path in head["headings"]]
        text = body.decode()
        if len(text) > limits.DOCUMENT_CHARS_MAX:
            raise Nonsense("the text is longer than any may be")
        rows = head["passages"]
        if len(rows) > limits.DOCUMENT_PASSAGES_MAX:
            raise Nonsense("there are more passages than there may be")
        passages = []
        last = 0
        for row in rows:
            span, number, page, language, kind = _row(row, last, len(text))
            last = span[1]
            passages.append(
                Passage(
                    id=passage_id(document=document, revision=revision, span=span),
                    document=document,
                    revision=revision,
                    title=title,
                    heading=headings[number],
                    page=page,
                    span=span,
                    text=text[slice(*span)],
                    language=language,
                    kind=kind,
                )
            )
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise Nonsense(f"what was read is nonsense: {error}") from error
    return Ingested(document, revision, file_bytes, title, text, tuple(passages))


def _row(
    row: Any, last: int, text_chars: int
) -> tuple[tuple[int, int], int, int | None, Language, PassageKind]:
    """Return a passage's row, checked: it begins at ``last`` or behind it, and holds something."""
    begin, end, number, page, language, kind = row
    numbers = (begin, end, number, 0 if page is None else page)
    if not all(type(at) is int and at >= 0 for at in numbers):
        raise Nonsense("a number is none")
    if not last <= begin < end <= text_chars or language not in _LANGUAGES or kind not in _KINDS:
        raise Nonsense("a passage is none")
    return (begin, end), number, page, language, kind


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise Nonsense("a text is none")
    return value
