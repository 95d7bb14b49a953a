"""Turns: send a message, follow its frames, read it, cancel it."""

from typing import Final

from flask import Blueprint, Response, request

from kotaemon_node.api.answers import json_answer
from kotaemon_node.api.asking import (
    accepted,
    chosen_turn_id,
    open_mode,
    run,
    shown,
    submit,
    turn_request,
)
from kotaemon_node.api.body import read_body
from kotaemon_node.api.context import principal, services, turn_key
from kotaemon_node.api.inputs import EmptyBody, StreamQuery, TurnBody
from kotaemon_node.api.query import read_query
from kotaemon_node.api.sse import EVENT_STREAM, Frames, resume_point, stream_answer
from kotaemon_node.domain.session import TurnKey

routes: Final = Blueprint("turns", __name__)


@routes.post("/v1/sessions/<sid>/turns")
def create_turn(sid: str) -> Response:
    """Run a turn: its frames where the caller accepts a stream, else the finished turn."""
    body = read_body(TurnBody)
    key = turn_key(sid, chosen_turn_id(body.turn_id))
    asked = turn_request(
        key,
        message=body.message,
        create_session=open_mode(),
        options=body.options(),
        on_busy=body.on_busy,
        epoch=body.epoch,
    )
    after = _resume_point(key)
    if not _wants_stream():
        return shown(key, run(asked), form=lambda _, turn: turn)

    def follow() -> Frames:
        submit(asked)
        return accepted(services().turns.follow(key, asked.principal, after=after))

    return stream_answer(follow, turn_id=key.turn_id)


@routes.get("/v1/sessions/<sid>/turns/<tid>")
def read_turn(sid: str, tid: str) -> Response:
    """Read a turn in whatever state it is."""
    return json_answer(services().sessions.turn(turn_key(sid, tid), principal()))


@routes.get("/v1/sessions/<sid>/turns/<tid>/stream")
def stream_turn(sid: str, tid: str) -> Response:
    """Follow a turn from any number on, on any pod."""
    key = turn_key(sid, tid)
    after = _resume_point(key)
    caller = principal()
    turns = services().turns
    return stream_answer(lambda: turns.follow(key, caller, after=after), turn_id=tid)


@routes.post("/v1/sessions/<sid>/turns/<tid>/cancel")
def cancel_turn(sid: str, tid: str) -> Response:
    """End a turn; one that is finished stays as it is."""
    read_body(EmptyBody)
    return json_answer(services().turns.cancel(turn_key(sid, tid), principal()))


def _resume_point(key: TurnKey) -> int:
    return resume_point(
        request.headers.get("Last-Event-ID"),
        after=read_query(StreamQuery).after,
        turn_id=key.turn_id,
    )


def _wants_stream() -> bool:
    """Named, and not less wanted than JSON: a mere ``*/*`` means JSON."""
    wanted = {media.lower(): quality for media, quality in request.accept_mimetypes}
    stream = wanted.get(EVENT_STREAM, 0)
    return stream > 0 and stream >= wanted.get("application/json", 0)
