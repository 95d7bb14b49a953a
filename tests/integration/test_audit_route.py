"""``GET /v1/audit`` and what requests leave in the log, with a real Redis behind it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from kotaemon_node.adapters.store.file_store import FileArtifactStore
from kotaemon_node.api import observed
from kotaemon_node.api.app import create_app
from kotaemon_node.audit_log.reading import AuditReader
from kotaemon_node.audit_log.writer import AuditWriter
from kotaemon_node.domain.session import Principal
from tests.audit_logs import store_of, write, writer_of
from tests.fakes.services import FakeCluster
from tests.redis_server import RedisServer


class Door:
    """A pod with an audit log, and callers of any role and tenant."""

    def __init__(self, url: str, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.url = url
        self.writer: AuditWriter = writer_of(url)
        reader = AuditReader(store_of(url), FileArtifactStore(folder))
        services = FakeCluster().services()
        self.client: FlaskClient = create_app(
            replace(services, audit=self.writer, audit_desk=reader)
        ).test_client()
        self.caller = Principal("default", "ann", "admin", "key:1")
        patch.setattr(observed, "principal_of", lambda *_, **__: self.caller)

    def read(self, query: str = "") -> Any:
        assert self.writer.finish()
        answer = self.client.get(f"/v1/audit{query}")
        assert answer.status_code == 200, answer.text
        return answer.json


@pytest.fixture
def door(server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Door:
    return Door(server.url, tmp_path, monkeypatch)


def actions(page: Any) -> list[str]:
    return [entry["action"] for entry in page["entries"]]


def test_what_an_editor_changes_is_an_entry_that_names_them(door: Door) -> None:
    """The route's row in the table tells it; the entry has who, what and under which trace."""
    door.caller = Principal("default", "bob", "editor", "key:2")
    answer = door.client.delete("/v1/dead-letters/j1")
    assert answer.status_code == 404  # nothing was done, so nothing is told
    answer = door.client.put("/v1/faq/hours", json={"question": "When?", "answer": "Always."})
    assert answer.status_code == 202, answer.text

    door.caller = Principal("default", "ann", "admin", "key:1")
    [entry] = door.read("?subject=bob")["entries"]
    assert (entry["action"], entry["target"], entry["role"]) == ("faq.put", "hours", "editor")
    assert entry["credential"] == "key:2"
    assert entry["trace_id"] == answer.headers["X-Trace-ID"]
    assert "Always" not in str(entry)


def test_who_may_not_is_told_in_the_log(door: Door) -> None:
    """A customer who asks for the log is refused, and the refusal stands in it."""
    door.caller = Principal("default", "eve", "customer", "key:3")
    for _ in range(5):
        assert door.client.get("/v1/audit").status_code == 403
    door.caller = Principal("default", "ann", "admin", "key:1")
    refused = door.read("?action=permission.refused")["entries"]
    assert [entry["detail"].get("count") for entry in refused] == [4, None]
    assert {entry["subject"] for entry in refused} == {"eve"}


def test_administrators_of_a_tenant_read_their_own_log_and_no_other(door: Door) -> None:
    """Who runs the cluster reads any; others their own."""
    write(door.url, 2, tenant="acme")
    write(door.url, 3, tenant="beta")
    assert len(door.read("?tenant=acme")["entries"]) == 3
    assert door.read()["tenants"] == ["acme", "beta", "default"]

    door.caller = Principal("acme", "cid", "admin", "key:4")
    page = door.read()
    assert page["tenants"] == ["acme"]
    assert {entry["tenant"] for entry in page["entries"]} == {"acme"}
    assert door.client.get("/v1/audit?tenant=beta").status_code == 403


def test_pages_follow_each_other_without_a_gap(door: Door) -> None:
    """From the newest to the first, each entry once."""
    write(door.url, 25, tenant="acme")
    door.caller = Principal("acme", "cid", "admin", "key:4")
    seen: list[int] = []
    query = "?limit=7"
    while True:
        page = door.read(query + "&action=faq")
        seen += [entry["seq"] for entry in page["entries"]]
        if page["next"] is None:
            break
        query = f"?limit=7&before={page['next']}"
    assert seen == list(range(26, 1, -1))


def test_wrong_queries_are_refused(door: Door) -> None:
    """No guess is made of a time or a place that cannot be one."""
    for query in ("since=soon", "before=x", "limit=0", "outcome=maybe"):
        assert door.client.get(f"/v1/audit?{query}").status_code in {400, 422}, query


def test_without_a_log_the_route_says_how_to_have_one() -> None:
    answer = FakeCluster().client().get("/v1/audit")
    assert answer.status_code == 404
    assert "AUDIT_LOG" in answer.text


def test_times_of_a_query_are_whole_milliseconds(door: Door) -> None:
    """Entries are compared as text: a time without its milliseconds is not behind those with."""
    write(door.url, 1, tenant="acme")
    door.caller = Principal("acme", "cid", "admin", "key:4")
    at = door.read("?action=faq")["entries"][0]["at"]
    begin = f"{at[:19]}Z"
    for query, fits in (
        (f"since={begin}", True),
        (f"until={begin}", False),
        (f"since={at}", True),
        (f"until={at}", False),
        (f"since={at[:10]}", True),
        (f"until={at[:10]}", False),
    ):
        entries = door.read(f"?action=faq&{query}")["entries"]
        assert bool(entries) is fits, (query, at)
    for query in ("since=2026-02-30", "until=2026-01-01T25:00Z"):
        assert door.client.get(f"/v1/audit?{query}").status_code in {400, 422}, query
