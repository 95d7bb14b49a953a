"""``/openapi.json``: the interface described by the code that serves it."""

import re
from collections.abc import Iterable, Iterator, Mapping
from inspect import getdoc
from typing import Any, Final

from flask import Blueprint, Flask, Response, current_app
from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema
from werkzeug.routing import Rule

from kotaemon_node import __version__
from kotaemon_node.api import described
from kotaemon_node.api.answers import kept, to_json
from kotaemon_node.api.context import EXTENSION, services, shared
from kotaemon_node.api.errors import ERRORS, ErrorAnswer
from kotaemon_node.api.frame_forms import chunk_schema, event_schema, frame_schemas
from kotaemon_node.api.openai.errors import OpenAiError, status_of
from kotaemon_node.api.operation import Operation
from kotaemon_node.api.operations import EVERYWHERE, GUARDED, OPERATIONS
from kotaemon_node.api.permissions import PERMISSIONS
from kotaemon_node.api.sse import EVENT_STREAM

routes: Final = Blueprint("openapi", __name__)

_REF: Final = "#/components/schemas/{model}"
_IMPLICIT_METHODS: Final = frozenset({"HEAD", "OPTIONS"})
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


@routes.get("/openapi.json")
def document() -> Response:
    """Describe the interface."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]

    def make() -> bytes:
        return to_json(description(app))

    body = shared().interface.get(lambda: services().uploads.native(make))
    answer = Response(body, mimetype="application/json")
    return kept(answer, cache_control="no-cache")


def description(app: Flask) -> dict[str, Any]:
    """Return the OpenAPI 3.1 description of the routes of ``app``."""
    schemas = _Schemas()
    schemas.definitions.update(frame_schemas())
    open_mode = app.extensions[EXTENSION].services.auth_mode == "open"
    paths: dict[str, dict[str, Any]] = {}
    for rule, method in methods_of(app.url_map.iter_rules()):
        path = template(rule)
        view = app.view_functions[rule.endpoint]
        paths.setdefault(path, {})[method.lower()] = _operation(
            rule,
            OPERATIONS[rule.endpoint],
            told=getdoc(view) or "",
            schemas=schemas,
            open_mode=open_mode,
        )
    schemas.add(ErrorAnswer)
    schemas.add(OpenAiError)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Kotaemon cluster",
            "version": __version__,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "Chat with cited answers on a cluster of identical pods.",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas.definitions,
            "headers": described.ANSWER_HEADERS,
            "securitySchemes": described.SECURITY_SCHEMES,
        },
    }


def methods_of(rules: Iterable[Rule]) -> Iterator[tuple[Rule, str]]:
    """Yield each rule with each method that it was made for, in a stable order."""
    for rule in sorted(rules, key=lambda rule: (rule.rule, rule.endpoint)):
        if rule.websocket:
            continue  # it has a twin that refuses those who ask for no upgrade
        for method in sorted((rule.methods or set()) - _IMPLICIT_METHODS):
            yield rule, method


def template(rule: Rule) -> str:
    """Return the rule's path as OpenAPI writes it: ``<path:doc>`` becomes ``{doc}``."""
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)


class _OurSchemas(GenerateJsonSchema):
    """Answers always hold every field, with a default or not."""

    def field_is_required(self, field: Any, total: bool) -> bool:
        return self.mode == "serialization" or super().field_is_required(field, total)

    def tuple_schema(self, schema: Any) -> dict[str, Any]:
        """Say a pair of equal things as a list of two: many readers know no ``prefixItems``."""
        made = super().tuple_schema(schema)
        items = made.get("prefixItems", [])
        if not items or any(item != items[0] for item in items):
            return made
        rest = {name: value for name, value in made.items() if name != "prefixItems"}
        return {**rest, "items": items[0]}


class _Schemas:
    """Collects the definitions that operations refer to."""

    def __init__(self) -> None:
        self.definitions: dict[str, Any] = {}

    def add(self, form: Any, *, incoming: bool = False) -> dict[str, Any]:
        """Return the schema of ``form``; what it refers to is kept in ``definitions``."""
        schema = TypeAdapter(form).json_schema(
            mode="validation" if incoming else "serialization",
            ref_template=_REF,
            schema_generator=_OurSchemas,
        )
        self.definitions.update(schema.pop("$defs", {}))
        title = schema.get("title")
        if title is None:
            return schema
        self.definitions[title] = schema
        return {"$ref": _REF.format(model=title)}


