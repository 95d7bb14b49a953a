"""What the caller has used of what it may."""

from typing import Final

from flask import Blueprint, Response

from kotaemon_node.api.answers import json_answer
from kotaemon_node.api.context import principal, services
from kotaemon_node.api.limited import WINDOWS_S, user
from kotaemon_node.api.use_forms import LimitForm, LimitsForm

routes: Final = Blueprint("limits", __name__)


@routes.get("/v1/limits")
def read_limits() -> Response:
    """Show the caller's limits and those of its tenant, and what is used of them; it costs none."""
    desk = services().use
    if desk is None:
        return json_answer(LimitsForm(principal().tenant, principal().subject, []))
    one = user()
    rows = [
        LimitForm(
            level.scope,
            level.name,
            level.limit,
            round(level.limit - level.left, 6),
            WINDOWS_S.get(level.name),
            round(level.reset_s, 3),
        )
        for level in desk.look(one).levels
    ]
    return json_answer(LimitsForm(one.tenant, one.subject, rows))
