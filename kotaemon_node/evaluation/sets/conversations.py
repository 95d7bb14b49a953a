"""Adapters of conversations whose turns lean on what was said before them, and their rewrites."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from kotaemon_node.evaluation.sets.form import DataSet, Document, Question
from kotaemon_node.evaluation.sets.rows import Row, rows

_ASKS: Final = re.compile("[?？]|吗|呢")


class Source(Protocol):
    """What an adapter needs of ``adapters.Source``."""

    @property
    def path(self) -> Path:
        """The rows."""
        ...

    @property
    def name(self) -> str:
        """By which reports name the set."""
        ...


def spoken_faq(source: Source) -> DataSet:
    """Spoken turns (``turns.jsonl``) to the entries of the entity that the talk is about.

    The entity is the title of its entries (``faq.jsonl``), and often named by the other side.
    """
    documents = [
        Document(
            row.text("faq_id"),
            f"{row.text('question')}\n{row.text('answer')}",
            title=row.text("entity", default=""),
            group=row.text("entity", default=""),
        )
        for row in rows(source.path.with_name("faq.jsonl"))
    ]
    questions = []
    for row in rows(source.path):
        *before, (_, asked) = row.turns("turns") or [("", "")]
        gold = row.grades("gold_faq")
        if gold:
            questions.append(Question(row.text("turn_id"), asked, gold, history=tuple(before)))
    return DataSet(source.name, documents, questions)


def talks_about_entities(source: Source) -> DataSet:
    """Dialogues in which both sides ask, and answers name the facts of an entity that they use.

    Whoever asks is the user of that question. ``knowledge.jsonl`` has a document for each entity.
    """
    documents = [
        Document(row.text("doc_id"), row.text("text"))
        for row in rows(source.path.with_name("knowledge.jsonl"))
    ]
    known = {it.name for it in documents}
    questions = [question for row in rows(source.path) for question in _asked_in(row, known)]
    return DataSet(source.name, documents, questions)


def _asked_in(row: Row, known: set[str]) -> list[Question]:
    turns: Sequence[Mapping[str, object]] = row.said.get("turns") or ()
    spoken = row.turns("turns")
    found = []
    for number, ((asks, text), answer) in enumerate(zip(spoken, turns[1:], strict=False)):
        facts = answer.get("facts")
        told = {str(fact[0]) for fact in facts} if isinstance(facts, list) else set()
        if told & known and _ASKS.search(text):
            before = [
                ("user" if who == asks else "assistant", said) for who, said in spoken[:number]
            ]
            gold = dict.fromkeys(sorted(told & known), 1.0)
            name = f"{row.text('dialogue_id')}:{number + 1}"
            found.append(Question(name, text, gold, history=tuple(before)))
    return found


def answered_by_responses(source: Source) -> DataSet:
    """Conversations whose answers are the documents; the question is the turn as it was asked.

    Conversations that share a beginning, as the paths of a tree do, ask it once.
    """
    documents: dict[str, Document] = {}
    questions: dict[tuple[tuple[str, str], ...], Question] = {}
    for name, row in _named(source.path):
        before: list[tuple[str, str]] = []
        for number, turn in enumerate(row.said.get("turns") or (), start=1):
            asked, answer = str(turn.get("text") or ""), turn.get("response")
            if answer:
                known = documents.setdefault(answer, Document(f"r{len(documents)}", answer))
                question = Question(
                    f"{name}:{number}", asked, {known.name: 1.0}, history=tuple(before)
                )
                said = (*before, ("user", asked), ("assistant", answer))
                questions.setdefault(said, question)
            before += [("user", asked), *([("assistant", answer)] if answer else [])]
    return DataSet(source.name, list(documents.values()), list(questions.values()))


def _named(path: Path) -> Iterator[tuple[str, Row]]:
    """Yield the conversations with a name each; several may have one id."""
    times: Counter[str] = Counter()
    for row in rows(path):
        name = row.text("conversation_id")
        times[name] += 1
        yield (name if times[name] == 1 else f"{name}/{times[name]}"), row


def manual_rewrites(path: Path) -> Mapping[str, str]:
    """Return question id to the question as a person wrote it to stand alone.

    Ids are those of ``answered_by_responses``.
    """
    return {
        f"{name}:{number}": str(turn.get("rewrite") or "").strip()
        for name, row in _named(path)
        for number, turn in enumerate(row.said.get("turns") or (), start=1)
    }
