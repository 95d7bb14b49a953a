"""Every route that takes an id, called with another tenant's: not found, and nothing is written.

The routes are those of the application: one that is new and stands in no table fails the test.
"""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import redis
import requests

from kotaemon_node.api.app import create_app
from tests.cluster import Cluster
from tests.fakes.services import FakeCluster
from tests.integration.test_cluster_tenants import Tenant, key, price

pytestmark = pytest.mark.long

PATIENCE_S = 120.0

# Endpoint: method, path and body, made of ids of somebody else.
CALLS: Final[Mapping[str, tuple[str, str, Mapping[str, Any] | None]]] = {
    "sessions.read_session": ("GET", "/v1/sessions/{sid}", None),
    "sessions.delete_session": ("DELETE", "/v1/sessions/{sid}", None),
    "sessions.stream_session": ("GET", "/v1/sessions/{sid}/stream", None),
    "turns.create_turn": ("POST", "/v1/sessions/{sid}/turns", {"message": "Mine now?"}),
    "turns.read_turn": ("GET", "/v1/sessions/{sid}/turns/{tid}", None),
    "turns.stream_turn": ("GET", "/v1/sessions/{sid}/turns/{tid}/stream", None),
    "turns.cancel_turn": ("POST", "/v1/sessions/{sid}/turns/{tid}/cancel", {}),
    "feedback.rate_turn": ("POST", "/v1/sessions/{sid}/turns/{tid}/feedback", {"rating": "down"}),
    "handoffs.hand_off": ("POST", "/v1/sessions/{sid}/handoff", {"reason": "mine"}),
    "handoffs.hand_back": ("POST", "/v1/sessions/{sid}/handback", {}),
    "handoffs.say": ("POST", "/v1/sessions/{sid}/agent-messages", {"text": "I am your agent."}),
    "traces.read_trace": ("GET", "/v1/traces/{trace}", None),
    "jobs.read_job": ("GET", "/v1/jobs/{job}", None),
    "dead_letters.retry_dead_letter": ("POST", "/v1/dead-letters/{job}/retry", {}),
    "dead_letters.drop_dead_letter": ("DELETE", "/v1/dead-letters/{job}", None),
    "knowledge.read_knowledge": ("GET", "/v1/knowledge/{kb}", None),
    "knowledge.list_documents": ("GET", "/v1/knowledge/{kb}/documents", None),
    "knowledge.read_document": ("GET", "/v1/knowledge/{kb}/documents/{doc}", None),
    "knowledge.delete_document": ("DELETE", "/v1/knowledge/{kb}/documents/{doc}?purge=true", None),
    "knowledge.list_generations": ("GET", "/v1/knowledge/{kb}/generations", None),
    "knowledge.roll_back": ("POST", "/v1/knowledge/{kb}/rollback", {"generation": 1}),
    "knowledge.publish": ("POST", "/v1/knowledge/{kb}/publish", {"force": True}),
    "sources.read_source": ("GET", "{source}", None),
    "faq.read_entry": ("GET", "/v1/faq/{faq}?kb={kb}", None),
    "faq.delete_entry": ("DELETE", "/v1/faq/{faq}?kb={kb}", None),
    "faq_drafts.accept_draft": (
        "POST",
        "/v1/faq/drafts/{draft}/accept",
        {"kb": "{kb}", "answer": "Mine.", "question": "Mine?"},
    ),
    "faq_drafts.dismiss_draft": ("DELETE", "/v1/faq/drafts/{draft}?kb={kb}", None),
    "openai.read_model": ("GET", "/v1/models/kotaemon/{kb}", None),
}
# For those who run the cluster: no tenant is told whether there is a plugin of this name.
OPERATORS: Final[Mapping[str, tuple[str, str, Mapping[str, Any] | None]]] = {
    "plugins.change_plugin": ("PUT", "/v1/plugins/{plugin}", {"enabled": False}),
    "plugins.reload_plugin": ("POST", "/v1/plugins/{plugin}/reload", {}),
    "plugins.delete_plugin": ("DELETE", "/v1/plugins/{plugin}", None),
}
NO_ID_OF_SOMEBODY: Final = {
    "page.asset": "a file of the page",
    "health.balancer": "the cluster's own name",
    "channels.receive": "signed by the platform, whose row names the tenant",
    "uploads.upload_documents": "makes a document of the caller's own tenant",
    "faq.put_entry": "makes an entry of the caller's own tenant",
}


