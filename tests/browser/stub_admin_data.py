"""What the stub's cluster tells the admin page: pods, plugins, figures, records."""

import time
from typing import Any


def pod(name: str, *, running: int = 0, incarnation: str = "a", **more: Any) -> dict[str, Any]:
    """Return what a pod says of itself."""
    return {
        "name": name, "incarnation": f"{name}.{incarnation}", "address": "127.0.0.1:9001",
        "version": "0.9.0", "started_at": time.time() - 4_000, "ready": True, "reasons": [],
        "running_turns": running, "taken_over": 0, "behind": {},
        "generations": {"shop": {"generation": 3, "digest": "d", "since": 1.0}},
        "plugins": {"order_query": {"version": "1a2b3c4d5e6f"}}, **more,
    }  # fmt: skip


def generation(number: int, *, served: bool) -> dict[str, Any]:
    """Return a generation that is kept."""
    return {
        "generation": number, "digest": f"{number}" * 64, "parent": None, "encoder": "minilm",
        "documents": number, "passages": 7 * number, "created_at": "2026-11-21T10:00:00Z",
        "served": served, "complete": True, "rolled_back_to": None,
    }  # fmt: skip


def plugin(name: str, *, breaker: str = "closed") -> dict[str, Any]:
    """Return a plugin with a schema that has a field of each kind."""
    schema = {
        "properties": {
            "url": {"type": "string", "title": "Address", "description": "Where the shop is."},
            "token": {"type": "string", "writeOnly": True},
            "tries": {"type": "integer", "minimum": 0, "maximum": 5},
            "rate": {"type": "number"},
            "strict": {"type": "boolean"},
            "mode": {"enum": ["fast", "careful"]},
            "tags": {"type": "array", "items": {"type": "string"}},
            "more": {"type": "object"},
        },
        "required": ["url"],
    }
    release = {"version": "1a2b3c4d5e6f", "bundle": "c" * 64, "signed_by": "0" * 16, "config": {}}
    return {
        "name": name, "enabled": True, "rollout_percent": 100.0, "stable": release,
        "next": None, "previous": None, "origin": "folder", "problem": None,
        "changed_by": "ann", "changed_at": time.time() - 60, "converged": True,
        "breaker": breaker, "config_schema": schema,
        "config_default": {"url": "https://shop.example", "tries": 2, "mode": "fast"},
        "pods": [
            {"pod": f"worker-{n}", "version": "1a2b3c4d5e6f", "next": None, "problem": None}
            for n in range(3)
        ],
    }  # fmt: skip


def audit_entry(seq: int) -> dict[str, Any]:
    """Return an entry of the audit log; odd ones are refusals."""
    return {
        "chain": "1", "seq": seq, "at": f"2026-11-21T10:00:0{seq}.000Z", "tenant": "default",
        "action": "session.refused" if seq % 2 else "key.created",
        "outcome": "refused" if seq % 2 else "done", "subject": "eve", "role": "customer",
        "credential": "key:1", "target": f"target-{seq}", "address": "10.0.0.1",
        "trace_id": "ab" * 16, "detail": {"count": seq}, "hash": "0" * 64,
    }  # fmt: skip


def dead_letter(job: str) -> dict[str, Any]:
    """Return a job that is not tried any more."""
    return {
        "job": job, "kind": "webhook", "state": "dead", "attempts": 8, "attempts_max": 8,
        "due_at": time.time() - 300, "created_at": time.time() - 4_000,
        "error": "shop.example answered 500", "about": {"to": "shop", "session": "s1"},
    }  # fmt: skip


def _figures(turns: int) -> dict[str, Any]:
    times = {"mean": 0.4, "p50": 0.3, "p95": 1.2} if turns else None
    return {
        "turns": turns, "sessions": turns // 2, "done": turns, "failed": turns // 50,
        "cancelled": 0, "interrupted": 0, "answered": turns * 9 // 10,
        "unanswered": turns - turns * 9 // 10, "degraded": 0, "cached": 0, "faq": 0, "up": 30,
        "down": 4, "prompt_tokens": 1000 * turns, "completion_tokens": 200 * turns,
        "handoffs": turns // 40, "handoff_rate": 0.05, "with_person": 0, "agent_messages": 0,
        "cost": 0.0125 * turns, "first_text_s": times, "total_s": times,
    }  # fmt: skip


DAYS = [0, 40, 64, 120, 90, 133, 171]
ANALYTICS = {
    "first": "2026-11-15", "last": "2026-11-21", "totals": _figures(sum(DAYS)),
    "days": [
        {"day": f"2026-11-{15 + n}", "figures": _figures(turns)} for n, turns in enumerate(DAYS)
    ],
    "profiles": [], "comparisons": [],
    "top_questions": [
        {"question": "how long is the warranty on lamps", "turns": 41},
        {"question": "灯具的保修期是多久", "turns": 17},
    ],
    "unanswered_questions": [{"question": "do you ship to the moon", "turns": 5}],
}  # fmt: skip


def trace(trace_id: str) -> dict[str, Any]:
    """Return an audit record."""
    passage = {"document": "shop/returns.md", "title": "Returns", "url": "/v1/sources/shop/3/p1"}
    return {
        "trace_id": trace_id, "session_id": "s", "turn_id": "t", "epoch": "e", "history": [],
        "at": 1.0, "state": "done", "message": "m", "options": {},
        "asked": {"search": "lamps"}, "profile": {"fingerprint": "0123456789abcdef"},
        "knowledge": {"kb": "shop", "generation": 3, "digest": "d"},
        "passages": [
            {"n": n, "id": f"p{n}", **passage, "scores": {"fused": 0.9 / n, "cosine": 0.8 / n}}
            for n in (1, 2, 3)
        ],
        "prompt": [{"role": "user", "content": "lamps"}], "steps": {}, "rounds": [],
        "answer": "a", "unanswered": False, "cited": ["p1"],
        "usage": {"prompt_tokens": 812, "completion_tokens": 64, "cost": 0.0031},
        "timings": {"first_text_s": 0.31, "total_s": 1.42},
        "phases": [
            {"phase": "understanding", "latency": 0.0}, {"phase": "retrieval", "latency": 0.02},
            {"phase": "generation", "latency": 0.25},
        ],
        "attempts": 2, "losses": 1, "pods": ["worker-1.aa", "worker-2.bb"], "degraded": None,
        "error": None, "versions": {}, "cut": False, "turns": [],
    }  # fmt: skip
