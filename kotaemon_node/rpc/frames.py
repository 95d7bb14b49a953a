"""Frames as messages and back. What a message has no field for stands in ``extra``, as JSON.

None and what is empty are not told apart from what is absent: protobuf has no word for them.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from kotaemon_node.rpc.kotaemon_pb2 import Frame, GenerateResponse

_BODIES: Final[Mapping[str, str]] = {"source": "source"} | {
    name: name
    for name in ("status", "tool_call", "text", "restart", "reconnect", "snapshot", "error", "done",
                 "handoff")
}  # fmt: skip
_HEAD: Final = ("type", "seq", "turn_id", "trace_id")
_EXTRA: Final = "extra"
_JSON: Final = "_json"
"""Ends the names of fields that hold any JSON value as text."""
_INT_MAX: Final = 2**63


def frame_message(raw: Mapping[str, Any], *, session_id: str) -> Frame:
    """Return the message of a frame as clients of HTTP see it."""
    frame = Frame(
        type=raw["type"],
        turn_id=raw.get("turn_id", ""),
        trace_id=raw.get("trace_id", ""),
        session_id=session_id,
    )
    if raw.get("seq") is not None:
        frame.seq = raw["seq"]
    rest = {name: value for name, value in raw.items() if name not in _HEAD}
    if name := _BODIES.get(raw["type"]):
        body = getattr(frame, name)
        body.SetInParent()
        rest = _fill(body, rest)
    if rest:
        frame.extra = json.dumps(rest, ensure_ascii=False)
    return frame


def frame_fields(frame: Frame) -> dict[str, Any]:
    """Return what ``frame_message`` was made of."""
    raw: dict[str, Any] = {"type": frame.type, "turn_id": frame.turn_id}
    raw["trace_id"] = frame.trace_id
    if frame.HasField("seq"):
        raw["seq"] = frame.seq
    if body := frame.WhichOneof("body"):
        raw |= _read(getattr(frame, body))
    return raw | (json.loads(frame.extra) if frame.extra else {})


def response_message(
    done: Mapping[str, Any], docs: list[Any], *, session_id: str
) -> GenerateResponse:
    """Return the answer that ``done`` ends, with the sources that its text cites."""
    answer = GenerateResponse(output=done.get("answer", ""), session_id=session_id)
    named = {name: done.get(name) for name in ("trace_id", "turn_id", "state", "degraded")}
    counted = {name: done.get(name) for name in ("version", "usage", "generation", "timings")}
    _fill(answer, {**named, **counted, "sources": docs})
    return answer


def _fill(message: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """Put ``values`` into the fields of their names; return what has none, or does not fit."""
    rest: dict[str, Any] = {}
    for name, value in values.items():
        if value is None or (isinstance(value, dict | list) and not value):
            continue
        fields = message.DESCRIPTOR.fields_by_name
        if name + _JSON in fields:
            setattr(message, name + _JSON, json.dumps(value, ensure_ascii=False))
        elif name not in fields or name == _EXTRA or not _put(message, fields[name], value):
            rest[name] = value
    if rest and _EXTRA in message.DESCRIPTOR.fields_by_name:
        message.extra = json.dumps(rest, ensure_ascii=False)
        return {}
    return rest


def _put(message: Any, field: Any, value: Any) -> bool:
    """Set a field; False where the value is of another kind."""
    if field.message_type is None:
        return _put_plain(message, field, value)
    target = getattr(message, field.name)
    if field.message_type.GetOptions().map_entry:
        if not (isinstance(value, Mapping) and all(map(_is_number, value.values()))):
            return False
        target.update(value)
        return True
    if not field.is_repeated:
        return _put_message(target, value)
    return isinstance(value, list) and all(_put_message(target.add(), one) for one in value)


def _put_plain(message: Any, field: Any, value: Any) -> bool:
    if field.is_repeated:
        if not (isinstance(value, list) and all(isinstance(one, str) for one in value)):
            return False
        getattr(message, field.name).extend(value)
        return True
    kinds = {
        field.CPPTYPE_STRING: isinstance(value, str),
        field.CPPTYPE_BOOL: isinstance(value, bool),
        field.CPPTYPE_DOUBLE: _is_number(value),
        field.CPPTYPE_INT64: type(value) is int and abs(value) < _INT_MAX,
    }
    if kinds.get(field.cpp_type):
        setattr(message, field.name, value)
        return True
    return False


def _put_message(target: Any, value: Any) -> bool:
    if target.DESCRIPTOR.name == "Span":
        target.start, target.end = value
        return True
    target.SetInParent()
    return isinstance(value, Mapping) and not _fill(target, value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _read(message: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.name == _EXTRA:
            found |= json.loads(value) if value else {}
        elif field.is_repeated:
            if value:
                found[field.name] = _read_many(field, value)
        elif field.message_type is not None:
            if message.HasField(field.name):
                found[field.name] = _read_one(value)
        elif not field.has_presence or message.HasField(field.name):
            name = field.name.removesuffix(_JSON)
            found[name] = json.loads(value or "null") if name != field.name else value
    return found


def _read_many(field: Any, value: Any) -> Any:
    if field.message_type is None:
        return list(value)
    if field.message_type.GetOptions().map_entry:
        return dict(value)
    return [_read_one(one) for one in value]


def _read_one(value: Any) -> Any:
    return [value.start, value.end] if value.DESCRIPTOR.name == "Span" else _read(value)
