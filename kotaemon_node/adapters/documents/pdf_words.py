"""Words of a PDF that the end of a line divided, as one word."""

import re
from collections.abc import Iterable
from typing import Final

from kotaemon_node.adapters.documents.pdf_layout import joined

# A paragraph may be thousands of pages long: only its end is looked at for each line behind it.
_END_CHARS: Final = 100
_DIVIDED: Final = re.compile(r"([^\W\d_]+)[-\u00ad\u2010]$")
_GOES_ON: Final = re.compile(r"[^\W\d_]+")
_HYPHENATED: Final = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)+")
_WORD: Final = re.compile(r"[^\W\d_]+")
# Before these a hyphen belongs to the word.
# fmt: off
_PREFIXES: Final = frozenset({
    "self", "non", "well", "ill", "long", "short", "high", "low", "half", "all", "cross", "full",
    "real", "two", "three", "four", "five", "six", "third", "year", "month", "day", "anti", "pro",
    "semi", "quasi", "so", "co", "ex", "e", "x",
})
# fmt: on


class Words:
    """The words of a document, by which those that were divided at line ends are recognised."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._whole: set[str] = set()
        self._hyphenated: set[str] = set()
        for line in lines:
            # The last word may be a part of one.
            self._whole.update(word.lower() for word in _WORD.findall(line)[:-1])
            self._hyphenated.update(word.lower() for word in _HYPHENATED.findall(line))

    def append(self, text: str, following: str) -> tuple[str, int]:
        """Return ``text`` with the next line behind it, and where that begins."""
        end = text[-_END_CHARS:]
        divided, rest = _DIVIDED.search(end), _GOES_ON.match(following)
        if divided is None or rest is None:
            touching = re.search(r"[^\W_][-\u2010/]$", end) is not None
            before = text if touching else text + joined(text, following)
            return before + following, len(before)
        before = text
        if rest.group()[0].islower() and not self._keeps_hyphen(divided.group(1), rest.group()):
            before = text[:-1]
        return before + following, len(before)

    def _keeps_hyphen(self, first: str, second: str) -> bool:
        first, second = first.lower(), second.lower()
        if f"{first}-{second}" in self._hyphenated:
            return first + second not in self._whole
        return first in _PREFIXES and first + second not in self._whole
