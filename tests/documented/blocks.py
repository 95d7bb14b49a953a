"""Each fenced block of the documentation, and how it is shown to be true.

``blocks.yaml`` is the catalogue: one row for each block. Its first word says how the block is
shown, what follows is how the block begins (of several that begin so, the first comes first)::

    - {run: "kotaemon backup --to", by: integration/test_doc_stories.py}
    - {read: "tools:", by: unit/test_tools_described.py}
    - {read: "principal:", as: limits}
    - {checked: "helm install shop", needs: "Kubernetes; make e2e-k8s runs the same"}
    - {picture: "browser · curl"}

``run``: the test runs all of it. ``read``: the test, or the reader of ``readers.py``, gives it to
the code that reads such files, or compares it with what the product says. ``checked``: programs,
options, routes, settings and objects that it names are there (``programs.py``); ``needs``, or the
page's own ``<!-- not run: … -->`` above the block, says what a run would want. ``picture``: a
drawing or a talk, nothing to type.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

ROOT = Path(__file__).resolve().parents[2]
CATALOGUE = Path(__file__).with_name("blocks.yaml")
Class = Literal["run", "read", "checked", "picture"]
CLASSES: tuple[Class, ...] = ("run", "read", "checked", "picture")
SHELLS = frozenset({"sh", "console"})
_FENCE = re.compile(r"(?P<indent> *)(?P<ticks>`{3,}|~{3,})(?P<kind>[^`\n]*)")
_NOT_RUN = re.compile(r"\s*<!-- not run: (.+?) -->")
_SPAN = re.compile(r"(?<!`)`([^`\n]+(?:\n[^`\n]+)?)`(?!`)")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page, without the indentation of its fence."""

    page: str
    line: int
    kind: str
    text: str
    not_run: str = ""
    """Why it is not run, where the page says so in a comment above: ``<!-- not run: … -->``."""

    @property
    def where(self) -> str:
        """Its place, as tools print places."""
        return f"{self.page}:{self.line}"


@dataclass(frozen=True, slots=True)
class Row:
    """What the catalogue says of a block."""

    how: Class
    begins: str
    by: str
    reader: str
    needs: str


def pages() -> list[str]:
    """Return all pages that readers are told to follow.

    Decisions and the log tell what once was; ``cli.md`` is made from the commands.
    """
    docs = ROOT / "docs"
    found = [
        *ROOT.glob("*.md"),
        *docs.glob("*.md"),
        *(path for path in docs.glob("*/**/*.md") if path.parts[len(docs.parts)] != "adr"),
    ]
    past = {ROOT / "CHANGELOG.md", docs / "LOG.md", docs / "reference" / "cli.md"}
    return sorted(path.relative_to(ROOT).as_posix() for path in found if path not in past)


def blocks_of(page: str) -> list[Block]:
    """Return the fenced blocks of a page, in its order."""
    return blocks_in((ROOT / page).read_text("utf-8"), page=page)


def blocks_in(text: str, *, page: str) -> list[Block]:
    """Return the fenced blocks of a text; one that is not closed is an error."""
    found: list[Block] = []
    opened: tuple[re.Match[str], int] | None = None
    held: list[str] = []
    above = ""
    for number, line in enumerate(text.splitlines(), 1):
        fence = _FENCE.fullmatch(line)
        if opened is None:
            if fence:
                opened, held = (fence, number), []
            elif line.strip():
                above = line
        elif fence and fence["ticks"].startswith(opened[0]["ticks"]) and not fence["kind"]:
            begun, at = opened
            comment = _NOT_RUN.fullmatch(above)
            text, why = "\n".join(held), comment[1] if comment else ""
            found.append(Block(page, at, begun["kind"].strip(), text, why))
            opened, above = None, ""
        else:
            held.append(line.removeprefix(opened[0]["indent"]))
    assert opened is None, f"{page}:{opened and opened[1]}: a block that does not end"
    return found


def typed(block: Block) -> str:
    """Return what a reader types of a block: of a console's, the lines behind its prompts."""
    if block.kind != "console":
        return block.text
    return "\n".join(re.findall(r"(?m)^\$ ((?:.*\\\n)*.*)$", block.text))


def spans_of(page: str) -> Iterator[tuple[int, str]]:
    """Yield what stands between back-ticks in a page's text, with its line."""
    lines = (ROOT / page).read_text("utf-8").splitlines()
    inside = ""
    for number, line in enumerate(lines):
        fence = _FENCE.fullmatch(line)
        if fence:
            inside = "" if inside else fence["ticks"]
            lines[number] = ""
        elif inside:
            lines[number] = ""
    text = "\n".join(lines)
    for found in _SPAN.finditer(text):
        yield text.count("\n", 0, found.start()) + 1, " ".join(found[1].split())


@cache
def catalogue() -> Mapping[str, tuple[Row, ...]]:
    """Return the rows of each page that has blocks."""
    told: dict[str, list[dict[str, Any]]] = yaml.safe_load(CATALOGUE.read_text("utf-8"))
    return {page: tuple(_row(page, row) for row in rows) for page, rows in told.items()}


def matched(page: str) -> tuple[list[tuple[Block, Row]], list[str]]:
    """Return each block of a page with its row, and what has no other half."""
    left = list(catalogue().get(page, ()))
    found, problems = [], []
    for block in blocks_of(page):
        row = next((it for it in left if block.text.lstrip().startswith(it.begins)), None)
        if row is None:
            begins = block.text.lstrip()[:40].partition("\n")[0]
            problems.append(f"{block.where}: no row in {CATALOGUE.name} for {begins!r}")
        else:
            left.remove(row)
            found.append((block, row))
    problems += [f"{page}: no block begins with {row.begins!r}" for row in left]
    return found, problems


def shown_by(test: str, page: str) -> list[Block]:
    """Return the blocks of a page that a test runs, in their order."""
    return [block for block, row in matched(page)[0] if row.how == "run" and row.by == test]


def _row(page: str, told: dict[str, Any]) -> Row:
    [how] = [it for it in CLASSES if it in told]
    unknown = told.keys() - {how, "by", "as", "needs"}
    assert not unknown, f"{page}: {told}: what is {unknown}?"
    rest = {name: str(told.get(name, "")) for name in ("by", "as", "needs")}
    return Row(how, str(told[how]), by=rest["by"], reader=rest["as"], needs=rest["needs"])