def test_every_route_with_an_id_is_in_the_table() -> None:
    rules = create_app(FakeCluster().services()).url_map.iter_rules()
    taking = {rule.endpoint for rule in rules if rule.arguments}
    assert taking - NO_ID_OF_SOMEBODY.keys() == CALLS.keys() | OPERATORS.keys()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    data: Path = tmp_path_factory.mktemp("data")
    settings = {"AUTH_MODE": "keys"}
    with Cluster(data, plugins="sample", workers=1, environment=settings) as running:
        yield running


def upload(tenant: Tenant, kb: str, text: str) -> str:
    files = {"file": ("prices.md", text.encode(), "text/markdown")}
    reply = tenant._asked("POST", f"/v1/knowledge/{kb}/documents", files=files)
    assert reply.status_code == 202, reply.text
    job: str = reply.json()["job"]
    tenant.generation_of(job)
    return job


def until(tenant: Tenant, path: str, **params: Any) -> requests.Response:
    until_s = time.monotonic() + PATIENCE_S
    while (reply := tenant.get(path, **params)).status_code != 200:
        assert time.monotonic() < until_s, reply.text
        time.sleep(0.1)
    return reply


@pytest.fixture(scope="module")
def ids(cluster: Cluster) -> Mapping[str, str]:
    """Return the ids of what a tenant has, each of which it can open itself."""
    acme = Tenant(cluster, "acme", key(cluster, "acme", "admin"))
    job = upload(acme, "private", price(22))
    entry = {"question": "What is your name?", "answer": "Acme."}
    put = acme._asked("PUT", "/v1/faq/whoami?kb=private", json=entry)
    assert put.status_code == 202, put.text
    acme.generation_of(put.json()["job"])
    sid = acme.post("/v1/sessions").json()["session_id"]
    turn = acme.post(
        f"/v1/sessions/{sid}/turns", message="How much does the Aurora cup cost?", kb="private"
    )
    assert turn.status_code in {200, 202}, turn.text
    tid = turn.json()["turn_id"]
    until_s = time.monotonic() + PATIENCE_S
    while (done := acme.get(f"/v1/sessions/{sid}/turns/{tid}").json())["state"] != "done":
        assert time.monotonic() < until_s, done
        time.sleep(0.1)
    until(acme, f"/v1/traces/{done['trace_id']}")
    assert acme.post(f"/v1/sessions/{sid}/handoff", reason="I want a person").status_code < 300
    [passage] = acme.get("/v1/search", q="Aurora cup", kb="private", top_k=1).json()["passages"]
    source = f"/v1/sources/private/1/{passage['id']}"
    assert acme.get(source).status_code == 200
    assert acme.get("/v1/faq/whoami", kb="private").status_code == 200
    return {
        "sid": sid,
        "tid": tid,
        "trace": done["trace_id"],
        "job": job,
        "kb": "private",
        "doc": passage["document"],
        "source": source,
        "faq": "whoami",
        "draft": "0" * 16,
        "plugin": "orders",
    }


@pytest.fixture(scope="module")
def other(cluster: Cluster) -> Tenant:
    other = Tenant(cluster, "other", key(cluster, "other", "admin"))
    upload(other, "default", price(33))
    assert until(other, "/v1/search", q="Aurora cup").status_code == 200
    return other


def written(cluster: Cluster) -> Mapping[str, object]:
    """Return all that is kept of the tenant: keys of Redis with their values, and files."""
    store = redis.Redis.from_url(cluster.redis_url)
    mine = [name for name in store.keys("*") if b"acme" in name]
    kept: dict[str, object] = {repr(name): store.dump(name) for name in mine}
    store.close()
    for path in cluster.folder.path.rglob("*"):
        if path.is_file() and "acme" in path.parts:
            kept[str(path)] = path.read_bytes()
    return kept


@pytest.mark.timeout(600)
@pytest.mark.parametrize("endpoint", sorted([*CALLS, *OPERATORS]))
def test_the_id_of_another_tenants_thing_finds_nothing_and_writes_nothing(
    cluster: Cluster, ids: Mapping[str, str], other: Tenant, endpoint: str
) -> None:
    method, path, body = {**CALLS, **OPERATORS}[endpoint]
    asked = None
    if body is not None:
        texts = {name: it.format(**ids) for name, it in body.items() if isinstance(it, str)}
        asked = {**body, **texts}
    before = written(cluster)
    assert before

    more = {"json": asked} if asked is not None else {}
    reply = other._asked(method, path.format(**ids), **more)

    assert reply.status_code == (403 if endpoint in OPERATORS else 404), reply.text
    assert "22 dollars" not in reply.text
    assert written(cluster) == before
