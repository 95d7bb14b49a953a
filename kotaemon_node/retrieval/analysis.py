"""Texts to terms: what the lexical index counts and what questions are compared by.

English words are stemmed; Chinese, Japanese and Korean runs become single characters and pairs of
neighbours, which needs no dictionary and finds every word of two characters or more. Changing what
``terms`` returns makes old segments unreadable for new questions: raise ``ANALYSIS`` with it.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import Stemmer

ANALYSIS: Final = "stem-en+cjk-bigram/1"
"""Names the rules below; manifests carry it in ``extra["analysis"]``."""

_CJK: Final = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff"
_TOKEN: Final = re.compile(rf"[{_CJK}]+|\d+(?:[.,]\d+)+|[^\W_{_CJK}]+(?:'[^\W\d_{_CJK}]+)?")
_PART: Final = re.compile(r"\d+|[^\W\d_]+")
_WORDS_KEPT: Final = 65_536  # stems remembered: more than an English vocabulary in daily use

# A question's small words say nothing about what it is after. Those of the BM25 index are kept: a
# phrase of small words alone must still be found.
_STOP_ENGLISH: Final = frozenset(
    re.findall(
        r"\S+",
        """a about after all also am an and any are as at be because been before being but by can
        can't could did do does doesn't doing don't each for from get give had has have having he
        her here his how how's i i'd i'll i'm i've if in into is isn't it it's its just like many
        may me might more most much must my no not of on or other our out over please shall she
        should so some such tell than that that's the their them then there there's these they
        this those to under up us very want was we were what what's when where where's which while
        who who's whom whose why will with would you your""",
    )
)
# Cut out of a Chinese question before it is cut into pairs, so that they leave no pairs behind.
_STOP_CHINESE: Final = re.compile(
    "为什么|什么时候|什么样|什么|怎么样|怎么办|怎么|怎样|如何|为何|何时|哪里|哪儿|哪个|哪些|哪种|哪一|哪"
    "|多少|是不是|有没有|能不能|可不可以|是否|能否|可否|请问|请告诉|告诉|我们|你们|您们|他们|她们|它们"
    "|这个|那个|这些|那些|一下|一个|吗|呢|吧|啊|呀|嘛|的|了|是|我|你|您|谁|請問|什麼|怎麼|為什麼|嗎|們"
)
_STOP_CHARACTERS: Final = frozenset(
    "在有和与及或对于从到给让被把就都也还很这那他她它请想要会能可以个中为"
)


def terms(text: str) -> Mapping[str, int]:
    """Return the terms of ``text`` and how often each occurs; empty for a text without words."""
    return _count(_normal(text))


def question_terms(question: str) -> Mapping[str, int]:
    """Return the terms of a question without its small words; all of them when no other is left."""
    normal = _normal(question)
    telling = _count(_STOP_CHINESE.sub(" ", normal), stop=True)
    return telling or _count(normal)


def _normal(text: str) -> str:
    return unicodedata.normalize("NFKC", text).lower().replace("’", "'")


def _count(normal: str, *, stop: bool = False) -> Mapping[str, int]:
    found: list[str] = []
    for token in _TOKEN.findall(normal):
        if _is_cjk(token[0]):
            found.extend([char for char in token if not (stop and char in _STOP_CHARACTERS)])
            found.extend([token[at : at + 2] for at in range(len(token) - 1)])
        elif not (stop and token in _STOP_ENGLISH):
            found.extend(_stems(token))
    return Counter(found)


def _is_cjk(char: str) -> bool:
    # No other letter that ``_TOKEN`` can begin with lies beyond: NFKC has folded the wide Latin.
    return "\u3040" <= char <= "\ufaff" and not "\ua000" <= char < "\uac00"


@lru_cache(maxsize=_WORDS_KEPT)
def _stems(token: str) -> tuple[str, ...]:
    """Return the stem of a word; of a mixed one ("iphone15") its parts as well."""
    if token.isalpha() or "'" in token:
        return (_stem(token),)
    if token[0].isdigit() and not token.isalnum():
        return (token.replace(",", ""),)
    parts = [_stem(part) for part in _PART.findall(token)]
    return (token, *parts) if len(parts) > 1 else (token,)


def _stem(word: str) -> str:
    # A stemmer takes less than 1 µs to make, and one must not be used by two threads at once.
    return str(Stemmer.Stemmer("english").stemWord(word)) if word.isascii() else word
