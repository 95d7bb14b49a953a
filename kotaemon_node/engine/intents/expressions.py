"""Texts as rules see them, and regular expressions that take linear time on any of them.

RE2 knows no backtracking: neither a pattern of an operator nor a message can make it slow. It has
no look-around and no back-references; who writes one is told so where the file is read.
"""

import unicodedata
from collections.abc import Iterator, Sequence
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


@dataclass(frozen=True, slots=True)
class Keyword:
    """Words as they stand: whole words, with any space between them.

    Of Chinese there are no spaces to tell a word by: it is found anywhere.
    """

    pattern: str
    begins: bool
    """No letter may stand before it."""
    ends: bool


def keyword(words: str) -> Keyword:
    """Return what finds ``words``."""
    parts = plain(words).folded.split()
    text = " ".join(parts)
    return Keyword(
        r"\s+".join(re2.escape(part) for part in parts), _lettered(text[:1]), _lettered(text[-1:])
    )


Source = str | Keyword
"""A regular expression, or words."""


class Expression:
    """A regular expression, or words; case, width and script of what is searched do not matter."""

    def __init__(self, source: Source) -> None:
        """Raises ``BadExpression``."""
        self._words = source if isinstance(source, Keyword) else None
        self._compiled = _compiled(_pattern(source))

    def found(self, text: Plain) -> bool:
        """Tell whether it occurs."""
        return any(True for _ in self._matches(text.folded))

    def span(self, text: Plain) -> tuple[int, int] | None:
        """Return where its first occurrence begins and ends."""
        return next((match.span(0) for match in self._matches(text.folded)), None)

    def values(self, text: Plain) -> list[tuple[int, str]]:
        """Return the place and text of each occurrence: of its first group, else of all of it."""
        found = []
        group = 1 if self._compiled.groups else 0
        for match in self._matches(text.folded):
            start, end = match.span(group)
            if 0 <= start < end:  # a group that took no part is at -1
                found.append((start, text.said[start:end]))
            if len(found) == limits.SLOT_VALUES_MAX:
                break
        return found

    def whole(self, value: str) -> bool:
        """Tell whether all of ``value`` matches."""
        return self._compiled.fullmatch(plain(value).folded) is not None

    def _matches(self, text: str) -> Iterator[Any]:
        words = self._words
        for match in self._compiled.finditer(text):
            start, end = match.span(0)
            if words is None or not (
                (words.begins and _lettered(text[start - 1 : start] if start else ""))
                or (words.ends and _lettered(text[end : end + 1]))
            ):
                yield match


class Expressions:
    """Many expressions, searched in one pass."""

    def __init__(self, sources: Sequence[Source]) -> None:
        """Raises ``BadExpression``."""
        self._each = [Expression(source) for source in sources]
        self._all = re2.Set.SearchSet(_options())
        for source in sources:
            self._all.Add(_pattern(source))
        try:
            if sources:
                self._all.Compile()
        except re2.error as error:
            raise BadExpression("all expressions together are too large") from error

    def spans(self, text: Plain) -> dict[int, tuple[int, int]]:
        """Return the number of each that occurs, with the span of its first occurrence."""
        if not self._each:
            return {}
        numbers = self._all.Match(text.folded) or ()
        found = {number: self._each[number].span(text) for number in numbers}
        return {number: span for number, span in found.items() if span is not None}


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


def _pattern(source: Source) -> str:
    pattern = source.pattern if isinstance(source, Keyword) else source
    if not pattern.strip():
        raise BadExpression("it is empty")
    if len(pattern) > limits.EXPRESSION_CHARS_MAX:
        raise BadExpression(f"it has more than {limits.EXPRESSION_CHARS_MAX} characters")
    return simplified(pattern)  # as the texts that it searches


def _compiled(source: str) -> Any:
    try:
        compiled = re2.compile(source, _options())
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
