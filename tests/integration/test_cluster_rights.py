"""A whole cluster whose Redis knows each part as a user of its own: with everything turned on,
each may do its work, and nothing that is another's.
"""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis
import requests

from kotaemon_node.local import control, redis_users
from tests.cluster import Cluster
from tests.fakes.llm_server import FakeLlmServer

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

REST_S = 4
SETTINGS = {
    "REDIS_USERS": "on",
    "AUTH_MODE": "keys",
    "AUDIT_LOG": "on",
    "ARCHIVE_AFTER_S": str(REST_S),
    "TURN_LOG_TEXTS": "true",
    "LIMIT_REQUESTS_PER_MINUTE": "5000",
    "LIMIT_TOKENS_PER_MINUTE": "1000000",
    "LIMIT_COST_PER_DAY": "1000",
    "LIMIT_STREAMS": "50",
    "LIMIT_UPLOAD_BYTES_PER_DAY": "1000000",
    "LOG_LEVEL": "debug",
}
HOOKS = {
    "webhooks": [
        {
            "name": "crm",
            "url": "http://127.0.0.1:9/hook",  # nobody is there: what fails waits in Redis
            "events": ["turn.completed"],
            "secret_env": "CRM_SECRET",
            "private": True,
        }
    ]
}
DENIED = ("NOPERM", "NoPermission", "has no permissions", "WRONGPASS", "NOAUTH")


class Person:
    """Somebody with a key of the command line."""

    def __init__(self, cluster: Cluster, role: str, *, tenant: str = "default") -> None:
        made = cluster.command("keys", "create", "--role", role, "--tenant", tenant)
        assert made.returncode == 0, made.stderr
        self.key = made.stdout.strip()
        self._cluster, self._headers = cluster, {"Authorization": f"Bearer {self.key}"}
        cluster.wait_until(
            lambda: requests.get(f"{cluster.url}/v1/me", headers=self._headers, timeout=30).ok,
            what=f"the key of a {role} is known",
        )

    def ask(self, method: str, path: str, **how: Any) -> requests.Response:
        """Send a request which has to be answered well."""
        url = self._cluster.url + path
        reply = requests.request(method, url, headers=self._headers, timeout=90, **how)
        assert reply.ok, f"{method} {path}: {reply.status_code} {reply.text}"
        return reply

    def say(self, session: str, message: str, **more: Any) -> Any:
        """Have a turn; return it when it is done."""
        body = {"message": message, **more}
        told = self.ask("POST", f"/v1/sessions/{session}/turns", json=body).json()
        assert told["state"] == "done", told
        return told

    def session(self) -> str:
        """Return a new session's id."""
        return str(self.ask("POST", "/v1/sessions", json={}).json()["session_id"])

    def upload(self, name: str, text: str) -> None:
        """Upload a document and wait until it is served."""
        files = {"file": (name, text.encode(), "text/markdown")}
        sent = self.ask("POST", "/v1/knowledge/default/documents", files=files).json()
        self._cluster.wait_until(
            lambda: self.ask("GET", f"/v1/jobs/{sent['job']}").json()["state"] == "done",
            what=f"{name} is published",
        )


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("rights")
    (folder / "webhooks.json").write_text(json.dumps(HOOKS))
    with ExitStack() as stack:
        model = stack.enter_context(FakeLlmServer())
        cluster = Cluster(
            folder / "data",
            workers=2,
            plugins="sample",
            environment={
                **SETTINGS,
                "LLM_BASE_URL": model.base_url,
                "WEBHOOKS_FILE": str(folder / "webhooks.json"),
                "CRM_SECRET": "whsec_" + "A" * 43 + "=",
            },
            arguments=["--turn-log", f"file:{folder / 'turns.jsonl'}"],
        )
        assert cluster.command("encryption", "new-key").returncode == 0
        yield stack.enter_context(cluster)


def as_user(cluster: Cluster, user: redis_users.User) -> redis.Redis:
    found = control.running_cluster(cluster.folder)
    file = cluster.folder.path / "keys" / "redis" / f"{user}.password"
    return redis.Redis(
        port=found.redis_port,
        username=user,
        password=file.read_text().strip(),
        decode_responses=True,
    )


