"""Channels as values: chat platforms that bring messages, and how their JSON is read.

A platform has a form of its own. A channel says by paths where in it our fields lie, so that no
code has to be written for it.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from kotaemon_node.domain.acting_limits import (
    CHANNEL_CONTEXT_BYTES_MAX,
    CHANNEL_ID_CHARS_MAX,
    CHANNEL_NAME_CHARS_MAX,
)
from kotaemon_node.domain.errors import Invalid, TooLarge
from kotaemon_node.domain.limits import MESSAGE_CHARS_MAX

CHANNEL: Final = "channel"
"""In a session's context: the conversation that the session is. In a turn's options: its message.
Requests from outside cannot set the latter."""

DEFAULT_PATHS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "message_id": "message_id",
        "user_id": "user.id",
        "user_name": "user.name",
        "conversation_id": "conversation_id",
        "text": "text",
        "language": "language",
        "context": "context",
        "attachments": "attachments",
    }
)
_NEEDED: Final = ("message_id", "user_id", "conversation_id")
_LANGUAGE_CHARS_MAX: Final = 35  # the longest tag that RFC 5646 has programs make room for


@dataclass(frozen=True, slots=True)
class Channel:
    """A platform: whose it is, how its messages are read, and where answers go."""

    name: str
    tenant: str
    reply_url: str = ""
    """Where answers and what is said later are sent; "": nowhere, they come in the response."""
    private: bool = False
    """Whether that may be an address of this machine or of a private network."""
    wait_s: float = 0.0
    """For how long the response waits for the answer; 0: it does not."""
    kb: str = ""
    """Knowledge base of its questions; "": the default one."""
    shared: bool = False
    """Whether all users of a conversation share one session; else each has one of their own."""
    user_prefix: str = ""
    """Put before the platform's ids of users, so that they are nobody else's."""
    paths: Mapping[str, str] = field(default_factory=lambda: DEFAULT_PATHS)
    """Field to its place: names and places in lists, joined by dots."""
    only: Mapping[str, str] = field(default_factory=dict)
    """Place to the value that it must have; other bodies are no messages."""
    unless: tuple[str, ...] = ()
    """Places at which no message has anything: a bot's own, an edit."""
    challenge: str = ""
    """Place of what a platform wants back to see that we are there; "": it does not ask."""


@dataclass(frozen=True, slots=True)
class Said:
    """A message that a platform brought."""

    message_id: str
    conversation_id: str
    user_id: str
    user_name: str
    text: str
    """Perhaps blank, where ``attached``."""
    language: str
    context: Mapping[str, Any]
    attached: bool
    """It had attachments, which nobody reads."""

    @property
    def silent(self) -> bool:
        """Whether it holds nothing that could be answered."""
        return not self.text.strip()


def challenge_in(channel: Channel, body: Mapping[str, Any]) -> str | None:
    """Return what the platform wants to get back; None where it asks for nothing."""
    value = _at(body, channel.challenge) if channel.challenge else None
    return value if isinstance(value, str) and len(value) <= CHANNEL_NAME_CHARS_MAX * 4 else None


def is_message(channel: Channel, body: Mapping[str, Any]) -> bool:
    """Tell whether it is a message of a user; platforms tell of much else."""
    wanted = all(_text(_at(body, path)) == value for path, value in channel.only.items())
    return wanted and not any(_at(body, path) not in (None, "", False) for path in channel.unless)


def read_message(channel: Channel, body: Mapping[str, Any]) -> Said:
    """Return the message in a body; raises ``Invalid`` (names the field) or ``TooLarge``."""
    found = {name: _at(body, path) for name, path in channel.paths.items()}
    ids = {name: _id(name, channel.paths[name], found[name]) for name in _NEEDED}
    text = "" if found.get("text") is None else found["text"]
    if not isinstance(text, str) or "\x00" in text:
        raise Invalid(f"{channel.paths['text']}: must be a text without the character NUL")
    if len(text) > MESSAGE_CHARS_MAX:
        raise TooLarge(f"{channel.paths['text']}: more than {MESSAGE_CHARS_MAX} characters")
    attached = bool(found.get("attachments"))
    if not text.strip() and not attached:
        raise Invalid(f"{channel.paths['text']}: must not be blank")
    context = found.get("context") or {}
    if not isinstance(context, Mapping):
        raise Invalid(f"{channel.paths['context']}: must be an object")
    if len(json.dumps(context)) > CHANNEL_CONTEXT_BYTES_MAX:
        raise TooLarge(f"{channel.paths['context']}: too large")
    return Said(
        **ids,
        user_name=(_text(found.get("user_name")) or "")[:CHANNEL_NAME_CHARS_MAX],
        text=text,
        language=(_text(found.get("language")) or "")[:_LANGUAGE_CHARS_MAX],
        context=context,
        attached=attached,
    )


def turn_id_of(channel: Channel, message_id: str) -> str:
    """Return the id of the turn that answers a message: the same for each delivery of it."""
    return f"m-{_digest(channel.tenant, channel.name, message_id)}"


def seed_of(channel: Channel, said: Said) -> str:
    """Return from what the id of the session follows."""
    user = "" if channel.shared else said.user_id
    return _digest("session", channel.tenant, channel.name, said.conversation_id, user)


def reply_id_of(tenant: str, channel: str, session_id: str, turn_id: str) -> str:
    """Return the id under which a channel is told of a turn, however often it is told."""
    return f"msg_{_digest('reply', tenant, channel, session_id, turn_id)}"


def context_of(channel: Channel, said: Said) -> dict[str, Any]:
    """Return the context of the session that is made for a conversation."""
    own: dict[str, Any] = {"conversation_id": said.conversation_id}
    if not channel.shared:
        own["user"] = {"id": said.user_id, "name": said.user_name}
    language = {"language": said.language} if said.language else {}
    return {**said.context, **language, CHANNEL: own}


def beside_channel(context: Mapping[str, Any]) -> bool:
    """Tell whether a session's context says anything but which conversation the session is."""
    return any(name != CHANNEL for name in context)


def _at(body: Any, path: str) -> Any:
    """Return what lies at a path, None where nothing does."""
    for step in path.split("."):
        if isinstance(body, Mapping):
            body = body.get(step)
        elif isinstance(body, list) and step.isascii() and step.isdigit() and len(step) < 6:
            body = body[int(step)] if int(step) < len(body) else None
        else:
            return None
    return body


def _text(value: Any) -> str | None:
    """Return a value as the texts of a description say it; many platforms count their ids."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    return value if isinstance(value, str) else None


def _id(name: str, path: str, value: Any) -> str:
    text = _text(value)
    if text is None or isinstance(value, bool) or not text.strip() or not text.isprintable():
        raise Invalid(f"{path}: must be a text or a whole number ({name})")
    if len(text) > CHANNEL_ID_CHARS_MAX:
        raise TooLarge(f"{path}: more than {CHANNEL_ID_CHARS_MAX} characters")
    return text


def _digest(*parts: str) -> str:
    # Lengths before the parts: no two lists of parts read the same.
    named = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(named.encode()).hexdigest()[:32]
