"""Whether a passage bears a claim: what a sentence of an answer must share with what it cites.

No model is asked: words, numbers and names are compared. Law 1: a number or a name that stands in
the claim and not in the passage is not borne, however alike the words are; these are what models
get wrong and what people act upon. Law 2: words of two languages hardly meet, so of a passage in
another language only numbers and names are asked for.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from kotaemon_node.domain.knowledge import Passage
from kotaemon_node.domain.language import Language, language_of
from kotaemon_node.domain.words import is_cjk, telling_words, words
from kotaemon_node.engine.matching import stem

# Measured in load/results/citing.md.
SHARE_MIN: Final = 0.5
# Of several passages cited together each need bring a part only.
_SHARE_TOGETHER_MIN: Final = 0.25
# What begins an answer and says nothing without the question.
YES_OR_NO: Final = re.compile(
    r"[\W_]*(?:(?:yes|no|ok|okay|sure|correct|certainly|of course)\b"
    r"|(?:是的|不是|可以|不可以|不能|不行|没有|对的)(?![\w]))"
)

_NUMBER: Final = re.compile(r"\d+(?:[.,]\d+)*")
_NO_LETTER: Final = re.compile(r"[\W_]+")
_THOUSANDS: Final = re.compile(r",(?=\d{3}(?:\D|$))")
_DIGITS_ONLY: Final = re.compile(r"[\d.,]+")
_LATIN: Final = r"A-Za-z0-9\u00c0-\u024f"
_LATIN_WORD: Final = re.compile(rf"[{_LATIN}](?:[{_LATIN}._+'-]*[{_LATIN}+])?")
_BEGINS: Final = re.compile(r"(?:^|[.!?:;\n•])[\W_]*\Z")
"""Where a capital is due to whatever word stands there."""
_BEGINS_CHARS_MAX: Final = 16
"""So far before a word that is looked for: a question may be a page of marks and capitals."""
# At the beginning only: elsewhere a number or a name is a part of the claim, however it is set; and
# of a long run of marks every one would be tried as a beginning.
_LABEL: Final = re.compile(r"\A\W*\*\*[^*\n]{1,80}\*\*")
_LIST_MARK: Final = re.compile(r"\A[\W_]*(?:\(?\d{1,3}[.)、:]|#{1,6})\s+")
# By the number, the stems of the words for it.
_SPELLED: Final = {
    str(value): tuple(map(stem, written.split("/")))
    for value, written in enumerate(
        re.findall(
            r"\S+",
            "zero/零 one/一 two/二/两/兩 three/三 four/四 five/五 six/六 seven/七 eight/八 nine/九"
            " ten/十 eleven/十一 twelve/十二",
        )
    )
}
# Capitals that name nothing.
_CAPITALISED: Final = frozenset(
    re.findall(
        r"\S+", "i i'm i'll i've i'd yes no ok faq the this that these those it you we they he she"
    )
)


@dataclass(frozen=True)
class Evidence:
    """What stands in a passage, ready to be compared."""

    text: str
    language: Language

    @classmethod
    def of(cls, passage: Passage) -> "Evidence":
        """Return that of a passage; its title and headings say of what it speaks."""
        text = "\n".join((passage.title, *passage.heading, passage.text))
        return cls(text, passage.language)

    @cached_property
    def stems(self) -> frozenset[str]:
        """Its words."""
        return frozenset(map(stem, set(words(self.text))))

    @cached_property
    def numbers(self) -> frozenset[str]:
        """Its numbers, those written as words among them."""
        return self._digits.union(filter(self._spells, _SPELLED))

    @cached_property
    def _digits(self) -> frozenset[str]:
        return frozenset(_numbers(self.text))

    def has_number(self, number: str) -> bool:
        """Tell whether ``number`` is one of its numbers, without looking for all of them."""
        return number in self._digits or self._spells(number)

    def _spells(self, number: str) -> bool:
        return any(word in self.stems for word in _SPELLED.get(number, ()))

    @cached_property
    def squeezed(self) -> str:
        """Its letters and digits, in which a name is found however it is divided."""
        return _squeezed(self.text)

    def names(self, name: str) -> bool:
        """Tell whether it names ``name``; of an ordinary word another form will do."""
        return _squeezed(name) in self.squeezed or (
            not _is_code(name) and stem(name.lower()) in self.stems
        )


@dataclass(frozen=True)
class Claim:
    """A sentence, or the part of one, that cites; ``question`` is what it answers."""

    text: str
    question: str = ""

    @cached_property
    def said(self) -> str:
        """The text without the mark of a list in front of it."""
        return _LIST_MARK.sub("", unicodedata.normalize("NFKC", self.text), count=1)

    @cached_property
    def language(self) -> Language:
        """That of its words; one without any letters is in that of the question."""
        return language_of(self.said if _squeezed(self.said).strip("0123456789") else self.question)

    @cached_property
    def stems(self) -> frozenset[str]:
        """Its telling words; those of the question where it only says yes or no to it."""
        return _stems(YES_OR_NO.sub("", self.said.lower(), count=1)) or _stems(self.question)

    @cached_property
    def numbers(self) -> frozenset[str]:
        """Its numbers in digits."""
        return frozenset(_numbers(self.said))

    @cached_property
    def names(self) -> frozenset[str]:
        """What it names: Latin words in Chinese, words with capitals or digits in English."""
        return frozenset(word for word, named in self._latin() if named)

    def _latin(self) -> Iterator[tuple[str, bool]]:
        """Yield the Latin words, and of each whether it names something."""
        text = _LABEL.sub("", self.said, count=1)
        for found in _LATIN_WORD.finditer(text):
            word = found[0]
            if _DIGITS_ONLY.fullmatch(word) or len(word) < 2 or word.lower() in _CAPITALISED:
                yield word, False
            elif self.language == "zh" or _is_code(word):
                yield word, True
            else:
                yield word, word[0].isupper() and not _begins(text, found.start())

    @property
    def says_something(self) -> bool:
        """False for what no passage could bear."""
        return bool(_stems(self.said) or self.numbers)

    def borne_by(self, passages: Sequence[Evidence], *, share_min: float = SHARE_MIN) -> bool:
        """Tell whether the passages, taken together, bear the claim.

        ``share_min`` of its telling words must stand there, where they are in its language.
        """
        if not (self.says_something and passages):
            return False
        if not self.numbers <= set().union(*(passage.numbers for passage in passages)):
            return False
        own = [passage for passage in passages if passage.language == self.language]
        if not self._named_in(passages, same_language=bool(own)):
            return False
        if len(own) < len(passages):
            return True  # what the others say cannot be compared word by word
        return self.share_in(passages) >= share_min

    def partly_borne_by(self, passage: Evidence) -> bool:
        """Tell whether a passage brings its part to a claim that several bear together."""
        if passage.language != self.language:
            return True
        return self.share_in([passage]) >= _SHARE_TOGETHER_MIN

    def share_in(self, passages: Sequence[Evidence]) -> float:
        """Return which share of its telling words stands in the passages, 0 to 1."""
        known = set().union(*(passage.stems for passage in passages))
        return len(self.stems & known) / len(self.stems)

    def _named_in(self, passages: Sequence[Evidence], *, same_language: bool) -> bool:
        names: Iterable[str] = self.names
        if not same_language and self.language == "en":
            # A Chinese text writes most names in its own characters; models and codes it keeps.
            names = [name for name in names if _has_digit(name)]
        return all(any(passage.names(name) for passage in passages) for name in names)


def _begins(text: str, at: int) -> bool:
    return _BEGINS.search(text, max(0, at - _BEGINS_CHARS_MAX), at) is not None


def _stems(text: str) -> frozenset[str]:
    """Return telling words; of Chinese pairs only, since single characters prove little."""
    telling = telling_words(text) if text.strip() else []
    kept = (word for word in telling if not (is_cjk(word) and len(word) == 1))
    return frozenset(stem(word) for word in kept)


def _numbers(text: str) -> Iterable[str]:
    for found in _NUMBER.findall(unicodedata.normalize("NFKC", text)):
        for part in _THOUSANDS.sub("", found).split(",") if "," in found else (found,):
            yield _plain_number(part)


def _plain_number(text: str) -> str:
    """Return "3.50" as "3.5", "007" as "7"."""
    before, dot, behind = text.partition(".")
    if not dot:
        return text.lstrip("0") or "0"
    behind = behind.rstrip("0") if "." not in behind else behind
    return (before.lstrip("0") or "0") + (f"{dot}{behind}" if behind else "")


def _is_code(word: str) -> bool:
    """Tell whether a word is written as no ordinary one is: ``iPhone``, ``X200``, ``FAQ``."""
    return any(letter.isupper() for letter in word[1:]) or _has_digit(word)


def _has_digit(word: str) -> bool:
    return any(map(str.isdigit, word))


def _squeezed(text: str) -> str:
    return _NO_LETTER.sub("", unicodedata.normalize("NFKC", text).lower())
