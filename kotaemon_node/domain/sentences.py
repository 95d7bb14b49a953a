"""Where the sentences of an English or Chinese text begin and end.

Law 1: spans are half-open ranges of code points, increasing, never overlapping, without blanks at
their ends; every character outside them is a blank.
Law 2: in doubt two sentences stay one. A sentence cut in half reads as a mistake, two that hang
together only read as long.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

Span = tuple[int, int]

_TEXTS_KEPT: Final = 512
_KEPT_CHARS_MAX: Final = 4_096  # a passage; together two megabytes at most

_HAN: Final = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_CLOSERS: Final = "\"'”’」』）】》〉\\])"
# A full-width mark ends a sentence whatever follows. An ASCII mark does so before a blank, and "!"
# and "?" also beside a Han character, where people type no blank.
# The look-behinds and possessive repeats keep a long run of marks linear.
_END: Final = re.compile(
    rf"[。！？｡]++[。！？｡{_CLOSERS}]*+"
    rf"|(?<=[{_HAN}])[!?]++[{_CLOSERS}]*+"
    rf"|(?<![!?])[!?]++[{_CLOSERS}]*+(?=[{_HAN}])"
    rf"|(?<![.!?…])[.!?…]++[{_CLOSERS}]*+(?=\s|$)"
)
_WORD_CHARS_MAX: Final = 24  # no abbreviation is longer, and a "word" may be a page without blanks
_WORD_BEFORE: Final = re.compile(r"[^\s(\[“‘\"']+$")
_WORD_AFTER: Final = re.compile(r"[\s\"'“‘(\[*_]*([^\s,.;:!?]{1,24})")
_DOTTED: Final = re.compile(r"(?:[A-Za-z]\.)+[A-Za-z]")
_LIST_NUMBER: Final = re.compile(r"\s*(?:[-*+•]\s+)?\(?(?:\d{1,3}|[A-Za-z]|[ivxIVX]{1,4})")

_TITLES: Final = re.compile(
    "mr|mrs|ms|dr|prof|st|mt|gen|rev|hon|capt|lt|sgt|e[.]g|i[.]e|vs?|cf|al|viz|resp"
)
_BEFORE_NUMBERS: Final = re.compile("nos?|nr|art|sec|ch|pp?|vol|figs?|eqs?|tab|tel|ext|ver")
_NUMBER: Final = re.compile(r"[A-Z]{0,2}\d")  # also of a supplement: "Fig. S2"
_MAY_END: Final = re.compile(
    "etc|inc|ltd|co|corp|jr|sr|dept|est|approx|ave|blvd"
    "|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec"
    "|proc|natl|acad|sci|univ|biol|chem|med|res|virol|immunol|epidemiol"
)
# Words that hardly ever follow an abbreviation inside a sentence.
_STARTERS: Final = re.compile(
    "The|This|That|These|Those|Then|Its?|We|You|He|She|They|Our|Your|In|If|An?|However|But|And|For"
    "|When|After|Before|To|There|Please|What|How|Why|Where|As|At|On|By|All|Each|No|Not"
)

# Behind a full-width mark: a comma goes on, and so does who said what stands in the quotes.
_GOES_ON: Final = re.compile(
    r"\s*[，、；：,;]|(?<=[”」』])[^，。！？；：\s“「『]{0,4}?(?:[说問问道答喊叫称]|表示|回答)[道着了]?[，。：]"
)
# Dots that stand for something left out: "INSERT ... VALUES", "f(...)".
_FREE_DOTS: Final = re.compile(r"[\s(](?:\.{3,}|…+)\)?")

_PAIRS: Final = ("“”", "「」", "『』", "()", "（）")
_ASIDE_CHARS_MAX: Final = 240  # a longer aside has sentences of its own

_OWN_LINE: Final = re.compile(
    r"\s*(?:[-*+•‣▪●]\s|#{1,6}\s|\(?\d{1,3}[.)、]|\||>|```|[（(][一二三四五六七八九十]+[）)])"
)
_STANDS_ALONE: Final = re.compile(r"\s*(?:#{1,6}\s|\||```)")
# A writer who wraps lines breaks them near the margin; a line that had room for the next word was
# ended on purpose. 60 columns is narrower than any usual margin.
_MARGIN_COLUMNS: Final = 60


def sentence_spans(text: str) -> Sequence[Span]:
    """Return the spans of the sentences; a heading, list item or table row counts as one."""
    return _kept(text) if len(text) <= _KEPT_CHARS_MAX else _spans(text)


def _spans(text: str) -> tuple[Span, ...]:
    spans: list[Span] = []
    for start, end in _blocks(text):
        _split_block(text, start, end, spans)
    return tuple(spans)


# An answer asks twice about each of its passages: as evidence, and for what is to be shown.
_kept = lru_cache(maxsize=_TEXTS_KEPT)(_spans)


def _blocks(text: str) -> list[Span]:
    """Cut at the line breaks that end a sentence whatever the punctuation."""
    blocks: list[Span] = []
    start = 0
    line_start = 0
    while (line_end := text.find("\n", line_start)) != -1:
        following_end = text.find("\n", line_end + 1)
        following = text[line_end + 1 : following_end if following_end != -1 else len(text)]
        if _ends_block(text[line_start:line_end], following):
            blocks.append((start, line_end))
            start = line_end + 1
        line_start = line_end + 1
    blocks.append((start, len(text)))
    return blocks


def _ends_block(line: str, following: str) -> bool:
    if not line.strip() or not following.strip():
        return True
    if _OWN_LINE.match(following) or _STANDS_ALONE.match(line):
        return True
    return _columns(line.strip()) + _columns(_first_word(following)) < _MARGIN_COLUMNS


def _first_word(line: str) -> str:
    stripped = line.strip()
    # Chinese may be wrapped after any character.
    return stripped[0] if _wide(stripped[0]) else stripped.split(maxsplit=1)[0]


def _columns(text: str) -> int:
    """Return the width on a terminal, where a Han character takes two columns."""
    return len(text) if text.isascii() else sum(2 if _wide(char) else 1 for char in text)


def _wide(char: str) -> bool:
    return char >= "\u2e80"


def _split_block(text: str, start: int, end: int, spans: list[Span]) -> None:
    if _STANDS_ALONE.match(text, start, end):
        _add_trimmed(text, start, end, spans)
        return
    begin = start
    for match in _END.finditer(text, start, end):
        if match.start() < begin or not _ends_sentence(text, begin, match, end):
            continue
        if _inside(text, begin, match.end(), end):
            continue
        _add_trimmed(text, begin, match.end(), spans)
        begin = match.end()
    _add_trimmed(text, begin, end, spans)


def _inside(text: str, begin: int, at: int, block_end: int) -> bool:
    """Tell whether ``at`` is between quotes or brackets that close soon: what is around goes on."""
    first = max(begin, at - _ASIDE_CHARS_MAX)
    until = min(block_end, at + _ASIDE_CHARS_MAX)
    for opening, closing in _PAIRS:
        if text.rfind(opening, first, at) > text.rfind(closing, first, at):
            return text.find(closing, at, until) != -1
    odd = first == begin and text.count('"', begin, at) % 2 == 1
    return odd and text.find('"', at, until) != -1


def _add_trimmed(text: str, start: int, end: int, spans: list[Span]) -> None:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    if start < end:
        spans.append((start, end))


def _ends_sentence(text: str, begin: int, match: re.Match[str], block_end: int) -> bool:
    if text[match.start()] in "。！？｡":
        return not _GOES_ON.match(text, match.end(), block_end)
    after = _WORD_AFTER.match(text, match.end(), block_end)
    if after is None:
        return True
    following = after.group(1)
    left_out = _FREE_DOTS.fullmatch(text, max(match.start() - 1, begin), match.end())
    if following[0].islower() or left_out:
        return False
    if text[match.start()] != "." or match.group().startswith(".."):
        return True
    if _LIST_NUMBER.fullmatch(text, begin, match.start()):
        return False
    return _full_stop(text[max(begin, match.start() - _WORD_CHARS_MAX) : match.start()], following)


def _full_stop(before_dot: str, following: str) -> bool:
    """Tell whether the dot behind ``before_dot`` is more than the sign of an abbreviation."""
    before = _WORD_BEFORE.search(before_dot)
    if before is None:
        return True
    word = before.group().lower()
    if _TITLES.fullmatch(word):
        return False
    if _BEFORE_NUMBERS.fullmatch(word):
        return not _NUMBER.match(following)
    initial = len(word) == 1 and word.isalpha() and word.isascii()
    if initial or _MAY_END.fullmatch(word) or _DOTTED.fullmatch(word):
        return _STARTERS.fullmatch(following) is not None
    return True
