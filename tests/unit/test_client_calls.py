"""The Python client's calls: what is asked, what is read, what is tried again."""

import ast
import inspect
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest

import kotaemon_node.client
from kotaemon_node.client import (
    AsyncClient,
    AsyncMessageStream,
    BadAnswer,
    Client,
    JobFailed,
    MessageStream,
    NotFound,
    Session,
    calls,
)
from kotaemon_node.client import config as client_config
from tests import event_loops
from tests.fakes.flaky_server import TRACE, Reaction, answers, drops, flaky, refuses
from tests.fakes.services import FakeCluster

MADE = {"session_id": "s/1", "epoch": "e", "version": 0, "created_at": 1.0}
TURN = {
    "turn_id": "t", "trace_id": TRACE, "state": "cancelled", "answer": "Two", "sources": [],
    "usage": {}, "timings": {}, "degraded": None, "version": 1, "message": "How long?",
}  # fmt: skip
JOB = {"job": "j", "kind": "upload", "state": "done", "reason": None, "result": {"generation": 2}}
UPLOADED = {"document": "a/b.md", "revision": "r", "job": "j"}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_config, "PAUSE_FIRST_S", 0.001)
    monkeypatch.setattr(calls, "JOB_LOOK_S", 0.01)


def called(name: str, *arguments: Any, script: tuple[Reaction, ...], **fields: Any) -> Any:
    """Call a method of both clients; return what came, and the requests of one of them."""
    with flaky(*script) as server, Client(endpoint=server.url) as client:
        first = getattr(client, name)(*arguments, **fields)
        seen = server.seen

    async def run(url: str) -> Any:
        async with AsyncClient({"endpoint": url}) as other:
            return await getattr(other, name)(*arguments, **fields)

    with flaky(*script) as server:
        second = event_loops.run(run(server.url))
        assert [(it.method, it.path.split("job=")[0]) for it in server.seen] == [
            (it.method, it.path.split("job=")[0]) for it in seen
        ]
    assert first == second
    return first, seen


def test_a_session_is_made_once_however_often_it_is_tried() -> None:
    context = {"history": [{"role": "user", "content": "Hi"}]}
    made, seen = called("create_session", "u", "web", context, script=(drops(), answers(201, MADE)))
    assert (made.id, made.epoch) == ("s/1", "e")
    keys = {asked.headers["idempotency-key"] for asked in seen}
    assert len(seen) == 2
    assert len(keys) == 1
    assert seen[1].body == {"user_id": "u", "channel": "web", "context": context}


@pytest.mark.parametrize(
    ("name", "arguments", "reply", "method", "path", "body"),
    [
        ("cancel", ("s/1", "t"), TURN, "POST", "/v1/sessions/s%2F1/turns/t/cancel", {}),
        ("turn", ("s", "t"), TURN, "GET", "/v1/sessions/s/turns/t", None),
        ("handoff", ("s", "angry"), {}, "POST", "/v1/sessions/s/handoff", {"reason": "angry"}),
        ("handback", ("s",), {}, "POST", "/v1/sessions/s/handback", {}),
        ("delete_session", ("s",), None, "DELETE", "/v1/sessions/s", None),
        ("job", ("j",), JOB, "GET", "/v1/jobs/j", None),
        ("sessions", (5, 2), {"sessions": [], "next_offset": None}, "GET",
         "/v1/sessions?offset=5&limit=2", None),
        ("feedback", ("s", "t", -1), {}, "POST", "/v1/sessions/s/turns/t/feedback",
         {"rating": -1, "comment": ""}),
    ],
)  # fmt: skip
def test_each_call_is_one_request(
    name: str, arguments: Any, reply: Any, method: str, path: str, body: Any
) -> None:
    _, (asked,) = called(name, *arguments, script=(answers(200, reply),))
    assert (asked.method, asked.path, asked.body) == (method, path, body)


