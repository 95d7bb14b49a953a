"""Questions with and without an answer in a knowledge base, from public sets (tuning halves only).

A question without an answer is a real one whose document was left out, one that people marked as
unanswerable, or one about another world altogether.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kotaemon_node.domain.knowledge import Passage, PassageKind, passage_id
from kotaemon_node.domain.language import language_of

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Question:
    """A question. ``gold`` are the documents that answer it; none: it has no answer here."""

    text: str
    gold: frozenset[str]
    answers: tuple[str, ...] = ()
    """Strings of which one must be in a right answer; none: only the citation is judged."""


@dataclass(frozen=True, slots=True)
class AnswerSet:
    """A knowledge base and questions to it."""

    name: str
    passages: tuple[Passage, ...]
    questions: tuple[Question, ...]
    subjects: Mapping[str, str]
    """Document to what it is about: what is left out is left out with all of its subject."""


def answer_sets(data: Path) -> Iterator[AnswerSet]:
    """Yield the sets, those whose questions have answers first."""
    read = _reader(data)
    english, chinese = _xquad(read, "en"), _xquad(read, "zh")
    cmrc = _reading(read, "cmrc", "cmrc2018_dev", every=4)
    covid, tidb, mtrag = _covid(read), _tidb(read), _mtrag(read, "ANSWERABLE")
    with_answers = (english, chinese, cmrc, covid, tidb, mtrag)
    yield from with_answers
    both = english.passages + chinese.passages
    yield AnswerSet("xquad en, both languages in store", both, english.questions, {})
    yield AnswerSet("xquad zh, both languages in store", both, chinese.questions, {})
    yield AnswerSet("xquad zh, only English in store", english.passages, _across(read), {})
    other = english.passages + cmrc.passages
    yield AnswerSet("xquad zh, English and other Chinese in store", other, _across(read), {})
    yield from (_without_gold(one) for one in with_answers[:-1])
    beside = replace(english, subjects={}, name="xquad en, rest of the article in store")
    yield _without_gold(beside)
    yield _mtrag(read, "UNANSWERABLE")
    yield _strange("questions of xquad to covid", covid, english.questions[::3])
    yield _strange("questions of cmrc to tidb", tidb, cmrc.questions[::2])


def _reader(data: Path) -> Callable[[str], list[Row]]:
    def read(name: str) -> list[Row]:
        text = (data / f"{name}.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    return read


def _passage(document: str, text: str, *, title: str = "", kind: PassageKind = "text") -> Passage:
    span = (0, len(text))
    return Passage(
        id=passage_id(document=document, revision="r", span=span),
        document=document,
        revision="r",
        title=title,
        heading=(),
        page=None,
        span=span,
        text=text,
        language=language_of(text),
        kind=kind,
    )


def _xquad(read: Callable[[str], list[Row]], language: str) -> AnswerSet:
    return _reading(read, f"xquad {language}", "xquad_en_zh", language=language, every=2)


def _across(read: Callable[[str], list[Row]]) -> tuple[Question, ...]:
    rows = read("xquad_en_zh/dev/queries")
    return tuple(
        Question(row["query"], frozenset(row["gold_other_lang"]))
        for row in rows
        if row["lang"] == "zh"
    )[::2]


def _reading(
    read: Callable[[str], list[Row]],
    name: str,
    folder: str,
    *,
    language: str | None = None,
    every: int = 1,
) -> AnswerSet:
    rows = [row for row in read(f"{folder}/dev/passages") if language in {None, row["lang"]}]
    passages = [_passage(row["passage_id"], row["text"], title=row["title"]) for row in rows]
    questions = [
        Question(row["query"], frozenset(row["gold_passages"]), tuple(row["answers"]))
        for row in read(f"{folder}/dev/queries")
        if language in {None, row["lang"]}
    ][::every]
    subjects = {row["passage_id"]: row["doc_id"] for row in rows}
    return AnswerSet(name, tuple(passages), tuple(questions), subjects)


def _covid(read: Callable[[str], list[Row]]) -> AnswerSet:
    """FAQ entries, asked in other words than theirs."""
    entries = {row["question"]: row for row in read("covid_faq/dev/faq")}
    passages = [
        _passage(row["faq_id"], f"{row['question']}\n{row['answer']}", kind="faq")
        for row in entries.values()
    ]
    questions = [
        Question(pair["question_2"], frozenset({entries[pair["question_1"]]["faq_id"]}))
        for pair in read("covid_faq/dev/pairs")
        if pair["similar"] and pair["question_1"] in entries
    ]
    return AnswerSet("covid_faq en", tuple(passages), tuple(questions), {})


def _tidb(read: Callable[[str], list[Row]]) -> AnswerSet:
    """Answers of an FAQ as plain documents, asked by its questions."""
    rows = read("tidb_faq_zh/dev/faq")
    return AnswerSet(
        "tidb_faq zh",
        tuple(_passage(row["faq_id"], row["answer"]) for row in rows),
        tuple(Question(row["question"], frozenset({row["faq_id"]})) for row in rows),
        {},
    )


def _mtrag(read: Callable[[str], list[Row]], answerability: str) -> AnswerSet:
    """Last turns of conversations, without what was said before."""
    passages = [_passage(row["passage_id"], row["text"]) for row in read("mtrag_un/dev/passages")]
    questions = [
        Question(row["turns"][-1]["text"], frozenset(row["gold_passages"]))
        for row in read("mtrag_un/dev/tasks")
        if row["answerability"] == [answerability]
    ]
    name = f"mtrag_un en, {answerability.lower()}"
    return AnswerSet(name, tuple(passages), tuple(questions), {})


def _without_gold(one: AnswerSet) -> AnswerSet:
    """Leave every other subject out, and ask only what its documents answered."""

    def subject(document: str) -> str:
        return one.subjects.get(document, document)

    subjects = sorted({subject(passage.document) for passage in one.passages})
    left_out = set(subjects[::2])
    return AnswerSet(
        f"{one.name}, document left out",
        tuple(it for it in one.passages if subject(it.document) not in left_out),
        tuple(
            Question(question.text, frozenset())
            for question in one.questions
            if {subject(document) for document in question.gold} <= left_out
        ),
        {},
    )


def _strange(name: str, one: AnswerSet, questions: Sequence[Question]) -> AnswerSet:
    asked = tuple(Question(question.text, frozenset()) for question in questions)
    return AnswerSet(name, one.passages, asked, {})
