"""Adapters: from the rows of published data sets to ``DataSet``.

Each reads the file that an experiment names and what lies beside it, and is chosen by the fields of
the first row. A language is asked for where a set has its texts in several.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from kotaemon_node.domain.language import Language
from kotaemon_node.evaluation.errors import ExperimentError
from kotaemon_node.evaluation.sets.conversations import (
    answered_by_responses,
    spoken_faq,
    talks_about_entities,
)
from kotaemon_node.evaluation.sets.form import DataSet, Document, Question
from kotaemon_node.evaluation.sets.rows import Row, rows

_UNANSWERABLE: Final = "UNANSWERABLE"
_UNDERSPECIFIED: Final = "UNDERSPECIFIED"
_UNSOLVABLE: Final = ("Unsolvable", "无解")


@dataclass(frozen=True, slots=True)
class Source:
    """What an experiment says of its data."""

    path: Path
    language: Language | None = None
    """Of the questions; None: all that there are."""
    documents_in: Language | None = None
    """Of the documents, where it is another one; None: that of the questions."""
    knowledge: Path | None = None
    """A folder of real documents, for questions of the own form."""

    @property
    def name(self) -> str:
        """By which reports name the set: that of its folder, without the half that it is of."""
        folder = self.path.absolute().parent
        named = folder.parent if folder.name in {"dev", "held", "test", "train"} else folder
        spoken = [it for it in (self.language, self.documents_in) if it is not None]
        return " ".join(filter(None, (f"{named.name}/{self.path.stem}", "->".join(spoken))))

    @property
    def found_in(self) -> Language | None:
        """The language of the documents."""
        return self.documents_in or self.language


def _own(source: Source) -> DataSet:
    """Questions to documents of a folder: ``{question, documents, answers?, answerable?}``."""
    folder = source.knowledge or source.path.parent / "knowledge"
    if not folder.is_dir():
        raise ExperimentError(
            f"{source.path}: its questions name documents, but there is no folder {folder};"
            " evaluation.knowledge names another"
        )
    questions = [
        Question(
            id=row.text("id", default=f"q{number}"),
            text=row.text("question"),
            gold=row.grades("documents"),
            answers=row.texts("answers"),
            answerable=bool(row.said.get("answerable", True)),
            history=tuple(row.turns("history")),
        )
        for number, row in enumerate(rows(source.path), start=1)
    ]
    return DataSet(source.name, (), questions, folder, _files_digest(folder))


def _files_digest(folder: Path) -> str:
    sha256 = hashlib.sha256()
    for path in sorted(it for it in folder.rglob("*") if it.is_file()):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        sha256.update(f"{path.relative_to(folder)}\0{content}\0".encode())
    return sha256.hexdigest()


def _passages(source: Source) -> DataSet:
    """``queries*.jsonl`` with gold passages, and ``passages*.jsonl`` beside it."""
    beside = source.path.with_name(source.path.name.replace("queries", "passages"))
    documents = [
        Document(
            name=row.text("passage_id"),
            text=row.text("text"),
            title=row.text("title", default=""),
            group=row.text("doc_id", default=""),
            markdown="heading" in row.said,
        )
        for row in _spoken(beside, source.found_in)
    ]
    gold = "gold_other_lang" if source.documents_in is not None else "gold_passages"
    questions = [
        Question(
            id=row.text("query_id"),
            text=row.text("query"),
            gold=row.grades(gold),
            # Words of the question's language, which the documents do not have.
            answers=row.texts("answers") if source.documents_in is None else (),
            history=tuple(row.turns("history")),
        )
        for row in _spoken(source.path, source.language)
    ]
    return DataSet(source.name, documents, questions)


def _texts(source: Source) -> DataSet:
    """Questions to whole documents: ``documents.jsonl`` beside it; a type may say unsolvable."""
    documents = [
        Document(row.text("doc_id"), row.text("text"), row.text("name", default=""))
        for row in _spoken(source.path.with_name("documents.jsonl"), source.language)
    ]
    questions = [
        Question(
            id=row.text("query_id"),
            text=row.text("query"),
            gold={} if _unsolvable(row) else row.grades("gold_docs"),
            answers=row.texts("answers"),
            answerable=not _unsolvable(row),
        )
        for row in _spoken(source.path, source.language)
    ]
    return DataSet(source.name, documents, questions)


def _answers(source: Source) -> DataSet:
    """Answers in two languages (``answers.jsonl``) to questions in both."""
    if source.language is None or source.found_in is None:
        raise ExperimentError(f"{source.path} has two languages: evaluation.language is needed")
    beside = source.path.with_name("answers.jsonl")
    return DataSet(
        source.name,
        [Document(row.text("answer_id"), row.text(source.found_in)) for row in rows(beside)],
        [
            Question(
                id=row.text("query_id"),
                text=row.text(f"query_{source.language}"),
                gold=row.grades("gold_answers"),
            )
            for row in rows(source.path)
        ],
    )


def _faq(source: Source) -> DataSet:
    """Questions with their answers: the answers alone are documents, the own one is to be found."""
    entries = list(_spoken(source.path, source.language))
    return DataSet(
        source.name,
        [Document(row.text("faq_id"), row.text("answer"), markdown=True) for row in entries],
        [
            Question(row.text("faq_id"), row.text("question"), {row.text("faq_id"): 1.0})
            for row in entries
        ],
    )


def _tasks(source: Source) -> DataSet:
    """Conversations (``tasks.jsonl``) whose last turn is asked, with ``passages.jsonl``."""
    documents = [
        Document(row.text("passage_id"), row.text("text"), markdown=True)
        for row in _spoken(source.path.with_name("passages.jsonl"), source.language)
    ]
    questions = []
    for row in _spoken(source.path, source.language):
        if _UNDERSPECIFIED in row.texts("answerability"):
            continue  # The right answer is a question, which is neither an answer nor a refusal.
        *before, (_, asked) = row.turns("turns") or [("", "")]
        questions.append(
            Question(
                id=row.text("task_id"),
                text=asked,
                gold=row.grades("gold_passages"),
                answers=row.texts("reference") if "reference" in row.said else (),
                answerable=_UNANSWERABLE not in row.texts("answerability"),
                history=tuple(before),
            )
        )
    return DataSet(source.name, documents, questions)


def _reviews(source: Source) -> DataSet:
    """Conversations (``turns.jsonl``) whose last turn asks what ``snippets.jsonl`` answers."""
    documents = [
        Document(
            name=row.text("snippet_id"),
            text=row.text("text"),
            title=row.text("entity"),
            group=row.text("entity"),
        )
        for row in _spoken(source.path.with_name("snippets.jsonl"), source.language)
    ]
    questions = []
    for row in _spoken(source.path, source.language):
        *before, (_, asked) = row.turns("turns") or [("", "")]
        gold = row.grades("gold_snippets")
        if gold:  # The other turns ask nothing of the documents.
            questions.append(Question(row.text("turn_id"), asked, gold, history=tuple(before)))
    return DataSet(source.name, documents, questions)


@dataclass(frozen=True, slots=True)
class _Adapter:
    """A form, recognised by fields that its rows have."""

    fields: frozenset[str]
    load: Callable[[Source], DataSet]


ADAPTERS: Final[Mapping[str, _Adapter]] = {
    "own": _Adapter(frozenset({"question", "documents"}), _own),
    "passages": _Adapter(frozenset({"query_id", "query", "gold_passages"}), _passages),
    "texts": _Adapter(frozenset({"query_id", "query", "gold_docs"}), _texts),
    "answers": _Adapter(frozenset({"query_id", "gold_answers"}), _answers),
    "faq": _Adapter(frozenset({"faq_id", "question", "answer"}), _faq),
    "tasks": _Adapter(frozenset({"task_id", "turns", "gold_passages"}), _tasks),
    "reviews": _Adapter(frozenset({"turn_id", "turns", "gold_snippets"}), _reviews),
    "spoken_faq": _Adapter(frozenset({"turn_id", "turns", "gold_faq"}), spoken_faq),
    "entities": _Adapter(frozenset({"dialogue_id", "entities", "turns"}), talks_about_entities),
    "conversations": _Adapter(frozenset({"conversation_id", "turns"}), answered_by_responses),
}
"""By name; the first whose fields a set's first row has reads it."""


