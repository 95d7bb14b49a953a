"""A chart of an Office document as the table that it draws: names in rows, a column a series."""

from itertools import islice
from typing import Final

from kotaemon_node.adapters.documents.ooxml import Package
from kotaemon_node.adapters.documents.parsed import Outline
from kotaemon_node.adapters.documents.xml_trees import (
    Element,
    attribute,
    child,
    children,
    descendants,
    whole_number,
)

_POINTS_MAX: Final = 10_000
_SERIES_MAX: Final = 255  # no program draws more


def add_charts(outline: Outline, package: Package, part: str) -> None:
    """Add the charts to which ``part`` refers."""
    for chart in package.related(part, "chart"):
        add_chart(outline, package.tree(chart))


def add_chart(outline: Outline, root: Element) -> None:
    """Add what the chart with the root ``root`` shows: its title, and its values as a table."""
    title = child(root, "chart", "title")
    shown = "" if title is None else "".join(it.text or "" for it in descendants(title, "t"))
    outline.add("text", " ".join(shown.split()))
    series = list(islice(descendants(root, "ser"), _SERIES_MAX))
    names = [" ".join(_values(child(it, "tx")).values()) for it in series]
    columns = [_values(_first(it, "val", "yVal")) for it in series]
    labels: dict[int, str] = {}
    for it in series:
        labels = {**_values(_first(it, "cat", "xVal")), **labels}
    places = sorted(set(labels).union(*columns))[:_POINTS_MAX]
    rows = [[labels.get(at, ""), *(column.get(at, "") for column in columns)] for at in places]
    outline.table([["", *names], *rows], has_header=any(names))


def _first(element: Element, *names: str) -> Element | None:
    return next((found for name in names if (found := child(element, name)) is not None), None)


def _values(element: Element | None) -> dict[int, str]:
    """Return the values that the document keeps of cells elsewhere, by their places."""
    if element is None:
        return {}
    found: dict[int, str] = {}
    for point in descendants(element, "pt"):
        value = child(point, "v")
        if value is not None and value.text:
            found[whole_number(attribute(point, "idx"))] = value.text
    if not found:
        found = {at: it.text for at, it in enumerate(children(element, "v")) if it.text}
    return found
