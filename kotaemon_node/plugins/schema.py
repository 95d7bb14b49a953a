"""The JSON schema of ``run``: as its class says it, else from the annotations of the method."""

import inspect
import types
import typing
from collections.abc import Mapping
from typing import Any, Final, Literal, Union

GIVEN: Final = frozenset(
    {"user_input", "session_id", "user_id", "slots", "context", "idempotency_key"}
)
"""What a method gets by these names comes from the call, never from whoever chose arguments."""

_TYPES: Final[Mapping[Any, str]] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    dict: "object",
    list: "array",
    tuple: "array",
    type(None): "null",
}


def takes(method: Any) -> tuple[frozenset[str], bool]:
    """Return the names that a method takes, and whether it takes any (``**arguments``)."""
    parameters = inspect.signature(method).parameters.values()
    names = {it.name for it in parameters if it.kind in {it.POSITIONAL_OR_KEYWORD, it.KEYWORD_ONLY}}
    return frozenset(names), any(it.kind is it.VAR_KEYWORD for it in parameters)


def schema_of(said: Mapping[str, Any] | None, run: Any) -> dict[str, Any]:
    """Return the schema of the arguments of ``run``. Raises ``ValueError`` for one that is none."""
    if said is None:
        return _derived(run)
    if said.get("type", "object") != "object":
        raise ValueError("parameters must be the JSON schema of an object")
    properties = said.get("properties", {})
    if not isinstance(properties, Mapping):
        raise ValueError("properties of parameters must be an object")  # noqa: TRY004 - bad data
    if taken := sorted(GIVEN & set(properties)):
        raise ValueError(f"the name {taken[0]} is no argument: it comes with the call")
    return {**said, "type": "object"}


def _derived(run: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(run)
    properties: dict[str, Any] = {}
    required: list[str] = []
    open_ended = False
    for parameter in inspect.signature(run).parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            open_ended = True
        if parameter.kind not in {parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY}:
            continue
        if parameter.name in GIVEN:
            continue
        properties[parameter.name] = _of_type(hints.get(parameter.name, Any))
        if parameter.default is parameter.empty:
            required.append(parameter.name)
    schema: dict[str, Any] = {"type": "object", "properties": properties, "required": required}
    return schema if open_ended else {**schema, "additionalProperties": False}


def _of_type(hint: Any) -> dict[str, Any]:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return {"enum": list(inner)}
    if origin in {Union, types.UnionType}:
        kinds = [_of_type(it) for it in inner]
        names = [it["type"] for it in kinds if isinstance(it.get("type"), str)]
        return {"type": names} if len(names) == len(kinds) else {}
    kind = _TYPES.get(origin or hint)
    if kind is None:
        return {}
    if kind == "array" and inner:
        return {"type": kind, "items": _of_type(inner[0])}
    return {"type": kind}