def test_a_session_that_was_made_names_itself() -> None:
    made = Session("s", "e", 0, 1.0, {})
    _, (asked,) = called("cancel", made, "t", script=(answers(200, TURN),))
    assert asked.path == "/v1/sessions/s/turns/t/cancel"


def test_a_file_goes_up_under_one_job_and_is_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "b.md"
    file.write_text("# Two weeks")
    script = (refuses(503, "unavailable", Retry_After="0"), answers(202, UPLOADED))
    up, seen = called("upload_document", file, "a/b.md", kb="shop", script=script)
    assert (up.document, up.job) == ("a/b.md", "j")
    assert seen[0].path == seen[1].path
    assert seen[0].path.startswith("/v1/knowledge/shop/documents?job=")
    assert b"# Two weeks" in seen[1].raw
    assert b"a/b.md" in seen[1].raw

    waiting = answers(200, {**JOB, "state": "running"})
    over, seen = called("wait_for_job", "j", script=(waiting, answers(200, JOB)))
    assert (over.result, len(seen)) == ({"generation": 2}, 2)
    failed = answers(200, {**JOB, "state": "failed", "reason": "no text"})
    with pytest.raises(JobFailed, match="no text"):
        called("wait_for_job", "j", script=(failed,))
    with pytest.raises(TimeoutError):
        called("wait_for_job", "j", timeout_s=0.005, script=(waiting,))


def test_a_refusal_and_a_strange_answer_say_which_they_are() -> None:
    with pytest.raises(NotFound, match="session_not_found"):
        called("session", "s", script=(refuses(404, "session_not_found"),))
    with pytest.raises(BadAnswer):
        called("session", "s", script=(answers(200, {"hello": 1}),))
    with pytest.raises(BadAnswer):
        called("turn", "s", "t", script=(answers(418, "tea"),))
    with pytest.raises(ValueError, match="endpoint"):
        Client(endpoint="127.0.0.1:8080")


def test_the_routes_answer_in_the_forms_that_are_read() -> None:
    """Against the real routes: a form that changes there is noticed here."""
    transport = httpx2.WSGITransport(app=FakeCluster().client().application)
    client = Client(transport=transport)
    session = client.create_session(context={"history": []})
    answer = client.ask("How long?", session)
    assert answer.session_id == session.id
    turn = client.turn(session, answer.turn_id)
    assert turn.response == answer.response
    assert client.cancel(session, answer.turn_id).state == "done"
    told = client.send_message(session, "And for shoes?", intent_filter="x")
    assert told.response == client.session(session).turns[-1].response
    assert client.session(session).messages == ["How long?", "And for shoes?"]
    assert [row.id for row in client.sessions().sessions] == [session.id]
    found = client.search("How long?")
    assert all(passage.text for passage in found.passages)
    client.delete_session(session)
    with pytest.raises(NotFound):
        client.session(session)


def test_both_clients_have_the_same_methods() -> None:
    for one, other in ((Client, AsyncClient), (MessageStream, AsyncMessageStream)):
        names = {name for name in vars(one) if not name.startswith("_")}
        assert names == {name for name in vars(other) if not name.startswith("_")}
        for name in names - {"text", "session_id", "turn_id", "so_far"}:
            here, there = (
                inspect.signature(getattr(one, name)),
                inspect.signature(getattr(other, name)),
            )
            assert str(here.parameters) == str(there.parameters), name


def test_the_package_needs_nothing_else_of_the_project() -> None:
    folder = Path(kotaemon_node.client.__file__).parent
    wanted = set()
    for file in folder.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom):
                wanted.add(str(node.module))
            elif isinstance(node, ast.Import):
                wanted |= {alias.name for alias in node.names}
    outside = {
        name
        for name in wanted
        if not name.startswith("kotaemon_node.client") and name.partition(".")[0] not in STANDARD
    }
    assert outside == {"httpx2"}


STANDARD = sys.stdlib_module_names
