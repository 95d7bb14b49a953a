"""The words of a text: what is compared when texts are compared by their words.

Chinese, Japanese and Korean runs become single characters and pairs of neighbours, which needs no
dictionary and finds every word of two characters or more. Traditional characters count as the
simplified ones, so that a question in either script finds texts in both.
"""

import re
import unicodedata
from typing import Final

from kotaemon_node.domain.han import simplified

_CJK: Final = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff"
_WORD: Final = re.compile(rf"[{_CJK}]+|\d+(?:[.,]\d+)+|[^\W_{_CJK}]+(?:'[^\W\d_{_CJK}]+)?")
# Of ASCII, which most English texts are, the same words, found in half the time.
_ASCII_WORD: Final = re.compile(r"\d+(?:[.,]\d+)+|[a-z0-9]+(?:'[a-z]+)?")
_PART: Final = re.compile(r"\d+|[^\W\d_]+")

# A question's small words say nothing about what it is after.
_SMALL_ENGLISH: Final = frozenset(
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
# Cut out of a question whole, before it is cut into words and pairs: what asks and how politely is
# not what it is asked about, and its characters must leave no pairs with their neighbours.
_SMALL_PHRASES: Final = re.compile(
    r"\bhow (?:long|much|many|often|far|soon)\b"
    "|为什么|什么时候|什么样|什么|怎么样|怎么办|怎么|怎样|如何|为何|何时|哪里|哪儿|哪个|哪些|哪种|哪一|哪"
    "|要多久|多久|多长时间|多长|多少钱|多少|几天|是不是|有没有|能不能|可不可以|是否|能否|可否|可以|需要|应该|请问"
    "|请告诉|告诉|我们|你们|您们|他们|她们|它们|这个|那个|这些|那些|一下|一个|吗|呢|吧|啊|呀|嘛|的|了|是"
    "|我|你|您|谁"
)
_SMALL_CHARACTERS: Final = frozenset(
    "在有和与及或对于从到给让被把就都也还很这那他她它请想要会能可以个中为"
)

# How much a single character of a Chinese question says beside a pair's 1.0: it brings related
# words together ("送货", "配送"), and unrelated ones as well.
CHARACTER_WEIGHT: Final = 0.5


def words(text: str) -> list[str]:
    """Return the words of ``text`` in lower case, mixed ones ("iphone15") also in parts."""
    return _words(_normal(text), telling=False)


def telling_words(question: str) -> list[str]:
    """Return the words of a question without its small ones; all of them when no other is left."""
    normal = _normal(question)
    return _words(_SMALL_PHRASES.sub(" ", normal), telling=True) or _words(normal, telling=False)


def is_small(word: str) -> bool:
    """True for an English word, in lower case, that says nothing about what a question is after."""
    return word in _SMALL_ENGLISH


def without_small_phrases(text: str) -> str:
    """Return ``text``, simplified Chinese, with blanks where it asks; every place stays its own."""
    return _SMALL_PHRASES.sub(lambda found: " " * len(found[0]), text)


def is_cjk(word: str) -> bool:
    """True for a character or pair of a script that is written without blanks."""
    # No other letter that a word can begin with lies between: NFKC has folded the wide Latin.
    return "\u3040" <= word[0] <= "\ufaff" and not "\ua000" <= word[0] < "\uac00"


def _normal(text: str) -> str:
    if text.isascii():
        return text.lower()  # no other writing to be folded
    return simplified(unicodedata.normalize("NFKC", text)).lower().replace("’", "'")


def _words(normal: str, *, telling: bool) -> list[str]:
    found: list[str] = []
    if normal.isascii():
        for word in _ASCII_WORD.findall(normal):
            if not (telling and word in _SMALL_ENGLISH):
                if word.isalpha():
                    found.append(word)
                else:
                    found += _unlike(word)
        return found
    for word in _WORD.findall(normal):
        if is_cjk(word):
            found.extend(_telling_run(word) if telling else _run(word))
        elif not (telling and word in _SMALL_ENGLISH):
            found.extend([word] if word.isalpha() else _unlike(word))
    return found


def _run(run: str) -> list[str]:
    return [*run, *(run[at : at + 2] for at in range(len(run) - 1))]


def _telling_run(run: str) -> list[str]:
    return [word for word in _run(run) if not _SMALL_CHARACTERS.issuperset(word)]


def _unlike(word: str) -> list[str]:
    """Return what a word with digits or an apostrophe is found by."""
    if "'" in word:
        return [word]
    if not word.isalnum():
        return [word.replace(",", "")]
    parts = _PART.findall(word)
    return [word, *parts] if len(parts) > 1 else [word]
