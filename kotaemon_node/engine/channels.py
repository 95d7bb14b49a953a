"""Telling chat platforms what is said in their conversations: the way out of a channel.

Law 1: each turn of a channel's session is told once: the id of what is sent follows from the turn,
    so a receiver knows the repeat, whichever pods send it and however often.
Law 2: what is put into the queue names the turn and holds no text of it. A turn does not change
    once it is finished, so every attempt says the same, whole, and a deleted session nothing.
Law 3: what the platform has in the response to its own request is not sent as well. Whether it has
    it, the store's clock tells: the turn was told long before the wait for it ended.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from kotaemon_node.domain.acting_limits import CHANNEL_WAIT_MARGIN_S, WEBHOOK_ATTEMPTS_MAX
from kotaemon_node.domain.channels import CHANNEL, Channel, reply_id_of
from kotaemon_node.domain.errors import (
    Gone,
    Overloaded,
    SessionNotFound,
    StoreFull,
    StoreUnavailable,
    TurnNotFound,
)
from kotaemon_node.domain.handoff import BEGUN, ENDED
from kotaemon_node.domain.session import Principal, SessionKey, Turn, TurnKey
from kotaemon_node.domain.turn import FINISHED
from kotaemon_node.domain.webhooks import headers_of
from kotaemon_node.ports.credentials import Lines
from kotaemon_node.ports.later import CHANNEL_REPLY, Again, Hopeless, Later, LaterJob
from kotaemon_node.ports.sessions import SessionStore
from kotaemon_node.ports.webhooks import NotDelivered, WebhookSender

_log = structlog.get_logger(__name__)

_GONE: Final = 410
_SOON_S: Final = 1.0


class ChannelReplies:
    """Has what ended in a channel's session sent: ``engine.announcing.TellsTurns``."""

    def __init__(
        self, channels: Sequence[Channel], *, sessions: SessionStore, later: Later
    ) -> None:
        self._channels = {one.name: one for one in channels if one.reply_url}
        self._sessions = sessions
        self._later = later

    def turn(self, key: TurnKey, *, epoch: str, turn: Turn) -> bool:
        """See the protocol."""
        if not self._channels or not _worth_telling(turn):
            return True
        try:
            self._put(key)
        except (SessionNotFound, Gone):
            return True  # nobody is left who could be told
        except StoreUnavailable as error:
            # A store that is full takes nothing for a while: turns must not wait for it.
            return isinstance(error, StoreFull)
        except Overloaded as error:
            _log.error("channel_reply_dropped", reason=str(error), turn_id=key.turn_id)
        except Exception:  # noqa: BLE001 - a bug here must not keep back the turn's events
            _log.exception("channel_reply_not_put")
        return True

    def _put(self, key: TurnKey) -> None:
        view = self._sessions.load(key.session, _system(key.session), after_version=0, limit=0)
        channel = self._channels.get(view.channel or "")
        if channel is None or channel.tenant != key.session.tenant or CHANNEL not in view.context:
            return
        session_id = key.session.session_id
        self._later.put(
            LaterJob(
                id=f"channel-{reply_id_of(channel.tenant, channel.name, session_id, key.turn_id)}",
                kind=CHANNEL_REPLY,
                tenant=channel.tenant,
                fields={"channel": channel.name, "session": session_id, "turn": key.turn_id},
                attempts_max=WEBHOOK_ATTEMPTS_MAX,
            )
        )


