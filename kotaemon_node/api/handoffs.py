"""Handing a session to a person and back, and what the person says."""

from typing import Final

from flask import Blueprint, Response

from kotaemon_node.api.answers import json_answer
from kotaemon_node.api.asking import chosen_turn_id, shown
from kotaemon_node.api.body import read_body
from kotaemon_node.api.context import principal, services, session_key, trace_id, turn_key
from kotaemon_node.api.handoff_forms import (
    AgentMessageBody,
    HandoffBody,
    HandoffForm,
    HandoffList,
    HandoffsQuery,
)
from kotaemon_node.api.inputs import EmptyBody
from kotaemon_node.api.people_services import HandoffService
from kotaemon_node.api.query import read_query
from kotaemon_node.domain.errors import NotFound
from kotaemon_node.domain.handoff import By

routes: Final = Blueprint("handoffs", __name__)


@routes.post("/v1/sessions/<sid>/handoff")
def hand_off(sid: str) -> Response:
    """Give the session to a person. Whatever runs in it ends as interrupted, with what was shown.

    From then on no bot answers; a session that a person has already stays as it is.
    """
    body = read_body(HandoffBody)
    key = session_key(sid)
    handoff = _desk().begin(
        key, principal(), by=_by(), reason=body.reason.strip(), trace_id=trace_id()
    )
    return json_answer(HandoffForm(sid, handoff))


@routes.post("/v1/sessions/<sid>/handback")
def hand_back(sid: str) -> Response:
    """Give the session back to the bot; one that it has already stays as it is."""
    read_body(EmptyBody)
    key = session_key(sid)
    _desk().end(key, principal(), by=_by(), trace_id=trace_id())
    return json_answer(HandoffForm(sid, None))


@routes.post("/v1/sessions/<sid>/agent-messages")
def say(sid: str) -> Response:
    """Say something as the person who has the session: a turn, once per message id."""
    body = read_body(AgentMessageBody)
    key = turn_key(sid, chosen_turn_id(body.message_id))
    caller = principal()
    name = body.name or ("" if caller.role == "open" else caller.subject)
    turn = _desk().say(key, caller, text=body.text, name=name, trace_id=trace_id())
    return shown(key, turn, form=lambda _, turn: turn)


@routes.get("/v1/handoffs")
def list_handoffs() -> Response:
    """List the sessions that people have, or are to take: those with news first."""
    query = read_query(HandoffsQuery)
    return json_answer(HandoffList(_desk().waiting(principal().tenant, limit=query.limit)))


def _desk() -> HandoffService:
    desk = services().handoffs
    if desk is None:
        raise NotFound("sessions are not handed to people here")
    return desk


def _by() -> By:
    return "agent" if principal().role in {"agent", "admin"} else "customer"
