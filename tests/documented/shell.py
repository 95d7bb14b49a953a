"""What a block of shell lines runs: words as a shell makes them, as far as pages need it.

Words keep ``$NAME`` and ``$(…)`` as they stand; redirections and here-documents are left out. A
block whose quotes do not end is an error: a reader could not paste it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_ASSIGNED = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_PARTS = re.compile(
    r"""
    (?P<blank>[ \t]+|\\\n)
  | (?P<comment>(?<![^\s;&|()])\#[^\n]*)
  | (?P<heredoc><<-?[ ]*(?P<quote>['"]?)(?P<mark>\w+)(?P=quote))
  | (?P<redirected>\d?(?:>>|>|<)(?:&\d)?)
  | (?P<end>\n|;|&&|\|\||\||&|\(\)|[()])
  | (?P<single>'[^']*')
  | (?P<double>"(?:[^"\\]|\\.)*")
  | (?P<inner>\$\((?:[^()'"]|'[^']*'|"(?:[^"\\]|\\.)*"|\([^()]*\))*\))
  | (?P<escaped>\\.)
  | (?P<plain>(?:[^\s;&|()<>'"\\$]|\$(?!\())+)
    """,
    re.VERBOSE | re.DOTALL,
)
_INNER = re.compile(r"""\$\((?:[^()'"]|'[^']*'|"(?:[^"\\]|\\.)*"|\([^()]*\))*\)""")
_CLAUSES = {"for", "case"}
_KEYWORDS = {"do", "done", "if", "then", "else", "fi", "while", "until", "!", "time"}
_NAMES_OF_KEPT = ("single", "double", "inner", "escaped", "plain")


@dataclass(frozen=True, slots=True)
class Command:
    """A program with its arguments, and the variables set for it or, without one, for the shell."""

    line: int
    words: tuple[str, ...]
    assigned: tuple[tuple[str, str], ...]

    @property
    def program(self) -> str:
        """The program's name, without the folder it lies in; empty where there is none."""
        return self.words[0].rpartition("/")[2] if self.words else ""


def commands(text: str) -> Iterator[Command]:
    """Yield the commands of a block, in their order; those inside of ``$(…)`` behind theirs."""
    words: list[str] = []
    word: str | None = None
    skip_word, mark = False, ""
    begun, place = 1, 0
    while place < len(text):
        part = _PARTS.match(text, place)
        assert part is not None, f"line {_line(text, place)}: no shell reads {text[place:][:30]!r}"
        kind = part.lastgroup if part.lastgroup not in {"quote", "mark"} else "heredoc"
        if kind in _NAMES_OF_KEPT:
            if word is None and not words:
                begun = _line(text, place)
            word = (word or "") + _unquoted(kind or "", part[0])
        else:
            if word is not None and not skip_word:
                words.append(word)
            skip_word = skip_word and word is None
            word = None
            skip_word = skip_word or (kind == "redirected" and "&" not in part[0])
            mark = part["mark"] or mark
        place = part.end()
        if kind == "end":
            yield from _made(begun, words)
            words = []
            if mark and part[0] == "\n":
                place, mark = _behind(text, place, mark), ""
    if word is not None and not skip_word:
        words.append(word)
    yield from _made(begun, words)


def _made(line: int, words: list[str]) -> Iterator[Command]:
    left = [word for word in words if word not in {"{", "}"}]
    if left and left[0] in _CLAUSES:
        return
    while left and left[0] in _KEYWORDS:
        left.pop(0)
    assigned = []
    if left and left[0] == "export":
        left.pop(0)
    while left and (found := _ASSIGNED.fullmatch(left[0])):
        assigned.append((found[1], found[2]))
        left.pop(0)
    if left or assigned:
        yield Command(line, tuple(left), tuple(assigned))
    for word in words:
        for inner in _INNER.finditer(word):
            yield from commands(inner[0][2:-1])


def _unquoted(kind: str, text: str) -> str:
    if kind == "single":
        return text[1:-1]
    if kind == "double":
        return re.sub(r'\\(["\\$`])', r"\1", text[1:-1]).replace("\\\n", "")
    return text[1:] if kind == "escaped" else text


def _behind(text: str, place: int, mark: str) -> int:
    found = re.compile(rf"^{mark}$\n?", re.MULTILINE).search(text, place)
    assert found, f"line {_line(text, place)}: a here-document without its end {mark}"
    return found.end()


def _line(text: str, place: int) -> int:
    return text.count("\n", 0, place) + 1