def _operation(
    rule: Rule, row: Operation, *, told: str, schemas: _Schemas, open_mode: bool
) -> dict[str, Any]:
    access = PERMISSIONS[rule.endpoint]
    summary, _, rest = told.partition("\n")
    operation: dict[str, Any] = {
        "operationId": described.operation_id(rule.endpoint),
        "tags": [row.tag],
        "summary": summary.rstrip("."),
        "parameters": [
            *_path_parameters(rule),
            *_query_parameters(row),
            *_headers(rule.endpoint, row),
        ],
        "responses": _responses(rule.endpoint, row, guarded=not access.public, schemas=schemas),
        "x-roles": ["*"] if access.public else sorted(access.roles),
        "security": [] if access.public else _security(open_mode=open_mode),
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


def _security(*, open_mode: bool) -> list[dict[str, list[str]]]:
    """Any one of them will do; in open mode nobody looks at them."""
    schemes: list[dict[str, list[str]]] = [{name: []} for name in described.SECURITY_SCHEMES]
    return [*schemes, {}] if open_mode else schemes


def _path_parameters(rule: Rule) -> Iterator[dict[str, Any]]:
    for converter, name in re.findall(r"<(?:(\w+):)?(\w+)>", rule.rule):
        schema = described.path_schema(converter, name)
        yield {"name": name, "in": "path", "required": True, "schema": schema}


def _query_parameters(row: Operation) -> Iterator[dict[str, Any]]:
    if row.query is None:
        return
    schema = TypeAdapter(row.query).json_schema(mode="validation")
    for name, field in schema["properties"].items():
        required = name in schema.get("required", ())
        parameter = {"name": name, "in": "query", "required": required, "schema": field}
        # One without a value counts as absent.
        yield parameter if required else {**parameter, "allowEmptyValue": True}


def _headers(endpoint: str, row: Operation) -> Iterator[dict[str, Any]]:
    for name in row.headers:
        yield described.asked_header(endpoint, name)


def _responses(
    endpoint: str, row: Operation, *, guarded: bool, schemas: _Schemas
) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, form in row.answers.items():
        responses[str(status)] = _answer(endpoint, row, status, form, schemas=schemas)
    error_form = OpenAiError.__name__ if row.openai else ErrorAnswer.__name__
    for status, codes in sorted(_codes_by_status(row, guarded=guarded).items()):
        told = "; ".join(f"`{code}`: {ERRORS[code].meaning}" for code in codes)
        headers = ["WWW-Authenticate"] if status == 401 else []
        if all(ERRORS[code].retry_after_s for code in codes):
            headers.append("Retry-After")
        responses[str(status)] = {
            "description": told,
            "headers": described.answer_headers(*headers),
            "content": {"application/json": {"schema": {"$ref": _REF.format(model=error_form)}}},
        }
    return responses


def _answer(
    endpoint: str, row: Operation, status: int, form: Any, *, schemas: _Schemas
) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if form is not None and row.json:
        content["application/json"] = {"schema": schemas.add(form)}
    if row.media is not None and status == 200:
        content[row.media] = {"schema": _media_schema(row)}
    headers = {201: ("Location",), 202: ("Location",), 200: ("ETag",) * (304 in row.answers)}
    answer: dict[str, Any] = {
        "description": _MEANINGS[status],
        "headers": described.answer_headers(*headers.get(status, ())),
    }
    links = dict(described.links_of(endpoint, status))
    return answer | ({"content": content} if content else {}) | ({"links": links} if links else {})


def _media_schema(row: Operation) -> dict[str, Any]:
    if row.media != EVENT_STREAM:
        return {"type": "string"}
    return chunk_schema() if row.openai else event_schema()


def _codes_by_status(row: Operation, *, guarded: bool) -> dict[int, list[str]]:
    codes: dict[int, list[str]] = {}
    for code in dict.fromkeys((*EVERYWHERE, *(GUARDED if guarded else ()), *row.errors)):
        status = status_of(code) if row.openai else ERRORS[code].status
        codes.setdefault(status, []).append(code)
    return codes


_MEANINGS: Final[Mapping[int, str]] = {
    101: "The connection speaks WebSocket from here on.",
    200: "As asked.",
    201: "Made.",
    202: "Accepted and still running; `Location` names where to look.",
    204: "Done; there is nothing to say.",
    303: "The browser goes on elsewhere.",
    304: "The copy at hand is still good.",
    503: "This pod cannot serve; `reasons` says why.",
}
