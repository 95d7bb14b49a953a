"""EPUB to blocks: the chapters in the order of the book's spine, each read as the page it is."""

import posixpath
import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote

from kotaemon_node.adapters.documents.decoding import decoded
from kotaemon_node.adapters.documents.html import add_html
from kotaemon_node.adapters.documents.parsed import Outline, ParsedDocument
from kotaemon_node.adapters.documents.xml_trees import (
    Element,
    attribute,
    child,
    children,
    descendants,
    xml_tree,
)
from kotaemon_node.adapters.documents.zipped import Zipped
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import DocumentRefused

_CONTAINER: Final = "META-INF/container.xml"
_ENCRYPTION: Final = "META-INF/encryption.xml"
_CHAPTERS: Final = frozenset({"application/xhtml+xml", "text/html", "application/html"})
# An XML page may close a tag in itself: as HTML, <title/> would swallow the page.
_TAG: Final = re.compile(r"<([A-Za-z][\w:-]*+)([^<>]*+)>")
_VOID: Final = frozenset({"br", "hr", "img", "input", "link", "meta", "col", "wbr", "area", "base"})


def parse_epub(zipped: Zipped, *, name: str) -> ParsedDocument:
    """Return the document; its title is that of the book, else its first heading or ``name``.

    Raises ``DocumentRefused`` with the reason.
    """
    container = xml_tree(zipped.read(_CONTAINER), part=_CONTAINER)
    root = next(descendants(container, "rootfile"), None)
    where = unquote(attribute(root, "full-path") or "")
    if not where:
        raise DocumentRefused("it is damaged: it does not say where its book begins")
    book = xml_tree(zipped.read(where), part=where)
    locked = _locked(zipped)
    outline = Outline()
    chars_left = limits.DOCUMENT_CHARS_MAX
    for chapter in _chapters(book, posixpath.dirname(where)):
        if chapter in locked:
            raise DocumentRefused("it is protected (DRM), so its text cannot be read")
        if chapter not in zipped:
            continue
        content = zipped.read(chapter)
        text = decoded(content) if content else ""
        chars_left -= len(text)
        if chars_left < 0:
            raise DocumentRefused(
                f"its text is over the limit of {limits.DOCUMENT_CHARS_MAX:,} characters"
            )
        outline.leave()
        add_html(outline, _TAG.sub(_opened_and_closed, text))
    title = child(book, "metadata", "title")
    # In older books the names stand one level deeper.
    if title is None:
        title = child(book, "metadata", "dc-metadata", "Title")
    shown = "" if title is None else " ".join("".join(title.itertext()).split())
    return outline.document(shown or outline.first_heading() or name)


def _opened_and_closed(tag: re.Match[str]) -> str:
    name, rest = tag.groups()
    if not rest.endswith("/") or name.lower() in _VOID:
        return tag.group()
    return f"<{name}{rest[:-1]}></{name}>"


def _chapters(book: Element, folder: str) -> Iterator[str]:
    """Yield the members that hold the book's text, in reading order, without its contents list."""
    items = {attribute(it, "id"): it for it in children(child(book, "manifest"), "item")}
    for entry in children(child(book, "spine"), "itemref"):
        item = items.get(attribute(entry, "idref"))
        is_contents = "nav" in (attribute(item, "properties") or "").split()
        if item is None or is_contents or attribute(item, "media-type") not in _CHAPTERS:
            continue
        target = unquote((attribute(item, "href") or "").partition("#")[0])
        yield posixpath.normpath(posixpath.join(folder, target)).lstrip("/")


def _locked(zipped: Zipped) -> frozenset[str]:
    """Return the members that are encrypted. Fonts often are, which bothers nobody."""
    if _ENCRYPTION not in zipped:
        return frozenset()
    root = xml_tree(zipped.read(_ENCRYPTION), part=_ENCRYPTION)
    found = (attribute(it, "URI") or "" for it in descendants(root, "CipherReference"))
    return frozenset(posixpath.normpath(unquote(it)).lstrip("/") for it in found)
