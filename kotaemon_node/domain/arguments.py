"""Arguments of a call against the JSON schema of its tool: required keys, plain types, choices.

A language model that errs does so in these; whatever else a schema may say is the tool's own to
check.
"""

from collections.abc import Mapping
from typing import Any, Final

_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}


def problem_of_schema(schema: Mapping[str, Any]) -> str | None:
    """Return why ``problem_of`` cannot read a schema, in a sentence for its author, or None."""
    properties = schema.get("properties") or {}
    if not isinstance(properties, Mapping) or not all(isinstance(it, str) for it in properties):
        return "properties must be an object"
    if not _texts(schema.get("required") or []):
        return "required must be a list of names"
    for name, value in properties.items():
        if isinstance(value, bool):  # JSON schema's "anything" and "nothing"
            continue
        if not isinstance(value, Mapping):
            return f"the property {name:.64} must be a JSON schema"
        wanted = value.get("type")
        if wanted is not None and not isinstance(wanted, str) and not _texts(wanted):
            return f"the type of the property {name:.64} must be a name or a list of names"
    return None


def _texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(it, str) for it in value)


def problem_of(arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the arguments, in a sentence for whoever wrote them, or None."""
    properties = schema.get("properties") or {}
    for name in schema.get("required") or ():
        if name not in arguments:
            return f"the argument {name} is missing"
    for name, value in arguments.items():
        if name not in properties:
            if schema.get("additionalProperties") is False:
                known = ", ".join(properties) or "none"
                return f"there is no argument {str(name)[:64]}; the arguments are: {known}"
            continue
        problem = _value_problem(name, value, properties[name])
        if problem:
            return problem
    return None


def _value_problem(name: str, value: object, schema: object) -> str | None:
    if not isinstance(schema, dict):
        return None
    wanted = schema.get("type")
    names = [wanted] if isinstance(wanted, str) else list(wanted or ())
    if names and not any(_is(value, kind) for kind in names):
        return f"the argument {name} must be of type {' or '.join(names)}"
    choices = schema.get("enum")
    if isinstance(choices, list) and value not in choices:
        return f"the argument {name} must be one of {', '.join(map(str, choices))}"
    return None


def _is(value: object, kind: str) -> bool:
    if isinstance(value, bool):  # which Python takes for an integer
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):  # 3.0 is one, for JSON
        return value.is_integer()
    return isinstance(value, _TYPES.get(kind, (object,)))
