"""What ``/openapi.json`` says beside the forms: parameters in paths, headers, links, as tables."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from kotaemon_node.api.fields import NUMBER_MAX
from kotaemon_node.api.principal import KEY_HEADER, LOGIN_COOKIE
from kotaemon_node.domain.ids import ID_PATTERN
from kotaemon_node.domain.plugin_releases import PLUGIN_NAME

SECURITY_SCHEMES: Final[Mapping[str, Mapping[str, str]]] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key."},
    "apiKey": {"type": "apiKey", "in": "header", "name": KEY_HEADER, "description": "The same."},
    "login": {
        "type": "apiKey",
        "in": "cookie",
        "name": LOGIN_COOKIE,
        "description": "Set by `POST /v1/login`, for the page; over TLS `__Host-kotaemon_login`.",
    },
}

_ID: Final = {"type": "string", "pattern": f"^{ID_PATTERN}$"}
_SLASHES: Final = {"type": "string", "description": "May contain slashes."}

# By the name in the path; anything else is an id.
_IN_PATH: Final[Mapping[str, Mapping[str, Any]]] = {
    "generation": {"type": "integer", "minimum": 0, "maximum": NUMBER_MAX},
    "trace_id": {"type": "string", "pattern": "^[0-9a-f]{32}$", "not": {"const": "0" * 32}},
    "name": {"type": "string", "pattern": f"^{PLUGIN_NAME.pattern}$"},
}

# Headers that a route may look at. One that is empty counts as absent.
_ASKED: Final[Mapping[str, tuple[str, str]]] = {
    "webhook-id": ("Part of the signature: names this delivery.", "^.*$"),
    "webhook-timestamp": ("Part of the signature: when it was signed, in seconds.", "^.*$"),
    "webhook-signature": ("HMAC-SHA256 of id, time and body: Standard Webhooks.", "^.*$"),
    "X-Turn-Default": (
        "Turn id where the request names none; the balancer sets it.",
        f"^({ID_PATTERN})?$",
    ),
    "Last-Event-ID": (
        "`<turn_id>:<seq>` or a number: frames after it are wanted.",
        f"^(({ID_PATTERN}:)?[0-9]{{1,16}})?$",
    ),
    "Idempotency-Key": ("The same key with the same request is the same turn.", "^.{0,255}$"),
    "X-Session-ID": ("A session that stays, in which the turn is to be.", f"^({ID_PATTERN})?$"),
    "X-Stainless-Retry-Count": ("How often OpenAI's SDKs have sent this request before.", "^.*$"),
    "If-None-Match": ("ETag of the copy at hand.", "^.*$"),
}

_ASKED_BY: Final[Mapping[tuple[str, str], tuple[str, str]]] = {
    # A number alone names no place in a session, which has many turns.
    ("sessions.stream_session", "Last-Event-ID"): (
        "`<turn_id>:<seq>`: what happened after this frame is wanted.",
        f"^({ID_PATTERN}:[0-9]{{1,16}})?$",
    ),
}

ANSWER_HEADERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "X-Trace-ID": {
        "description": "Under which logs, traces and audit records know this request.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
    },
    "X-Served-By": {
        "description": "Name of the pod that answered; set by the balancer.",
        "schema": {"type": "string"},
    },
    "Location": {
        "description": "Where to look for what was made.",
        "schema": {"type": "string"},
    },
    "Retry-After": {
        "description": "Seconds after which to come back.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    },
    "WWW-Authenticate": {
        "description": "How to say who calls.",
        "required": True,
        "schema": {"type": "string"},
    },
    "ETag": {"description": "Names this copy, for If-None-Match.", "schema": {"type": "string"}},
}


@dataclass(frozen=True, slots=True)
class Link:
    """What an answer knows that other routes ask for: a value for each of their parameters."""

    to: tuple[str, ...]
    """Endpoints."""
    parameters: Mapping[str, str]
    status: int = 200


_SESSION: Final = {"sid": "$response.body#/session_id"}
_TURN: Final = {"sid": "$request.path.sid", "tid": "$response.body#/turn_id"}
_JOB: Final = Link(("jobs.read_job",), {"id": "$response.body#/job"}, status=202)

LINKS: Final[Mapping[str, tuple[Link, ...]]] = {
    "sessions.create_session": (
        Link(
            ("sessions.read_session", "turns.create_turn", "sessions.delete_session"),
            _SESSION,
            status=201,
        ),
    ),
    "chat.chat": (
        Link(("turns.read_turn",), {**_SESSION, "tid": _TURN["tid"]}),
        Link(("sessions.read_session",), _SESSION),
    ),
    "turns.create_turn": (
        Link(
            ("turns.read_turn", "turns.stream_turn", "turns.cancel_turn", "feedback.rate_turn"),
            _TURN,
        ),
        Link(("sessions.read_session",), {"sid": _TURN["sid"]}),
    ),
    "knowledge.search": (
        Link(
            ("sources.read_source",),
            {
                "kb": "$response.body#/kb",
                "generation": "$response.body#/generation",
                "id": "$response.body#/passages/0/id",
            },
        ),
    ),
    "knowledge.list_documents": (
        Link(
            ("knowledge.read_document",),
            {"kb": "$request.path.kb", "doc": "$response.body#/documents/0/document"},
        ),
    ),
    "faq.put_entry": (
        _JOB,
        Link(("faq.read_entry", "faq.delete_entry"), {"id": "$response.body#/id"}, status=202),
    ),
    "faq.delete_entry": (_JOB,),
    "faq_drafts.list_drafts": (
        Link(
            ("faq_drafts.accept_draft", "faq_drafts.dismiss_draft"),
            {"id": "$response.body#/drafts/0/id"},
        ),
    ),
    "dead_letters.list_dead_letters": (
        Link(
            ("dead_letters.retry_dead_letter", "dead_letters.drop_dead_letter"),
            {"id": "$response.body#/dead_letters/0/id"},
        ),
    ),
    "plugins.list_plugins": (
        Link(
            ("plugins.change_plugin", "plugins.reload_plugin"),
            {"name": "$response.body#/plugins/0/name"},
        ),
    ),
    "uploads.upload_documents": (_JOB,),
    "knowledge.publish": (_JOB,),
    "knowledge.roll_back": (_JOB,),
    "knowledge.delete_document": (_JOB,),
}


def path_schema(converter: str, name: str) -> dict[str, Any]:
    """Return the schema of a parameter in a path, as the router reads it."""
    return dict(_SLASHES if converter == "path" else _IN_PATH.get(name, _ID))


def asked_header(endpoint: str, name: str) -> dict[str, Any]:
    """Return the parameter of a header that a route looks at."""
    told, pattern = _ASKED_BY.get((endpoint, name), _ASKED[name])
    return {
        "name": name,
        "in": "header",
        "required": False,
        "description": told,
        "schema": {"type": "string", "pattern": pattern},
    }


def answer_headers(*names: str) -> dict[str, Any]:
    """Return the headers of an answer: those of every one, and these."""
    listed = ("X-Trace-ID", "X-Served-By", *names)
    return {name: {"$ref": f"#/components/headers/{name}"} for name in listed}


def links_of(endpoint: str, status: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield name and body of each link of an answer."""
    for link in LINKS.get(endpoint, ()):
        if link.status == status:
            for target in link.to:
                operation = operation_id(target)
                yield operation, {"operationId": operation, "parameters": dict(link.parameters)}


def operation_id(endpoint: str) -> str:
    """Return the id of an endpoint's operation."""
    return endpoint.replace(".", "_")