def denied(cluster: Cluster) -> list[tuple[str, ...]]:
    """Return what Redis refused, and the lines of logs that speak of it."""
    admin = as_user(cluster, "default")
    found = [
        (row["username"], row["reason"], row["object"], row["client-info"].split(" cmd=")[1])
        for row in admin.acl_log(128)
    ]
    for path in sorted(cluster.folder.logs.glob("*.log")):
        lines = path.read_text(errors="replace").splitlines()
        found += [(path.stem, line) for line in lines if any(word in line for word in DENIED)]
    return found


def command(cluster: Cluster, *arguments: str) -> str:
    done = cluster.command(*arguments, timeout_s=200)
    assert done.returncode == 0, (arguments, done.stdout, done.stderr)
    return done.stdout


def test_each_part_works_as_its_user_and_nothing_is_denied(
    running: Cluster, tmp_path: Path
) -> None:
    """Talk, knowledge, people, keys, tenants, archive, backups, deaths: the log stays empty."""
    admin, ann = Person(running, "admin"), Person(running, "customer")
    talk(running, admin, ann)
    assert denied(running) == []
    look(running, admin)
    knowledge(running, Person(running, "editor", tenant="acme"))
    assert denied(running) == []
    rest(running, ann)
    die(running, ann)
    assert denied(running) == []
    commands(running, tmp_path)
    assert denied(running) == []


def talk(running: Cluster, admin: Person, ann: Person) -> None:
    session = ann.session()
    for number, message in enumerate(("How long does shipping take?", "cancel order 1003", "yes")):
        ann.say(session, message, turn_id=f"t{number}")
    ann.ask("POST", "/chat", json={"message": "May I return a lamp?", "session_id": session})
    ann.ask("GET", "/ask", params={"q": "How long does shipping take?"})
    ann.ask("GET", "/ask", params={"q": "How long does shipping take?"})  # a hot answer
    ann.ask("POST", f"/v1/sessions/{session}/turns/t0/feedback", json={"rating": "down"})
    ann.ask("POST", f"/v1/sessions/{session}/turns/t0/cancel")
    ann.ask("POST", f"/v1/sessions/{session}/handoff", json={"reason": "a person, please"})
    said = {"text": "I am here.", "message_id": "m1"}
    admin.ask("POST", f"/v1/sessions/{session}/agent-messages", json=said)
    admin.ask("GET", "/v1/handoffs")
    admin.ask("POST", f"/v1/sessions/{session}/handback", json={})
    found = ann.ask("GET", f"/v1/sessions/{session}").json()
    trace = next(turn["trace_id"] for turn in found["turns"] if turn["turn_id"] == "t0")
    admin.ask("GET", f"/v1/traces/{trace}")
    ann.ask("DELETE", f"/v1/sessions/{session}")
    log = running.folder.path.parent / "turns.jsonl"
    running.wait_until(
        lambda: log.exists() and len(log.read_text().splitlines()) >= 4, what="the log of turns"
    )
    for refused in ("/v1/sessions/forged", "/v1/audit"):
        with pytest.raises(AssertionError, match=r"40[34]"):
            ann.ask("GET", refused)


def look(running: Cluster, admin: Person) -> None:
    for path in (
        *("analytics", "audit", "cluster", "dead-letters", "faq", "faq/drafts", "handoffs"),
        *("jobs", "jobs?queue=later", "knowledge/default", "knowledge/default/documents"),
        *("knowledge/default/generations", "limits", "models", "plugins", "sessions?all=true"),
    ):
        admin.ask("GET", f"/v1/{path}")
    with requests.Session() as page:
        for path, body in (("login", {"key": admin.key}), ("logout", {})):
            reply = page.post(f"{running.url}/v1/{path}", json=body, timeout=30)
            assert reply.ok, reply.text


def knowledge(running: Cluster, bob: Person) -> None:
    """Of a second tenant, which has none yet."""
    bob.upload("cups.md", "# Cups\n\nThe Aurora cup costs 22 dollars.\n")
    running.wait_until(
        lambda: "22 dollars" in bob.ask("GET", "/v1/search", params={"q": "Aurora cup"}).text,
        what="acme's document is found",
    )
    bob.say(bob.session(), "How much does the Aurora cup cost?")
    entry = {"question": "Do you gift-wrap?", "answer": "Yes, for two dollars."}
    bob.ask("PUT", "/v1/faq/wrapping", json=entry)
    bob.ask("DELETE", "/v1/knowledge/default/documents/cups.md")


