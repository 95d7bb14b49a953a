"""Words of a document and of a reference conversion of it, so that the two can be compared.

References are other programs' work: they are compared by their words and table cells, never by
layout. Chinese and Japanese, which part no words, count as pairs of characters.
"""

import html
import re
import unicodedata
from collections.abc import Sequence

_WORD = re.compile(r"[^\W_]+")
_WIDE = re.compile("[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")
_BETWEEN_WIDE = re.compile(
    "(?<=[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff])\\s+(?=[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff])"
)
_HYPHENATED = re.compile(r"(?<=[^\W\d_])-[ \t]*\n[ \t]*(?=[^\W\d_])")
# What Markdown adds to a text: comments, addresses of links, boxes to tick, TeX of formulas.
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_ADDRESS = re.compile(r"\]\([^)\n]*\)")
_BOX = re.compile(r"- \[[ x]\]")
_FORMULA = re.compile(r"\$\$?[^$\n]+\$\$?")
_TEX_COMMAND = re.compile(r"\\[a-zA-Z]+")
_ESCAPE = re.compile(r"\\([^\w\s])")
_RULE = re.compile(r"[|\s:-]+")


def words(text: str) -> list[str]:
    """Return the words of ``text`` in order, in small letters."""
    folded = unicodedata.normalize("NFKC", _HYPHENATED.sub("", text)).casefold()
    found: list[str] = []
    for word in _WORD.findall(_BETWEEN_WIDE.sub("", folded)):
        at = 0
        for run in _WIDE.finditer(word):
            found += [word[at : run.start()]] if run.start() > at else []
            found += _pairs(run.group())
            at = run.end()
        found += [word[at:]] if at < len(word) else []
    return found


def _pairs(run: str) -> Sequence[str]:
    return [run[at : at + 2] for at in range(max(len(run) - 1, 1))]


def plain(markdown: str) -> str:
    """Return what Markdown of a reference says, without its marks."""
    text = _ADDRESS.sub("]", _COMMENT.sub(" ", markdown))
    text = _FORMULA.sub(lambda formula: _TEX_COMMAND.sub(" ", formula.group()), text)
    return html.unescape(_ESCAPE.sub(r"\1", _BOX.sub("- ", text)))


def cells(markdown: str) -> list[list[str]]:
    """Return the words of each table cell of a reference that has any."""
    found: list[list[str]] = []
    for line in _COMMENT.sub(" ", markdown).splitlines():
        if line.startswith("|") and not _RULE.fullmatch(line):
            parts = (words(plain(cell)) for cell in line.strip("|").split("|"))
            found += [part for part in parts if part]
    return found


def recall(ours: Sequence[str], theirs: Sequence[str]) -> float:
    """Return which share of their different words we have."""
    wanted = set(theirs)
    return len(wanted & set(ours)) / len(wanted) if wanted else 1.0


def cell_recall(ours: Sequence[str], theirs: Sequence[Sequence[str]]) -> float:
    """Return which share of their cells stands in our text, its words in one piece."""
    text = f" {' '.join(ours)} "
    return sum(f" {' '.join(cell)} " in text for cell in theirs) / len(theirs) if theirs else 1.0
