"""Audit records: by what an answer came to be."""

from typing import Final

from flask import Blueprint, Response

from kotaemon_node.api.answers import json_answer
from kotaemon_node.api.context import principal, services
from kotaemon_node.api.inputs import TraceQuery
from kotaemon_node.api.query import read_query
from kotaemon_node.api.showing import trace_form
from kotaemon_node.domain.errors import Malformed, NotFound
from kotaemon_node.domain.trace_context import is_trace_id

routes: Final = Blueprint("traces", __name__)


@routes.get("/v1/traces/<trace_id>")
def read_trace(trace_id: str) -> Response:
    """Read the audit record of a turn by the id of its trace; of several turns the newest one's."""
    query = read_query(TraceQuery)
    if not is_trace_id(trace_id):
        raise Malformed("a trace id is 32 small hex digits")
    records = services().records
    found = records.find(principal().tenant, trace_id) if records is not None else ()
    chosen = [
        one
        for one in found
        if query.session_id in {None, one["session_id"]} and query.turn_id in {None, one["turn_id"]}
    ]
    if not chosen:
        raise NotFound("no turn of this trace is on record; records are kept for a time")
    return json_answer(trace_form(chosen[0], among=found))
