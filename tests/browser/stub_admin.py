"""What the admin page asks for, answered by the stub: a cluster whose state a test changes."""

import re
import time
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.browser.stub import Stub
from tests.browser.stub_admin_data import (
    ANALYTICS,
    audit_entry,
    dead_letter,
    generation,
    plugin,
    pod,
    trace,
)
from tests.browser.stub_handoff import person_says


class AdminStub(Stub):
    """The stub with the routes of the admin page. ``said``: method, path, body of each write."""

    def __init__(self) -> None:
        super().__init__()
        self.role = "open"
        self.tenant = "default"
        self.pods = [pod(f"worker-{n}", running=n) for n in range(3)]
        self.converged = True
        self.documents_there = [document(f"shop/file-{n:03}.md") for n in range(3)]
        self.jobs: dict[str, list[dict[str, Any]]] = {}
        self.generations = [generation(n, served=n == 3) for n in (3, 2, 1)]
        self.held: dict[str, Any] | None = None
        self.plugins = [plugin("order_query"), plugin("web_get", breaker="open")]
        self.dead = [dead_letter("j1"), dead_letter("j2")]
        self.analytics: dict[str, Any] = ANALYTICS
        self.audit_asked: list[dict[str, str]] = []
        self.said: list[tuple[str, str, Any]] = []
        self.more_routes = _ROUTES


def document(name: str, status: str = "indexed", **more: Any) -> dict[str, Any]:
    """Return a row of the list of documents."""
    return {
        "document": name, "revision": "ab" * 32, "title": name.rsplit("/", 1)[-1], "status": status,
        "reason": None, "file_bytes": 20_480, "text_chars": 5_000, "passages": 7,
        "indexed_at": "2026-11-21T10:00:00Z", "queued_revision": None, **more,
    }  # fmt: skip


def _query(handler: Any) -> dict[str, str]:
    return {name: said[0] for name, said in parse_qs(urlsplit(handler.path).query).items()}


def _page(handler: Any, *, body: Any) -> None:
    handler._file("admin.html", body=body)


def _me(handler: Any, *, body: Any) -> None:
    world = handler.world
    handler._json(200, {"tenant": world.tenant, "subject": "ann", "role": world.role})


def _cluster(handler: Any, *, body: Any) -> None:
    world = handler.world
    knowledge = {"kb": "shop", "generation": 3, "digest": "d", "since": time.time() - 90}
    behind = [] if world.converged else ["worker-1"]
    handler._json(
        200,
        {"pods": world.pods, "converged": world.converged, "since": time.time() - 90,
         "knowledge": [{**knowledge, "converged": world.converged, "behind": behind}],
         "plugins": []},
    )  # fmt: skip


def _readyz(handler: Any, *, body: Any) -> None:
    handler._json(200, {"ready": True, "generations": {"default": 1, "shop": 3}})


def _knowledge(handler: Any, kb: str, *, body: Any) -> None:
    if kb not in {"default", "shop"}:
        handler._error(404, code="not_found")
        return
    told = {"kb": kb, "generation": 3, "digest": "d", "parent": None, "encoder": "minilm",
            "documents": 3, "failed": 0, "passages": 21, "created_at": "2026-11-21T10:00:00Z",
            "rolled_back_to": None, "refused": [], "recall": 0.975}  # fmt: skip
    handler._json(200, {**told, "held": handler.world.held})


def _documents(handler: Any, kb: str, *, body: Any) -> None:
    query = _query(handler)
    words, status = query.get("q", "").lower(), query.get("status")
    rows = [
        row
        for row in handler.world.documents_there
        if words in row["document"] and status in {None, row["status"]}
    ]
    at, limit = int(query["offset"]), int(query["limit"])
    end = at + limit
    handler._json(
        200,
        {"kb": kb, "generation": 3, "documents": rows[at:end],
         "next_offset": end if end < len(rows) else None},
    )  # fmt: skip


def _document_text(handler: Any, kb: str, name: str, *, body: Any) -> None:
    row = next(r for r in handler.world.documents_there if r["document"] == unquote(name))
    text = "# Lamps\n\n<script>alert(1)</script> A lamp may be returned within 30 days."
    handler._json(200, {"kb": kb, "generation": 3, **row, "text": text, "passages": [{"id": "p"}]})


