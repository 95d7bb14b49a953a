"""What a channel brings and gets, and who lets it in."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field

from kotaemon_node.api.fields import Body, Message
from kotaemon_node.domain.acting_limits import CHANNEL_ID_CHARS_MAX, CHANNEL_NAME_CHARS_MAX
from kotaemon_node.domain.channels import Channel
from kotaemon_node.domain.errors import NotFound, Unauthenticated, Unavailable
from kotaemon_node.domain.webhooks import WebhookRejected, verify
from kotaemon_node.ports.credentials import Lines

_Named = Annotated[str, Field(max_length=CHANNEL_ID_CHARS_MAX)]


class ChannelUser(Body):
    """Who wrote it, as the platform knows them."""

    id: _Named
    name: Annotated[str, Field(max_length=CHANNEL_NAME_CHARS_MAX)] = ""


class ChannelMessage(Body):
    """``POST /v1/channels/{channel}/messages``; a channel may say that its fields lie elsewhere."""

    message_id: _Named
    user: ChannelUser
    conversation_id: _Named
    text: Message
    language: str = ""
    context: dict[str, Any] = Field(default_factory=dict)
    attachments: list[Any] = Field(default_factory=list)
    """Not read."""


@dataclass(frozen=True, slots=True)
class ChannelAnswer:
    """What became of a message; what is sent to ``reply_url`` has the same fields."""

    state: str
    """That of the turn; ``ignored`` where there is none, and then only ``notes`` says more."""
    notes: Sequence[str] = ()
    """``attachments_ignored``, ``no_message``."""
    id: str = ""
    """Of the reply: the same wherever and however often it comes."""
    channel: str = ""
    conversation_id: str = ""
    user: Mapping[str, Any] | None = None
    kind: str = "answer"
    """``answer``, ``follow_up``, ``agent``, ``handoff`` or ``handback``."""
    in_reply_to: str | None = None
    """The platform's id of the message that is answered."""
    session_id: str = ""
    turn_id: str = ""
    version: int = 0
    """Counts what is said in the session: replies may change places on their way."""
    text: str = ""
    sources: Sequence[Mapping[str, Any]] = ()
    name: str = ""
    """That of the person who says it."""
    handoff: bool | None = None
    """Whether a person has the conversation from here on; null: that did not change."""
    degraded: str | None = None
    error: Mapping[str, Any] | None = None
    trace_id: str = ""


@dataclass(frozen=True, slots=True)
class ChannelDesk:
    """The channels of this cluster, and the secrets by which their platforms sign."""

    channels: Mapping[str, Channel]
    secrets: Mapping[str, Lines] = field(repr=False)
    now_s: Callable[[], float]
    """The store's clock: a pod's own may be wrong. May raise ``StoreUnavailable``."""

    def named(self, name: str) -> Channel:
        """Return the channel; ``NotFound``."""
        channel = self.channels.get(name)
        if channel is None:
            raise NotFound("there is no such channel")
        return channel

    def admit(self, channel: Channel, headers: Mapping[str, str], body: bytes) -> None:
        """Raise ``Unauthenticated`` unless the channel's platform signed this a moment ago."""
        secrets = self.secrets[channel.name].lines()
        if not secrets:
            raise Unavailable("the secret of this channel cannot be read now")
        try:
            verify(headers, body, secrets=secrets, now_s=self.now_s())
        except WebhookRejected as error:
            raise Unauthenticated(f"the signature does not hold: {error}") from None