def rest(running: Cluster, ann: Person) -> None:
    session = ann.session()
    ann.say(session, "How long does shipping take?")

    def archived() -> bool:
        rows = ann.ask("GET", "/v1/sessions").json()["sessions"]
        return any(row["session_id"] == session and row["archived"] for row in rows)

    running.wait_until(archived, what="the session is archived")
    ann.say(session, "And to Singapore?")


def die(running: Cluster, ann: Person) -> None:
    """A worker, the coordinator and Redis, which all come back with their passwords."""
    for name in ("worker-0", "coordinator", "redis"):
        before = running.pid(name)
        os.kill(before, signal.SIGKILL)
        running.wait_replaced(name, before)
        running.wait_ready()
        ann.say(ann.session(), f"How long does shipping take when {name} dies?")


def commands(running: Cluster, folder: Path) -> None:
    """What people run beside the cluster, as the user of backups."""
    shown = json.loads(command(running, "keys", "list", "--json"))
    key = next(row["id"] for row in shown if row["role"] == "customer")
    command(running, "keys", "rotate", key)
    command(running, "keys", "revoke", key)
    command(running, "limits")
    command(running, "encryption", "status", "--uses")
    command(running, "encryption", "rotate")
    command(running, "logins", "end", "nobody")
    for arguments in (("--full",), (), ("--all-tenants",)):
        command(running, "backup", "--to", (folder / "backups").as_uri(), *arguments)
    command(running, "restore", "--from", (folder / "backups").as_uri(), "--drill")
    command(running, "restore", "--from", (folder / "backups").as_uri())
    command(running, "encryption", "shred", "--tenant", "acme", "--yes")
    command(running, "audit", "verify")
    command(running, "audit", "list")


@pytest.mark.parametrize(
    ("user", "forbidden"),
    [
        (
            "worker",
            [
                ("XADD", "kn:{bus}:knowledge_updated", "*", "k", "default", "v", "{}"),
                ("HSET", "kn:kb:default", "default", "9"),
                ("HSET", "kn:{api-keys}:keys", "k1", "{}"),
                ("SET", "kn:leader:coordinator", "me"),
            ],
        ),
        (
            "coordinator",
            [
                ("HSET", "kn:{api-keys}:keys", "k1", "{}"),
                ("SET", "kn:{api-keys}:session-secret", "x"),
                ("XADD", "kn:{bus}:turn_log", "*", "v", "{}"),
                ("SET", "kn:pod:worker-0", "x"),
            ],
        ),
        (
            "turn-log",
            [
                ("XADD", "kn:{bus}:turn_log", "*", "v", "{}"),
                ("HSET", "kn:{sealing:default}:keys", "x", "y"),
                ("HGETALL", "kn:{api-keys}:keys"),
                ("DEL", "kn:{bus}:turn_log"),
            ],
        ),
        (
            "backup",
            [
                ("XADD", "kn:{bus}:knowledge_updated", "*", "k", "default", "v", "{}"),
                ("SET", "kn:pod:worker-0", "x"),
                ("PUBLISH", "kn:default:{s}:signal", "t 1"),
            ],
        ),
    ],
)
def test_each_user_is_refused_what_is_anothers(
    running: Cluster, user: redis_users.User, forbidden: list[tuple[str, ...]]
) -> None:
    client = as_user(running, user)
    assert client.ping()
    for words in (
        *forbidden,
        *(("FLUSHALL",), ("CONFIG", "GET", "*"), ("KEYS", "*"), ("ACL", "LIST")),
        *(("EVAL", "return 1", "0"), ("SHUTDOWN",), ("GET", "not-ours")),
    ):
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.execute_command(*words)


def test_nobody_is_let_in_without_a_password(running: Cluster) -> None:
    port = control.running_cluster(running.folder).redis_port
    with pytest.raises(redis.exceptions.AuthenticationError):
        redis.Redis(port=port).ping()
    with pytest.raises(redis.exceptions.AuthenticationError):
        redis.Redis(port=port, username="worker", password="guessed").ping()
