"""What of an HTML page its readers see: which elements are shown, and the text inside of one."""

import re
from collections.abc import Iterator
from typing import Final, Literal

from bs4.element import NavigableString, PreformattedString, Tag

# fmt: off
_DROPPED: Final = frozenset({
    "script", "style", "noscript", "template", "nav", "svg", "canvas", "iframe", "object", "audio",
    "video", "map", "head", "title", "button", "select", "textarea", "input", "datalist", "dialog",
})
LINES: Final = frozenset({
    "li", "dt", "dd", "tr", "figcaption", "summary", "caption", "legend",
})
BLOCKS: Final = frozenset({
    "p", "div", "section", "article", "main", "header", "footer", "aside", "blockquote", "figure",
    "address", "details", "fieldset", "form", "table", "thead", "tbody", "tfoot", "td", "th", "dl",
    "hr", "center", "body", "html",
})
# fmt: on
_BREAKS: Final = LINES | BLOCKS | {"ul", "ol", "pre", *(f"h{level}" for level in range(1, 7))}
_HIDING_STYLE: Final = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0(?![.\d])|opacity\s*:\s*0(?![.\d])",
    re.IGNORECASE,
)

Step = tuple[Literal["open", "close", "text"], Tag | NavigableString]


class Steps:
    """Depth-first through a tree without recursion: a page may be nested deeper than our stack."""

    def __init__(self, root: Tag) -> None:
        self._stack: list[tuple[Tag, Iterator[object]]] = [(root, iter(root.children))]

    def __iter__(self) -> "Steps":
        return self

    def __next__(self) -> Step:
        while self._stack:
            tag, children = self._stack[-1]
            for child in children:
                if isinstance(child, Tag):
                    self._stack.append((child, iter(child.children)))
                    return "open", child
                if isinstance(child, NavigableString) and not isinstance(child, PreformattedString):
                    return "text", child
            self._stack.pop()
            return "close", tag
        raise StopIteration

    def skip(self) -> None:
        """Pass over what is inside the tag just opened, and its close."""
        self._stack.pop()


def unseen(tag: Tag) -> bool:
    """Tell whether ``tag``, with all inside it, is not shown or is no content."""
    return tag.name in _DROPPED or hidden(tag)


def hidden(tag: Tag) -> bool:
    """Tell whether the page's author hid ``tag``."""
    return (
        tag.has_attr("hidden")
        or tag.get("aria-hidden") == "true"
        or _HIDING_STYLE.search(str(tag.get("style") or "")) is not None
    )


def shown_text(tag: Tag, *, line_end: str = " ") -> str:
    """Return the text inside ``tag``, with ``line_end`` where a line breaks or a block stands.

    What only marks letters parts no word: "H<sub>2</sub>O" is "H2O".
    """
    pieces: list[str] = []
    steps = Steps(tag)
    for kind, node in steps:
        if not isinstance(node, Tag):
            pieces.append(str(node))
        elif kind == "open" and unseen(node):
            steps.skip()
        elif kind == "open" and node.name == "br":
            pieces.append(line_end)
        elif kind == "open" and node.name == "img":
            pieces.append(f" {node.get('alt') or ''} ")
        elif node is not tag and node.name in _BREAKS and not _at_line_end(pieces, line_end):
            pieces.append(line_end)
    return "".join(pieces)


def _at_line_end(pieces: list[str], line_end: str) -> bool:
    return not pieces or pieces[-1].endswith(line_end)
