"""What was refused to whom, told to the audit log: credentials, rights, and ids of sessions."""

from flask import request

from kotaemon_node.api.context import audit
from kotaemon_node.domain.errors import Forbidden, LimitReached, Unauthenticated


def tell_refused(error: Exception) -> None:
    """Tell the audit log where a request ended in a refusal; a login tells its own."""
    action = _action(error)
    if action and not (action == "credential.refused" and request.endpoint == "login.log_in"):
        route = request.url_rule.rule if request.url_rule is not None else ""
        # Limits say how long to wait, each time another time: alike is what is of one limit.
        reason = error.limit if isinstance(error, LimitReached) else str(error)
        audit(action, outcome="refused", target=route, reason=reason)


def _action(error: Exception) -> str:
    if isinstance(error, Unauthenticated):
        return "credential.refused"
    if isinstance(error, LimitReached):
        return "limit.refused"
    return "permission.refused" if isinstance(error, Forbidden) else ""
