"""Answers of servers that went mad, or are somebody else's: each reader says so in its words."""

from pathlib import Path

import pytest

from kotaemon_node.adapters.documents.faq_file import _entry
from kotaemon_node.adapters.encoder import embeddings
from kotaemon_node.adapters.intents.service import _recognition
from kotaemon_node.adapters.llm.completion import read_chunk, reason_of_body
from kotaemon_node.adapters.reranker.server import _scores
from kotaemon_node.client.calls import problem_of
from kotaemon_node.client.errors import BadAnswer
from kotaemon_node.client.events import Events
from kotaemon_node.client.steps import Reply
from kotaemon_node.domain.errors import DocumentRefused, LanguageModelError
from kotaemon_node.ports.intents import IntentServiceFailed
from kotaemon_node.ports.reranker import RerankerFailed

HOSTILE = {
    "nested": b"[" * 100_000 + b"]" * 100_000,
    "nested objects": b'{"data":' * 100_000 + b"1" + b"}" * 100_000,
    "no number": b'{"data": [{"index": 1e999, "embedding": [1]}]}',
    "a long number": b'{"data": ' + b"9" * 100_000 + b"}",
    "nothing": b"",
    "no text": b"\xff\xfe",
    "null": b"null",
}
READERS = {
    "model": (lambda body: read_chunk(body.decode(errors="replace")), LanguageModelError),
    "embeddings": (lambda body: embeddings.vectors_of(body, texts=1), embeddings._Again),
    "reranker": (lambda body: _scores(body, 1), RerankerFailed),
    "intents": (_recognition, IntentServiceFailed),
    "FAQ entry": (lambda body: _entry(body.decode(errors="replace")), DocumentRefused),
    "stream": (lambda body: list(Events().feed(b"data: " + body + b"\n")), BadAnswer),
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("reader", READERS)
def test_an_answer_that_cannot_be_read_is_told_as_one(reader: str, body: bytes) -> None:
    read, refusal = READERS[reader]
    try:
        read(body)  # type: ignore[operator]
    except refusal:
        return
    assert reader in {"model", "stream"}, "only a frame of other fields may pass"


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_refusal_that_cannot_be_read_is_still_a_refusal(body: bytes) -> None:
    assert reason_of_body(body)
    assert problem_of(Reply(400, {}, body), "http://pod") is not None


@pytest.mark.data
def test_the_public_json_texts_are_read_or_refused(public_data: Path) -> None:
    seen = 0
    for file in sorted(public_data.glob("jsontestsuite/*/test_parsing/*.json")):
        body = file.read_bytes().replace(b"\n", b" ").replace(b"\r", b" ")
        for read, refusal in READERS.values():
            try:
                read(body)  # type: ignore[operator]
            except refusal:
                seen += 1
    assert seen > 500
