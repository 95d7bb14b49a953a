"""XML of others, read without entities, network or a depth that our stack could not follow."""

from collections.abc import Iterator
from typing import IO, Any, Final

from lxml import etree

from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import DocumentRefused

Element = Any
"""An element of lxml, which has no types of its own. Names are compared without namespaces: a
document of the strict kind has others than one of the ordinary kind, for the same things."""

_SAFE: Final = {
    "resolve_entities": False,
    "no_network": True,
    "load_dtd": False,
    "huge_tree": False,
    "remove_comments": True,
    "remove_pis": True,
}


def xml_tree(content: bytes, *, part: str) -> Element:
    """Return the root of ``content``; ``part`` names it in reasons. Raises ``DocumentRefused``."""
    try:
        root = etree.fromstring(content, etree.XMLParser(**_SAFE))
    except (etree.XMLSyntaxError, ValueError) as error:
        raise _damaged(part) from error
    declared = root.getroottree().docinfo.internalDTD
    if declared is not None and next(iter(declared.iterentities()), None) is not None:
        raise DocumentRefused(f"its part {part} declares XML entities, which are not read")
    return root


def xml_stream(file: IO[bytes], names: tuple[str, ...], *, part: str) -> Iterator[Element]:
    """Yield each element called one of ``names`` when it is complete, and forget it afterwards."""
    wanted = [f"{{*}}{name}" for name in names]
    try:
        for _, element in etree.iterparse(file, events=("end",), tag=wanted, **_SAFE):
            yield element
            element.clear()
            while element.getprevious() is not None:
                del element.getparent()[0]
    except etree.XMLSyntaxError as error:
        raise _damaged(part) from error


def local(element: Element) -> str:
    """Return an element's name without its namespace."""
    tag = element.tag
    # What is neither element nor text, such as an entity that was not resolved, has no name.
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def attribute(element: Element | None, name: str) -> str | None:
    """Return an attribute, in whatever namespace it is; None also where there is no element."""
    if element is None:
        return None
    plain = element.get(name)
    if plain is not None:
        return str(plain)
    for key, value in element.attrib.items():
        if key.rpartition("}")[2] == name:
            return str(value)
    return None


def child(element: Element | None, *path: str) -> Element | None:
    """Return the first descendant along ``path``, one name a level; None where one is missing."""
    for name in path:
        if element is None:
            return None
        element = next((it for it in element if local(it) == name), None)
    return element


def children(element: Element | None, name: str) -> Iterator[Element]:
    """Yield the children called ``name``."""
    if element is not None:
        yield from (it for it in element if local(it) == name)


def descendants(element: Element, name: str) -> Iterator[Element]:
    """Yield all below ``element`` that are called ``name``, in order."""
    yield from element.iter(f"{{*}}{name}")


def whole_number(text: str | None, default: int = 0) -> int:
    """Return a number of at most nine digits, else ``default``."""
    digits = (text or "").removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= limits.XML_DIGITS_MAX):
        return default
    return int(text or "")


def _damaged(part: str) -> DocumentRefused:
    return DocumentRefused(f"it is damaged: its part {part} is no well-formed XML")
