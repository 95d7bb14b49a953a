"""What requests may say: bodies and query parameters, route by route.

Unknown fields are ignored, so that a newer client can talk to an older pod.
"""

from datetime import date
from typing import Annotated, Any, Literal

import orjson
from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from kotaemon_node.api.fields import (
    NUMBER_MAX,
    Body,
    Id,
    Message,
    Name,
    Number,
    Query,
    Question,
    Whole,
    integral,
    whole_number,
)
from kotaemon_node.domain.credentials import KEY_CHARS_MAX
from kotaemon_node.domain.errors import TooLarge
from kotaemon_node.domain.ids import DEFAULT_KNOWLEDGE_BASE
from kotaemon_node.domain.limits import (
    CONTEXT_BYTES_MAX,
    DOCUMENT_WORDS_CHARS_MAX,
    DOCUMENTS_PAGE_MAX,
    FEEDBACK_COMMENT_CHARS_MAX,
    PAGE_SIZE_DEFAULT,
    PAGE_SIZE_MAX,
    TOP_K_DEFAULT,
    TOP_K_MAX,
)


def bounded_context(value: dict[str, Any]) -> dict[str, Any]:
    """Return the context, if it fits and its history can be read; ``TooLarge``, ``ValueError``."""
    if len(orjson.dumps(value)) > CONTEXT_BYTES_MAX:
        raise TooLarge(f"context: more than {CONTEXT_BYTES_MAX} bytes")
    history = value.get("history")
    if history is not None and not (isinstance(history, list) and all(map(_is_message, history))):
        raise ValueError("history must be a list of {role: user or assistant, content: a text}")
    return value


def _is_message(value: object) -> bool:
    if not isinstance(value, dict) or value.get("role") not in ("user", "assistant"):
        return False
    return isinstance(value.get("content"), str)


class ChatBody(Body):
    """``POST /chat``."""

    message: Message
    session_id: Id | None = None
    turn_id: Id | None = None
    epoch: Id | None = None


class TurnBody(Body):
    """``POST /v1/sessions/{sid}/turns``."""

    message: Message
    turn_id: Id | None = None
    on_busy: Literal["enqueue", "reject", "interrupt"] = "enqueue"
    kb: Id | None = None
    min_generation: Whole | None = None
    intent_filter: Annotated[list[Name], Field(max_length=32)] | None = None
    epoch: Id | None = None

    def options(self) -> dict[str, Any]:
        """Return what the executor needs besides the message; only what was said."""
        said = self.model_dump(include={"kb", "min_generation", "intent_filter"})
        return {name: value for name, value in said.items() if value is not None}


class SessionBody(Body):
    """``POST /v1/sessions``; ``context.history`` is what was said before, oldest first."""

    session_id: Id | None = None
    user_id: Name | None = None
    channel: Name | None = None
    context: Annotated[dict[str, Any], AfterValidator(bounded_context)] = Field(
        default_factory=dict
    )


def _rating(value: object) -> object:
    # A thumb as a number; True is none.
    return {1: "up", -1: "down"}.get(value, value) if type(value) is int else value


def _comment(value: str) -> str:
    if "\x00" in value:
        raise ValueError("must not contain the character NUL")
    return value.strip()


class FeedbackBody(Body):
    """``POST /v1/sessions/{sid}/turns/{tid}/feedback``; 1 and -1 are the same as up and down."""

    rating: Annotated[
        Literal["up", "down"],
        BeforeValidator(_rating),
        WithJsonSchema({"enum": ["up", "down", 1, -1]}),
    ]
    comment: Annotated[
        str, Field(max_length=FEEDBACK_COMMENT_CHARS_MAX), AfterValidator(_comment)
    ] = ""


class EmptyBody(Body):
    """A route that needs no body still refuses one that cannot be read."""


class LoginBody(Body):
    """``POST /v1/login``."""

    key: Annotated[str, Field(min_length=1, max_length=KEY_CHARS_MAX)]


class LeavingQuery(Query):
    """``GET /v1/login/oidc``."""

    issuer: Annotated[str, Field(max_length=64)] = ""
    """Name of the issuer; the first one where none is named."""
    back: Literal["/", "/admin"] = "/"
    """The page to show afterwards."""


class ReturningQuery(Query):
    """``GET /v1/login/oidc/callback``, as an issuer sends browsers back."""

    state: Annotated[str, Field(max_length=200)] = ""
    code: Annotated[str, Field(max_length=4_000)] = ""
    iss: Annotated[str, Field(max_length=1_000)] | None = None
    error: Annotated[str, Field(max_length=200)] = ""


