"""The Python client's tries: what may be sent again, what may not, and for how long."""

import time
from typing import Any

import httpx2
import pytest

from kotaemon_node.client import (
    AsyncClient,
    Client,
    KotaemonError,
    NotFound,
    Overloaded,
    Unreachable,
)
from kotaemon_node.client import config as client_config
from tests import event_loops
from tests.fakes.flaky_server import TRACE, Reaction, answers, drops, flaky, refuses

ANSWER = {"turn_id": "t", "trace_id": TRACE, "state": "done", "response": "Two", "source": []}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_config, "PAUSE_FIRST_S", 0.001)
    monkeypatch.setattr(client_config, "PAUSE_TOLD_MAX_S", 0.001)


def blocking(url: str, name: str, *arguments: Any, **fields: Any) -> Any:
    with Client(endpoint=url, **fields) as client:
        return getattr(client, name)(*arguments)


def asynchronous(url: str, name: str, *arguments: Any, **fields: Any) -> Any:
    async def run() -> Any:
        async with AsyncClient(endpoint=url, **fields) as client:
            return await getattr(client, name)(*arguments)

    return event_loops.run(run())


@pytest.fixture(params=[blocking, asynchronous])
def call(request: pytest.FixtureRequest) -> Any:
    """Return what makes a call to a server that follows a script."""

    def run(name: str, *arguments: Any, script: list[Reaction], **fields: Any) -> Any:
        with flaky(*script) as server:
            try:
                return request.param(server.url, name, *arguments, **fields), server.seen
            except KotaemonError as error:
                return error, server.seen

    return run


def late(reaction: Reaction, after_s: float) -> Reaction:
    def act(handler: Any) -> None:
        time.sleep(after_s)
        reaction.act(handler)

    return Reaction(act)


@pytest.mark.parametrize("fault", [drops(), refuses(504, "unavailable"), answers(502, None)])
def test_a_question_that_may_have_arrived_is_not_asked_again(call: Any, fault: Reaction) -> None:
    told, seen = call("ask", "How long?", "s", script=[fault, answers(200, ANSWER)])

    assert isinstance(told, KotaemonError)
    assert len(seen) == 1


@pytest.mark.parametrize("status", [429, 503])
def test_a_question_that_was_turned_away_is_asked_again(call: Any, status: int) -> None:
    away = refuses(status, "overloaded", retryable=True, Retry_After="1")
    told, seen = call("ask", "How long?", "s", script=[away, away, answers(200, ANSWER)])

    assert told.response == "Two"
    assert len(seen) == 3


def test_a_connection_that_is_refused_took_no_question() -> None:
    tried: list[httpx2.Request] = []

    def transport(request: httpx2.Request) -> httpx2.Response:
        tried.append(request)
        if len(tried) < 3:
            raise httpx2.ConnectError("refused")
        return httpx2.Response(200, json=ANSWER)

    with Client(transport=httpx2.MockTransport(transport)) as client:
        assert client.ask("How long?", "s").response == "Two"
    assert len(tried) == 3


def test_a_question_is_awaited_longer_than_a_plain_call(call: Any) -> None:
    script = [late(answers(200, ANSWER), 0.5)]

    told, seen = call("ask", "How long?", "s", script=script, timeout=100)
    assert told.response == "Two"
    assert len(seen) == 1
    told, _ = call("turn", "s", "t", script=script, timeout=100, retries=0)
    assert isinstance(told, Unreachable)


def test_a_session_that_this_call_removed_is_no_error(call: Any) -> None:
    gone = refuses(404, "session_not_found")

    assert call("delete_session", "s", script=[drops(), gone])[0] is None
    assert call("delete_session", "s", script=[refuses(503, "unavailable"), gone])[0] is None
    assert isinstance(call("delete_session", "s", script=[gone])[0], NotFound)
    full = refuses(429, "overloaded")
    assert isinstance(call("delete_session", "s", script=[full, gone])[0], NotFound)


def test_a_plain_call_ends_half_a_minute_after_its_first_try(call: Any) -> None:
    for fault, kind in ((drops(), Unreachable), (refuses(429, "overloaded"), Overloaded)):
        times = iter(range(0, 1000, 10))  # ten seconds a look
        told, seen = call("turn", "s", "t", script=[fault], clock=times.__next__)

        assert isinstance(told, kind)
        assert len(seen) == 3  # they failed after 10, 20 and 30 s


def test_a_body_that_cannot_be_unpacked_is_an_error_of_the_client(call: Any) -> None:
    bad = answers(200, ANSWER, Content_Encoding="gzip")
    assert isinstance(call("turn", "s", "t", script=[bad], retries=1)[0], Unreachable)

    def act(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Content-Encoding", "gzip")
        handler.end_headers()
        handler.wfile.write(b"data: {}\n\n")

    told, _ = call("send_message", "s", "Hi", script=[Reaction(act)], retries=1)
    assert isinstance(told, Unreachable)
