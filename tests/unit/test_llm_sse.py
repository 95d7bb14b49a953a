"""The event stream parser: whatever the cut of the chunks, the same events come out."""

import itertools
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kotaemon_node.adapters.llm.sse import (
    EVENT_BYTES_MAX,
    EventStreamParser,
    EventTooLarge,
    ServerSentEvent,
)

STREAM = (
    ": a comment\r\n"
    'data: {"text": "你好"}\r\n\r\n'
    "event: greeting\rdata: first\rdata: second €\r\r"
    "data: both\r\ndata: lines\r\n\r\n"
    "id: 7\ndata:no blank\n\n"
    "retry: 3\n\n"
    "data: [DONE]\n\n"
).encode()
EVENTS = [
    ServerSentEvent('{"text": "你好"}'),
    ServerSentEvent("first\nsecond €", "greeting"),
    ServerSentEvent("both\nlines"),
    ServerSentEvent("no blank", "message", "7"),
    ServerSentEvent("[DONE]", "message", "7"),
]


def parsed(*chunks: bytes) -> list[ServerSentEvent]:
    parser = EventStreamParser()
    return [event for chunk in chunks for event in parser.feed(chunk)]


@given(st.lists(st.integers(0, len(STREAM)), max_size=40).map(sorted))
def test_the_cut_of_the_chunks_changes_nothing(cuts: list[int]) -> None:
    # Given a stream with all line ends, comments and wide characters, cut anywhere
    edges = [0, *cuts, len(STREAM)]
    chunks = [STREAM[start:end] for start, end in itertools.pairwise(edges)]
    # When it is parsed chunk by chunk, then the events are those of the whole stream
    assert parsed(*chunks) == EVENTS


def test_one_byte_at_a_time() -> None:
    assert parsed(*(bytes([byte]) for byte in STREAM)) == EVENTS


@given(st.binary(max_size=300))
def test_no_bytes_upset_it(content: bytes) -> None:
    whole, single = parsed(content), parsed(*(bytes([byte]) for byte in content))
    assert whole == single


def test_a_last_event_without_its_blank_line_comes_with_the_end() -> None:
    parser = EventStreamParser()
    assert list(parser.feed(b"data: [DONE]")) == []
    assert list(parser.finish()) == [ServerSentEvent("[DONE]")]


@pytest.mark.parametrize(
    "chunk",
    [b"data: " + b"x" * 1000 + b"\n", b"x" * 1000],
    ids=["many lines of one event", "a line without end"],
)
def test_an_endless_event_is_refused(chunk: bytes) -> None:
    with pytest.raises(EventTooLarge):
        parsed(*[chunk] * (EVENT_BYTES_MAX // 1000 + 2))


def case_chunks(case: dict[str, object]) -> list[bytes]:
    """The cases write the bytes of a byte order mark as Latin-1 characters, the rest as text."""
    encoding = "latin-1" if "BOM" in str(case["title"]) else "utf-8"
    chunks = case["chunks"]
    assert isinstance(chunks, list)
    return [chunk.encode(encoding) for chunk in chunks]


@pytest.mark.data
def test_the_published_cases() -> None:
    # Given the published cases of event streams
    root = os.environ.get("KOTAEMON_TEST_DATA")
    if not root:
        pytest.skip("KOTAEMON_TEST_DATA is not set")
    lines = (Path(root) / "sse_cases/dev/cases.jsonl").read_text("utf-8").splitlines()
    cases = [json.loads(line) for line in lines]
    assert len(cases) >= 10
    for case in cases:
        # When each is parsed
        events = parsed(*case_chunks(case))
        # Then every field that the case names has the value it names
        seen = [
            {name: getattr(event, name) for name in wanted}
            for event, wanted in zip(events, case["events"], strict=True)
        ]
        assert seen == case["events"], case["id"]