def _upload(handler: Any, kb: str, *, body: Any) -> None:
    world = handler.world
    name = re.search(rb'filename="([^"]+)"', handler.raw)[1].decode()
    world.said.append(("POST", handler.path, name))
    job = _query(handler)["job"]
    if name.endswith(".xyz"):
        handler._error(422, code="invalid")
        return
    states = [{"state": "queued"}, {"state": "running"}]
    if name.startswith("bad"):
        world.jobs[job] = [*states, {"state": "failed", "reason": "it holds no text"}]
    else:
        world.jobs[job] = [*states, {"state": "done", "result": {"generation": 4}}]
        world.documents_there.insert(0, document(f"{kb}/{name}"))
    handler._json(202, {"document": f"{kb}/{name}", "revision": "r", "job": job, "uploads": []})


def _job(handler: Any, job: str, *, body: Any) -> None:
    states = handler.world.jobs[job]
    told = states.pop(0) if len(states) > 1 else states[0]
    handler._json(200, {"job": job, "reason": None, "result": {}, **told})


def _ordered(handler: Any, *groups: str, body: Any) -> None:
    """Take an order that is done at once; of a removal, the document is gone."""
    world = handler.world
    world.said.append((handler.command, handler.path, body))
    job = (body or {}).get("job") or _query(handler)["job"]
    world.jobs[job] = [{"state": "done", "result": {"generation": 5}}]
    if handler.command == "DELETE":
        name = unquote(groups[1])
        world.documents_there = [r for r in world.documents_there if r["document"] != name]
    handler._json(202, {"job": job, "state": "queued"})


def _generations(handler: Any, kb: str, *, body: Any) -> None:
    handler._json(200, {"kb": kb, "generations": handler.world.generations})


def _search(handler: Any, *, body: Any) -> None:
    text = "Standard lamps may be returned within 30 days. <b>No</b> return without the receipt."
    hits = [
        {"id": f"p{n}", "document": "shop/returns.md", "revision": "r", "title": "Returns",
         "page": 2, "heading": ["Returns", "Lamps"], "span": [0, 10], "kind": "text",
         "text": text, "score": 0.91 - n / 10, "url": f"/v1/sources/shop/3/p{n}"}
        for n in range(min(3, int(_query(handler)["top_k"])))
    ]  # fmt: skip
    handler._json(200, {"kb": "shop", "generation": 3, "digest": "d", "passages": hits})


def _handoffs(handler: Any, *, body: Any) -> None:
    rows = [
        {"session_id": sid, "handoff": handoff, "spoken_at": time.time() - 5}
        for sid, handoff in handler.world.handoffs.items()
    ]
    handler._json(200, {"sessions": rows})


def _sessions(handler: Any, *, body: Any) -> None:
    query = _query(handler)
    at, limit = int(query.get("offset", "0")), int(query["limit"])
    rows = [
        {"session_id": sid, "created_at": time.time() - 7200, "active_at": time.time() - 600,
         "version": len(turns), "title": turns[0].message[:60] if turns else "", "archived": False}
        for sid, turns in reversed(handler.world.sessions.items())
    ]  # fmt: skip
    end = at + limit
    handler._json(200, {"sessions": rows[at:end], "next_offset": end if end < len(rows) else None})


def _session(handler: Any, sid: str, *, body: Any) -> None:
    """The history by pages, as a pod tells it; a turn that runs is named beside it."""
    world, query = handler.world, _query(handler)
    turns = [turn.view(n) for n, turn in enumerate(world.sessions[sid], start=1)]
    done = [turn for turn in turns if turn["version"]]
    at = int(query["after_version"])
    running = [turn["turn_id"] for turn in turns if not turn["version"]]
    handler._json(
        200,
        {"session_id": sid, "epoch": "e", "version": len(done), "feedback": {}, "pending": None,
         "turns": done[at : at + min(200, int(query["limit"]))],
         "running_turn": running[0] if running else None, "handoff": world.handoffs.get(sid)},
    )  # fmt: skip


def _say(handler: Any, sid: str, *, body: Any) -> None:
    handler.world.said.append(("POST", handler.path, body))
    person_says(handler.world, sid, body["text"], name="ann")
    handler._json(200, {"turn_id": body["message_id"]})


def _trace(handler: Any, trace_id: str, *, body: Any) -> None:
    handler._json(200, trace(trace_id))


def _plugins(handler: Any, *, body: Any) -> None:
    handler._json(200, {"revision": 1, "plugins": handler.world.plugins})


