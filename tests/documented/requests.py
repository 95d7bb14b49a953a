"""Whether a request of a page is one that the interface takes: route, method, query and body."""

import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from jsonschema import Draft202012Validator

from tests.fakes.services import FakeCluster

_OF_OTHERS = {
    "$ES": "Elasticsearch",
    "http://127.0.0.1:9090": "Prometheus",
    "$LLM_BASE_URL": "a language model",
}
"""Servers that pages ask besides ours, as they name them."""
_ENCODER = re.compile(r"https?://encoder:\d+")
_ENCODER_PATHS = {"/v1/embeddings": "POST", "/v1/models": "GET", "/metrics": "GET"}
_OTHER_DOORS = {
    ("GET", "/leave"): "a pod's own port, for who stops it",
    ("GET", "/certificate"): "the balancer",
    ("POST", "/rerank"): "a server of a cross-encoder",
}
"""What sentences name that is no route of the interface."""
_PLACE = re.compile(
    r"(?P<server>\$\{?[A-Z]+\}?|(?:(?:http|ws)s?://)?[\w.$-]+(?::\w+)?)?(?P<path>/.*)"
)
_VARIABLE = re.compile(r"\$\{?\w+\}?")
_TAKES_A_WORD = set("HdXFowDbcmu")


@dataclass(frozen=True, slots=True)
class Request:
    """What a ``curl`` sends; ``body`` None: nothing."""

    method: str
    url: str
    body: str | None
    form: tuple[str, ...]
    query: tuple[str, ...]


def request_of(words: tuple[str, ...]) -> Request:
    """Return what ``curl`` does with these words."""
    urls: list[str] = []
    said: dict[str, list[str]] = {}
    left = list(words[1:])
    while left:
        word = left.pop(0)
        if word.startswith("--"):
            name = {"--data-urlencode": "d", "--data": "d", "--request": "X", "--form": "F",
                    "--header": "H", "--get": "G"}.get(word, word)  # fmt: skip
            said.setdefault(name, []).append(left.pop(0) if name in _TAKES_A_WORD else "")
        elif word.startswith("-") and len(word) > 1:
            for place, letter in enumerate(word[1:], 1):
                if letter in _TAKES_A_WORD:
                    said.setdefault(letter, []).append(word[place + 1 :] or left.pop(0))
                    break
                said.setdefault(letter, []).append("")
        else:
            urls.append(word)
    [url] = urls
    sent = said.get("d", [])
    asked = "G" in said
    method = "POST" if (sent and not asked) or "F" in said else "GET"
    return Request(
        method=said.get("X", [method])[-1],
        url=url,
        body=sent[-1] if sent and not asked else None,
        form=tuple(said.get("F", ())),
        query=tuple(sent) if asked else (),
    )


def curl_problems(words: tuple[str, ...]) -> Iterator[str]:
    """Yield what no such request finds."""
    request = request_of(words)
    if any(request.url.startswith(server) for server in _OF_OTHERS):
        return
    if re.fullmatch(r"\$[A-Z]+\$[a-z]+", request.url):
        return  # the path is from an answer
    place = _PLACE.fullmatch(request.url)
    if place is None:
        yield f"no path in {request.url}"
        return
    if _ENCODER.fullmatch(place["server"] or ""):
        if _ENCODER_PATHS.get(place["path"]) != request.method:
            yield f"the encoder's server has no {request.method} {place['path']}"
        return
    yield from problems(request.method, place["path"], query=request.query, body=request.body)
    parts = {text.partition("=")[0] for text in request.form}
    if request.form and not parts <= {"file", "path"}:
        yield f"an upload has no {parts}"


def problems(
    method: str, path: str, *, query: tuple[str, ...] = (), body: str | None = None
) -> Iterator[str]:
    """Yield what is wrong with a request of ours; placeholders fit everywhere."""
    split = urlsplit(path)
    if (method, split.path) in _OTHER_DOORS:
        return
    operation = _operation(method, split.path)
    if operation is None:
        yield f"no route {method} {split.path}"
        return
    names = {it["name"] for it in operation.get("parameters", ()) if it["in"] == "query"}
    pairs = [*parse_qsl(split.query, keep_blank_values=True), *(_pair(text) for text in query)]
    for name, _ in pairs:
        if name not in names:
            yield f"{method} {split.path} has no parameter {name}"
    if body is not None and not body.startswith("@"):
        yield from _body_problems(operation, body, f"{method} {split.path}")


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def _body_problems(operation: Any, body: str, what: str) -> Iterator[str]:
    forms = operation.get("requestBody", {}).get("content", {})
    if "application/json" not in forms:
        yield f"{what} takes no JSON"
        return
    try:
        sent = json.loads(_VARIABLE.sub("x1", body))
    except ValueError as error:
        yield f"{what}: {error}: {body}"
        return
    schema = {**forms["application/json"]["schema"], "components": described()["components"]}
    for error in Draft202012Validator(schema).iter_errors(sent):
        yield f"{what}: {error.json_path}: {error.message}"


def _operation(method: str, path: str) -> Any:
    for template, methods in sorted(described()["paths"].items(), key=lambda row: "{" in row[0]):
        if _fits(template, path) and method.lower() in methods:
            return methods[method.lower()]
    return None


def _fits(template: str, path: str) -> bool:
    tail = r".+" if template.endswith(("{doc}", "{name}", "{id}")) else r"[^/]+"
    pattern = re.sub(r"\\{\w+\\}", r"[^/]+", re.escape(template))
    if template.endswith("}"):
        pattern = pattern.removesuffix("[^/]+") + tail
    return re.fullmatch(pattern, path.rstrip("/") or "/") is not None


@cache
def described() -> Any:
    """Return the description of the interface, as pods serve it."""
    client = FakeCluster().client()
    with contextlib.closing(client.get("/openapi.json")) as answer:
        return answer.json


def told_of(span: str) -> tuple[str, str] | None:
    """Return method and path of a request that a sentence names, as ``GET /v1/audit``."""
    found = re.fullmatch(r"(GET|POST|PUT|DELETE|PATCH) (/\S*)", span)
    return (found[1], re.sub(r"<[\w-]+>|…", "x", found[2])) if found else None
