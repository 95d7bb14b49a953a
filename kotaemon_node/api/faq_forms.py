"""What the routes of FAQ entries take and give."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from kotaemon_node.api.fields import Body, Id, Number, Query, Question, plain_text
from kotaemon_node.api.inputs import PageQuery
from kotaemon_node.domain.ids import DEFAULT_KNOWLEDGE_BASE
from kotaemon_node.domain.limits import (
    FAQ_ANSWER_CHARS_MAX,
    FAQ_QUESTION_CHARS_MAX,
    FAQ_TAGS_CHARS_MAX,
    FAQ_VARIANTS_MAX,
)

FaqState = Literal["live", "queued", "changing", "removing", "failed"]
"""``queued``: new and not served yet; ``changing``: served as it was before."""

Asked = Annotated[str, Field(max_length=FAQ_QUESTION_CHARS_MAX), plain_text]
Tag = Annotated[str, Field(max_length=FAQ_TAGS_CHARS_MAX), plain_text]


class FaqQuery(PageQuery):
    """``GET /v1/faq``."""

    kb: Id = DEFAULT_KNOWLEDGE_BASE
    q: Question | None = None
    min_generation: Number = 0


class FaqEntryQuery(Query):
    """``GET /v1/faq/{id}``."""

    kb: Id = DEFAULT_KNOWLEDGE_BASE
    min_generation: Number = 0


class FaqChangeQuery(Query):
    """``PUT`` and ``DELETE /v1/faq/{id}``: the job id makes a repeat harmless."""

    kb: Id = DEFAULT_KNOWLEDGE_BASE
    job: Id | None = None


class FaqBody(Body):
    """``PUT /v1/faq/{id}``; ``variants`` are other ways to ask the question."""

    question: Asked
    answer: Annotated[str, Field(max_length=FAQ_ANSWER_CHARS_MAX), plain_text]
    tags: Annotated[list[Tag], Field(max_length=FAQ_TAGS_CHARS_MAX)] = Field(default_factory=list)
    variants: Annotated[list[Asked], Field(max_length=FAQ_VARIANTS_MAX)] = Field(
        default_factory=list
    )


@dataclass(frozen=True, slots=True)
class FaqForm:
    """An entry of an FAQ. ``managed``: it may be changed here, else in its ``document``.

    ``job``: the order about it that waits. ``reason``: why its file cannot be read. ``url`` opens
    it in its document, as it is in ``generation``.
    """

    id: str
    kb: str
    question: str
    answer: str
    tags: Sequence[str]
    variants: Sequence[str]
    document: str
    revision: str
    managed: bool
    state: FaqState
    reason: str | None
    job: str | None
    generation: int
    changed_at: str
    url: str | None


@dataclass(frozen=True, slots=True)
class FaqList:
    """A page of a knowledge base's entries; not ``complete``: there are more than are listed."""

    kb: str
    generation: int
    entries: Sequence[FaqForm]
    total: int
    complete: bool
    next_offset: int | None


@dataclass(frozen=True, slots=True)
class FaqOrdered:
    """An entry that was taken, and the job that ends when a generation holds it."""

    id: str
    kb: str
    document: str
    revision: str
    job: str
