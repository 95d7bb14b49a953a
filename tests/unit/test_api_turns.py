"""``/v1/sessions/{sid}/turns``: the finished turn as JSON; reading and cancelling it."""

from typing import Any

import pytest

from kotaemon_node.domain.turn import State
from tests.fakes.credentials import KeyedCluster, bearer
from tests.fakes.knowledge_base import source_doc
from tests.fakes.services import ANSWER, FakeCluster

TURNS = "/v1/sessions/s-1/turns"


def test_a_json_caller_gets_the_finished_turn() -> None:
    client = FakeCluster().client()

    made = client.post(TURNS, json={"turn_id": "t-1", "message": "May I?"})
    read = client.get(f"{TURNS}/t-1")

    assert made.status_code == 200
    assert made.json == {
        "turn_id": "t-1",
        "message": "May I?",
        "state": "done",
        "answer": ANSWER,
        "sources": [source_doc()],
        "version": 1,
        "generation": {"default": 7},
        "owner": "inc-1",
        "attempts": 1,
        "usage": {"prompt_tokens": 0, "completion_tokens": 0, "cost": 0.0},
        "timings": {"retrieval_s": 0.01},
        "degraded": None,
        "profile": "",
        "unanswered": False,
        "faq": False,
        "cached": False,
        "author": "",
        "name": "",
        "event": "",
        "handoff": False,
        "origin": "",
        "ref": "",
        "error": None,
        "trace_id": made.headers["X-Trace-ID"],
        "created_at": 100.0,
    }
    assert read.json == made.json
    assert client.get("/v1/sessions/s-1").json["turns"] == [made.json]


def test_what_the_caller_asks_for_reaches_the_engine_and_nothing_else_does() -> None:
    cluster = FakeCluster()
    client = cluster.client()

    client.post(TURNS, json={"message": "plain", "kb": None, "colour": "blue"})
    client.post(
        TURNS,
        json={
            "message": "full",
            "on_busy": "reject",
            "kb": "shop",
            "min_generation": 3,
            "intent_filter": ["query_order"],
        },
    )

    plain, full = cluster.turns.submitted
    assert (plain.on_busy, plain.options) == ("enqueue", {})
    assert full.on_busy == "reject"
    assert full.options == {"kb": "shop", "min_generation": 3, "intent_filter": ["query_order"]}


def test_a_failed_turn_is_a_turn() -> None:
    cluster = FakeCluster()
    error = {"code": "turn_crashed", "message": "three pods were lost", "retryable": False}
    cluster.turns.ending = {"state": State.FAILED, "answer": "half an", "error": error}

    answer = cluster.client().post(TURNS, json={"message": "a"})

    assert answer.status_code == 200
    assert (answer.json["state"], answer.json["error"]) == ("failed", error)


def test_the_same_id_with_another_body_is_a_conflict() -> None:
    client = FakeCluster().client()
    client.post(TURNS, json={"turn_id": "t", "message": "one"})

    answer = client.post(TURNS, json={"turn_id": "t", "message": "another"})

    assert (answer.status_code, answer.json["error"]["code"]) == (409, "turn_conflict")


def test_a_slow_turn_is_202_with_its_address() -> None:
    cluster = FakeCluster()
    cluster.turns.ending = {"state": State.QUEUED}

    answer = cluster.client().post(TURNS, json={"turn_id": "t", "message": "a"})

    assert (answer.status_code, answer.json["state"]) == (202, "queued")
    assert answer.headers["Location"] == f"{TURNS}/t"


def test_cancelling_ends_a_running_turn_and_leaves_a_finished_one() -> None:
    cluster = FakeCluster()
    client = cluster.client()
    client.post(TURNS, json={"turn_id": "finished", "message": "a"})
    cluster.turns.ending = {"state": State.RUNNING}
    client.post(TURNS, json={"turn_id": "running", "message": "b"})

    assert client.post(f"{TURNS}/running/cancel").json["state"] == "cancelled"
    assert client.post(f"{TURNS}/finished/cancel", json={}).json["state"] == "done"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"{TURNS}/nobody"),
        ("GET", f"{TURNS}/nobody/stream"),
        ("POST", f"{TURNS}/nobody/cancel"),
    ],
)
def test_an_unknown_turn_is_404(method: str, path: str) -> None:
    client = FakeCluster().client()

    no_session = client.open(path, method=method)
    client.post("/chat", json={"session_id": "s-1", "message": "a"})
    no_turn = client.open(path, method=method)

    assert (no_session.status_code, _code(no_session)) == (404, "session_not_found")
    assert (no_turn.status_code, _code(no_turn)) == (404, "turn_not_found")


def test_with_credentials_an_unknown_session_is_never_made() -> None:
    # given a mode in which ids are minted, and a caller who was let in
    cluster = KeyedCluster()
    headers = bearer(cluster.key())
    client = cluster.client()

    # when
    chosen = client.post(TURNS, json={"message": "a"}, headers=headers)
    minted = client.post("/chat", json={"message": "a"}, headers=headers)

    # then
    assert (chosen.status_code, _code(chosen)) == (404, "session_not_found")
    assert minted.status_code == 200


def _code(answer: Any) -> str:
    return str(answer.json["error"]["code"])


def test_who_names_the_epoch_of_a_lost_session_is_told_that_it_is_gone() -> None:
    client = FakeCluster().client()
    first = client.post(TURNS, json={"turn_id": "t-1", "message": "May I?"})
    epoch = client.get("/v1/sessions/s-1").json["epoch"]

    again = client.post(TURNS, json={"turn_id": "t-1", "message": "May I?", "epoch": epoch})
    refused = client.post(TURNS, json={"turn_id": "t-2", "message": "May I?", "epoch": "other"})

    # The epoch is no part of the request that a repeat is compared with.
    assert (again.status_code, again.json["answer"]) == (200, first.json["answer"])
    assert (refused.status_code, refused.json["error"]["code"]) == (410, "gone")
    body = {"session_id": "s-1", "message": "May I?", "epoch": "other"}
    assert client.post("/chat", json=body).status_code == 410
    assert client.get("/v1/sessions/s-1?epoch=other").status_code == 410
    assert client.get(f"/v1/sessions/s-1?epoch={epoch}").status_code == 200