class AskQuery(Query):
    """``GET /ask``."""

    q: Question
    session_id: Id | None = None


class SearchQuery(Query):
    """``GET /v1/search``."""

    q: Question
    kb: Id = DEFAULT_KNOWLEDGE_BASE
    top_k: Annotated[int, Field(ge=1, le=TOP_K_MAX), BeforeValidator(whole_number)] = TOP_K_DEFAULT
    min_generation: Number = 0


class SourceQuery(Query):
    """``GET /v1/sources/{kb}/{generation}/{id}``."""

    quote: Annotated[str, Field(pattern=r"^\d{1,10}-\d{1,10}(,\d{1,10}-\d{1,10}){0,7}$")] | None = (
        None
    )


class PageQuery(Query):
    """Lists that are read page by page."""

    offset: Number = 0
    limit: Annotated[int, Field(ge=1, le=PAGE_SIZE_MAX), BeforeValidator(whole_number)] = (
        PAGE_SIZE_DEFAULT
    )


class SessionsQuery(PageQuery):
    """``GET /v1/sessions``: ``all`` are those of the whole tenant, for who may see them."""

    all: Literal["true", "false"] = "false"


class HistoryQuery(Query):
    """``GET /v1/sessions/{sid}``."""

    after_version: Number = 0
    epoch: Id | None = None
    # As many as there can be: whoever names no limit wants the conversation.
    limit: Annotated[int, Field(ge=1, le=PAGE_SIZE_MAX), BeforeValidator(whole_number)] = (
        PAGE_SIZE_MAX
    )


class UploadQuery(Query):
    """``POST /v1/knowledge/{kb}/documents``: the job id makes a repeat harmless."""

    job: Id | None = None


class DocumentsQuery(Query):
    """``GET /v1/knowledge/{kb}/documents``."""

    offset: Number = 0
    limit: Annotated[int, Field(ge=1, le=DOCUMENTS_PAGE_MAX), BeforeValidator(whole_number)] = (
        DOCUMENTS_PAGE_MAX
    )
    status: Literal["queued", "indexed", "failed"] | None = None
    q: Annotated[str, Field(max_length=DOCUMENT_WORDS_CHARS_MAX)] = ""
    """Part of a name or a title, in capital or small letters."""


class DocumentQuery(Query):
    """``GET /v1/knowledge/{kb}/documents/{doc}``."""

    revision: Annotated[str, Field(max_length=64)] | None = None


class RollbackBody(Body):
    """``POST /v1/knowledge/{kb}/rollback``: the job id makes a repeat harmless."""

    generation: Annotated[int, Field(ge=1, le=NUMBER_MAX), BeforeValidator(integral)]
    job: Id | None = None


class PublishBody(Body):
    """``POST /v1/knowledge/{kb}/publish``: ``force`` publishes what the gate would hold."""

    force: bool = False
    job: Id | None = None


class DeleteQuery(Query):
    """``DELETE /v1/knowledge/{kb}/documents/{doc}``: ``purge`` removes every trace."""

    purge: Literal["true", "false"] = "false"
    job: Id | None = None


class DeadLettersQuery(Query):
    """``GET /v1/dead-letters``."""

    limit: Annotated[int, Field(ge=1, le=PAGE_SIZE_MAX), BeforeValidator(whole_number)] = (
        PAGE_SIZE_DEFAULT
    )


class JobsQuery(DeadLettersQuery):
    """``GET /v1/jobs``."""

    queue: Literal["orders", "later"] = "orders"


class TraceQuery(Query):
    """``GET /v1/traces/{trace_id}``: which one, where several turns have this trace."""

    session_id: Id | None = None
    turn_id: Id | None = None


def _day(value: object) -> object:
    # A bare number would be taken for seconds since 1970.
    if isinstance(value, str) and value.strip("-").isdigit():
        raise ValueError("must be a day like 2026-11-21")  # digits alone: none has dashes within
    return value


class AnalyticsQuery(Query):
    """``GET /v1/analytics``: days, both included, and an experiment."""

    from_: Annotated[date | None, BeforeValidator(_day), Field(alias="from")] = None
    to: Annotated[date | None, BeforeValidator(_day)] = None
    experiment: Annotated[str, Field(max_length=64)] | None = None


class SessionStreamQuery(Query):
    """``GET /v1/sessions/{sid}/stream``: the version after which turns are wanted."""

    after_version: Number | None = None


class StreamQuery(Query):
    """``GET …/turns/{tid}/stream``: the number after which frames are wanted."""

    after: Number | None = None
