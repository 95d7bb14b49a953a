"""Delayed jobs that could not be done: shown, and somebody decides."""

from typing import Final

from flask import Blueprint, Response

from kotaemon_node.api.answers import json_answer
from kotaemon_node.api.body import read_body
from kotaemon_node.api.context import principal, services
from kotaemon_node.api.inputs import DeadLettersQuery, EmptyBody
from kotaemon_node.api.later_forms import DeadLetterList, later_form
from kotaemon_node.api.query import read_query
from kotaemon_node.domain.ids import checked_id

routes: Final = Blueprint("dead_letters", __name__)


@routes.get("/v1/dead-letters")
def list_dead_letters() -> Response:
    """List delayed jobs that are not tried any more, newest first."""
    query = read_query(DeadLettersQuery)
    rows = services().later.dead(principal().tenant, limit=query.limit)
    return json_answer(DeadLetterList([later_form(row) for row in rows]))


@routes.post("/v1/dead-letters/<id>/retry")
def retry_dead_letter(id: str) -> Response:
    """Have a dead letter tried again at once, with all its attempts."""
    read_body(EmptyBody)
    services().later.retry(principal().tenant, checked_id("job id", id))
    return Response(status=204)


@routes.delete("/v1/dead-letters/<id>")
def drop_dead_letter(id: str) -> Response:
    """Remove a dead letter: what it was about is not done."""
    services().later.drop(principal().tenant, checked_id("job id", id))
    return Response(status=204)
