"""Sessions: make, list, read, follow, delete."""

from hashlib import sha256
from typing import Any, Final

import structlog
from flask import Blueprint, Response, request

from kotaemon_node.api.answers import json_answer
from kotaemon_node.api.body import read_body
from kotaemon_node.api.context import principal, services, session_key
from kotaemon_node.api.forms import SessionCreated, SessionList
from kotaemon_node.api.inputs import HistoryQuery, SessionBody, SessionsQuery, SessionStreamQuery
from kotaemon_node.api.query import read_query
from kotaemon_node.api.showing import session_form
from kotaemon_node.api.sse import session_place, stream_answer
from kotaemon_node.domain.errors import (
    Conflict,
    Forbidden,
    Overloaded,
    StoreUnavailable,
    TooLarge,
)
from kotaemon_node.domain.limits import IDEMPOTENCY_KEY_CHARS_MAX
from kotaemon_node.domain.session import Principal

routes: Final = Blueprint("sessions", __name__)

_log = structlog.get_logger(__name__)

IDEMPOTENCY_HEADER: Final = "Idempotency-Key"


@routes.get("/v1/sessions")
def list_sessions() -> Response:
    """List the caller's sessions, newest first; with `all` those of the whole tenant.

    Only agents and administrators may see all.
    """
    query, caller = read_query(SessionsQuery), principal()
    everybodys = query.all == "true"
    if everybodys and not (caller.sees_all or caller.role == "open"):
        raise Forbidden("only agents and administrators see the sessions of others")
    # One more than shown says whether there is a next page.
    rows = services().sessions.list(
        caller, offset=query.offset, limit=query.limit + 1, everybodys=everybodys
    )
    more = len(rows) > query.limit
    page = SessionList(rows[: query.limit], query.offset + query.limit if more else None)
    return json_answer(page)


@routes.post("/v1/sessions")
def create_session() -> Response:
    """Make a session; the same `Idempotency-Key` or `session_id` again finds the one it made."""
    body = read_body(SessionBody)
    caller = principal()
    fields = body.model_dump(exclude_none=True, exclude={"session_id"})
    fields |= _user_of(caller, body.user_id)
    key = session_key(body.session_id or _fresh_id(caller))
    status, sessions = 201, services().sessions
    try:
        view = sessions.create(key, caller, epoch=services().ids.new_id(), fields=fields)
    except Conflict:
        status, view = 200, sessions.load(key, caller, after_version=0, limit=0)
    created = SessionCreated(view.session_id, view.epoch, view.version, view.created_at)
    answer = json_answer(created, status=status)
    answer.headers["Location"] = f"/v1/sessions/{view.session_id}"
    return answer


@routes.get("/v1/sessions/<sid>")
def read_session(sid: str) -> Response:
    """Read a session and its turns after a version."""
    query = read_query(HistoryQuery)
    key, desk = session_key(sid), services().feedback
    view = services().sessions.load(
        key,
        principal(),
        after_version=query.after_version,
        limit=query.limit,
        epoch=query.epoch or "",
    )
    turn_ids = [turn.turn_id for turn in view.turns]
    try:
        rated = desk.of(key, turn_ids) if desk is not None else {}
    except (Overloaded, StoreUnavailable) as error:
        # The history is what was asked for, and it is there.
        _log.info("ratings_not_shown", reason=str(error))
        rated = {}
    return json_answer(session_form(view, rated))


@routes.get("/v1/sessions/<sid>/stream")
def stream_session(sid: str) -> Response:
    """Follow all that happens in a session from now on, on any pod.

    From a place further back with `Last-Event-ID` or `?after_version=`.
    """
    key = session_key(sid)
    place = session_place(
        request.headers.get("Last-Event-ID"),
        after_version=read_query(SessionStreamQuery).after_version,
    )
    caller, turns = principal(), services().turns
    return stream_answer(lambda: turns.follow_session(key, caller, place=place), turn_id="")


@routes.delete("/v1/sessions/<sid>")
def delete_session(sid: str) -> Response:
    """Remove a session everywhere."""
    key = session_key(sid)
    services().sessions.delete(key, principal())
    if (people := services().handoffs) is not None:
        people.forget(key)
    return Response(status=204)


def _fresh_id(caller: Principal) -> str:
    """Return the id of a new session; it follows from the caller and its ``Idempotency-Key``."""
    key = request.headers.get(IDEMPOTENCY_HEADER, "").strip()
    if len(key) > IDEMPOTENCY_KEY_CHARS_MAX:
        raise TooLarge(f"{IDEMPOTENCY_HEADER}: more than {IDEMPOTENCY_KEY_CHARS_MAX} characters")
    ids, authority = services().ids, services().authority
    if authority is not None:
        # No line break is in a header, so what follows from one is no seed of anything else.
        return authority.mint(caller, seed=f"session {key}" if key else ids.new_id())
    return sha256(f"session {key}".encode()).hexdigest()[:32] if key else ids.new_id()


def _user_of(caller: Principal, named: str | None) -> dict[str, Any]:
    """Return for whom the session is. A credential says who its holder is; only those who talk for
    others may name another. Raises ``Forbidden``.
    """
    if caller.role == "open" or caller.sees_all:
        return {}
    if named not in {None, caller.subject}:
        raise Forbidden("only agents and administrators may open a session for another user")
    return {"user_id": caller.subject}
