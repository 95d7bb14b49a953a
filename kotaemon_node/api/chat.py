"""The two shortest ways to an answer: ``POST /chat`` and ``GET /ask``."""

from typing import Final

from flask import Blueprint, Response

from kotaemon_node.api.answers import json_answer
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
from kotaemon_node.api.context import principal, services, trace_id, turn_key
from kotaemon_node.api.inputs import AskQuery, ChatBody
from kotaemon_node.api.query import read_query
from kotaemon_node.api.showing import ask_answer, chat_answer
from kotaemon_node.domain.errors import StoreBusy, StoreUnavailable

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
    """Ask one question: in a session's context where one is named, else in one of its own.

    While the session store is away this pod answers by itself, without any session.
    """
    query = read_query(AskQuery)
    direct = services().direct
    if direct is None:
        return _asked_in_session(query)
    if not direct.away.tries():
        return _answered_directly(query)
    try:
        answer = _asked_in_session(query)
    except StoreBusy:
        # Full, not away; unless those who wait for a silent store are what fills it.
        if not direct.away:
            raise
        return _answered_directly(query)
    except StoreUnavailable:
        direct.away.failed()
        return _answered_directly(query)
    direct.away.answered()
    return answer


def _asked_in_session(query: AskQuery) -> Response:
    # A session of its own, which goes when its time to live runs out.
    session_id = query.session_id or fresh_session_id()
    key = turn_key(session_id, chosen_turn_id(None))
    asked = turn_request(key, message=query.q, create_session=query.session_id is None)
    return shown(key, answered(run(asked)), form=ask_answer)


def _answered_directly(query: AskQuery) -> Response:
    direct = services().direct
    assert direct is not None
    turn = direct.answer(query.q, tenant=principal().tenant, trace_id=trace_id())
    return json_answer(ask_answer(query.session_id or "", turn))
