"""From a question that nobody could answer to the entry that answers it, on a real cluster."""

from typing import Any

import pytest
import requests

from tests.cluster import Cluster

ASKED = "At what temperature does tungsten melt?"
AGAIN = "hi, at what temperature does tungsten melt please"
SAID = "At 3422 degrees, so our lamps hold out."
TIMEOUT_S = 60


def post(cluster: Cluster, path: str, **body: Any) -> Any:
    answer = requests.post(f"{cluster.url}{path}", json=body, timeout=TIMEOUT_S)
    assert answer.ok, answer.text
    return answer.json()


def drafts(cluster: Cluster) -> list[dict[str, Any]]:
    told = requests.get(f"{cluster.url}/v1/faq/drafts", timeout=TIMEOUT_S).json()
    found: list[dict[str, Any]] = told["drafts"]
    return found


@pytest.mark.long
def test_what_a_person_answered_once_answers_everybody(cluster: Cluster) -> None:
    turns = "/v1/sessions/drafts-1/turns"
    for path, message in ((turns, ASKED), (turns.replace("-1", "-2"), AGAIN)):
        told = post(cluster, path, message=message)
        assert told["unanswered"] is True, told["answer"]
    assert post(cluster, turns, message="let me talk to a human")["event"] == "handoff"
    assert post(cluster, turns, message="are you there?")["handoff"] is True
    post(cluster, "/v1/sessions/drafts-1/agent-messages", text=SAID, message_id="a1", name="Ann")
    post(cluster, "/v1/sessions/drafts-1/handback")

    cluster.wait_until(
        lambda: [it["asked"] for it in drafts(cluster)] == [2], what="both wordings are one draft"
    )
    [draft] = drafts(cluster)
    assert (draft["suggestion"], draft["suggested_by"]) == (SAID, "agent")
    assert {it["session_id"] for it in draft["examples"]} == {"drafts-1", "drafts-2"}

    order = post(cluster, f"/v1/faq/drafts/{draft['id']}/accept", answer=draft["suggestion"])

    def done() -> bool:
        job = requests.get(f"{cluster.url}/v1/jobs/{order['job']}", timeout=TIMEOUT_S).json()
        assert job["state"] != "failed", job
        return bool(job["state"] == "done")

    cluster.wait_until(done, what="a generation has the entry")

    def answered() -> bool:
        told = post(cluster, "/v1/sessions/drafts-3/turns", message=ASKED)
        return bool(SAID in told["answer"].replace(" [1]", "")) and told["faq"]

    cluster.wait_until(answered, what="the entry answers")
    assert drafts(cluster) == []
    figures = requests.get(f"{cluster.url}/v1/analytics", timeout=TIMEOUT_S).json()["totals"]
    assert figures["handoffs"] == 1
    assert figures["with_person"] == 1
    assert figures["handoff_rate"] > 0
