"""Public sets as passages and questions, each in its own form."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from coordinator.chunking import passages_of
from kotaemon_node.adapters.documents.parsed import Block, ParsedDocument
from kotaemon_node.domain.knowledge import Passage, PassageKind, passage_id
from kotaemon_node.domain.language import language_of

Row = Mapping[str, Any]

_SHOP_INTENTS_SKIPPED: Final = 59  # of the sorted rows, so that many intents are met


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
    subjects: Mapping[str, str] = field(default_factory=dict)
    """Document to what it is about: what is left out is left out with all of its subject."""
    twin: str | None = None
    """Set whose questions have answers, where these have none."""


class Corpora:
    """Reads the sets of a data folder."""

    def __init__(self, data: Path) -> None:
        self._data = data

    def xquad(self, language: str) -> AnswerSet:
        """Return the sides of one language."""
        return self.reading(f"xquad {language}", "xquad_en_zh", language=language, every=2)

    def across(self) -> tuple[Question, ...]:
        """Return Chinese questions whose gold is the English side."""
        return tuple(
            Question(row["query"], frozenset(row["gold_other_lang"]))
            for row in self._rows("xquad_en_zh/dev/queries")
            if row["lang"] == "zh"
        )[::2]

    def reading(
        self, name: str, folder: str, *, language: str | None = None, every: int = 1
    ) -> AnswerSet:
        """Return a set of reading comprehension: answers stand in the passages, to the letter."""
        wanted = {None, language}
        rows = [
            row
            for row in self._rows(f"{folder}/dev/passages")
            if not language or row["lang"] in wanted
        ]
        questions = [
            Question(row["query"], frozenset(row["gold_passages"]), tuple(row["answers"]))
            for row in self._rows(f"{folder}/dev/queries")
            if not language or row["lang"] in wanted
        ][::every]
        return _set(name, rows, questions)

    def drcd(self) -> AnswerSet:
        """Return a third of the articles in traditional Chinese."""
        whole = self.reading("drcd", "drcd", every=1)
        kept = set(sorted(set(whole.subjects.values()))[::3])
        documents = {it for it, subject in whole.subjects.items() if subject in kept}
        return AnswerSet(
            whole.name,
            tuple(it for it in whole.passages if it.document in documents),
            tuple(it for it in whole.questions if it.gold <= documents)[::3],
            whole.subjects,
        )

    def hotpot(self) -> AnswerSet:
        """Return questions that need two documents; what is answered with yes or no is left."""
        one = self.reading("hotpot", "hotpot_sample")
        asked = [it for it in one.questions if not {"yes", "no"} & set(it.answers)]
        gold = frozenset[str]().union(*(it.gold for it in asked))
        others = [it for it in one.passages if it.document not in gold]
        passages = [it for it in one.passages if it.document in gold]
        return AnswerSet(one.name, (*passages, *others[::3]), tuple(asked))

    def covid(self) -> AnswerSet:
        """FAQ entries, asked in other words than theirs."""
        entries = {row["question"]: row for row in self._rows("covid_faq/dev/faq")}
        passages = [
            _passage(row["faq_id"], f"{row['question']}\n{row['answer']}", kind="faq")
            for row in entries.values()
        ]
        questions = [
            Question(pair["question_2"], frozenset({entries[pair["question_1"]]["faq_id"]}))
            for pair in self._rows("covid_faq/dev/pairs")
            if pair["similar"] and pair["question_1"] in entries
        ]
        return AnswerSet("covid_faq", tuple(passages), tuple(questions))

    def tidb(self) -> AnswerSet:
        """Answers of an FAQ as plain documents, asked by its questions."""
        rows = self._rows("tidb_faq_zh/dev/faq")
        return AnswerSet(
            "tidb_faq",
            tuple(_passage(row["faq_id"], row["answer"]) for row in rows),
            tuple(Question(row["question"], frozenset({row["faq_id"]})) for row in rows),
        )

    def mtrag(self, answerability: str) -> AnswerSet:
        """Last turns of conversations, without what was said before."""
        passages = [
            _passage(row["passage_id"], row["text"]) for row in self._rows("mtrag_un/dev/passages")
        ]
        questions = [
            Question(row["turns"][-1]["text"], frozenset(row["gold_passages"]))
            for row in self._rows("mtrag_un/dev/tasks")
            if row["answerability"] == [answerability]
        ]
        answerable = answerability == "ANSWERABLE"
        return AnswerSet(
            "mtrag_un" if answerable else "mtrag_un, unanswerable",
            tuple(passages),
            tuple(questions),
            twin=None if answerable else "mtrag_un",
        )

    def papers(self) -> AnswerSet:
        """Every sixth paper of covidqa_long, cut as the coordinator cuts a plain text."""
        documents = self._rows("covidqa_long/dev/documents")[::6]
        names = {row["doc_id"] for row in documents}
        questions = [
            Question(row["query"], frozenset(row["gold_docs"]), tuple(row["answers"]))
            for row in self._rows("covidqa_long/dev/queries")
            if set(row["gold_docs"]) <= names
        ][::2]
        passages = [it for row in documents for it in _cut(row["doc_id"], row["text"], title="")]
        return AnswerSet("covidqa_long", tuple(passages), tuple(questions))

    def reports(self) -> AnswerSet:
        """Reports of companies; right is an answer with one of the reference sentences."""
        asked = [it for it in self._reports_asked() if it.answers]
        return AnswerSet("dragonball", self._reports(), tuple(asked))

    def reports_unanswerable(self) -> AnswerSet:
        """Questions about those companies that their reports leave open."""
        asked = [Question(it.text, frozenset()) for it in self._reports_asked() if not it.answers]
        name = "dragonball, unanswerable"
        return AnswerSet(name, self._reports(), tuple(asked), twin="dragonball")

    def _reports_asked(self) -> list[Question]:
        return [
            Question(row["query"], frozenset(row["gold_docs"]), tuple(row["references"]))
            for row in self._rows("dragonball_finance/dev/queries")
            if row["lang"] == "en"
        ]

    def _reports(self) -> tuple[Passage, ...]:
        rows = self._rows("dragonball_finance/dev/documents")
        english = [row for row in rows if row["lang"] == "en"]
        return tuple(it for row in english for it in _cut(row["doc_id"], row["text"], row["name"]))

    def news(self) -> tuple[AnswerSet, ...]:
        """Snippets of news that answer, among others about the same that do not."""
        facts = self._rows("rgb/dev/counterfactual")
        return (
            _snippets("rgb zh", self._rows("rgb/dev/noise_zh")[::5]),
            _snippets("rgb facts en", [row for row in facts if row["lang"] == "en"][::2]),
            _snippets("rgb facts zh", [row for row in facts if row["lang"] == "zh"][::2]),
        )

    def outside(self, language: str, count: int) -> tuple[Question, ...]:
        """Return what people say to an assistant or a shop, which no document of the sets knows."""
        if language == "en":
            said = [row["text"] for row in self._rows("clinc150/dev/intents") if row["oos"]]
        else:
            rows = self._rows("cic_zh/dev/intents")
            said = [row["text"] for row in rows[::_SHOP_INTENTS_SKIPPED]]
        step = max(1, len(said) // count)
        return tuple(Question(text, frozenset()) for text in said[::step][:count])

    def _rows(self, name: str) -> list[Row]:
        text = (self._data / f"{name}.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]


def _set(name: str, rows: list[Row], questions: list[Question]) -> AnswerSet:
    passages = [_passage(row["passage_id"], row["text"], title=row["title"]) for row in rows]
    subjects = {row["passage_id"]: row["doc_id"] for row in rows}
    return AnswerSet(name, tuple(passages), tuple(questions), subjects)


def _snippets(name: str, rows: list[Row]) -> AnswerSet:
    passages: dict[str, Passage] = {}
    questions = []
    for row in rows:
        gold = []
        for kind in ("positive", "negative"):
            for number, text in enumerate(row[kind]):
                document = f"{row['id']}-{kind}-{number}"
                passages.setdefault(text, _passage(document, text))
                if kind == "positive":
                    gold.append(passages[text].document)
        answers = tuple(_strings(row.get("answers") or row["answer"]))
        questions.append(Question(row["query"], frozenset(gold), answers))
    return AnswerSet(name, tuple(passages.values()), tuple(questions))


def _strings(said: Any) -> Iterator[str]:
    """Yield the strings of answers that are told as one, as a list or as lists of alternatives."""
    if isinstance(said, str):
        yield said
    else:
        for one in said:
            yield from _strings(one)


def _cut(document: str, text: str, title: str) -> list[Passage]:
    blocks = [Block("text", piece) for piece in text.split("\n\n") if piece.strip()]
    return passages_of(document, "r", ParsedDocument(title=title, blocks=tuple(blocks)))


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
