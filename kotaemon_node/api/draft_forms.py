"""What the routes of FAQ drafts take and give."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from kotaemon_node.api.faq_forms import Asked, Tag
from kotaemon_node.api.fields import Body, Id, Number, Query, plain_text, whole_number
from kotaemon_node.domain.acting_limits import FAQ_DRAFTS_PAGE_MAX
from kotaemon_node.domain.ids import DEFAULT_KNOWLEDGE_BASE
from kotaemon_node.domain.limits import FAQ_ANSWER_CHARS_MAX, FAQ_TAGS_CHARS_MAX
from kotaemon_node.ports.faq_drafts import Example


class DraftQuery(Query):
    """``DELETE /v1/faq/drafts/{id}``."""

    kb: Id = DEFAULT_KNOWLEDGE_BASE


class DraftsQuery(DraftQuery):
    """``GET /v1/faq/drafts``."""

    offset: Number = 0
    limit: Annotated[int, Field(ge=1, le=FAQ_DRAFTS_PAGE_MAX), BeforeValidator(whole_number)] = (
        FAQ_DRAFTS_PAGE_MAX
    )


class AcceptBody(Body):
    """``POST /v1/faq/drafts/{id}/accept``; the draft's wordings become other ways to ask it."""

    answer: Annotated[str, Field(max_length=FAQ_ANSWER_CHARS_MAX), plain_text]
    question: Asked | None = None
    tags: Annotated[list[Tag], Field(max_length=FAQ_TAGS_CHARS_MAX)] = Field(default_factory=list)


@dataclass(frozen=True, slots=True)
class DraftForm:
    """A question that was not answered well, and what may be answered to it.

    ``asked`` counts turns that did not know the answer, or that somebody rated down (``down``).
    ``suggested_by``: ``agent``, a person answered so in one of the ``examples``; ``passages``, the
    best of them say it, at ``sources``; "": there is nothing to suggest.
    """

    id: str
    kb: str
    question: str
    variants: Sequence[str]
    asked: int
    down: int
    first_at: float
    last_at: float
    examples: Sequence[Example]
    suggestion: str
    suggested_by: Literal["agent", "passages", ""]
    sources: Sequence[str]


@dataclass(frozen=True, slots=True)
class DraftList:
    """Drafts of a knowledge base, those asked most often first."""

    kb: str
    drafts: Sequence[DraftForm]
    total: int
    next_offset: int | None
