"""``/openapi.json``: the interface described by the code that serves it."""

import re
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from inspect import getdoc
from typing import Any, Final

from flask import Blueprint, Flask, Response, current_app
from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema
from werkzeug.routing import Rule

from kotaemon_node.api.answers import json_answer, kept
from kotaemon_node.api.errors import ERRORS, ErrorAnswer
from kotaemon_node.api.inputs import NUMBER_MAX
from kotaemon_node.api.operations import EVERYWHERE, GUARDED, OPERATIONS, Operation
from kotaemon_node.api.permissions import PERMISSIONS
from kotaemon_node.api.principal import KEY_HEADER, LOGIN_COOKIE
from kotaemon_node.domain.ids import ID_PATTERN

routes: Final = Blueprint("openapi", __name__)

_REF: Final = "#/components/schemas/{model}"
_IMPLICIT_METHODS: Final = frozenset({"HEAD", "OPTIONS"})
_ID_SCHEMA: Final[Mapping[str, Any]] = {"type": "string", "pattern": f"^{ID_PATTERN}$"}
_PATH_SCHEMAS: Final[Mapping[str, Mapping[str, Any]]] = {
    "generation": {"type": "integer", "minimum": 0, "maximum": NUMBER_MAX},
    "doc": {"type": "string", "description": "May contain slashes."},
    "name": {"type": "string", "description": "May contain slashes."},
}
_UPLOAD_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "required": ["file"],
    "properties": {
        "path": {
            "type": "string",
            "description": "Name of the document, below its knowledge base; before its file.",
        },
        "file": {
            "type": "string",
            "contentMediaType": "application/octet-stream",
            "description": "May be repeated.",
        },
    },
}
_SECURITY_SCHEMES: Final[Mapping[str, Mapping[str, str]]] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key."},
    "apiKey": {"type": "apiKey", "in": "header", "name": KEY_HEADER, "description": "The same."},
    "login": {
        "type": "apiKey",
        "in": "cookie",
        "name": LOGIN_COOKIE,
        "description": "Set by `POST /v1/login`, for the page.",
    },
}
_HEADERS: Final[Mapping[str, str]] = {
    "X-Turn-Default": "Turn id where the request names none; the balancer sets it.",
    "Last-Event-ID": "`<turn_id>:<seq>` or a number: frames after it are wanted.",
    "If-None-Match": "ETag of the copy at hand.",
}


@routes.get("/openapi.json")
def document() -> Response:
    """Describe the interface."""
    return kept(json_answer(description(current_app)), cache_control="no-cache")


def description(app: Flask) -> dict[str, Any]:
    """Return the OpenAPI 3.1 description of the routes of ``app``."""
    schemas = _Schemas()
    paths: dict[str, dict[str, Any]] = {}
    for rule, method in methods_of(app.url_map.iter_rules()):
        path = template(rule)
        view = app.view_functions[rule.endpoint]
        paths.setdefault(path, {})[method.lower()] = _operation(
            rule, OPERATIONS[rule.endpoint], told=getdoc(view) or "", schemas=schemas
        )
    schemas.add(ErrorAnswer)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Kotaemon cluster",
            "version": _version(),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "Chat with cited answers on a cluster of identical pods.",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": schemas.definitions, "securitySchemes": _SECURITY_SCHEMES},
    }


def methods_of(rules: Iterable[Rule]) -> Iterator[tuple[Rule, str]]:
    """Yield each rule with each method that it was made for, in a stable order."""
    for rule in sorted(rules, key=lambda rule: (rule.rule, rule.endpoint)):
        for method in sorted((rule.methods or set()) - _IMPLICIT_METHODS):
            yield rule, method


def template(rule: Rule) -> str:
    """Return the rule's path as OpenAPI writes it: ``<path:doc>`` becomes ``{doc}``."""
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)


class _RequiredInAnswers(GenerateJsonSchema):
    """Answers always hold every field, with a default or not."""

    def field_is_required(self, field: Any, total: bool) -> bool:
        return self.mode == "serialization" or super().field_is_required(field, total)


