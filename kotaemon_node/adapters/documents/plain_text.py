"""TXT: paragraphs between empty lines; what stands alone like a headline is a heading."""

import re
from typing import Final

from kotaemon_node.adapters.documents.parsed import Outline, ParsedDocument
from kotaemon_node.adapters.documents.visible import visible_text

_EMPTY_LINES: Final = re.compile(r"\n(?:[^\S\n]*\n)+")
_UNDERLINE: Final = re.compile(r"(?:={3,}|-{3,}|~{3,}|\*{3,})\s*")
_TITLE_CHARS_MAX: Final = 60
# What ends like this is a sentence or announces a list; what begins like this is a list item.
_NO_HEADLINE: Final = re.compile(r".*[.。!！?？;；:：,，、…|]\s*|\s*[-*+•>|#\"“「(（].*", re.DOTALL)


def parse_plain_text(text: str, *, name: str) -> ParsedDocument:
    """Return the document; its title is its first headline, else ``name``."""
    outline = Outline()
    paragraphs = [part for part in _EMPTY_LINES.split(visible_text(text)) if part.strip()]
    for at, paragraph in enumerate(paragraphs):
        lines = [line.rstrip() for line in paragraph.split("\n") if line.strip()]
        if len(lines) > 1 and _UNDERLINE.fullmatch(lines[1]):
            outline.heading(1 if lines[1][0] == "=" else 2, lines[0])
            lines = lines[2:]
        elif _headline(lines) and at + 1 < len(paragraphs):
            outline.heading(1 if at == 0 else 2, lines[0])
            continue
        outline.add("text", "\n".join(lines).strip())
    return outline.document(outline.first_heading() or name)


def _headline(lines: list[str]) -> bool:
    return (
        len(lines) == 1
        and len(lines[0]) <= _TITLE_CHARS_MAX
        and _NO_HEADLINE.fullmatch(lines[0]) is None
    )
