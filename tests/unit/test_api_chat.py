"""``POST /chat`` and ``GET /ask``: the shortest ways to an answer."""

import pytest

from kotaemon_node.domain.errors import (
    Draining,
    Overloaded,
    SessionBusy,
    StoreUnavailable,
    TurnConflict,
)
from kotaemon_node.domain.limits import JSON_WAIT_MAX_S
from kotaemon_node.domain.turn import State
from tests.fakes.knowledge_base import source_doc
from tests.fakes.services import ANSWER, FakeCluster


def test_a_message_makes_the_session_under_the_id_that_the_client_chose() -> None:
    cluster = FakeCluster()

    answer = cluster.client().post("/chat", json={"session_id": "s-1", "message": "May I?"})

    assert answer.status_code == 200
    assert answer.json == {
        "response": ANSWER,
        "session_id": "s-1",
        "turn_id": "id-2",
        "sources": [source_doc()],
        "trace_id": answer.headers["X-Trace-ID"],
        "state": "done",
        "degraded": None,
        "handoff": False,
    }
    (asked,) = cluster.turns.submitted
    assert asked.message == "May I?"
    assert asked.principal.tenant == "default"
    assert asked.create_session


def test_a_message_without_a_session_gets_a_fresh_one() -> None:
    cluster = FakeCluster()
    client = cluster.client()

    first = client.post("/chat", json={"message": "one"}).json
    second = client.post("/chat", json={"message": "two"}).json

    assert first["session_id"] != second["session_id"]
    assert client.get(f"/v1/sessions/{first['session_id']}").json["version"] == 1


def test_one_question_is_answered_in_a_session_of_its_own() -> None:
    cluster = FakeCluster()

    answer = cluster.client().get("/ask", query_string={"q": "能退货吗"})

    assert answer.status_code == 200
    assert answer.json["answer"] == ANSWER
    assert answer.json["source"] == [source_doc()]
    assert answer.json["trace_id"] == answer.headers["X-Trace-ID"]
    assert cluster.turns.submitted[0].message == "能退货吗"


def test_a_question_in_a_named_session_is_asked_there_and_never_makes_it() -> None:
    cluster = FakeCluster()
    client = cluster.client()

    unknown = client.get("/ask?q=hi&session_id=s-1")
    client.post("/chat", json={"session_id": "s-1", "message": "first"})
    known = client.get("/ask?q=hi&session_id=s-1")

    assert (unknown.status_code, unknown.json["error"]["code"]) == (404, "session_not_found")
    assert known.status_code == 200
    assert known.json["session_id"] == "s-1"


@pytest.mark.parametrize("query", ["", "?q=", "?q=%20%09", "?question=hi"])
def test_a_question_must_be_there(query: str) -> None:
    answer = FakeCluster().client().get(f"/ask{query}")

    assert (answer.status_code, answer.json["error"]["code"]) == (400, "malformed")


def test_the_turn_id_is_the_clients_then_the_balancers_then_fresh() -> None:
    client = FakeCluster().client()
    balancer = {"X-Turn-Default": "from-the-balancer"}

    named = client.post("/chat", json={"message": "a", "turn_id": "mine"}, headers=balancer)
    default = client.post("/chat", json={"message": "a"}, headers=balancer)
    fresh = client.post("/chat", json={"message": "a"})
    asked = client.get("/ask?q=a", headers={"X-Turn-Default": "asked"})

    assert named.json["turn_id"] == "mine"
    assert default.json["turn_id"] == "from-the-balancer"
    assert fresh.json["turn_id"].startswith("id-")
    assert asked.json["turn_id"] == "asked"


def test_an_illegal_default_of_the_balancer_is_refused() -> None:
    answer = (
        FakeCluster()
        .client()
        .post("/chat", json={"message": "a"}, headers={"X-Turn-Default": "a b"})
    )

    assert (answer.status_code, answer.json["error"]["code"]) == (400, "malformed")


