"""FAQ entries over HTTP: listed with what waits, written and removed by orders."""

import json
from typing import Any

import pytest

from kotaemon_node.domain import limits
from kotaemon_node.domain.faq_entries import FaqEntry
from tests.fakes.services import FakeCluster

RETURNS = FaqEntry.of(
    "How do I return an item?",
    "Send it back.\n\nWithin 30 days.",
    tags=["returns", "money"],
    variants=["Return an item"],
)
TABLE = "question,answer,tags\nHow long is delivery?,Three days.,shipping\n退货要多久？,三十天。,\n"


@pytest.fixture
def cluster() -> FakeCluster:
    cluster = FakeCluster()
    cluster.faq.publish({"faq.csv": TABLE, "notes.csv": "a,b\n1,2\n"})
    cluster.faq.publish({"returns.faq.json": RETURNS.to_json().decode()})
    return cluster


def listed(cluster: FakeCluster, query: str = "") -> Any:
    answer = cluster.client().get(f"/v1/faq{query}")
    assert answer.status_code == 200, answer.json
    return answer.json


def put(cluster: FakeCluster, entry_id: str = "new", query: str = "", **body: Any) -> Any:
    said = {"question": "Q?", "answer": "A.", **body}
    return cluster.client().put(f"/v1/faq/{entry_id}{query}", json=said)


def test_entries_of_their_own_stand_beside_those_of_tables(cluster: FakeCluster) -> None:
    told = listed(cluster)
    assert (told["kb"], told["generation"], told["total"]) == ("default", 9, 3)
    own, delivery, chinese = told["entries"]
    assert {name: own[name] for name in ("id", "question", "answer", "tags", "variants")} == {
        "id": "returns",
        "question": "How do I return an item?",
        "answer": "Send it back.\n\nWithin 30 days.",
        "tags": ["returns", "money"],
        "variants": ["Return an item"],
    }
    assert (own["managed"], own["state"], own["document"]) == (True, "live", "returns.faq.json")
    assert (delivery["managed"], delivery["document"]) == (False, "faq.csv")
    assert (delivery["answer"], delivery["tags"]) == ("Three days.", ["shipping"])
    assert chinese["question"] == "退货要多久？"
    for entry in told["entries"]:
        assert cluster.client().get(f"/v1/faq/{entry['id']}").json == entry
        assert entry["url"].startswith("/v1/sources/default/9/")


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("return", ["How do I return an item?"]),
        ("MONEY", ["How do I return an item?"]),
        ("ship del", ["How long is delivery?"]),
        ("退货", ["退货要多久？"]),
        ("return delivery", []),
    ],
)
def test_entries_are_found_by_beginnings_of_words(
    cluster: FakeCluster, words: str, found: list[str]
) -> None:
    told = listed(cluster, f"?q={words}")
    assert [entry["question"] for entry in told["entries"]] == found
    assert told["total"] == len(found)


def test_pages_follow_each_other(cluster: FakeCluster) -> None:
    put(cluster)
    whole = [entry["id"] for entry in listed(cluster)["entries"]]
    assert whole[:2] == ["new", "returns"]
    offset, paged = 0, []
    while offset is not None:
        page = listed(cluster, f"?offset={offset}&limit=1")
        paged += [entry["id"] for entry in page["entries"]]
        offset = page["next_offset"]
    assert paged == whole


def test_an_entry_is_put_as_a_small_document(cluster: FakeCluster) -> None:
    answer = put(cluster, "shoes", "?kb=shop", question=" Shoes? ", tags=["a"], variants=["Boots?"])
    assert answer.status_code == 202
    told = answer.json
    assert (told["id"], told["kb"], told["document"]) == ("shoes", "shop", "shop/shoes.faq.json")
    assert answer.headers["Location"] == f"/v1/jobs/{told['job']}"
    (content,) = cluster.room.kept.values()
    assert json.loads(content) == {
        "question": "Shoes?", "answer": "A.", "tags": ["a"], "variants": ["Boots?"]
    }  # fmt: skip
    (job,) = cluster.jobs.jobs.values()
    assert (job.order.kind, job.order.kb) == ("upload", "shop")
    assert job.order.fields["document"] == "shop/shoes.faq.json"
    assert job.order.fields["revision"] == told["revision"]
    # The same entry has the same revision, whoever writes it; another id is another job.
    again = put(cluster, "shoes", "?kb=shop", question="Shoes?", tags=["a"], variants=["Boots?"])
    assert again.json["revision"] == told["revision"]


def test_what_waits_is_said(cluster: FakeCluster) -> None:
    job = put(cluster, "returns").json["job"]
    put(cluster, "new", question="A new one?")
    new, changing, *_ = listed(cluster)["entries"]
    assert (new["id"], new["state"], new["question"]) == ("new", "queued", "A new one?")
    assert (changing["state"], changing["job"]) == ("changing", job)
    assert changing["question"] == RETURNS.question
    assert cluster.client().get("/v1/faq/new").json["state"] == "queued"
    assert cluster.client().delete("/v1/faq/returns").status_code == 202
    assert listed(cluster)["entries"][1]["state"] == "removing"
    cluster.jobs.away = True
    assert [it["state"] for it in listed(cluster)["entries"]] == ["live", "live", "live"]


