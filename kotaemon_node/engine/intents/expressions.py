"""Texts as rules see them, and regular expressions that take linear time on any of them.

RE2 knows no backtracking: neither a pattern of an operator nor a message can make it slow. It has
no look-around and no back-references; who writes one is told so where the file is read.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import re2

from kotaemon_node.domain import acting_limits as limits
from kotaemon_node.domain.han import simplified
from kotaemon_node.domain.visible import visible_text


class BadExpression(ValueError):
    """A regular expression that cannot be used; says why."""


@dataclass(frozen=True, slots=True)
class Plain:
    """A message in the form that is searched: bounded, one width of characters, one script."""

    said: str
    """As written, but of one width: values are cut from it."""
    folded: str
    """The same with simplified characters; as long as ``said``."""


def plain(text: str) -> Plain:
    """Return the searched form of the first ``INTENT_CHARS_MAX`` characters of ``text``."""
    # Lone surrogates have no UTF-8, which RE2 needs; a message of the API has none.
    legal = visible_text(text[: limits.INTENT_CHARS_MAX]).encode("utf-8", "replace").decode("utf-8")
    said = unicodedata.normalize("NFKC", legal)[: limits.INTENT_CHARS_MAX]
    return Plain(said, simplified(said))


class Expression:
    """A regular expression that ignores case, width and script of what it searches."""

    def __init__(self, source: str) -> None:
        """Raises ``BadExpression``."""
        self._compiled = _compiled(source)

    def found(self, text: Plain) -> bool:
        """Tell whether it occurs."""
        return self._compiled.search(text.folded) is not None

    def span(self, text: Plain) -> tuple[int, int]:
        """Return where its first occurrence begins and ends; (0, 0) where there is none."""
        match = self._compiled.search(text.folded)
        return (0, 0) if match is None else match.span(0)

    def values(self, text: Plain) -> list[tuple[int, str]]:
        """Return the place and text of each occurrence: of its first group, else of all of it."""
        found = []
        group = 1 if self._compiled.groups else 0
        for match in self._compiled.finditer(text.folded):
            start, end = match.span(group)
            if start < end:
                found.append((start, text.said[start:end]))
            if len(found) == limits.SLOT_VALUES_MAX:
                break
        return found

    def whole(self, value: str) -> bool:
        """Tell whether all of ``value`` matches."""
        return self._compiled.fullmatch(plain(value).folded) is not None


class Expressions:
    """Many expressions, searched in one pass."""

    def __init__(self, sources: Sequence[str]) -> None:
        """Raises ``BadExpression``."""
        self._each = [Expression(source) for source in sources]
        self._all = re2.Set.SearchSet(_options())
        for source in sources:
            self._all.Add(_legal(source))
        if sources:
            self._all.Compile()

    def spans(self, text: Plain) -> dict[int, tuple[int, int]]:
        """Return the number of each that occurs, with the span of its first occurrence."""
        if not self._each:
            return {}
        return {
            number: self._each[number].span(text) for number in self._all.Match(text.folded) or ()
        }


def keyword(words: str) -> str:
    """Return an expression for words as they stand: whole words, and any space between them.

    Of Chinese there are no spaces to tell a word by: it is found anywhere.
    """
    parts = [re2.escape(part) for part in plain(words).folded.split()]
    inner = r"\s+".join(parts)
    before = r"(?:^|[^\pL\pN])" if _lettered(words[:1]) else ""
    after = r"(?:$|[^\pL\pN])" if _lettered(words[-1:]) else ""
    return f"{before}{inner}{after}"


def _lettered(sign: str) -> bool:
    """Tell whether a sign is of a script that puts spaces between words."""
    return sign.isalnum() and not _HAN[0] <= sign <= _HAN[1]


_HAN: Final = ("\u2e80", "\uffef")


def _options() -> Any:
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    options.max_mem = limits.EXPRESSION_BYTES_MAX
    return options


def _legal(source: str) -> str:
    if not source.strip():
        raise BadExpression("it is empty")
    if len(source) > limits.EXPRESSION_CHARS_MAX:
        raise BadExpression(f"it has more than {limits.EXPRESSION_CHARS_MAX} characters")
    return simplified(source)  # as the texts that it searches


def _compiled(source: str) -> Any:
    try:
        compiled = re2.compile(_legal(source), _options())
    except re2.error as error:
        reason = error.args[0]
        told = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        if "(?" in told or "\\" in told:
            told += " (look-around and back-references are not known: they take unbounded time)"
        raise BadExpression(told) from error
    except UnicodeEncodeError as error:
        raise BadExpression("it holds a character that has no UTF-8") from error
    if compiled.search("") is not None:
        raise BadExpression("it matches an empty text, so it would match any message")
    return compiled