def test_the_same_request_twice_runs_once() -> None:
    cluster = FakeCluster()
    client = cluster.client()
    body = {"session_id": "s", "turn_id": "t", "message": "once"}

    first = client.post("/chat", json=body)
    again = client.post("/chat", json=body)

    assert len(cluster.turns.submitted) == 1
    assert again.json == first.json


def test_a_failed_turn_is_told_as_its_error() -> None:
    # given a model that fell silent
    cluster = FakeCluster()
    cluster.turns.ending = {
        "state": State.FAILED,
        "error": {"code": "deadline_exceeded", "message": "no text in 10 s", "retryable": True},
    }

    # when
    answer = cluster.client().post("/chat", json={"message": "a"})

    # then
    assert answer.status_code == 504
    assert answer.json["error"] == {
        "code": "deadline_exceeded",
        "message": "no text in 10 s",
        "retryable": True,
        "trace_id": answer.headers["X-Trace-ID"],
    }


def test_a_failure_of_an_unknown_code_reads_as_internal() -> None:
    cluster = FakeCluster()
    cluster.turns.ending = {"state": State.FAILED, "error": {"code": "from_a_newer_pod"}}

    answer = cluster.client().get("/ask?q=a")

    assert (answer.status_code, answer.json["error"]["code"]) == (500, "internal")


@pytest.mark.parametrize(
    ("refusal", "status", "code", "retry_after"),
    [
        (TurnConflict("x"), 409, "turn_conflict", None),
        (SessionBusy("x"), 409, "session_busy", None),
        (Overloaded("x"), 429, "overloaded", "1"),
        (StoreUnavailable("x"), 503, "store_unavailable", "1"),
        (Draining("x"), 503, "draining", "1"),
    ],
)
def test_refusals_keep_their_code(
    refusal: Exception, status: int, code: str, retry_after: str | None
) -> None:
    cluster = FakeCluster()
    cluster.turns.refusal = refusal

    answer = cluster.client().post("/chat", json={"message": "a"})

    assert (answer.status_code, answer.json["error"]["code"]) == (status, code)
    assert answer.headers.get("Retry-After") == retry_after


def test_a_bug_is_shown_as_internal_and_nothing_more() -> None:
    cluster = FakeCluster()
    cluster.turns.refusal = ZeroDivisionError("secret detail")

    answer = cluster.client().post("/chat", json={"message": "a"})

    assert (answer.status_code, answer.json["error"]["code"]) == (500, "internal")
    assert b"secret" not in answer.data
    assert answer.json["error"]["trace_id"] == answer.headers["X-Trace-ID"]


def test_a_slow_turn_goes_on_alone_and_says_where() -> None:
    cluster = FakeCluster()
    cluster.turns.ending = {"state": State.RUNNING}
    client = cluster.client()

    answer = client.post("/chat", json={"session_id": "s", "turn_id": "t", "message": "a"})

    assert answer.status_code == 202
    assert cluster.turns.waited_s == [JSON_WAIT_MAX_S]
    assert answer.json["state"] == "running"
    assert answer.headers["Location"] == "/v1/sessions/s/turns/t"
    assert client.get(answer.headers["Location"]).json["state"] == "running"


def test_a_leaving_pod_takes_no_new_turn() -> None:
    cluster = FakeCluster()
    cluster.pod.draining = True

    answer = cluster.client().post("/chat", json={"message": "a"})

    assert (answer.status_code, answer.json["error"]["code"]) == (503, "draining")
    assert cluster.turns.submitted == []


def test_a_request_that_the_balancer_repeats_finds_its_session_and_turn() -> None:
    client = FakeCluster().client()

    def session_of(balancer_id: str) -> str:
        headers = {"X-Turn-Default": balancer_id}
        return str(client.post("/chat", json={"message": "a"}, headers=headers).json["session_id"])

    assert session_of("balancer-1") == session_of("balancer-1")
    assert session_of("balancer-1") != session_of("balancer-2")
