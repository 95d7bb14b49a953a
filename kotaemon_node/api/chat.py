"""The two shortest ways to an answer: ``POST /chat`` and ``GET /ask``."""

from typing import Final

from flask import Blueprint, Response

from kotaemon_node.api.asking import (
    answered,
    chosen_turn_id,
    fresh_session_id,
    open_mode,
    run,
    shown,
    turn_request,
)
from kotaemon_node.api.body import read_body
from kotaemon_node.api.context import turn_key
from kotaemon_node.api.inputs import AskQuery, ChatBody
from kotaemon_node.api.query import read_query
from kotaemon_node.api.showing import ask_answer, chat_answer

routes: Final = Blueprint("chat", __name__)


@routes.post("/chat")
def chat() -> Response:
    """Say something in a session, which is made when there is none."""
    body = read_body(ChatBody)
    session_id = body.session_id or fresh_session_id()
    key = turn_key(session_id, chosen_turn_id(body.turn_id))
    asked = turn_request(
        key,
        message=body.message,
        create_session=open_mode() or body.session_id is None,
        epoch=body.epoch if body.session_id else None,
    )
    return shown(key, answered(run(asked)), form=chat_answer)


@routes.get("/ask")
def ask() -> Response:
    """Ask one question: in a session's context where one is named, else in one of its own."""
    query = read_query(AskQuery)
    # A session of its own, which goes when its time to live runs out.
    session_id = query.session_id or fresh_session_id()
    key = turn_key(session_id, chosen_turn_id(None))
    asked = turn_request(key, message=query.q, create_session=query.session_id is None)
    return shown(key, answered(run(asked)), form=ask_answer)
