"""What the routes of handoffs take and give."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator, Field

from kotaemon_node.api.fields import Body, Id, Message, Query, plain_text, whole_number
from kotaemon_node.domain.acting_limits import (
    HANDOFF_NAME_CHARS_MAX,
    HANDOFF_REASON_CHARS_MAX,
)
from kotaemon_node.domain.handoff import Handoff
from kotaemon_node.domain.limits import PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX
from kotaemon_node.ports.handoffs import HandedSession


class HandoffBody(Body):
    """``POST /v1/sessions/{sid}/handoff``."""

    reason: Annotated[str, Field(max_length=HANDOFF_REASON_CHARS_MAX)] = ""


class AgentMessageBody(Body):
    """``POST /v1/sessions/{sid}/agent-messages``: the message id makes a repeat harmless."""

    text: Message
    message_id: Id | None = None
    name: Annotated[str, Field(max_length=HANDOFF_NAME_CHARS_MAX), plain_text] | None = None
    """Shown to the customer; without it, that the agent's credential stands for."""


class HandoffsQuery(Query):
    """``GET /v1/handoffs``."""

    limit: Annotated[int, Field(ge=1, le=PAGE_SIZE_MAX), BeforeValidator(whole_number)] = (
        PAGE_SIZE_DEFAULT
    )


@dataclass(frozen=True, slots=True)
class HandoffList:
    """Sessions that people have, or are to take; those in which somebody spoke last first."""

    sessions: Sequence[HandedSession]


@dataclass(frozen=True, slots=True)
class HandoffForm:
    """Who has the session now: a person where ``handoff`` is not null."""

    session_id: str
    handoff: Handoff | None
