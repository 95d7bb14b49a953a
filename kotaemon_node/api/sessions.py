"""Sessions: make, list, read, delete."""

from typing import Final

from flask import Blueprint, Response

from kotaemon_node.api.answers import json_answer
from kotaemon_node.api.body import read_body
from kotaemon_node.api.context import principal, services, session_key
from kotaemon_node.api.forms import SessionCreated, SessionList
from kotaemon_node.api.inputs import HistoryQuery, PageQuery, SessionBody
from kotaemon_node.api.query import read_query
from kotaemon_node.api.showing import session_form

routes: Final = Blueprint("sessions", __name__)


@routes.get("/v1/sessions")
def list_sessions() -> Response:
    """List the caller's sessions, newest first."""
    query = read_query(PageQuery)
    # One more than shown says whether there is a next page.
    rows = services().sessions.list(principal(), offset=query.offset, limit=query.limit + 1)
    more = len(rows) > query.limit
    page = SessionList(rows[: query.limit], query.offset + query.limit if more else None)
    return json_answer(page)


@routes.post("/v1/sessions")
def create_session() -> Response:
    """Make a session under a fresh id."""
    body = read_body(SessionBody)
    ids = services().ids
    key = session_key(ids.new_id())
    view = services().sessions.create(
        key, principal(), epoch=ids.new_id(), fields=body.model_dump(exclude_none=True)
    )
    created = SessionCreated(view.session_id, view.epoch, view.version, view.created_at)
    answer = json_answer(created, status=201)
    answer.headers["Location"] = f"/v1/sessions/{view.session_id}"
    return answer


@routes.get("/v1/sessions/<sid>")
def read_session(sid: str) -> Response:
    """Read a session and its turns after a version."""
    query = read_query(HistoryQuery)
    view = services().sessions.load(
        session_key(sid), principal(), after_version=query.after_version, limit=query.limit
    )
    return json_answer(session_form(view))


@routes.delete("/v1/sessions/<sid>")
def delete_session(sid: str) -> Response:
    """Remove a session everywhere."""
    services().sessions.delete(session_key(sid), principal())
    return Response(status=204)
