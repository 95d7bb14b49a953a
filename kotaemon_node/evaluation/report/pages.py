"""A report as values, and those as Markdown or as one HTML file that needs nothing else."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Final

_NUMBER: Final = re.compile(r"[+-]?\d[\d.,]*%?")
_CSS: Final = (
    ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;"
    "margin:2rem auto;padding:0 1rem}table{border-collapse:collapse;display:block;overflow-x:auto}"
    "th,td{padding:.25rem .7rem;border-bottom:1px solid #8884;text-align:left;vertical-align:top}"
    "td.n{text-align:right;font-variant-numeric:tabular-nums}svg{max-width:100%;height:auto}"
)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows below a head; what looks like a number is set to the right."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Plot:
    """A picture: its SVG, and the name under which it is a file."""

    name: str
    title: str
    svg: str


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with what stands below it."""

    heading: str
    parts: Sequence[str | Table | Plot]


@dataclass(frozen=True, slots=True)
class Page:
    """A report."""

    title: str
    sections: Sequence[Section] = field(default_factory=tuple)

    @property
    def plots(self) -> list[Plot]:
        """Its pictures."""
        return [part for one in self.sections for part in one.parts if isinstance(part, Plot)]


def markdown(page: Page, *, pictures: bool = True) -> str:
    """Return the page as Markdown; its pictures are files beside it, or left out."""
    blocks = [f"# {_one_line(page.title)}"]
    for section in page.sections:
        if section.heading and (pictures or not all(isinstance(it, Plot) for it in section.parts)):
            blocks.append(f"## {section.heading}")
        for part in section.parts:
            if isinstance(part, Table):
                blocks.append("\n".join(_markdown_rows(part)))
            elif isinstance(part, Plot):
                blocks += [f"![{part.title}]({part.name}.svg)"] if pictures else []
            else:
                blocks.append(part)
    return "\n\n".join(blocks) + "\n"


def html(page: Page) -> str:
    """Return the page as one HTML file."""
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        f"<title>{escape(page.title)}</title><style>{_CSS}</style></head><body>",
        f"<h1>{escape(page.title)}</h1>",
    ]
    for section in page.sections:
        parts += [f"<h2>{escape(section.heading)}</h2>"] if section.heading else []
        parts += [_html_part(part) for part in section.parts]
    return "\n".join([*parts, "</body></html>"]) + "\n"


def _markdown_rows(table: Table) -> Iterator[str]:
    yield f"| {' | '.join(map(_cell, table.head))} |"
    first = table.rows[0] if table.rows else table.head
    yield f"|{'|'.join(' ---: ' if _numeric(one) else ' --- ' for one in first)}|"
    for row in table.rows:
        yield f"| {' | '.join(map(_cell, row))} |"


def _html_part(part: str | Table | Plot) -> str:
    if isinstance(part, Plot):
        return f"<figure>{part.svg}</figure>"
    if isinstance(part, str):
        return f"<p>{escape(part)}</p>"
    head = "".join(f"<th>{escape(one)}</th>" for one in part.head)
    rows = "".join("<tr>" + "".join(_html_cell(one) for one in row) + "</tr>" for row in part.rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _html_cell(text: str) -> str:
    kind = ' class="n"' if _numeric(text) else ""
    return f"<td{kind}>{escape(text)}</td>"


def _numeric(text: str) -> bool:
    return text == "-" or _NUMBER.fullmatch(text) is not None


def _cell(text: str) -> str:
    return _one_line(text).replace("|", "\\|").replace("<", "&lt;")


def _one_line(text: str) -> str:
    return " ".join(text.split())
