"""Rollback, publish, delete and purge as routes: an order is taken once and shown."""

from urllib.parse import quote

from kotaemon_node.domain.held import HeldBuild, LostProbe
from tests.fakes.knowledge_base import DOCUMENT, GENERATION, PASSAGE
from tests.fakes.services import FakeCluster

ROLLBACK = "/v1/knowledge/default/rollback"
DOC = f"/v1/knowledge/default/documents/{quote(DOCUMENT)}"


def test_a_rollback_is_a_job_that_can_be_looked_up() -> None:
    client = FakeCluster().client()

    answer = client.post(ROLLBACK, json={"generation": GENERATION - 1})

    assert answer.status_code == 202
    assert (answer.json["kind"], answer.json["state"]) == ("rollback", "queued")
    assert answer.json["fields"] == {"generation": GENERATION - 1}
    assert answer.headers["Location"] == f"/v1/jobs/{answer.json['job']}"
    assert client.get(answer.headers["Location"]).json == answer.json
    assert client.get("/v1/jobs").json == {"jobs": [answer.json]}


def test_the_same_job_twice_is_one_and_another_under_its_id_is_refused() -> None:
    cluster = FakeCluster()
    client = cluster.client()
    body = {"generation": GENERATION - 1, "job": "mine"}

    first, second = client.post(ROLLBACK, json=body), client.post(ROLLBACK, json=body)
    other = client.delete(f"{DOC}?job=mine")

    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json == second.json
    assert len(cluster.jobs.queue) == 1
    assert (other.status_code, other.json["error"]["code"]) == (409, "conflict")


def test_going_back_to_what_is_not_kept_names_what_is() -> None:
    answer = FakeCluster().client().post(ROLLBACK, json={"generation": 2})

    assert answer.status_code == 409
    assert f"possible: {GENERATION - 1}" in answer.json["error"]["message"]


def test_a_deletion_names_the_document_as_it_is_spelled() -> None:
    cluster = FakeCluster()

    deleted = cluster.client().delete(DOC)
    purged = cluster.client().delete(f"{DOC}?purge=true")

    assert [row.json["kind"] for row in (deleted, purged)] == ["delete", "purge"]
    assert {job.order.fields["document"] for job in cluster.jobs.jobs.values()} == {DOCUMENT}


def test_a_full_queue_and_a_silent_store_are_said_so() -> None:
    cluster = FakeCluster()
    cluster.jobs.away = True
    answer = cluster.client().post("/v1/knowledge/default/publish", json={"force": True})
    assert (answer.status_code, answer.json["error"]["code"]) == (503, "store_unavailable")


def test_what_the_gate_holds_is_shown_with_its_reason() -> None:
    cluster = FakeCluster()
    lost = LostProbe("How long?", (DOCUMENT,), before=1.0, now=0.0)
    cluster.knowledge.held_now = HeldBuild(
        key="k",
        kb="default",
        generation=GENERATION,
        at="2026-01-01T00:00:00+00:00",
        reason="recall falls",
        recall=0.0,
        recall_before=1.0,
        lost=(lost,),
    )

    shown = cluster.client().get("/v1/knowledge/default").json["held"]

    assert (shown["reason"], shown["recall_before"]) == ("recall falls", 1.0)
    assert shown["lost"][0]["question"] == "How long?"


def test_a_citation_of_what_was_purged_is_withdrawn() -> None:
    cluster = FakeCluster()
    cluster.knowledge.withdrawn = True

    answer = cluster.client().get(f"/v1/sources/default/{GENERATION}/{PASSAGE.id}")

    assert (answer.status_code, answer.json["error"]["code"]) == (410, "withdrawn")