def _change_plugin(handler: Any, name: str, *, body: Any) -> None:
    world = handler.world
    world.said.append((handler.command, handler.path, body))
    [row] = [row for row in world.plugins if row["name"] == name]
    row |= {key: body[key] for key in ("enabled", "rollout_percent") if key in body}
    if "config" in body:
        row["stable"] = {**row["stable"], "config": body["config"], "version": "f" * 12}
    handler._json(200, row)


def _act_plugin(handler: Any, name: str, *, body: Any) -> None:
    world = handler.world
    world.said.append((handler.command, handler.path, body))
    if handler.command == "DELETE":
        world.plugins = [row for row in world.plugins if row["name"] != name]
    handler._json(200, {})


def _push_plugin(handler: Any, *, body: Any) -> None:
    handler.world.said.append(("POST", handler.path, b'name="signature"' in handler.raw))
    handler.world.plugins.append(plugin("pushed"))
    handler._json(201, plugin("pushed"))


def _audit(handler: Any, *, body: Any) -> None:
    """Two pages of entries; the filters are noted, and that of the outcome is kept."""
    query = _query(handler)
    handler.world.audit_asked.append(query)
    seqs = (2, 1) if query.get("before") else (4, 3)
    rows = [audit_entry(seq) for seq in seqs]
    if outcome := query.get("outcome"):
        rows = [row for row in rows if row["outcome"] == outcome]
    following = None if query.get("before") else "1-3"
    handler._json(200, {"entries": rows, "next": following, "tenants": ["acme", "default"]})


def _analytics(handler: Any, *, body: Any) -> None:
    handler._json(200, handler.world.analytics)


def _jobs(handler: Any, *, body: Any) -> None:
    handler._json(200, {"jobs": [{**dead_letter("j9"), "state": "waiting", "attempts": 2}]})


def _dead(handler: Any, *, body: Any) -> None:
    handler._json(200, {"dead_letters": handler.world.dead})


def _decide(handler: Any, job: str, *, body: Any) -> None:
    world = handler.world
    world.said.append((handler.command, handler.path, body))
    world.dead = [row for row in world.dead if row["job"] != job]
    handler._send(204, b"", "application/json")


def _faq(handler: Any, *, body: Any) -> None:
    empty = {"entries": [], "total": 0, "next_offset": None, "complete": True, "drafts": []}
    handler._json(200, empty)


_ID = r"([A-Za-z0-9_.-]+)"
_KB = rf"/v1/knowledge/{_ID}"
_ROUTES = (
    ("GET", r"/admin", _page),
    ("GET", r"/v1/me", _me),
    ("GET", r"/v1/cluster", _cluster),
    ("GET", r"/readyz", _readyz),
    ("GET", _KB, _knowledge),
    ("GET", rf"{_KB}/documents", _documents),
    ("POST", rf"{_KB}/documents", _upload),
    ("GET", rf"{_KB}/documents/(.+)", _document_text),
    ("DELETE", rf"{_KB}/documents/(.+)", _ordered),
    ("GET", rf"{_KB}/generations", _generations),
    ("POST", rf"{_KB}/(?:rollback|publish)", _ordered),
    ("GET", r"/v1/jobs", _jobs),
    ("GET", rf"/v1/jobs/{_ID}", _job),
    ("GET", r"/v1/search", _search),
    ("GET", r"/v1/handoffs", _handoffs),
    ("GET", r"/v1/sessions", _sessions),
    ("GET", rf"/v1/sessions/{_ID}", _session),
    ("POST", rf"/v1/sessions/{_ID}/agent-messages", _say),
    ("GET", rf"/v1/traces/{_ID}", _trace),
    ("GET", r"/v1/plugins", _plugins),
    ("POST", r"/v1/plugins", _push_plugin),
    ("PUT", rf"/v1/plugins/{_ID}", _change_plugin),
    ("DELETE", rf"/v1/plugins/{_ID}", _act_plugin),
    ("POST", rf"/v1/plugins/{_ID}/reload", _act_plugin),
    ("GET", r"/v1/analytics", _analytics),
    ("GET", r"/v1/audit", _audit),
    ("GET", r"/v1/dead-letters", _dead),
    ("POST", rf"/v1/dead-letters/{_ID}/retry", _decide),
    ("DELETE", rf"/v1/dead-letters/{_ID}", _decide),
    ("GET", r"/v1/faq", _faq),
    ("GET", r"/v1/faq/drafts", _faq),
)
