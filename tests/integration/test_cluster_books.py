"""Audit, ratings and figures on a whole cluster, as somebody uses them who runs it."""

import secrets
from typing import Any

import requests

from kotaemon_node.engine.record import extracted_again
from tests.cluster import Cluster
from tests.scripted_pods import until

QUESTION = "How many days do I have to return an item?"


def asked(cluster: Cluster, message: str) -> tuple[dict[str, Any], str]:
    """Return a finished turn and its session."""
    session, trace = f"books-{secrets.token_hex(4)}", secrets.token_hex(16)
    answer = requests.post(
        f"{cluster.url}/v1/sessions/{session}/turns",
        json={"message": message},
        headers={"X-Trace-ID": trace},
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["trace_id"] == trace
    return answer.json(), session


def test_an_answer_is_made_again_from_its_record_and_what_its_links_open(cluster: Cluster) -> None:
    turn, _ = asked(cluster, QUESTION)

    answer = requests.get(f"{cluster.url}/v1/traces/{turn['trace_id']}", timeout=30)
    assert answer.status_code == 200, answer.text
    record = answer.json()

    def opened(passage: Any) -> str:
        source = requests.get(cluster.url + passage["url"], timeout=30).json()
        start, end = passage["span"]
        return str(source["text"][start:end])

    assert extracted_again(record, opened) == turn["answer"] == record["answer"]
    assert "30 days" in turn["answer"]
    assert record["pods"] == [turn["owner"]]
    assert record["knowledge"]["generation"] == turn["generation"]["default"]
    assert len(record["knowledge"]["digest"]) == 64
    shown = cluster.command("trace", turn["trace_id"])
    assert shown.returncode == 0, shown.stderr
    for told in (QUESTION, "returns.md", turn["owner"], turn["answer"]):
        assert told in shown.stdout


def test_a_rating_is_counted_and_shown(cluster: Cluster) -> None:
    def totals() -> Any:
        answer = requests.get(f"{cluster.url}/v1/analytics", timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()

    before = totals()["totals"]["down"]
    word = secrets.token_hex(4)
    turn, session = asked(cluster, f"Who is the trainer of {word}?")
    assert turn["unanswered"]
    path = f"{cluster.url}/v1/sessions/{session}"
    for rating in ("up", "down"):
        answer = requests.post(
            f"{path}/turns/{turn['turn_id']}/feedback", json={"rating": rating}, timeout=30
        )
        assert answer.status_code == 200, answer.text

    shown = requests.get(path, timeout=30).json()["feedback"]
    assert shown == {turn["turn_id"]: "down"}
    assert totals()["totals"]["down"] == before + 1
    # Counted beside the answer, behind its commit.
    until(lambda: word in str(totals()["unanswered_questions"]), what="the turn is counted")
