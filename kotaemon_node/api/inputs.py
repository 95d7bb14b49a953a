"""What requests may say: bodies and query parameters, with their rules and their schemas.

Unknown fields are ignored, so that a newer client can talk to an older pod.
"""

from datetime import date
from typing import Annotated, Any, Literal

import orjson
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
)

from kotaemon_node.domain.credentials import KEY_CHARS_MAX
from kotaemon_node.domain.errors import TooLarge
from kotaemon_node.domain.ids import DEFAULT_KNOWLEDGE_BASE, ID_PATTERN, checked_id
from kotaemon_node.domain.limits import (
    CONTEXT_BYTES_MAX,
    DOCUMENTS_PAGE_MAX,
    FEEDBACK_COMMENT_CHARS_MAX,
    MESSAGE_CHARS_MAX,
    PAGE_SIZE_DEFAULT,
    PAGE_SIZE_MAX,
    QUERY_CHARS_MAX,
    TOP_K_DEFAULT,
    TOP_K_MAX,
)

NUMBER_MAX = 2**53 - 1
"""The largest whole number that every JSON reader keeps exactly."""


def _legal_id(value: str) -> str:
    # Raises Malformed (400), not ValueError (422): an id that cannot be one is not a request.
    return checked_id("id", value)


def _plain_text(value: str) -> str:
    if "\x00" in value:
        raise ValueError("must not contain the character NUL")
    if not value.strip():
        raise ValueError("must not be blank")
    return value


def _bounded_context(value: dict[str, Any]) -> dict[str, Any]:
    if len(orjson.dumps(value)) > CONTEXT_BYTES_MAX:
        raise TooLarge(f"context: more than {CONTEXT_BYTES_MAX} bytes")
    return value


def whole_number(value: object) -> object:
    if isinstance(value, str):
        # 18 digits stay below 64 bits; the range of each field is checked afterwards.
        digits = value.removeprefix("-")
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
            raise ValueError("must be a whole number")
        return int(value)
    return value


Id = Annotated[
    str,
    AfterValidator(_legal_id),
    WithJsonSchema({"type": "string", "pattern": f"^{ID_PATTERN}$"}),
]
plain_text = AfterValidator(_plain_text)
"""Of a text: neither blank nor with NUL in it."""
Message = Annotated[str, Field(max_length=MESSAGE_CHARS_MAX), AfterValidator(_plain_text)]
Name = Annotated[str, Field(max_length=256), AfterValidator(_plain_text)]
Question = Annotated[str, Field(max_length=QUERY_CHARS_MAX), AfterValidator(_plain_text)]
Number = Annotated[int, Field(ge=0, le=NUMBER_MAX), BeforeValidator(whole_number)]


class Body(BaseModel):
    """A JSON object: types are taken as they are, never converted."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


class Query(BaseModel):
    """Query parameters: all are text, whole numbers are read from it."""

    model_config = ConfigDict(frozen=True, extra="ignore")


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
    min_generation: Annotated[int, Field(ge=0, le=NUMBER_MAX)] | None = None
    intent_filter: Annotated[list[Name], Field(max_length=32)] | None = None
    epoch: Id | None = None

    def options(self) -> dict[str, Any]:
        """Return what the executor needs besides the message; only what was said."""
        said = self.model_dump(include={"kb", "min_generation", "intent_filter"})
        return {name: value for name, value in said.items() if value is not None}


class SessionBody(Body):
    """``POST /v1/sessions``."""

    user_id: Name | None = None
    channel: Name | None = None
    context: Annotated[dict[str, Any], AfterValidator(_bounded_context)] = Field(
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


class DocumentQuery(Query):
    """``GET /v1/knowledge/{kb}/documents/{doc}``."""

    revision: Annotated[str, Field(max_length=64)] | None = None


class RollbackBody(Body):
    """``POST /v1/knowledge/{kb}/rollback``: the job id makes a repeat harmless."""

    generation: Annotated[int, Field(ge=1, le=NUMBER_MAX)]
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


class AnalyticsQuery(Query):
    """``GET /v1/analytics``: days, both included, and an experiment."""

    from_: Annotated[date | None, Field(alias="from")] = None
    to: date | None = None
    experiment: Annotated[str, Field(max_length=64)] | None = None


class SessionStreamQuery(Query):
    """``GET /v1/sessions/{sid}/stream``: the version after which turns are wanted."""

    after_version: Number | None = None


class StreamQuery(Query):
    """``GET …/turns/{tid}/stream``: the number after which frames are wanted."""

    after: Number | None = None
