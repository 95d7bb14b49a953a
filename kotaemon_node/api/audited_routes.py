"""Which routes are told to the audit log when they have done what was asked; one table.

Refusals are told where they arise (``refused``, ``context.session_key``), whatever the route. A
route that changes something and stands in neither table stops a test from passing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from flask import Flask, Response, g, request

from kotaemon_node.api.context import audit, principal, services
from kotaemon_node.domain.errors import SessionNotFound, StoreUnavailable

_OK: Final = range(200, 400)


@dataclass(frozen=True, slots=True)
class Told:
    """How an endpoint is told."""

    action: str
    target: tuple[str, ...] = ()
    """Parts of the path that name what it was done to, joined by slashes."""
    when: Callable[[], bool] = lambda: True
    asked: tuple[str, ...] = ()
    """Parameters of the query that one must know to judge it."""


def of_another() -> bool:
    """Tell whether the session of the path is another's, whom the caller's role lets them see."""
    return is_anothers((request.view_args or {})["sid"])


def is_anothers(session_id: str) -> bool:
    """Tell whether a session is another's, whom the caller's role lets them see."""
    authority, caller = services().authority, principal()
    if authority is None or not caller.sees_all:
        return False
    try:
        authority.require_own(replace(caller, role="customer"), session_id)
    except SessionNotFound:
        return True
    except StoreUnavailable:
        return True  # nobody can tell: better an entry too many
    return False


def _of_everybody() -> bool:
    return request.args.get("all") == "true"


_READ: Final = Told("session.read", ("sid",), of_another)

TOLD: Final[Mapping[str, Told]] = {
    "sessions.list_sessions": Told("session.listed", when=_of_everybody),
    "sessions.read_session": _READ,
    "sessions.stream_session": _READ,
    "turns.read_turn": _READ,
    "turns.stream_turn": _READ,
    "turns.cancel_turn": Told("turn.cancelled", ("sid", "tid"), of_another),
    "sessions.delete_session": Told("session.deleted", ("sid",)),
    "traces.read_trace": Told("trace.read", ("trace_id",)),
    "handoffs.hand_off": Told("handoff.begun", ("sid",)),
    "handoffs.hand_back": Told("handoff.ended", ("sid",)),
    "handoffs.say": Told("agent_message.said", ("sid",)),
    "knowledge.delete_document": Told("document.deleted", ("kb", "doc"), asked=("purge",)),
    "knowledge.roll_back": Told("knowledge.rolled_back", ("kb",)),
    "knowledge.publish": Told("knowledge.published", ("kb",)),
    "uploads.upload_documents": Told("document.uploaded", ("kb",)),
    "faq.put_entry": Told("faq.put", ("id",), asked=("kb",)),
    "faq.delete_entry": Told("faq.deleted", ("id",), asked=("kb",)),
    "faq_drafts.accept_draft": Told("faq.draft_accepted", ("id",), asked=("kb",)),
    "faq_drafts.dismiss_draft": Told("faq.draft_dismissed", ("id",), asked=("kb",)),
    "dead_letters.retry_dead_letter": Told("dead_letter.retried", ("id",)),
    "dead_letters.drop_dead_letter": Told("dead_letter.dropped", ("id",)),
    "plugins.push_plugin": Told("plugin.pushed"),
    "plugins.change_plugin": Told("plugin.changed", ("name",)),
    "plugins.reload_plugin": Told("plugin.reloaded", ("name",)),
    "plugins.delete_plugin": Told("plugin.deleted", ("name",)),
    "login.end_logins": Told("logins.ended"),
    "audit.read_audit": Told("audit.read", asked=("tenant",)),
}

UNTOLD: Final[Mapping[str, str]] = {
    "chat.chat": "a turn; its own record tells of it",
    "openai.complete": "a turn",
    "openai.embed": "computes, and keeps nothing",
    "channels.receive": "a turn",
    "sessions.create_session": "the caller's own, and empty",
    "turns.create_turn": "a turn",
    "voice.talk": "a turn",
    "websocket.chat": "turns; what is read or stopped of another's the desk tells itself",
    "audio.transcribe": "computes, and keeps nothing",
    "audio.speak": "computes, and keeps nothing",
    "feedback.rate_turn": "an opinion about an answer; kept beside it",
    "login.log_in": "tells itself, with what was refused",
    "login.log_out": "tells itself",
}
"""Routes that change something and are no entries, and why."""


def tell_done(app: Flask) -> None:
    """Have each answer of a route in the table told."""
    app.after_request(_tell)


def note(*, target: str = "", **detail: str | float) -> None:
    """Say more of what the request did, for its entry; for routes of the table."""
    g.audited = (target, detail)


def _tell(answer: Response) -> Response:
    told = TOLD.get(request.endpoint or "")
    if told is None or answer.status_code not in _OK or not told.when():
        return answer
    noted, detail = g.get("audited", ("", {}))
    given = request.view_args or {}
    target = noted or "/".join(str(given[name]) for name in told.target)
    asked = {name: value for name in told.asked if (value := request.args.get(name))}
    if location := answer.headers.get("Location", ""):
        asked["job"] = location.rpartition("/")[2]
    audit(told.action, outcome="done", target=target, **asked, **detail)
    return answer