class _Schemas:
    """Collects the definitions that operations refer to."""

    def __init__(self) -> None:
        self.definitions: dict[str, Any] = {}

    def add(self, form: Any, *, incoming: bool = False) -> dict[str, Any]:
        """Return the schema of ``form``; what it refers to is kept in ``definitions``."""
        schema = TypeAdapter(form).json_schema(
            mode="validation" if incoming else "serialization",
            ref_template=_REF,
            schema_generator=_RequiredInAnswers,
        )
        self.definitions.update(schema.pop("$defs", {}))
        title = schema.get("title")
        if title is None:
            return schema
        self.definitions[title] = schema
        return {"$ref": _REF.format(model=title)}


def _operation(rule: Rule, row: Operation, *, told: str, schemas: _Schemas) -> dict[str, Any]:
    access = PERMISSIONS[rule.endpoint]
    summary, _, rest = told.partition("\n")
    operation: dict[str, Any] = {
        "operationId": rule.endpoint.replace(".", "_"),
        "tags": [row.tag],
        "summary": summary.rstrip("."),
        "parameters": [*_path_parameters(rule), *_query_parameters(row), *_headers(row)],
        "responses": _responses(row, guarded=not access.public, schemas=schemas),
        "x-roles": ["*"] if access.public else sorted(access.roles),
        # Any one of them will do; in open mode nobody looks at them.
        "security": [] if access.public else [{name: []} for name in _SECURITY_SCHEMES],
    }
    if rest.strip():
        operation["description"] = rest.strip()
    if row.body is not None:
        schema = schemas.add(row.body, incoming=True)
        needed = any(field.is_required() for field in row.body.model_fields.values())
        operation["requestBody"] = {
            "required": needed,
            "content": {"application/json": {"schema": schema}},
        }
    if row.upload:
        form = row.upload if isinstance(row.upload, Mapping) else _UPLOAD_SCHEMA
        operation["requestBody"] = {
            "required": True,
            "content": {"multipart/form-data": {"schema": dict(form)}},
        }
    return operation


def _path_parameters(rule: Rule) -> Iterator[dict[str, Any]]:
    for name in re.findall(r"<(?:\w+:)?(\w+)>", rule.rule):
        schema = _PATH_SCHEMAS.get(name, _ID_SCHEMA)
        yield {"name": name, "in": "path", "required": True, "schema": dict(schema)}


def _query_parameters(row: Operation) -> Iterator[dict[str, Any]]:
    if row.query is None:
        return
    schema = TypeAdapter(row.query).json_schema(mode="validation")
    for name, field in schema["properties"].items():
        required = name in schema.get("required", ())
        yield {"name": name, "in": "query", "required": required, "schema": field}


def _headers(row: Operation) -> Iterator[dict[str, Any]]:
    for name in row.headers:
        yield {
            "name": name,
            "in": "header",
            "required": False,
            "description": _HEADERS[name],
            "schema": {"type": "string"},
        }


def _responses(row: Operation, *, guarded: bool, schemas: _Schemas) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, form in row.answers.items():
        answer: dict[str, Any] = {"description": _MEANINGS[status]}
        content: dict[str, Any] = {}
        if form is not None and row.json:
            content["application/json"] = {"schema": schemas.add(form)}
        if row.media is not None and status == 200:
            content[row.media] = {"schema": {"type": "string"}}
        if content:
            answer["content"] = content
        responses[str(status)] = answer
    for status, codes in sorted(_codes_by_status(row, guarded=guarded).items()):
        told = "; ".join(f"`{code}`: {ERRORS[code].meaning}" for code in codes)
        responses[str(status)] = {
            "description": told,
            "content": {"application/json": {"schema": {"$ref": _REF.format(model="ErrorAnswer")}}},
        }
    return responses


def _codes_by_status(row: Operation, *, guarded: bool) -> dict[int, list[str]]:
    codes: dict[int, list[str]] = {}
    for code in dict.fromkeys((*EVERYWHERE, *(GUARDED if guarded else ()), *row.errors)):
        codes.setdefault(ERRORS[code].status, []).append(code)
    return codes


_MEANINGS: Final[Mapping[int, str]] = {
    200: "As asked.",
    201: "Made.",
    202: "Accepted and still running; `Location` names where to look.",
    204: "Done; there is nothing to say.",
    304: "The copy at hand is still good.",
    503: "This pod cannot serve; `reasons` says why.",
}


def _version() -> str:
    try:
        return version("kotaemon-cluster")
    except PackageNotFoundError:
        return "0+source"
