"""Entries of an FAQ that are kept one by one: each is a small document of its knowledge base."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kotaemon_node.domain import limits
from kotaemon_node.domain.document_names import document_of, knowledge_base_of
from kotaemon_node.domain.errors import Invalid, Malformed, TooLarge
from kotaemon_node.domain.ids import checked_id
from kotaemon_node.domain.visible import one_line, visible_text

FAQ_ENDING: Final = ".faq.json"
TAG_SEPARATOR: Final = ", "


@dataclass(frozen=True, slots=True)
class FaqEntry:
    """A question and its answer. ``variants`` are other ways to ask it."""

    question: str
    answer: str
    tags: tuple[str, ...] = ()
    variants: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        question: str,
        answer: str,
        *,
        tags: Sequence[str] = (),
        variants: Sequence[str] = (),
    ) -> "FaqEntry":
        """Return an entry of texts as people write them: trimmed, questions on one line each."""
        asked = one_line(visible_text(question))
        others = (one_line(visible_text(it)) for it in variants)
        return cls(
            question=asked,
            answer=visible_text(answer).strip(),
            tags=tuple(dict.fromkeys(filter(None, (one_line(visible_text(it)) for it in tags)))),
            variants=tuple(dict.fromkeys(it for it in others if it and it != asked)),
        )

    def problem(self) -> str | None:
        """Return what is wrong with it, for whoever wrote it; None: nothing."""
        if not self.question or not self.answer:
            return "an entry needs a question and an answer"
        if any("," in tag or "，" in tag for tag in self.tags):
            return "a tag must not contain a comma; give several tags"
        return None

    def too_large(self) -> str | None:
        """Return which limit it is over, None where it is over none."""
        questions = max(map(len, (self.question, *self.variants)))
        if questions > (most := limits.FAQ_QUESTION_CHARS_MAX):
            return f"its question has more than {most} characters"
        if len(self.answer) > (most := limits.FAQ_ANSWER_CHARS_MAX):
            return f"its answer has more than {most} characters"
        if len(self.variants) > (most := limits.FAQ_VARIANTS_MAX):
            return f"it has more than {most} other ways to ask"
        if len(self.label) > (most := limits.FAQ_TAGS_CHARS_MAX):
            return f"its tags have more than {most} characters together"
        return None

    @property
    def label(self) -> str:
        """Its tags as they stand above it."""
        return TAG_SEPARATOR.join(self.tags)

    def to_json(self) -> bytes:
        """Return the bytes of its file: the same entry has the same ones."""
        said = {
            "question": self.question,
            "answer": self.answer,
            "tags": list(self.tags),
            "variants": list(self.variants),
        }
        return (json.dumps(said, ensure_ascii=False, indent=1) + "\n").encode()


@dataclass(frozen=True, slots=True)
class FaqRow:
    """An entry as a generation has it; ``entry`` is None where its file cannot be read."""

    id: str
    document: str
    revision: str
    changed_at: str
    """When this revision of its document was read: ISO 8601, UTC."""
    managed: bool
    """Whether it is a document of its own, so that it can be changed by its id."""
    entry: FaqEntry | None
    reason: str | None = None
    """Why its file cannot be read."""
    passage: str | None = None
    """The id of its passage, by which its source can be opened."""


@dataclass(frozen=True, slots=True)
class FaqPage:
    """Some of a knowledge base's entries, in one generation."""

    generation: int
    rows: Sequence[FaqRow]
    total: int
    """How many there are of those that were asked for."""
    complete: bool
    """False: there are more than are listed."""


def faq_document(kb: str, entry_id: str) -> str:
    """Return the document that holds the entry of this id; raises as ``document_of``."""
    checked_id("FAQ id", entry_id)
    return document_of(kb, f"{entry_id}{FAQ_ENDING}")


def faq_id(document: str) -> str | None:
    """Return the id of the entry that a document holds; None where ``faq_document`` makes none."""
    name = document.rpartition("/")[2]
    found = name.removesuffix(FAQ_ENDING)
    try:
        made = found != name and faq_document(knowledge_base_of(document), found) == document
    except (Malformed, Invalid, TooLarge):
        return None
    return found if made else None


def tags_of(heading: Sequence[str]) -> tuple[str, ...]:
    """Return the tags that stand above an entry."""
    text = heading[-1] if heading else ""
    return tuple(filter(None, (tag.strip() for tag in text.replace("，", ",").split(","))))