def load(source: Source) -> DataSet:
    """Read a data set. Raises ``ExperimentError``, also where a gold label names no document."""
    first = next(iter(rows(source.path)), None)
    if first is None:
        raise ExperimentError(f"{source.path} has no rows")
    for adapter in ADAPTERS.values():
        if adapter.fields <= first.said.keys():
            return _checked(source, adapter.load(source))
    known = "; ".join(f"{name}: {', '.join(sorted(it.fields))}" for name, it in ADAPTERS.items())
    raise ExperimentError(f"{first.where}: its fields are of no known form ({known})")


def _checked(source: Source, found: DataSet) -> DataSet:
    if source.knowledge is not None and found.folder is None:
        raise ExperimentError(
            f"{source.path} has its own documents: leave evaluation.knowledge out"
        )
    questions = [it for it in found.questions if it.text.strip()]
    if not questions:
        raise ExperimentError(f"{source.path} has no question in language {source.language}")
    for kind, names in (
        ("document", [it.name for it in found.documents]),
        ("question", [it.id for it in questions]),
    ):
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ExperimentError(f"{source.path}: {kind} {twice!r} is there twice")
    _require_gold(source, found, questions)
    return replace(found, questions=questions)


def _require_gold(source: Source, found: DataSet, questions: Sequence[Question]) -> None:
    if found.folder is None:
        known = {it.name for it in found.documents}
    else:
        known = {str(it.relative_to(found.folder)) for it in found.folder.rglob("*")}
    for question in questions:
        unknown = question.gold.keys() - known
        if unknown:
            raise ExperimentError(
                f"{source.path}: question {question.id!r} names {min(unknown)!r},"
                " which is no document"
            )


def _spoken(path: Path, language: Language | None) -> list[Row]:
    """Return the rows in a language; rows that do not name theirs are in any."""
    return [
        row
        for row in rows(path)
        if language is None or row.text("lang", default=language).startswith(language)
    ]


def _unsolvable(row: Row) -> bool:
    return any(word in row.text("type", default="") for word in _UNSOLVABLE)
