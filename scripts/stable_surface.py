"""What others build on, as one value: routes and frames, errors, gRPC, and the Python packages.

Prose is left out: how something is told may change at any time.
"""

import importlib
import inspect
from collections.abc import Iterator, Mapping
from typing import Any, Final

from kotaemon_node.api.errors import ERRORS
from kotaemon_node.rpc import kotaemon_pb2

PACKAGES: Final = (
    *("kotaemon_node.client", "kotaemon_node.plugins", "kotaemon_node.conversation"),
    *("kotaemon_node.rag", "kotaemon_node.tools"),
)
_PROSE: Final = frozenset({"description", "title", "summary", "example", "examples", "default"})


def surface(described: Mapping[str, Any]) -> dict[str, Any]:
    """Return all that is stable; ``described``: what ``/openapi.json`` answers."""
    return {
        "routes": {
            f"{method.upper()} {path}": _operation(operation)
            for path, methods in described["paths"].items()
            for method, operation in methods.items()
        },
        "schemas": {
            name: _bare(schema) for name, schema in described["components"]["schemas"].items()
        },
        "errors": {code: row.status for code, row in ERRORS.items()},
        "grpc": _grpc(),
        "python": {name: _public(name) for name in PACKAGES},
    }


def _operation(said: Mapping[str, Any]) -> dict[str, Any]:
    body = said.get("requestBody")
    return {
        "parameters": {
            f"{one['in']} {one['name']}": {
                "required": one.get("required", False),
                "schema": _bare(one["schema"]),
            }
            for one in said.get("parameters", ())
        },
        "body": _contents(body) if body else {},
        "body_required": bool(body and body.get("required")),
        "answers": {
            status: _contents(answer)
            for status, answer in said["responses"].items()
            if status < "400"  # errors have a table of their own
        },
    }


def _contents(said: Mapping[str, Any]) -> dict[str, Any]:
    return {kind: _bare(one.get("schema", {})) for kind, one in said.get("content", {}).items()}


def _bare(schema: Any) -> Any:
    """Return a schema without prose; properties may be named like prose."""
    if isinstance(schema, list):
        return [_bare(one) for one in schema]
    if not isinstance(schema, Mapping):
        return schema
    return {
        name: {key: _bare(one) for key, one in value.items()}
        if name == "properties"
        else _bare(value)
        for name, value in schema.items()
        if name not in _PROSE
    }


def _grpc() -> dict[str, Any]:
    file = kotaemon_pb2.DESCRIPTOR
    return {
        "methods": {
            f"{service.name}.{method.name}": [
                method.input_type.name,
                method.output_type.name,
                method.server_streaming,
            ]
            for service in file.services_by_name.values()
            for method in service.methods
        },
        "fields": {
            f"{message.full_name}.{field.number}": [field.name, field.type, field.is_repeated]
            for message in _messages(file.message_types_by_name.values())
            for field in message.fields
        },
    }


def _messages(these: Any) -> Iterator[Any]:
    for message in these:
        yield message
        yield from _messages(message.nested_types)


def _public(package: str) -> dict[str, Any]:
    module = importlib.import_module(package)
    found: dict[str, Any] = {}
    for name in module.__all__:
        thing = getattr(module, name)
        found[name] = _parameters(thing)
        if inspect.isclass(thing):
            found.update({f"{name}.{member}": said for member, said in _members(thing)})
    return found


def _members(thing: type) -> Iterator[tuple[str, Any]]:
    """Yield fields and methods that others may use."""
    for base in reversed(thing.__mro__):
        if _ours(base):
            for name in getattr(base, "__annotations__", {}):
                if not name.startswith("_"):
                    yield name, None
    for name, value in inspect.getmembers(thing):
        if not name.startswith("_") and _ours(value):
            yield name, _parameters(value)


def _ours(value: Any) -> bool:
    """Tell whether a member is written in this project, and not inherited from Python's own."""
    if isinstance(value, property):
        return True
    return callable(value) and str(getattr(value, "__module__", "")).startswith("kotaemon_node")


def _parameters(thing: Any) -> list[list[Any]] | None:
    """Return name, kind and whether it may be left out, in order; None for what is not called."""
    if not callable(thing):
        return None
    try:
        signature = inspect.signature(thing)
    except ValueError:
        return []
    return [
        [name, one.kind.name, one.default is not inspect.Parameter.empty]
        for name, one in signature.parameters.items()
        if name != "self"
    ]
