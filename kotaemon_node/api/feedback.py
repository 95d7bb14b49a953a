"""What people say of an answer."""

from typing import Final

from flask import Blueprint, Response

from kotaemon_node.api.answers import json_answer
from kotaemon_node.api.body import read_body
from kotaemon_node.api.book_forms import FeedbackForm
from kotaemon_node.api.context import principal, services, turn_key
from kotaemon_node.api.inputs import FeedbackBody
from kotaemon_node.domain.errors import Conflict, NotFound
from kotaemon_node.domain.turn import FINISHED
from kotaemon_node.ports.feedback import Feedback

routes: Final = Blueprint("feedback", __name__)


@routes.post("/v1/sessions/<sid>/turns/<tid>/feedback")
def rate_turn(sid: str, tid: str) -> Response:
    """Say whether an answer was good. The last word counts; a repeat changes nothing."""
    body = read_body(FeedbackBody)
    key, desk = turn_key(sid, tid), services().feedback
    if desk is None:
        raise NotFound("feedback is not kept here")
    turn = services().sessions.turn(key, principal())
    if turn.state not in FINISHED:
        raise Conflict("the turn has not ended yet")
    # In whole milliseconds, as JSON and scripts keep it.
    said = Feedback(body.rating, body.comment, round(services().clock.now_s(), 3))
    desk.rate(key, turn, said)
    return json_answer(FeedbackForm(tid, said.rating, said.comment, said.at))
