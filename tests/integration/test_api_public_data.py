"""Public collections of what breaks servers, sent to every place that takes text: never a 500."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from tests.fakes.refusals import assert_refused
from tests.fakes.services import FakeCluster

pytestmark = pytest.mark.data

JSON = "application/json"


@pytest.fixture(autouse=True)
def no_failure_is_logged() -> Iterator[None]:
    """What a route survives by accident is still a bug."""
    ours = threading.get_ident()

    def named(_: Any, __: str, event: EventDict) -> EventDict:
        # Threads that other tests of this process left may still miss their stores.
        return {**event, "ours": threading.get_ident() == ours}

    with capture_logs(processors=[named]) as logged:
        yield
    assert [
        line
        for line in logged
        if line["ours"] and line["event"] != "request" and line["log_level"] != "info"
    ] == []


@pytest.fixture(scope="module")
def texts(public_data: Path) -> list[str]:
    """Every naughty and every attacking string."""
    return [
        row["text"]
        for name in ("naughty_strings/*/strings.jsonl", "attack_strings/*/strings.jsonl")
        for row in lines(public_data, name)
    ]


def lines(data: Path, name: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file of JSON lines, of every half that is there."""
    found = sorted(data.glob(name))
    assert found, f"{data}/{name}"
    for file in found:
        # Not splitlines: the strings hold line separators that JSON leaves as they are.
        for line in filter(None, file.read_text(encoding="utf-8").split("\n")):
            yield {**json.loads(line), "folder": file.parent}


def assert_4xx_in_form_or_fine(answer: Any, sent: object) -> None:
    assert answer.status_code < 500, sent
    if answer.status_code >= 400:
        assert_refused(answer, answer.status_code, answer.json["error"]["code"])


@pytest.mark.parametrize("route", ["/chat", "/v1/sessions", "/v1/sessions/s/turns"])
def test_json_texts_are_read_or_refused_as_the_suite_says(route: str, public_data: Path) -> None:
    client = FakeCluster().client()
    seen = {"accept": 0, "reject": 0, "either": 0}

    for row in lines(public_data, "jsontestsuite/*/manifest.jsonl"):
        body = (row["folder"] / row["file"]).read_bytes()
        answer = client.post(route, data=body, content_type=JSON)

        assert_4xx_in_form_or_fine(answer, row["file"])
        if row["expect"] == "reject" and body:
            assert answer.status_code == 400, row["file"]
        if row["expect"] == "accept" and body.lstrip().startswith(b"{"):
            assert answer.status_code != 400, row["file"]
        seen[row["expect"]] += 1

    assert all(count > 10 for count in seen.values()), seen


def test_naughty_messages_arrive_as_they_were_sent(texts: list[str]) -> None:
    cluster = FakeCluster()
    client = cluster.client()

    for text in texts:
        cluster.turns.submitted.clear()
        answer = client.post("/chat", json={"message": text})
        assert_4xx_in_form_or_fine(answer, text)
        if text.strip() and "\x00" not in text:
            assert answer.status_code == 200, text
            (asked,) = cluster.turns.submitted
            assert asked.message == text


def test_naughty_questions_are_searched_as_they_were_sent(texts: list[str]) -> None:
    cluster = FakeCluster()
    client = cluster.client()

    for text in texts:
        cluster.knowledge.questions.clear()
        for path in ("/v1/search", "/ask"):
            answer = client.get(path, query_string={"q": text})
            assert_4xx_in_form_or_fine(answer, text)
        if text.strip() and "\x00" not in text:
            assert cluster.knowledge.questions == [text]


def test_naughty_ids_are_refused_or_harmless(texts: list[str]) -> None:
    client = FakeCluster().client()

    for text in texts:
        # Encoded, as a careful client does it, and raw, as the server hands over what it got.
        encoded = quote_from_bytes(text.encode(), safe="")
        raw = text.encode().decode("latin-1")
        for path in (
            f"/v1/sessions/{encoded}",
            f"/v1/knowledge/{encoded}",
            f"/v1/knowledge/default/documents/{encoded}",
            f"/v1/sources/default/{encoded}/p",
            f"/assets/{encoded}",
        ):
            assert_4xx_in_form_or_fine(client.get(path), text)
        for prefix in ("/v1/sessions/", "/v1/knowledge/default/documents/", "/assets/", "/"):
            environ = {"PATH_INFO": prefix + raw}
            assert_4xx_in_form_or_fine(client.get("/", environ_overrides=environ), text)
        for body in (
            {"message": "a", "session_id": text},
            {"message": "a", "turn_id": text},
            {"message": "a", "kb": text},
        ):
            assert_4xx_in_form_or_fine(client.post("/v1/sessions/s/turns", json=body), text)


def test_naughty_headers_and_queries_are_refused_or_harmless(texts: list[str]) -> None:
    client = FakeCluster().client()

    for text in texts:
        raw = text.encode().decode("latin-1").replace("\n", " ").replace("\r", " ")
        for name in ("ACCEPT", "X_TRACE_ID", "X_TURN_DEFAULT", "LAST_EVENT_ID", "COOKIE", "RANGE"):
            answer = client.post(
                "/v1/sessions/s/turns",
                json={"message": "a"},
                environ_overrides={f"HTTP_{name}": raw},
            )
            assert_4xx_in_form_or_fine(answer, text)
        answer = client.get("/v1/search", environ_overrides={"QUERY_STRING": f"q=a&{raw}"})
        assert_4xx_in_form_or_fine(answer, text)


def test_naughty_fields_of_a_session_are_kept_or_refused(texts: list[str]) -> None:
    client = FakeCluster().client()

    for text in texts:
        body = {"user_id": text, "channel": text, "context": {text: [text]}}
        assert_4xx_in_form_or_fine(client.post("/v1/sessions", json=body), text)
