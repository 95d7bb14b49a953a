"""``/openapi.json``: valid, whole, and true of what the routes answer."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from kotaemon_node.api.app import create_app
from kotaemon_node.api.errors import ERRORS
from kotaemon_node.api.openai.errors import speaks_openai
from kotaemon_node.api.openapi import methods_of, template
from kotaemon_node.domain.errors import KnowledgeBehind, StoreUnavailable
from kotaemon_node.domain.turn import State
from tests.fakes.knowledge_base import DOCUMENT, GENERATION, OLD_REVISION, PASSAGE
from tests.fakes.services import FakeCluster


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    description: dict[str, Any] = FakeCluster().client().get("/openapi.json").json
    return description


def test_it_is_made_once_and_away_from_the_serving_loop() -> None:
    """Half a second of computing, for anybody who asks, would stop everybody else."""
    services = FakeCluster().services()
    made: list[object] = []

    def native(work: Callable[..., Any], *arguments: Any) -> Any:
        made.append(work)
        return work(*arguments)

    uploads = replace(services.uploads, native=native)
    client = create_app(replace(services, uploads=uploads)).test_client()

    first, second = client.get("/openapi.json"), client.get("/openapi.json")

    assert len(made) == 1
    assert first.data == second.data
    assert first.headers["ETag"] == second.headers["ETag"]
    assert client.get("/openapi.json", headers={"If-None-Match": first.headers["ETag"]}).data == b""


def test_it_is_valid_openapi(described: dict[str, Any]) -> None:
    assert described["openapi"].startswith("3.1")
    assert list(OpenAPIV31SpecValidator(described).iter_errors()) == []


def test_it_has_every_route_and_method_and_no_other(described: dict[str, Any]) -> None:
    app = create_app(FakeCluster().services())

    served = {
        (template(rule), method.lower()) for rule, method in methods_of(app.url_map.iter_rules())
    }

    assert served == {(path, method) for path, ops in described["paths"].items() for method in ops}


def test_every_operation_says_what_it_is_for_and_how_it_fails(described: dict[str, Any]) -> None:
    names = set()
    for path, operations in described["paths"].items():
        for operation in operations.values():
            assert operation["summary"], path
            assert operation["x-roles"], path
            assert {"400", "500"} <= operation["responses"].keys(), path
            names.add(operation["operationId"])
            spoken = {part[1:-1] for part in path.split("/") if part.startswith("{")}
            listed = {row["name"] for row in operation["parameters"] if row["in"] == "path"}
            assert spoken == listed, path
    assert len(names) == sum(len(operations) for operations in described["paths"].values())


def test_every_reference_leads_somewhere(described: dict[str, Any]) -> None:
    text = json.dumps(described)
    for reference in set(_references(described)):
        found: Any = described
        for step in reference.removeprefix("#/").split("/"):
            assert step in found, reference
            found = found[step]
    assert "$defs" not in text


def test_it_is_kept_until_it_changes() -> None:
    client = FakeCluster().client()
    first = client.get("/openapi.json")

    again = client.get("/openapi.json", headers={"If-None-Match": first.headers["ETag"]})

    assert (again.status_code, again.data) == (304, b"")


COMPLETE = "/v1/chat/completions"
COMPLETION = {"model": "kotaemon", "messages": [{"role": "user", "content": "a"}]}
TURNS = "/v1/sessions/{sid}/turns"
DOC = f"/v1/knowledge/default/documents/{quote(DOCUMENT)}"
ROLLBACK = "/v1/knowledge/default/rollback"
SOURCE = f"/v1/sources/default/{GENERATION}/{PASSAGE.id}"

RATE = "/v1/sessions/s/turns/t/feedback"
SAY = "/v1/sessions/s/agent-messages"
ACCEPT = "/v1/faq/drafts/none/accept"
UPLOAD = "/v1/knowledge/default/documents"


def _form(name: str) -> dict[str, Any]:
    return {"file": (io.BytesIO(b"Some text."), name)}


CHANNEL = "/v1/channels/{channel}/messages"
CALLS: list[tuple[str, str, str, dict[str, Any], int]] = [
    # path as described, method, path as called, arguments, status
    ("/chat", "post", "/chat", {"json": {"message": "a"}}, 200),
    ("/chat", "post", "/chat", {"json": {"message": 1}}, 422),
    ("/chat", "post", "/chat", {"data": b"{", "content_type": "application/json"}, 400),
    ("/chat", "post", "/chat", {"data": b"{}", "content_type": "text/plain"}, 415),
    ("/chat", "post", "/chat", {"json": {"message": "a" * 40_000}}, 413),
    ("/ws/chat", "get", "/ws/chat", {}, 426),
    ("/ws/chat", "get", "/ws/chat?ack=perhaps", {}, 422),
    ("/ws/voice", "get", "/ws/voice", {}, 501),
    ("/v1/voice", "get", "/v1/voice", {}, 200),
    ("/v1/audio/speech", "post", "/v1/audio/speech", {"json": {"input": "a"}}, 501),
    ("/v1/audio/transcriptions", "post", "/v1/audio/transcriptions", {}, 501),
    (COMPLETE, "post", COMPLETE, {"json": COMPLETION}, 200),
    (COMPLETE, "post", COMPLETE, {"json": {**COMPLETION, "stream": True}}, 200),
    (COMPLETE, "post", COMPLETE, {"json": {**COMPLETION, "n": 2}}, 400),
    (COMPLETE, "post", COMPLETE, {"json": {**COMPLETION, "model": "none"}}, 404),
    ("/v1/models", "get", "/v1/models", {}, 200),
    ("/v1/models/{model}", "get", "/v1/models/kotaemon/default", {}, 200),
    ("/v1/models/{model}", "get", "/v1/models/none", {}, 404),
    ("/v1/embeddings", "post", "/v1/embeddings", {"json": {"model": "none", "input": "a"}}, 404),
    ("/ask", "get", "/ask?q=a", {}, 200),
    ("/ask", "get", "/ask", {}, 400),
    ("/ask", "get", "/ask?q=a&session_id=none", {}, 404),
    ("/v1/sessions", "get", "/v1/sessions", {}, 200),
    ("/v1/sessions", "get", "/v1/sessions?limit=0", {}, 422),
    ("/v1/sessions", "post", "/v1/sessions", {"json": {"context": {"a": [1]}}}, 201),
    ("/v1/sessions/{sid}", "get", "/v1/sessions/s", {}, 200),
    (CHANNEL, "post", "/v1/channels/none/messages", {"json": {"text": "a"}}, 404),
    ("/v1/sessions/{sid}", "get", "/v1/sessions/none", {}, 404),
    ("/v1/sessions/{sid}", "delete", "/v1/sessions/none", {}, 404),
    ("/v1/sessions/{sid}", "delete", "/v1/sessions/s", {}, 204),
    (TURNS, "post", "/v1/sessions/s/turns", {"json": {"message": "a"}}, 200),
    (
        TURNS,
        "post",
        "/v1/sessions/s/turns",
        {"json": {"message": "a"}, "headers": {"Accept": "text/event-stream"}},
        200,
    ),
    (TURNS, "post", "/v1/sessions/s/turns", {"json": {"message": "b", "turn_id": "t"}}, 409),
    (TURNS + "/{tid}", "get", "/v1/sessions/s/turns/t", {}, 200),
    (TURNS + "/{tid}", "get", "/v1/sessions/s/turns/none", {}, 404),
    ("/v1/sessions/{sid}/stream", "get", "/v1/sessions/s/stream", {}, 200),
    ("/v1/sessions/{sid}/stream", "get", "/v1/sessions/never/stream", {}, 404),
    (TURNS + "/{tid}/stream", "get", "/v1/sessions/s/turns/t/stream", {}, 200),
    (TURNS + "/{tid}/stream", "get", "/v1/sessions/s/turns/t/stream?after=99", {}, 410),
    (TURNS + "/{tid}/cancel", "post", "/v1/sessions/s/turns/t/cancel", {}, 200),
    ("/v1/search", "get", "/v1/search?q=a", {}, 200),
    ("/v1/search", "get", "/v1/search?q=a&min_generation=99", {}, 503),
    ("/v1/sources/{kb}/{generation}/{id}", "get", SOURCE, {}, 200),
    ("/v1/sources/{kb}/{generation}/{id}", "get", "/v1/sources/default/1/x", {}, 404),
    ("/v1/knowledge/{kb}", "get", "/v1/knowledge/default", {}, 200),
    ("/v1/knowledge/{kb}", "get", "/v1/knowledge/none", {}, 404),
    ("/v1/knowledge/{kb}/generations", "get", "/v1/knowledge/default/generations", {}, 200),
    ("/v1/knowledge/{kb}/documents", "get", "/v1/knowledge/default/documents", {}, 200),
    ("/v1/knowledge/{kb}/documents", "post", UPLOAD, {"data": _form("a.md")}, 202),
    ("/v1/knowledge/{kb}/documents", "post", UPLOAD, {"data": _form("a.exe")}, 422),
    ("/v1/knowledge/{kb}/documents", "post", UPLOAD, {"json": {}}, 415),
    ("/v1/knowledge/{kb}/documents/{doc}", "get", DOC, {}, 200),
    ("/v1/knowledge/{kb}/documents/{doc}", "get", DOC + f"?revision={OLD_REVISION}", {}, 200),
    ("/v1/knowledge/{kb}/documents/{doc}", "delete", DOC + "?purge=true", {}, 202),
    ("/v1/knowledge/{kb}/documents/{doc}", "delete", DOC + "?purge=maybe", {}, 422),
    ("/v1/knowledge/{kb}/rollback", "post", ROLLBACK, {"json": {"generation": 6}}, 202),
    ("/v1/knowledge/{kb}/rollback", "post", ROLLBACK, {"json": {"generation": 5}}, 409),
    ("/v1/knowledge/{kb}/rollback", "post", ROLLBACK, {"json": {"generation": 0}}, 422),
    ("/v1/knowledge/{kb}/publish", "post", "/v1/knowledge/default/publish", {}, 202),
    ("/v1/knowledge/{kb}/publish", "post", "/v1/knowledge/none/publish", {}, 404),
    ("/v1/plugins", "get", "/v1/plugins", {}, 404),
    ("/v1/plugins", "post", "/v1/plugins", {"json": {}}, 415),
    ("/v1/plugins/{name}", "put", "/v1/plugins/a", {"json": {"enabled": True}}, 404),
    ("/v1/plugins/{name}", "delete", "/v1/plugins/a", {}, 404),
    ("/v1/plugins/{name}/reload", "post", "/v1/plugins/a/reload", {"json": {}}, 404),
    ("/v1/faq", "get", "/v1/faq?q=a", {}, 200),
    ("/v1/faq", "get", "/v1/faq?kb=none", {}, 404),
    ("/v1/faq/{id}", "get", "/v1/faq/none", {}, 404),
    ("/v1/faq/{id}", "put", "/v1/faq/a", {"json": {"question": "Q?", "answer": "A."}}, 202),
    ("/v1/faq/{id}", "put", "/v1/faq/a", {"json": {"question": "Q?"}}, 422),
    (
        "/v1/faq/{id}",
        "put",
        f"/v1/faq/{PASSAGE.id}",
        {"json": {"question": "Q", "answer": "A"}},
        409,
    ),
    ("/v1/faq/{id}", "delete", "/v1/faq/none", {}, 404),
    ("/v1/faq/drafts", "get", "/v1/faq/drafts", {}, 404),
    ("/v1/faq/drafts", "get", "/v1/faq/drafts?limit=0", {}, 422),
    ("/v1/faq/drafts/{id}", "delete", "/v1/faq/drafts/none", {}, 404),
    ("/v1/faq/drafts/{id}/accept", "post", ACCEPT, {"json": {"answer": "Yes."}}, 404),
    ("/v1/faq/drafts/{id}/accept", "post", ACCEPT, {"json": {}}, 422),
    ("/v1/jobs", "get", "/v1/jobs?limit=5", {}, 200),
    ("/v1/jobs", "get", "/v1/jobs?limit=0", {}, 422),
    ("/v1/jobs", "get", "/v1/jobs?queue=later", {}, 200),
    ("/v1/jobs/{id}", "get", "/v1/jobs/unknown", {}, 404),
    ("/v1/dead-letters", "get", "/v1/dead-letters", {}, 200),
    ("/v1/dead-letters", "get", "/v1/dead-letters?limit=0", {}, 422),
    ("/v1/dead-letters/{id}/retry", "post", "/v1/dead-letters/a/retry", {"json": {}}, 404),
    ("/v1/dead-letters/{id}", "delete", "/v1/dead-letters/a", {}, 404),
    (
        "/v1/knowledge/{kb}/documents/{doc}",
        "get",
        "/v1/knowledge/default/documents/broken.md",
        {},
        200,
    ),
    (TURNS + "/{tid}/feedback", "post", RATE, {"json": {"rating": "up"}}, 404),
    ("/v1/handoffs", "get", "/v1/handoffs?limit=0", {}, 422),
    ("/v1/handoffs", "get", "/v1/handoffs", {}, 404),
    ("/v1/sessions/{sid}/handoff", "post", "/v1/sessions/s/handoff", {"json": {}}, 404),
    ("/v1/sessions/{sid}/handback", "post", "/v1/sessions/s/handback", {}, 404),
    ("/v1/sessions/{sid}/agent-messages", "post", SAY, {"json": {"text": "Hi"}}, 404),
    ("/v1/sessions/{sid}/agent-messages", "post", SAY, {"json": {"text": ""}}, 422),
    ("/v1/traces/{trace_id}", "get", f"/v1/traces/{'1' * 32}", {}, 404),
    ("/v1/traces/{trace_id}", "get", "/v1/traces/mine", {}, 400),
    ("/v1/analytics", "get", "/v1/analytics", {}, 404),
    ("/v1/analytics", "get", "/v1/analytics?from=now", {}, 422),
    ("/v1/cluster", "get", "/v1/cluster", {}, 200),
    ("/v1/me", "get", "/v1/me", {}, 200),
    ("/v1/login", "post", "/v1/login", {"json": {"key": "kn_"}}, 404),
    ("/v1/login", "post", "/v1/login", {"json": {}}, 422),
    ("/v1/login", "get", "/v1/login", {}, 200),
    ("/v1/login/oidc", "get", "/v1/login/oidc", {}, 404),
    ("/v1/login/oidc", "get", "/v1/login/oidc?back=//elsewhere.example", {}, 422),
    ("/v1/login/oidc/callback", "get", "/v1/login/oidc/callback?state=a&code=b", {}, 404),
    ("/v1/logout", "post", "/v1/logout", {}, 204),
    ("/v1/logout", "post", "/v1/logout", {"headers": {"Sec-Fetch-Site": "cross-site"}}, 403),
    ("/v1/logins/end", "post", "/v1/logins/end", {"json": {"user": "ann"}}, 404),
    ("/v1/logins/end", "post", "/v1/logins/end", {"json": {"user": ""}}, 422),
    ("/v1/audit", "get", "/v1/audit", {}, 404),
    ("/v1/limits", "get", "/v1/limits", {}, 200),
    ("/healthz", "get", "/healthz", {}, 200),
    ("/readyz", "get", "/readyz", {}, 200),
    ("/balancer/{cluster_id}", "get", "/balancer/test-cluster", {}, 200),
    ("/balancer/{cluster_id}", "get", "/balancer/other", {}, 404),
    ("/metrics", "get", "/metrics", {}, 200),
    ("/openapi.json", "get", "/openapi.json", {}, 200),
    ("/", "get", "/", {}, 200),
    ("/admin", "get", "/admin", {}, 200),
    ("/assets/{name}", "get", "/assets/api.js", {}, 200),
    ("/assets/{name}", "get", "/assets/none.js", {}, 404),
]


@pytest.mark.parametrize(("path", "method", "call", "arguments", "status"), CALLS)
def test_an_answer_is_as_described(
    path: str,
    method: str,
    call: str,
    arguments: dict[str, Any],
    status: int,
    described: dict[str, Any],
) -> None:
    # given a pod that knows the session s with the turn t
    client = FakeCluster().client()
    client.post("/v1/sessions/s/turns", json={"turn_id": "t", "message": "a"})

    # when
    answer = client.open(call, method=method.upper(), **arguments)

    # then
    assert answer.status_code == status, answer.text[:300]
    assert_described(answer, described["paths"][path][method], described)


def test_every_operation_is_called_above(described: dict[str, Any]) -> None:
    called = {(path, method) for path, method, *_ in CALLS}

    assert called == {(path, method) for path, ops in described["paths"].items() for method in ops}


@pytest.mark.parametrize("state", list(State))
def test_a_turn_in_every_state_is_as_described(state: State, described: dict[str, Any]) -> None:
    cluster = FakeCluster()
    error = {"code": "turn_crashed", "message": "lost", "retryable": False}
    cluster.turns.ending = {"state": state, "error": error, "degraded": "extractive"}
    client = cluster.client()

    answer = client.post("/v1/sessions/s/turns", json={"message": "a"})
    session = client.get("/v1/sessions/s")

    assert answer.json["state"] == state.value
    assert_described(answer, described["paths"][TURNS]["post"], described)
    assert_described(session, described["paths"]["/v1/sessions/{sid}"]["get"], described)


@pytest.mark.parametrize("refusal", [StoreUnavailable("x"), KnowledgeBehind("x")])
def test_what_the_engine_refuses_is_as_described(
    refusal: Exception, described: dict[str, Any]
) -> None:
    cluster = FakeCluster()
    cluster.turns.refusal = refusal

    answer = cluster.client().post("/chat", json={"message": "a"})

    assert answer.status_code == 503
    assert_described(answer, described["paths"]["/chat"]["post"], described)


def test_an_unready_pod_is_as_described(described: dict[str, Any]) -> None:
    cluster = FakeCluster()
    cluster.pod.reasons = ["no generation yet"]

    answer = cluster.client().get("/readyz")

    assert answer.status_code == 503
    assert_described(answer, described["paths"]["/readyz"]["get"], described)


def test_what_bodies_may_say_is_what_the_schema_says(described: dict[str, Any]) -> None:
    schema = _resolved(
        described["paths"][TURNS]["post"]["requestBody"]["content"]["application/json"]["schema"],
        described,
    )
    client = FakeCluster().client()

    for body in (
        {"message": "a"},
        {"message": "a", "turn_id": "t-1", "on_busy": "interrupt", "min_generation": 0},
        {"message": "a", "turn_id": None},
        {},
        {"message": 7},
        {"message": "a", "turn_id": "a b"},
        {"message": "a", "on_busy": "later"},
        {"message": "a", "min_generation": -1},
        {"message": "a" * 32_001},
    ):
        accepted = client.post("/v1/sessions/s/turns", json=body).status_code == 200
        assert Draft202012Validator(schema).is_valid(body) == accepted, body


def assert_described(answer: Any, operation: dict[str, Any], described: dict[str, Any]) -> None:
    """The status is listed, the media type too, and JSON is valid against its schema."""
    row = operation["responses"][str(answer.status_code)]
    if answer.status_code == 204:
        assert "content" not in row
        return
    content = row["content"]
    media = answer.mimetype if answer.mimetype in content else "*/*"
    assert media in content, f"{answer.mimetype} is not among {list(content)}"
    if answer.mimetype == "application/json":
        validator = Draft202012Validator(_resolved(content[media]["schema"], described))
        assert list(validator.iter_errors(answer.json)) == []
        if speaks_openai(answer.request.path):
            assert ("error" in answer.json) == (answer.status_code >= 400)
        elif "error" in answer.json and answer.status_code >= 400:
            code = answer.json["error"]["code"]
            assert ERRORS[code].status == answer.status_code
            assert f"`{code}`" in row["description"] or "reasons" in answer.json


def _resolved(schema: dict[str, Any], described: dict[str, Any]) -> dict[str, Any]:
    """Put the components beside the schema, so that its references lead somewhere."""
    return {**schema, "components": described["components"]}


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if "$ref" in value else []
        return own + [found for item in value.values() for found in _references(item)]
    if isinstance(value, list):
        return [found for item in value for found in _references(item)]
    return []
