"""How good an answer is: by the gold labels of a data set, and by proxies where it has none.

A function whose name ends in ``_proxy`` stands for a metric that its source computes with a
language model as the judge. It is cheap and comes out the same each time; how far it agrees with
people is measured by ``kotaemon eval calibrate``.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Final

from kotaemon_node.domain.words import is_cjk, telling_words
from kotaemon_node.evaluation.metrics.ranking import average_precision

_CITATION: Final = re.compile(r"\s?\[\d{1,3}\]")
_GAP: Final = re.compile(r"[\W_]+")


def faithfulness_proxy(answer: str, contexts: Sequence[str]) -> float:
    """Return the share of the answer's telling words that stand in any of the contexts.

    |words of the answer that are in a context| / |words of the answer|, counted as often as they
    stand in the answer, small words and citation marks left out; 1 for an answer without words.

    Stands for: faithfulness = supported statements / statements, of RAGAS (S. Es et al.: RAGAS:
    Automated Evaluation of Retrieval Augmented Generation, 2023), where a language model judges
    each statement. This is K-Precision (V. Adlakha et al.: Evaluating Correctness and Faithfulness
    of Instruction-Following Models for Question Answering, 2023). Cut into sentences first, as
    statements are, it agreed less with people. What it cannot see: true words in a false order.
    """
    words = _words(plain_answer(answer))
    known = {word for context in contexts for word in _words(context)}
    found = sum(count for word, count in words.items() if word in known)
    return found / words.total() if words else 1.0


def answer_relevance_proxy(closeness: float, *, known: bool = True) -> float:
    """Return how close the meanings of question and answer are, 0 for an answer that refuses.

    ``closeness`` is the cosine of their vectors by the encoder of the run; below 0 counts as 0.

    Stands for: answer relevance of RAGAS (S. Es et al., 2023), the mean cosine of the question and
    of questions that a language model makes of the answer, 0 for an evasive one. What it cannot
    see: an answer that repeats the question is near it as well.
    """
    return min(max(closeness, 0.0), 1.0) if known else 0.0


def context_precision(relevances: Sequence[bool]) -> float:
    """Return how far up the relevant ones stand among the passages that an answer is made of.

    (sum over ranks i of precision@i * rel_i) / |relevant among them|, 0 where none is. Source:
    RAGAS' context precision (docs.ragas.io, "Context Precision"), with the data set's gold labels
    in place of the judge: a passage is relevant where its document is gold.
    """
    return average_precision(relevances, relevant=sum(relevances))


def citation_accuracy(cited: Sequence[str], gold: Collection[str]) -> float:
    """Return |citations that are gold| / |citations|; 0 for an answer that cites nothing.

    Citation precision of T. Gao et al.: Enabling Large Language Models to Generate Text with
    Citations (2023), with the data set's gold labels in place of the entailment model.
    """
    return sum(name in gold for name in cited) / len(cited) if cited else 0.0


def citation_recall(cited: Sequence[str], gold: Collection[str]) -> float:
    """Return |gold that is cited| / |gold|; source as ``citation_accuracy``."""
    return len(set(cited) & set(gold)) / len(gold) if gold else 0.0


def answer_contained(answer: str, answers: Sequence[str]) -> float:
    """Return 1 where one of the right answers stands in the answer, else 0.

    Letters and digits are compared in lower case after NFKC, all else left out: "has answer" of
    D. Chen et al.: Reading Wikipedia to Answer Open-Domain Questions (2017).
    """
    text = _squeezed(plain_answer(answer))
    return float(any(_squeezed(one) in text for one in answers if _squeezed(one)))


def answer_f1(answer: str, answers: Sequence[str]) -> float:
    """Return the best F1 of the words of the answer and of a right one.

    F1 = 2PR / (P + R), P = |common| / |words of the answer|, R = |common| / |words of the right
    one|, common counted as often as in both: P. Rajpurkar et al.: SQuAD (2016). Chinese words are
    single characters, as in CMRC 2018.
    """
    return max((_f1(_tokens(plain_answer(answer)), _tokens(one)) for one in answers), default=0.0)


def plain_answer(answer: str) -> str:
    """Return an answer without its citation marks."""
    return _CITATION.sub("", answer)


def _f1(one: Counter[str], other: Counter[str]) -> float:
    common = (one & other).total()
    if not common:
        return 0.0
    precision, share = common / one.total(), common / other.total()
    return 2 * precision * share / (precision + share)


def _tokens(text: str) -> Counter[str]:
    """Return words, and of scripts without blanks single characters."""
    return Counter(word for word in telling_words(text) if not (is_cjk(word) and len(word) > 1))


def _words(text: str) -> Counter[str]:
    """Return telling words, and of scripts without blanks pairs: single characters prove little."""
    words = telling_words(text) if text.strip() else []
    return Counter(word for word in words if not (is_cjk(word) and len(word) == 1))


def _squeezed(text: str) -> str:
    return _GAP.sub("", unicodedata.normalize("NFKC", text).lower())