def test_the_entry_that_is_served_waits_for_nothing(cluster: FakeCluster) -> None:
    put(
        cluster, "returns",
        question=RETURNS.question, answer=RETURNS.answer,
        tags=list(RETURNS.tags), variants=list(RETURNS.variants),
    )  # fmt: skip
    assert listed(cluster)["entries"][0]["state"] == "live"


def test_an_entry_is_deleted_by_an_order(cluster: FakeCluster) -> None:
    answer = cluster.client().delete("/v1/faq/returns?job=mine")
    assert (answer.status_code, answer.json["job"]) == (202, "mine")
    assert cluster.jobs.jobs[("default", "mine")].order.fields == {"document": "returns.faq.json"}
    assert cluster.client().delete("/v1/faq/unknown").status_code == 404
    assert cluster.client().delete("/v1/faq/unknown?kb=unknown").status_code == 404


def test_an_entry_of_a_table_is_changed_in_its_document(cluster: FakeCluster) -> None:
    entry_id = listed(cluster)["entries"][1]["id"]
    for answer in (put(cluster, entry_id), cluster.client().delete(f"/v1/faq/{entry_id}")):
        assert (answer.status_code, answer.json["error"]["code"]) == (409, "conflict")


def test_a_file_that_is_no_entry_is_listed_with_its_reason(cluster: FakeCluster) -> None:
    cluster.faq.publish({"bad.faq.json": "{}", "退货.faq.json": "[]"})
    by_id = {entry["id"]: entry for entry in listed(cluster)["entries"]}
    assert (by_id["bad"]["state"], by_id["bad"]["managed"]) == ("failed", True)
    assert "'question' is not a text" in by_id["bad"]["reason"]
    assert by_id["退货.faq.json"]["managed"] is False


@pytest.mark.parametrize(
    ("entry_id", "query", "body", "status"),
    [
        ("a%20b", "", {}, 400),
        (".a", "", {}, 422),
        ("a" * 129, "", {}, 400),
        ("a", "?kb=a%2Fb", {}, 400),
        ("a", "", {"question": None}, 422),
        ("a", "", {"question": " "}, 422),
        ("a", "", {"answer": "\u200b"}, 422),
        ("a", "", {"tags": ["x,y"]}, 422),
        ("a", "", {"tags": "x"}, 422),
        ("a", "", {"question": "q" * (limits.FAQ_QUESTION_CHARS_MAX + 1)}, 413),
        ("a", "", {"answer": "a" * (limits.FAQ_ANSWER_CHARS_MAX + 1)}, 413),
        ("a", "", {"variants": ["v"] * (limits.FAQ_VARIANTS_MAX + 1)}, 413),
        ("a", "", {"tags": ["t" * 50 + str(n) for n in range(5)]}, 413),
    ],
)
def test_what_is_no_entry_is_refused(
    cluster: FakeCluster, entry_id: str, query: str, body: dict[str, Any], status: int
) -> None:
    answer = put(cluster, entry_id, query, **body)
    assert answer.status_code == status, answer.json
    assert not cluster.jobs.queue
    assert not cluster.room.kept


def test_without_a_queue_or_a_store_nothing_is_taken(cluster: FakeCluster) -> None:
    cluster.room.away = True
    assert put(cluster).status_code == 503
    cluster.room.away = False
    cluster.jobs.away = True
    assert put(cluster).status_code == 503
    assert cluster.client().get("/v1/faq?kb=unknown").status_code == 404
    assert cluster.client().get("/v1/faq/unknown").status_code == 404


def test_a_newer_generation_is_waited_for(cluster: FakeCluster) -> None:
    assert cluster.client().get("/v1/faq?min_generation=9").status_code == 200
    answer = cluster.client().get("/v1/faq?min_generation=10")
    assert (answer.status_code, answer.json["error"]["code"]) == (503, "behind")


def test_only_what_changed_is_read_again(cluster: FakeCluster) -> None:
    client = cluster.client()
    cluster.faq.publish({f"e{n}.faq.json": RETURNS.to_json().decode() for n in range(30)})
    client.get("/v1/faq?limit=1")
    cluster.faq.publish({"e7.faq.json": FaqEntry.of("Seven?", "7.").to_json().decode()})
    cluster.faq.reads.clear()
    told = client.get("/v1/faq?limit=1").json
    assert (told["entries"][0]["question"], told["total"]) == ("Seven?", 33)
    assert cluster.faq.reads == ["e7.faq.json", "e7.faq.json"]


def test_more_than_can_be_listed_is_said(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FAQ_LISTED_MAX", 1)
    told = listed(cluster)
    assert (told["complete"], [entry["id"] for entry in told["entries"]]) == (False, ["returns"])
