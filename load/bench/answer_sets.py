"""Questions with and without an answer in a knowledge base, from public sets (tuning halves only).

A question without an answer is a real one whose document was left out, one that people marked as
unanswerable, or one about another world altogether.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from answer_corpora import AnswerSet, Corpora, Question

# Of the larger ones a part is enough for two digits.
_OUTSIDE: Final = 120


def answer_sets(data: Path) -> Iterator[AnswerSet]:
    """Yield the sets, those whose questions have answers first."""
    read = Corpora(data)
    english, chinese = read.xquad("en"), read.xquad("zh")
    cmrc, drcd = read.reading("cmrc", "cmrc2018_dev", every=4), read.drcd()
    covid, tidb, mtrag = read.covid(), read.tidb(), read.mtrag("ANSWERABLE")
    papers, hotpot, reports = read.papers(), read.hotpot(), read.reports()
    news = read.news()
    left_out = (english, chinese, cmrc, drcd, covid, tidb, papers, hotpot)
    yield from (*left_out, mtrag, reports, *news)
    both = english.passages + chinese.passages
    yield AnswerSet("xquad en, both languages in store", both, english.questions)
    yield AnswerSet("xquad zh, both languages in store", both, chinese.questions)
    across = read.across()
    yield AnswerSet("xquad zh, only English in store", english.passages, across)
    other = english.passages + cmrc.passages
    yield AnswerSet("xquad zh, English and other Chinese in store", other, across)
    yield from map(_without_gold, left_out)
    yield _without_gold(replace(english, subjects={}, name="xquad en, rest of the article"))
    yield read.mtrag("UNANSWERABLE")
    yield read.reports_unanswerable()
    yield from map(_without_positive, news)
    english_outside, chinese_outside = read.outside("en", _OUTSIDE), read.outside("zh", _OUTSIDE)
    yield _strange("questions of xquad", covid, english.questions[::3])
    yield _strange("questions of cmrc", tidb, cmrc.questions[::2])
    yield _strange("small talk", covid, english_outside)
    yield _strange("small talk", mtrag, english_outside)
    yield _strange("shop talk", tidb, chinese_outside)
    yield _strange("shop talk", cmrc, chinese_outside)


def _without_gold(one: AnswerSet) -> AnswerSet:
    """Leave every other subject out, and ask only what its documents answered."""

    def subject(document: str) -> str:
        return one.subjects.get(document, document)

    subjects = sorted({subject(passage.document) for passage in one.passages})
    left_out = set(subjects[::2])
    return AnswerSet(
        f"{one.name}, left out",
        tuple(it for it in one.passages if subject(it.document) not in left_out),
        tuple(
            Question(question.text, frozenset())
            for question in one.questions
            if {subject(document) for document in question.gold} <= left_out
        ),
        twin="xquad en" if one.name.startswith("xquad en") else one.name,
    )


def _without_positive(one: AnswerSet) -> AnswerSet:
    """Keep the snippets that are near each question and do not answer it."""
    gold = frozenset[str]().union(*(question.gold for question in one.questions))
    return AnswerSet(
        f"{one.name}, only noise",
        tuple(it for it in one.passages if it.document not in gold),
        tuple(Question(question.text, frozenset()) for question in one.questions),
        twin=one.name,
    )


def _strange(what: str, one: AnswerSet, questions: Sequence[Question]) -> AnswerSet:
    asked = tuple(Question(question.text, frozenset()) for question in questions)
    return AnswerSet(f"{what} to {one.name}", one.passages, asked, twin=one.name)
