"""What of an answer is read aloud, and how: without marks, with numbers that voices read well."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from kotaemon_node.domain.language import language_of
from kotaemon_node.domain.sentences import sentence_spans
from kotaemon_node.domain.speech_limits import SPOKEN_PENDING_CHARS_MAX, SPOKEN_SENTENCE_CHARS_MAX

_Change = tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]


def _spelled(match: re.Match[str]) -> str:
    return " ".join(match.group())


def _host(match: re.Match[str]) -> str:
    return match.group(1).removeprefix("www.")


# Order counts: links before bare addresses, addresses before marks that stand in them.
_MARKS: Final[tuple[_Change, ...]] = (
    (re.compile(r"```[^`]{0,20000}(?:```|$)"), " "),
    (re.compile(r"!\[[^\]\n]{0,500}\]\([^)\s]{0,2000}\)"), " "),
    (re.compile(r"\[([^\]\n]{1,500})\]\([^)\s]{0,2000}\)"), r"\1"),
    (re.compile(r"\s?\[\d{1,3}\]"), ""),
    (re.compile(r"<?https?://([^/\s<>)\]]{1,253})[^\s<>)\]]{0,2000}>?"), _host),
    (re.compile(r"<[/a-zA-Z][^<>\n]{0,300}>"), " "),
    (re.compile(r"^\s{0,8}(?:#{1,6}|>|[-*+•])\s+", re.MULTILINE), ""),
    (re.compile(r"^[\s|:-]{3,}$", re.MULTILINE), ""),
    (re.compile(r"\s*\|\s*"), ", "),
    (re.compile(r"\*{1,3}|_{2,3}|~~|`"), ""),
    (re.compile(r"(?<!\w)_|_(?!\w)"), ""),
    (re.compile(r"[\U0001f000-\U0001faff\u2600-\u27bf\ufe0f\u200d]"), ""),
)
_ADDRESS: Final = re.compile(r"\b[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
_HOST_NAME: Final = re.compile(r"\b(?:[a-z][a-z0-9-]{1,62}\.){1,4}[a-z]{2,12}\b")
# What is read digit by digit: parcels, telephones, not prices and years.
_LONG_NUMBER: Final = re.compile(r"(?<![\d.,])\d{7,24}(?![\d.,]*\d)")
_ARROW: Final = re.compile(r"\s*(?:→|->|⇒)\s*")
_RANGE: Final = re.compile(r"(?<=\d)\s?[–—]\s?(?=[\d$€£¥])")
_ORDINARY_RANGE: Final = re.compile(r"(?<![\d-])(\d{1,4})-(\d{1,4})(?![\d-])")
_MONEY: Final = re.compile(r"([$€£¥￥])\s?(\d[\d,]*(?:\.\d+)?)")
_MONEY_NAMES: Final = {
    "en": {"$": "dollars", "€": "euros", "£": "pounds", "¥": "yuan", "￥": "yuan"},
    "zh": {"$": "美元", "€": "欧元", "£": "英镑", "¥": "元", "￥": "元"},
}
_SPACES: Final = re.compile(r"\s+")
_EMPTY_PAUSES: Final = re.compile(r",(?:\s?,)+")
_SAYS_SOMETHING: Final = re.compile(r"\w")


def speakable(text: str) -> str:
    """Return a sentence as it is read aloud; empty where nothing of it is."""
    language = language_of(text)
    # First of all: what looks for a mark between blanks takes a long run of them apart for long.
    text = _SPACES.sub(lambda run: "\n" if "\n" in run.group() else " ", text)
    for pattern, instead in _MARKS:
        text = pattern.sub(instead, text)
    text = _addresses(text, language)
    text = _numbers(text, language)
    text = _EMPTY_PAUSES.sub(",", _SPACES.sub(" ", text)).strip(" ,")
    return text if _SAYS_SOMETHING.search(text) else ""


def _addresses(text: str, language: str) -> str:
    at, dot = (" at ", " dot ") if language == "en" else ("艾特", "点")
    text = _ADDRESS.sub(lambda match: match.group().replace("@", at).replace(".", dot), text)
    return _HOST_NAME.sub(lambda match: match.group().replace(".", dot), text)


def _numbers(text: str, language: str) -> str:
    names, to = _MONEY_NAMES[language], " to " if language == "en" else "到"
    text = _ARROW.sub(", ", text)
    text = _RANGE.sub(to, text)
    text = _ORDINARY_RANGE.sub(lambda match: f"{match[1]}{to}{match[2]}", text)
    text = _MONEY.sub(lambda match: f"{match[2].replace(',', '')} {names[match[1]]}", text)
    return _LONG_NUMBER.sub(_spelled, text)


@dataclass(frozen=True, slots=True)
class SpokenSentence:
    """A sentence of an answer: ``text`` is read aloud for ``[start, end)`` (code points)."""

    start: int
    end: int
    text: str


class SentenceFeed:
    """Takes an answer as it comes and gives its sentences as soon as they are whole."""

    def __init__(self) -> None:
        self._pending = ""
        self._start = 0
        """Where ``_pending`` begins in the answer."""

    def feed(self, piece: str) -> list[SpokenSentence]:
        """Return the sentences that this piece makes whole."""
        self._pending += piece
        spans = sentence_spans(self._pending)
        # The last one may go on, unless a blank stands behind its end.
        if spans and not self._is_over(spans[-1][1]):
            spans = spans[:-1]
        found = self._given(spans, spans[-1][1] if spans else 0)
        if len(self._pending) <= SPOKEN_PENDING_CHARS_MAX:
            return found
        # No sentence ends for long: it is cut, so that what waits and is looked at stays small.
        *parts, (until, _) = _cut(self._pending, 0, len(self._pending))
        return found + self._given(parts, until)

    def finish(self) -> list[SpokenSentence]:
        """Return the rest."""
        return self._given(sentence_spans(self._pending), len(self._pending))

    def _is_over(self, end: int) -> bool:
        return self._pending[end - 1] in "。！？.!?…" and end < len(self._pending)

    def _given(self, spans: Sequence[tuple[int, int]], until: int) -> list[SpokenSentence]:
        found = [
            SpokenSentence(self._start + start, self._start + end, text)
            for first, last in spans
            for start, end in _cut(self._pending, first, last)
            if (text := speakable(self._pending[start:end]))
        ]
        self._pending = self._pending[until:]
        self._start += until
        return found


def _cut(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Cut what is too long for one breath, at a comma or a blank where there is one."""
    parts: list[tuple[int, int]] = []
    while end - start > SPOKEN_SENTENCE_CHARS_MAX:
        window = text[start : start + SPOKEN_SENTENCE_CHARS_MAX]
        at = max(window.rfind(mark) for mark in (", ", "，", "; ", "；", "、", "\n"))
        if at < SPOKEN_SENTENCE_CHARS_MAX // 4:
            at = window.rfind(" ")
        cut = start + (at + 1 if at > 0 else SPOKEN_SENTENCE_CHARS_MAX)
        parts.append((start, cut))
        start = cut
    return [*parts, (start, end)]
