"""The schema of frames, type by type: what every stream sends, and the description says of it.

One table. A client reads ``type`` first; fields that are not listed here may come with a newer pod.
"""

from collections.abc import Mapping
from typing import Any, Final

from kotaemon_node.domain.frames import UNSTORED
from kotaemon_node.domain.handoff import BY

Schema = Mapping[str, Any]

_TEXT: Final[Schema] = {"type": "string"}
_FLAG: Final[Schema] = {"type": "boolean"}
_COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
_SECONDS: Final[Schema] = {"type": "number"}
_OBJECT: Final[Schema] = {"type": "object"}
_SPAN: Final[Schema] = {"type": "array", "items": _COUNT, "minItems": 2, "maxItems": 2}

_DOC: Final[Schema] = {
    "type": "object",
    "description": "A document that the text cites as `[n]`.",
    "properties": {
        "n": {"type": "integer", "minimum": 1},
        "id": _TEXT,
        "title": _TEXT,
        "document": _TEXT,
        "revision": _TEXT,
        "page": {"type": ["integer", "null"]},
        "heading": {"type": "array", "items": _TEXT},
        "span": _SPAN,
        "quotes": {"type": "array", "items": _SPAN},
        "kb": _TEXT,
        "generation": _COUNT,
        "url": _TEXT,
    },
    "required": ["n", "id", "title", "document", "span", "kb", "generation", "url"],
}

# Type: what it means, its fields, and those of them that may be missing.
_TYPES: Final[Mapping[str, tuple[str, Mapping[str, Schema], frozenset[str]]]] = {
    "status": ("In which phase the turn is.", {"phase": _TEXT, "latency": _SECONDS}, frozenset()),
    "source": ("What the text cites.", {"docs": {"type": "array", "items": _DOC}}, frozenset()),
    "tool_call": (
        "How the call of a tool stands.",
        {
            "name": _TEXT,
            "args": _OBJECT,
            "step": _TEXT,
            "state": {"enum": ["started", "done", "failed", "unknown", "proposed", "handed"]},
            "result": {},
            "later": {"type": "boolean"},
            "id": _TEXT,
        },
        frozenset({"step", "result", "later", "id"}),
    ),
    "text": (
        "A piece of the answer, at `offset` code points; `author` where a person wrote it.",
        {"content": _TEXT, "offset": _COUNT, "author": _TEXT, "name": _TEXT},
        frozenset({"author", "name"}),
    ),
    "restart": ("The text so far is void; the next offset is 0.", {}, frozenset()),
    "handoff": (
        "A person has the session (`active`), or has it no more.",
        {"active": _FLAG, "since": _SECONDS, "reason": _TEXT, "by": {"enum": list(BY)}},
        frozenset(),
    ),
    "error": (
        "The turn failed; without `seq`, only the stream did.",
        {"code": _TEXT, "message": _TEXT, "retryable": _FLAG, "retry_after_s": _COUNT},
        frozenset({"retry_after_s"}),
    ),
    "done": (
        "The turn ended. `answer` is all texts since the last `restart`.",
        {
            "state": {"enum": ["done", "cancelled", "interrupted"]},
            "answer": _TEXT,
            "version": _COUNT,
            "generation": {"type": "object", "additionalProperties": _COUNT},
            "usage": _OBJECT,
            "timings": _OBJECT,
            "degraded": {"type": ["string", "null"]},
        },
        frozenset({"generation", "usage", "timings", "degraded"}),
    ),
    "reconnect": ("This pod is leaving; come back after so long.", {"retry_ms": _COUNT},
        frozenset()),
    "snapshot": (
        "The whole answer up to number `last`, where older frames are no longer kept.",
        {"content": _TEXT, "last": _COUNT},
        frozenset(),
    ),
    "turn": (
        "A turn of the session begins, or was missed; its frames follow.",
        {"message": _TEXT, "state": _TEXT},
        frozenset(),
    ),
}  # fmt: skip

# An error is numbered where it ends the turn, a handoff where a turn tells of it.
_SOMETIMES_NUMBERED: Final = frozenset({"error", "handoff"})


def frame_schemas() -> dict[str, dict[str, Any]]:
    """Return a schema by name: ``Frame``, one of each type's own."""
    named = {f"{_title(kind)}Frame": _schema(kind) for kind in _TYPES}
    return {
        **named,
        "Frame": {
            "description": "A piece of a turn's stream. `seq` is 1, 2, 3… in a turn.",
            "oneOf": [_ref(name) for name in named],
            "discriminator": {
                "propertyName": "type",
                "mapping": {kind: _ref(f"{_title(kind)}Frame")["$ref"] for kind in _TYPES},
            },
        },
    }


def event_schema() -> dict[str, Any]:
    """Return the schema of one server-sent event: its data is a frame."""
    return {
        "type": "object",
        "description": "One event of the stream; comments are heartbeats.",
        "properties": {
            "id": {"type": "string", "description": "`<turn_id>:<seq>`, for Last-Event-ID."},
            "event": {"type": "string", "description": "The type of the frame."},
            "data": {
                "type": "string",
                "contentMediaType": "application/json",
                "contentSchema": _ref("Frame"),
            },
        },
        "required": ["event", "data"],
    }


def chunk_schema() -> dict[str, Any]:
    """Return the schema of one event of a stream in OpenAI's form: chunks, then ``[DONE]``."""
    data = {"type": "string", "description": "A `chat.completion.chunk` in JSON, or `[DONE]`."}
    return {"type": "object", "properties": {"data": data}, "required": ["data"]}


def _schema(kind: str) -> dict[str, Any]:
    told, fields, optional = _TYPES[kind]
    head: dict[str, Schema] = {"type": {"const": kind}, "trace_id": _TEXT}
    required = ["type", "trace_id"]
    if kind not in UNSTORED:
        head |= {"seq": {"type": "integer", "minimum": 1}}
        required += [] if kind in _SOMETIMES_NUMBERED else ["seq", "turn_id"]
    head["turn_id"] = _TEXT
    required += [name for name in fields if name not in optional]
    return {
        "type": "object",
        "description": told,
        "properties": {**head, **fields},
        "required": required,
    }


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _title(kind: str) -> str:
    return "".join(word.capitalize() for word in kind.split("_"))
