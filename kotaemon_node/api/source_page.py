"""A cited document as a page of its own, which needs no script: the passage marked and in view."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

from kotaemon_node.domain.knowledge import Source
from kotaemon_node.domain.language import Language, language_of

Span = tuple[int, int]

# Some hundred pages of a book on either side; a browser takes seconds to lay out a whole library.
AROUND_CHARS_MAX: Final = 200_000

# In the language of the document, not of the browser: so the address alone names the page, and
# caches on the way need not tell readers apart.
_WORDS: Final[Mapping[Language, Mapping[str, str]]] = {
    "en": {
        "source": "Source",
        "to_passage": "To the cited passage",
        "document": "Document",
        "knowledge": "Knowledge base",
        "generation": "generation {}",
        "revision": "Revision",
        "cut": "The document goes on; only the part around the passage is shown.",
    },
    "zh": {
        "source": "来源",
        "to_passage": "跳到引用的段落",
        "document": "文档",
        "knowledge": "知识库",
        "generation": "第 {} 代",
        "revision": "版本",
        "cut": "文档较长，仅显示引用段落前后的部分。",
    },
}
_ABSENCES: Final[Mapping[str, str]] = {
    "withdrawn": "This source was withdrawn.｜该来源已撤回。",
    "not_found": "This source is not kept, or never was.｜该来源未保存或不存在。",
}
_LANG: Final[Mapping[Language, str]] = {"en": "en", "zh": "zh-CN"}
# ``autofocus`` brings the mark into view without a script; a fragment in the address does it, too.
_TARGET: Final = ' id="cited" tabindex="-1" autofocus'


def source_page(source: Source, quotes: Sequence[Span]) -> str:
    """Return the page. ``quotes`` lie in the passage, increasing; none: all of it was cited."""
    start, end = source.span
    language = language_of(source.text[start:end])
    words = _WORDS[language]
    first = max(0, start - AROUND_CHARS_MAX)
    last = min(len(source.text), end + AROUND_CHARS_MAX)
    body = "".join(
        (
            escape(source.text[first:start]),
            '<span class="passage">',
            _marked(source.text, source.span, quotes or [source.span]),
            "</span>",
            escape(source.text[end:last]),
        )
    )
    facts = (
        (words["document"], source.document),
        (words["knowledge"], f"{source.kb} · {words['generation'].format(source.generation)}"),
        (words["revision"], source.revision[:10]),
    )
    told = "".join(f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)
    cut = f'<p class="cut">{words["cut"]}</p>'
    title = source.title or source.document
    return _page(
        _LANG[language],
        title=f"{title} · {words['source']}",
        body=f"<header><h1>{escape(title)}</h1><dl>{told}</dl>"
        f'<a href="#cited">{words["to_passage"]}</a></header>'
        f"<main>{cut if first else ''}"
        f'<div class="document" dir="auto">{body}</div>'
        f"{cut if last < len(source.text) else ''}</main>",
    )


def absence_page(code: str) -> str:
    """Return what a person is shown where there is nothing to open."""
    told = _ABSENCES.get(code, _ABSENCES["not_found"])
    english, chinese = told.split("｜")
    body = f'<main><p>{english}</p><p lang="zh-CN">{chinese}</p></main>'
    return _page("en", title=english, body=body)


def _marked(text: str, span: Span, quotes: Sequence[Span]) -> str:
    parts: list[str] = []
    at = span[0]
    for number, (start, end) in enumerate(quotes):
        target = "" if number else _TARGET
        parts.append(f"{escape(text[at:start])}<mark{target}>{escape(text[start:end])}</mark>")
        at = end
    return "".join(parts) + escape(text[at : span[1]])


def _page(lang: str, *, title: str, body: str) -> str:
    return (
        f'<!doctype html>\n<html lang="{lang}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title>"
        '<link rel="icon" href="/assets/icon.svg" type="image/svg+xml">'
        '<link rel="stylesheet" href="/assets/style/base.css">'
        '<link rel="stylesheet" href="/assets/style/source-page.css">'
        f'</head><body class="source-page">{body}</body></html>\n'
    )
