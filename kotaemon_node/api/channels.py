"""Chat platforms: a signed message in, a turn for it, and the answer now or later.

The signature is the credential here. Session and turn follow from what the platform names, so a
message that comes again, to whichever pod, finds the turn that answers it.
"""

import hashlib
from contextlib import suppress
from typing import Final

from flask import Blueprint, Response, request

from kotaemon_node.api.answers import json_answer
from kotaemon_node.api.asking import submit
from kotaemon_node.api.body import parse_object, read_bytes
from kotaemon_node.api.channel_forms import ChannelAnswer
from kotaemon_node.api.context import services, trace_id
from kotaemon_node.api.principal import ANONYMOUS
from kotaemon_node.domain.acting_limits import CHANNEL_BODY_BYTES_MAX, CHANNEL_CLAIM_TRIES
from kotaemon_node.domain.channels import (
    CHANNEL,
    Channel,
    Said,
    challenge_in,
    context_of,
    is_message,
    read_message,
    seed_of,
    turn_id_of,
)
from kotaemon_node.domain.errors import (
    Conflict,
    Gone,
    NotFound,
    SessionNotFound,
    TooLarge,
)
from kotaemon_node.domain.session import Principal, SessionKey, Turn, TurnKey, TurnRequest
from kotaemon_node.domain.turn import FINISHED, State
from kotaemon_node.engine.channels import reply_of

routes: Final = Blueprint("channels", __name__)

_ATTACHMENTS: Final = "attachments_ignored"


@routes.post("/v1/channels/<channel>/messages")
def receive(channel: str) -> Response:
    """Take a message that a chat platform signed: once for each message id."""
    desk = services().channels
    if desk is None:
        raise NotFound("there is no such channel")
    one = desk.named(channel)
    if (request.content_length or 0) > CHANNEL_BODY_BYTES_MAX:
        raise TooLarge(f"the body has more than {CHANNEL_BODY_BYTES_MAX} bytes")
    raw = read_bytes()
    if len(raw) > CHANNEL_BODY_BYTES_MAX:
        raise TooLarge(f"the body has more than {CHANNEL_BODY_BYTES_MAX} bytes")
    desk.admit(one, dict(request.headers), raw)
    body = parse_object(raw)
    if (challenge := challenge_in(one, body)) is not None:
        return json_answer({one.challenge.rpartition(".")[2]: challenge})
    if not is_message(one, body):
        return json_answer(ChannelAnswer("ignored", ["no_message"]))
    said = read_message(one, body)
    notes = [_ATTACHMENTS] if said.attached else []
    if said.silent:
        # Refused it would come again and again; nothing else could be said to the platform.
        return json_answer(ChannelAnswer("ignored", notes))
    return _answer(one, said, _ask(one, said), notes)


def _ask(channel: Channel, said: Said) -> TurnRequest:
    """Have the message's turn run, in the session of its conversation."""
    caller = _caller(channel, said)
    for place in range(CHANNEL_CLAIM_TRIES):
        key = TurnKey(_session(channel, said, caller), turn_id_of(channel, said.message_id))
        kb = {"kb": channel.kb} if channel.kb else {}
        asked = TurnRequest(
            key=key,
            principal=caller,
            message=said.text,
            options={**kb, CHANNEL: {"message_id": said.message_id}},
            on_busy="enqueue",
            trace_id=trace_id(),
            create_session=False,
        )
        try:
            submit(asked)
        except (SessionNotFound, Gone):
            # It ended just now, or the store was set back, which is told once: a platform knows of
            # no epochs, and goes on in what is left.
            if place + 1 == CHANNEL_CLAIM_TRIES:
                raise
        else:
            break
    return asked


def _caller(channel: Channel, said: Said) -> Principal:
    if services().auth_mode == "open":
        return Principal(channel.tenant, ANONYMOUS.subject, ANONYMOUS.role)
    who = said.conversation_id if channel.shared else said.user_id
    digest = hashlib.sha256(who.encode()).hexdigest()[:24]
    return Principal(channel.tenant, f"channel.{channel.name}.{digest}", "customer")


def _session(channel: Channel, said: Said, caller: Principal) -> SessionKey:
    """Return the session of the conversation, which is made where there is none."""
    seed, authority, sessions = seed_of(channel, said), services().authority, services().sessions
    # Minted under an older secret, a session goes on for as long as that secret counts.
    ids = [seed] if authority is None else authority.mint_all(caller, seed=seed)
    keys = [SessionKey(channel.tenant, one) for one in ids]
    for key in keys:
        with suppress(SessionNotFound):
            sessions.load(key, caller, after_version=0, limit=0)
            return key
    fields = {"channel": channel.name, "context": context_of(channel, said)}
    if not channel.shared:
        fields["user_id"] = f"{channel.user_prefix}{said.user_id}"
    with suppress(Conflict):  # another message, or this one again, made it on another pod
        sessions.create(keys[0], caller, epoch=services().ids.new_id(), fields=fields)
    return keys[0]


def _answer(channel: Channel, said: Said, asked: TurnRequest, notes: list[str]) -> Response:
    turn = _ended(channel, asked) or Turn(
        asked.key.turn_id,
        asked.message,
        State.RUNNING,
        ref=said.message_id,
        trace_id=asked.trace_id,
    )
    told = context_of(channel, said)[CHANNEL]
    data = reply_of(channel, asked.key.session.session_id, told, turn)["data"]
    status = 200 if turn.state in FINISHED else 202
    return json_answer(ChannelAnswer(**data, notes=notes), status=status)


def _ended(channel: Channel, asked: TurnRequest) -> Turn | None:
    """Return the turn where the channel waits for it, and it ends in time.

    A store that goes away meanwhile is told as such (503), never as accepted: the answer may be
    there in time, and who sends replies would count it as said here. The platform comes again.
    """
    if not channel.wait_s:
        return None
    return services().turns.wait(asked.key, asked.principal, timeout_s=channel.wait_s)
