"""Callers that wait for JSON, and turns that meet a busy session, on the real cluster."""

import threading
from typing import Any

import pytest
import requests

from tests.turn_cluster import QUESTION, Reader, TurnCluster, new_id


def post(running: TurnCluster, path: str, **body: Any) -> requests.Response:
    return requests.post(f"{running.url}{path}", json=body, timeout=90)


@pytest.mark.parametrize("route", ["/chat", "/v1/sessions/{}/turns"])
def test_a_post_without_a_turn_id_survives_its_pod_and_runs_once(
    running: TurnCluster, route: str
) -> None:
    whole = running.reader().read().text
    running.pace(token_ms=60)
    session_id = new_id("s")
    answers: list[requests.Response] = []

    def ask() -> None:
        body = {"session_id": session_id} if route == "/chat" else {}
        answers.append(post(running, route.format(session_id), message=QUESTION, **body))

    asking = threading.Thread(target=ask)
    asking.start()
    running.cluster.wait_until(
        lambda: running.model.stats["running"] == 1, what="the model answers", timeout_s=30
    )
    (worker,) = [name for name in running.workers() if running.metric(name, RUNNING) == 1]
    running.cluster.kill(worker)
    asking.join(90)

    (answer,) = answers
    assert answer.status_code == 200, answer.text
    assert answer.headers["X-Served-By"] != worker
    fields = answer.json()
    assert fields.get("response", fields.get("answer")) == whole
    session = requests.get(f"{running.url}/v1/sessions/{session_id}", timeout=30).json()
    (turn,) = session["turns"]
    assert (turn["turn_id"], turn["attempts"]) == (fields["turn_id"], 2)


RUNNING = "kotaemon_turns_running"


def test_a_busy_session_refuses_who_will_not_wait(running: TurnCluster) -> None:
    running.pace(token_ms=60)
    with Reader(running.reader()) as client:
        running.cluster.wait_until(lambda: client.texts() >= 2, what="the answer has begun")
        turns = f"/v1/sessions/{client.reading.session_id}/turns"
        refused = post(running, turns, message="And to Malaysia?", on_busy="reject")
        assert refused.status_code == 409
        assert refused.json()["error"]["code"] == "session_busy"
        assert client.finish().state == "done"
    assert len(running.history(client.reading)) == 1


def test_an_interrupt_ends_what_runs_and_is_answered(running: TurnCluster) -> None:
    running.pace(token_ms=60)
    with Reader(running.reader()) as client:
        running.cluster.wait_until(lambda: client.texts() >= 2, what="the answer has begun")
        turns = f"/v1/sessions/{client.reading.session_id}/turns"
        answer = post(running, turns, message="And to Malaysia?", on_busy="interrupt")
        reading = client.finish()
    assert answer.status_code == 200, answer.text
    assert answer.json()["state"] == "done"
    assert reading.state == "interrupted"
    first, second = running.history(reading)
    assert (first["state"], first["answer"]) == ("interrupted", reading.text)
    assert second["turn_id"] == answer.json()["turn_id"]
