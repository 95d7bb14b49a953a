"""Questions that differ in nothing but small words: what a pod remembers of those with hot answers.

Closeness of vectors alone is no reason to take one question for another: "how many died in 1346"
and "in 1349" are closer than most paraphrases (load/results/answer_cache.md). So two questions have
to be made of the same telling words in the same order, and then be close as well.
"""

import re
import threading
import unicodedata
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from kotaemon_node.domain import limits
from kotaemon_node.domain.language import language_of
from kotaemon_node.engine.matching import stem
from kotaemon_node.ports.hot_answers import AnswerName

# Before a question: greetings, and words that only say that it is one.
_POLITE: Final = re.compile(
    r"^(?:(?:hi|hello|hey)\b[\s,!.]*)?(?:(?:please|kindly)\s+)?"
    r"(?:(?:(?:can|could|would|will) you (?:please )?tell me|tell me|do you know|may i know"
    r"|i (?:want|need|would like) to know|i'd like to know|i was wondering)\b[\s,:]*)?"
)
_POLITE_CHINESE: Final = re.compile(
    "^(?:你好|您好)?[，,。！! ]*(?:请问一下|请问|请告诉我|告诉我|我想知道|我想问一下|我想问)?"
)
# "How do I return a lamp" and "how can I return the lamp". Everything else is kept: who, before,
# from, not, should, my, your.
_EMPTY: Final = frozenset("a an the do does is are am can could i to of please".split())  # noqa: SIM905
_EMPTY_CHINESE: Final = re.compile("吗|呢|吧|啊|呀|嘛|的|了")
_CHARS_MIN: Final = 4
"""Of a skeleton in Chinese; in English it needs two words."""
_WORD: Final = re.compile(r"\d+(?:[.,:/-]\d+)*%?|[^\W\d_]+(?:['’][^\W\d_]+)?|[^\w\s]", re.UNICODE)
_MARK: Final = re.compile(r"[^\w+#%$€£¥@&/<>=*-]+")


def skeleton(question: str) -> str:
    """Return what two questions share that differ in small words alone; "" where little is left."""
    plain = unicodedata.normalize("NFKC", question).casefold().replace("’", "'").strip()
    if language_of(question) == "zh":
        asked = _EMPTY_CHINESE.sub("", _POLITE_CHINESE.sub("", plain))
        signs = "".join(_MARK.sub(" ", asked).split())
        return f"zh {signs}" if len(signs) >= _CHARS_MIN else ""
    words = (word for word in _WORD.findall(_POLITE.sub("", plain)) if not _MARK.fullmatch(word))
    kept = [stem(word) for word in words if word not in _EMPTY]
    return f"en {' '.join(kept)}" if len(kept) > 1 else ""


@dataclass(frozen=True, slots=True)
class Known:
    """A question with a hot answer."""

    question: str
    name: AnswerName


class SimilarQuestions:
    """Known questions by circle and skeleton, those used last. Thread safe.

    A ``circle`` is what may share answers at all: everything that names one but the question.
    """

    def __init__(self, least: float, *, entries_max: int = limits.HOT_SIMILAR_ENTRIES_MAX) -> None:
        """``least``: cosine from which on two questions of one skeleton are taken for the same."""
        self.least = least
        self._entries_max = entries_max
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, str], Known] = OrderedDict()

    def note(self, circle: str, known: Known) -> None:
        """Remember a question that has a hot answer now."""
        key = (circle, skeleton(known.question))
        if not key[1]:
            return
        with self._lock:
            self._known[key] = known
            self._known.move_to_end(key)
            while len(self._known) > self._entries_max:
                self._known.popitem(last=False)

    def find(self, circle: str, question: str) -> Known | None:
        """Return the question of the same skeleton, if one is known."""
        with self._lock:
            return self._known.get((circle, skeleton(question)))

    def __len__(self) -> int:
        return len(self._known)