class ChannelDelivery:
    """Sends what was noted: ``engine.later.Handler`` for ``CHANNEL_REPLY``."""

    def __init__(
        self,
        channels: Sequence[Channel],
        *,
        secrets: Mapping[str, Lines],
        sessions: SessionStore,
        sender: WebhookSender,
    ) -> None:
        """``secrets``: those of each channel, by its name."""
        self._channels = {one.name: one for one in channels if one.reply_url}
        self._secrets = secrets
        self._sessions = sessions
        self._sender = sender

    def __call__(self, job: LaterJob) -> None:
        """See ``Handler``."""
        channel = self._channels.get(str(job.fields["channel"]))
        if channel is None or channel.tenant != job.tenant:
            raise Hopeless("CHANNELS_FILE has no such channel with a reply_url any more")
        session = SessionKey(job.tenant, str(job.fields["session"]))
        key = TurnKey(session, str(job.fields["turn"]))
        try:
            turn = self._sessions.turn(key, _system(session))
            view = self._sessions.load(session, _system(session), after_version=0, limit=0)
        except SessionNotFound:
            _log.info("channel_reply_ended", job=job.name, reason="its session is no more")
            return
        except TurnNotFound as error:
            raise Hopeless("the store has lost the turn") from error
        except Gone as error:
            raise Again(_SOON_S, "the session goes on under another epoch") from error
        if turn.state not in FINISHED:
            raise Again(_SOON_S, "the turn has not ended")
        if not _in_response(channel, turn, begun_at=job.begun_at):
            told = view.context.get(CHANNEL) or {}
            reply = reply_of(channel, session.session_id, told, turn)
            self._send(channel, reply, at_s=job.begun_at)

    def _send(self, channel: Channel, reply: Mapping[str, Any], *, at_s: float) -> None:
        secrets = self._secrets[channel.name].lines()
        if not secrets:
            raise NotDelivered("there is no secret to sign with")
        body = json.dumps(reply, ensure_ascii=False, sort_keys=True).encode()
        message_id = str(reply["data"]["id"])
        headers = headers_of(body, message_id=message_id, at_s=at_s, secrets=secrets)
        status = self._sender.send(
            channel.reply_url, body, headers=headers, private=channel.private
        )
        if status == _GONE:
            raise Hopeless("it answered 410: it wants no more")
        if not 200 <= status < 300:
            raise NotDelivered(f"it answered {status}")


def reply_of(
    channel: Channel, session_id: str, told: Mapping[str, Any], turn: Turn
) -> dict[str, Any]:
    """Return what a channel is told of a turn (JSON); always the same of the same finished turn.

    ``told`` is what the session's context says of the conversation.
    """
    at = datetime.fromtimestamp(turn.created_at, UTC).isoformat(timespec="milliseconds")
    data = {
        "id": reply_id_of(channel.tenant, channel.name, session_id, turn.turn_id),
        "channel": channel.name,
        "conversation_id": told.get("conversation_id", ""),
        "user": told.get("user"),
        "kind": _kind(turn),
        "in_reply_to": turn.ref if not turn.origin and turn.ref else None,
        "session_id": session_id,
        "turn_id": turn.turn_id,
        "version": turn.version,
        "state": turn.state.value,
        "text": turn.answer,
        "sources": [dict(one) for one in turn.sources],
        "name": turn.name,
        "handoff": {BEGUN: True, ENDED: False}.get(turn.event),
        "degraded": turn.degraded,
        "error": dict(turn.error) if turn.error else None,
        "trace_id": turn.trace_id,
    }
    return {"type": "channel.message", "timestamp": at, "data": data}


def _kind(turn: Turn) -> str:
    if turn.author:
        return "agent"
    if turn.origin:
        return turn.origin
    return "answer" if turn.message else turn.event or "answer"


def _worth_telling(turn: Turn) -> bool:
    """Tell whether it says anything: a message that waits for a person has no answer."""
    return bool(turn.answer or turn.event or turn.error) or not turn.handoff


def _in_response(channel: Channel, turn: Turn, *, begun_at: float) -> bool:
    """Tell whether the answer stood in the response to the message that it answers."""
    if not channel.wait_s or not turn.ref or turn.origin:
        return False
    # Both by the store's clock. A platform whose request was cut off repeats it, and has it then.
    return 0 <= begun_at - turn.created_at < channel.wait_s - CHANNEL_WAIT_MARGIN_S


def _system(session: SessionKey) -> Principal:
    return Principal(session.tenant, "", "system")
