"""Search, citations and what a knowledge base holds."""

from urllib.parse import quote

import pytest

from tests.fakes.knowledge_base import DOCUMENT, GENERATION, PASSAGE, REVISION, SENTENCE, TEXT
from tests.fakes.services import FakeCluster

SOURCE = f"/v1/sources/default/{GENERATION}/{PASSAGE.id}"


def test_a_search_names_the_place_of_each_passage() -> None:
    cluster = FakeCluster()

    answer = cluster.client().get("/v1/search", query_string={"q": "退货 + refunds", "top_k": 1})

    assert answer.status_code == 200
    assert answer.json["generation"] == GENERATION
    (passage,) = answer.json["passages"]
    assert passage["document"] == DOCUMENT
    assert passage["heading"] == ["Returns"]
    assert TEXT[slice(*passage["span"])] == passage["text"] == SENTENCE
    assert passage["score"] == 0.9
    assert passage["url"] == SOURCE
    assert cluster.knowledge.questions == ["退货 + refunds"]


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("", 400, "malformed"),
        ("q=%20", 400, "malformed"),
        ("q=a&kb=not/an/id", 400, "malformed"),
        ("q=%ff%fe", 400, "malformed"),
        ("q=%e4%b8", 400, "malformed"),
        ("q=a&%ff=b", 400, "malformed"),
        ("q=a&kb=unknown", 404, "not_found"),
        ("q=" + "a" * 4001, 413, "too_large"),
        ("q=a&top_k=0", 422, "invalid"),
        ("q=a&top_k=51", 422, "invalid"),
        ("q=a&top_k=three", 422, "invalid"),
        ("q=a&top_k=1.5", 422, "invalid"),
        ("q=a&top_k=" + "9" * 5000, 422, "invalid"),
        ("q=a&top_k=٣", 422, "invalid"),
        ("q=a%00b", 422, "invalid"),
        ("q=a&min_generation=-1", 422, "invalid"),
        ("q=a&min_generation=8", 503, "behind"),
    ],
)
def test_a_question_that_cannot_be_searched(query: str, status: int, code: str) -> None:
    answer = FakeCluster().client().get(f"/v1/search?{query}")

    assert (answer.status_code, answer.json["error"]["code"]) == (status, code)
    assert ("Retry-After" in answer.headers) is (status == 503)


def test_raw_utf8_and_a_lone_percent_sign_are_what_they_look_like() -> None:
    cluster = FakeCluster()
    client = cluster.client()

    for raw in ("退货".encode(), b"50% off", b"a=b"):
        query = "q=" + raw.decode("latin-1")
        answer = client.get("/v1/search", environ_overrides={"QUERY_STRING": query})
        assert answer.status_code == 200, raw

    assert cluster.knowledge.questions == ["退货", "50% off", "a=b"]


def test_of_a_repeated_parameter_the_first_counts() -> None:
    cluster = FakeCluster()

    cluster.client().get("/v1/search?q=first&q=second")

    assert cluster.knowledge.questions == ["first"]


def test_a_knowledge_base_says_what_it_serves() -> None:
    cluster = FakeCluster()

    answer = cluster.client().get("/v1/knowledge/default").json

    assert answer["generation"] == GENERATION
    assert answer["digest"] == cluster.knowledge.current.digest
    assert (answer["documents"], answer["failed"], answer["passages"]) == (1, 1, 1)
    assert answer["encoder"] == "tiny"


def test_generations_are_listed_and_the_one_served_is_marked() -> None:
    rows = FakeCluster().client().get("/v1/knowledge/default/generations").json["generations"]

    assert [(row["generation"], row["served"]) for row in rows] == [(7, True), (6, False)]


def test_documents_are_listed_with_those_that_failed_and_why() -> None:
    client = FakeCluster().client()

    both = client.get("/v1/knowledge/default/documents").json
    failed = client.get("/v1/knowledge/default/documents?status=failed").json["documents"]
    found = client.get("/v1/knowledge/default/documents?q=NOTHING-like-it").json["documents"]
    assert found == []
    named = client.get(f"/v1/knowledge/default/documents?q={failed[0]['document'].upper()}").json
    assert [row["document"] for row in named["documents"]] == [failed[0]["document"]]
    first = client.get("/v1/knowledge/default/documents?limit=1").json
    second = client.get("/v1/knowledge/default/documents?limit=1&offset=1").json

    assert [row["status"] for row in both["documents"]] == ["failed", "indexed"]
    assert both["next_offset"] is None
    assert [(row["document"], row["reason"]) for row in failed] == [
        ("broken.md", "this is not text")
    ]
    assert (first["next_offset"], second["next_offset"]) == (1, None)
    assert first["documents"] + second["documents"] == both["documents"]


def test_a_document_is_read_by_a_name_with_slashes_blanks_and_ideographs() -> None:
    client = FakeCluster().client()

    answer = client.get(f"/v1/knowledge/default/documents/{quote(DOCUMENT)}")

    assert answer.status_code == 200
    assert answer.json["text"] == TEXT
    (place,) = answer.json["passages"]
    assert TEXT[slice(*place["span"])] == SENTENCE
    assert answer.json["revision"] == REVISION


def test_a_failed_document_has_a_reason_and_no_text() -> None:
    answer = FakeCluster().client().get("/v1/knowledge/default/documents/broken.md")

    assert answer.status_code == 200
    assert (answer.json["status"], answer.json["text"]) == ("failed", None)
    assert answer.json["reason"] == "this is not text"


def test_a_document_is_read_at_the_revision_asked_for_or_not_at_all() -> None:
    client = FakeCluster().client()
    path = f"/v1/knowledge/default/documents/{quote(DOCUMENT)}"

    assert client.get(f"{path}?revision={REVISION}").status_code == 200
    assert client.get(f"{path}?revision={'0' * 64}").status_code == 404
    assert client.get(f"{path}?revision={'0' * 65}").status_code == 413


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/knowledge/unknown", 404),
        ("/v1/knowledge/a%20b", 400),
        ("/v1/knowledge/unknown/documents", 404),
        ("/v1/knowledge/unknown/generations", 404),
        ("/v1/knowledge/default/documents/none.md", 404),
        ("/v1/knowledge/default/documents/..%2f..%2fetc%2fpasswd", 404),
        ("/v1/knowledge/default/documents/%00", 404),
        ("/v1/knowledge/default/documents?status=lost", 422),
        ("/v1/knowledge/default/documents?limit=1001", 422),
    ],
)
def test_what_is_not_there(path: str, status: int) -> None:
    answer = FakeCluster().client().get(path)

    assert answer.status_code == status
    assert answer.json["error"]["message"]
