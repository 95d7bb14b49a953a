"""What a client says on ``/ws/chat``: one JSON object a message, or a bare text."""

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field

from kotaemon_node.api.body import checked, parse_object
from kotaemon_node.api.fields import Body, Id, Message, Number, Query
from kotaemon_node.api.inputs import TurnBody, bounded_context
from kotaemon_node.domain.errors import Invalid


class SocketQuery(Query):
    """``/ws/chat``: the session of the connection, and whether it acknowledges from the start."""

    session_id: Id | None = None
    ack: Literal["true", "false"] = "false"


class MessageSaid(TurnBody):
    """``message``: run a turn. Without ids: in the connection's session, under a fresh turn id."""

    message: Message = Field(alias="text")
    session_id: Id | None = None
    context: Annotated[dict[str, Any], AfterValidator(bounded_context)] | None = None


class ResumeSaid(Body):
    """``resume``: follow a turn behind the last frame that the client has."""

    turn_id: Id
    session_id: Id | None = None
    after: Number = 0


class CancelSaid(Body):
    """``cancel``: end a turn; without an id the one that was followed last."""

    turn_id: Id | None = None
    session_id: Id | None = None


class AckSaid(Body):
    """``ack``: all that was sent up to this frame was used."""

    seq: Number
    turn_id: Id | None = None


class PingSaid(Body):
    """``ping``: answered by ``pong``, for clients that cannot see the protocol's own."""


Said = MessageSaid | ResumeSaid | CancelSaid | AckSaid | PingSaid

_KINDS: Final[dict[str, type[Said]]] = {
    "message": MessageSaid,
    "resume": ResumeSaid,
    "cancel": CancelSaid,
    "ack": AckSaid,
    "ping": PingSaid,
}


def read_said(text: str) -> tuple[Said, dict[str, Any]]:
    """Return what was said, and its fields as they came.

    What does not begin as an object does is a bare text, be it JSON or not. Raises ``Malformed``,
    ``TooLarge``, ``Invalid`` as for the body of a request.
    """
    if not text.lstrip().startswith("{"):
        fields = {"text": text}
        return checked(MessageSaid, fields), fields
    fields = parse_object(text.encode())
    kind = _KINDS.get(str(fields.get("type")))
    if kind is None:
        raise Invalid(f"type: must be one of {', '.join(_KINDS)}")
    return checked(kind, fields), fields
