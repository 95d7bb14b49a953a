"""The page's pure modules, run in the browser that they are written for."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.stub import Stub

PARSE = """async (chunks) => {
  const { EventParser } = await import("/assets/client/sse.js");
  const parser = new EventParser();
  return chunks.flatMap((bytes) => parser.push(new Uint8Array(bytes)));
}"""

# Our own cases of the rules of the WHATWG standard: stream, then (type, data, id) of each event.
STREAMS: dict[str, tuple[str, list[tuple[str, str, str]]]] = {
    "one line": ("data: a\n\n", [("message", "a", "")]),
    "several lines": ("data: a\ndata:b\ndata:  c\n\n", [("message", "a\nb\n c", "")]),
    "carriage returns": (
        "data: a\r\rdata: b\r\n\r\n", [("message", "a", ""), ("message", "b", "")],
    ),
    "comment": (": beat\n\ndata: a\n: b\n\n", [("message", "a", "")]),
    "type is for one event": (
        "event: x\ndata: a\n\ndata: b\n\n", [("x", "a", ""), ("message", "b", "")],
    ),
    "id stays": (
        "id: t:1\ndata: a\n\ndata: b\n\n", [("message", "a", "t:1"), ("message", "b", "t:1")],
    ),
    "id with NUL": ("id: a\0b\ndata: a\n\n", [("message", "a", "")]),
    "type without data": ("event: x\n\ndata: a\n\n", [("message", "a", "")]),
    "no blank line at the end": ("data: a\n\ndata: b\n", [("message", "a", "")]),
    "byte order mark": ("\ufeffdata: a\n\n", [("message", "a", "")]),
    "many bytes": ("data: 豆腐 🍲\n\n", [("message", "豆腐 🍲", "")]),
    "colon in data": ("data: a: b\n\n", [("message", "a: b", "")]),
}  # fmt: skip


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    """One page for all: the modules are pure, so nothing is left behind."""
    stub = Stub()
    page = browser.new_page()
    page.goto(stub.url)
    yield page
    page.close()
    stub.close()


@pytest.mark.parametrize("name", STREAMS)
def test_events_do_not_depend_on_how_the_bytes_arrive(page: Page, name: str) -> None:
    stream, expected = STREAMS[name]
    raw = stream.encode()

    for size in (1, 2, 3, 1000):
        chunks = [list(raw[at : at + size]) for at in range(0, len(raw), size)]
        events = page.evaluate(PARSE, chunks)
        assert [(event["type"], event["data"], event["id"]) for event in events] == expected


@pytest.mark.data
def test_events_of_the_public_cases(page: Page, public_data: Path) -> None:
    lines = (public_data / "sse_cases" / "dev" / "cases.jsonl").read_text().splitlines()
    cases = [json.loads(line) for line in lines]
    assert len(cases) >= 15

    for case in cases:
        # Half a byte order mark cannot be written as text: those cases give bytes as Latin-1.
        encoding = "latin-1" if "BOM" in case["title"] else "utf-8"
        events = page.evaluate(PARSE, [list(chunk.encode(encoding)) for chunk in case["chunks"]])
        seen = [
            {key: event[key] for key in told}
            for event, told in zip(events, case["events"], strict=True)
        ]
        assert seen == case["events"], case["title"]


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("plain text", (0, 5)),
        ("🐢🐢 slow", (1, 4)),
        ("𠮷野家", (1, 3)),
        ("👨‍👩‍👧‍👦 four", (8, 12)),
        ("a", (0, 0)),
        ("", (0, 0)),
        ("end 🐢", (4, 5)),
    ],
)
def test_spans_count_code_points(page: Page, text: str, span: tuple[int, int]) -> None:
    cut = page.evaluate(
        """async ([text, span]) => {
          const { cutAtSpan, codePointLength } = await import("/assets/client/codepoints.js");
          return { ...cutAtSpan(text, span), length: codePointLength(text) };
        }""",
        [text, list(span)],
    )

    start, end = span
    assert cut == {
        "before": text[:start], "cited": text[start:end], "after": text[end:], "length": len(text),
    }  # fmt: skip


def fold(page: Page, frames: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the turn that these frames make."""
    result: dict[str, Any] = page.evaluate(
        """async (frames) => {
          const { newTurn, withFrame } = await import("/assets/turn.js");
          return frames.reduce(withFrame, newTurn({ id: "t", message: "?" }));
        }""",
        frames,
    )
    return result


def text_frame(content: str, offset: int) -> dict[str, Any]:
    return {"type": "text", "content": content, "offset": offset}


def test_pieces_stand_where_their_offset_says(page: Page) -> None:
    turn = fold(page, [text_frame("a🐢b", 0), text_frame("c", 3), text_frame("🐢b", 1)])

    assert (turn["text"], turn["length"]) == ("a🐢bc", 4)


def test_restart_makes_the_text_void(page: Page) -> None:
    turn = fold(
        page, [text_frame("wrong and long", 0), {"type": "restart"}, text_frame("right", 0)]
    )

    assert turn["text"] == "right"


def test_the_answer_of_done_has_the_last_word(page: Page) -> None:
    turn = fold(page, [text_frame("half", 0), {"type": "done", "state": "done", "answer": "whole"}])

    assert (turn["state"], turn["text"]) == ("done", "whole")


def test_unknown_frames_change_nothing(page: Page) -> None:
    before = fold(page, [text_frame("a", 0)])

    after = fold(page, [text_frame("a", 0), {"type": "constructor"}, {"type": "unheard"}])

    assert after == before


def test_the_shown_part_of_a_long_document_holds_the_whole_passage(page: Page) -> None:
    text = "".join(f"Line {n} of a long book 🐢.\n" for n in range(2000)) + "The end."
    start = text.index("Line 1000 ")

    part = page.evaluate(
        """async ([text, span]) => {
          const { passageWindow, runsOf } = await import("/assets/passage.js");
          const part = passageWindow({ text, span }, { before: 500, after: 500 });
          return { ...part, runs: runsOf(part.before, true).map((run) => run.text).join("") };
        }""",
        [text, [start, start + 9]],
    )

    assert part["cited"] == "Line 1000"
    assert part["moreBefore"]
    assert part["moreAfter"]
    assert part["before"].startswith("Line ")
    assert part["runs"] == part["before"]
    assert part["before"] + part["cited"] + part["after"] in text


ANSWERS = {
    "table": "Before.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\nAfter [1].",
    "rows": "It is so. [1]\n| a | b | [1]\n| c | d |[2]\nAnd so.\n\n| e | f |\n",
    "lists": "- a\n- b\n\n  still b\n- c\n\n1. one\n\n2. two\n   - deep\nlazy\n\nend",
    "code": "Text\n\n```py\na = 1\n\n\nb = 2\n```\nafter\n\n    indented\n\n    more\n\nend",
    "headings": "# One\ntext\n\nTwo\n===\n\n## Three\n\n\n\n---\n\n***\ntext",
    "quotes": "> a\n> b\n\n> c\nlazy\n\n> - d\n>\n> - e\n\nend",
    "inline": "**bold [1]** and `code [2]` [3][4] and https://a.example/b [1]. *x*\n\n[1]: no",
    "chinese": "标准配送需要 3 天。[1]特快 1 天。[2]\n| 目的地 |[2]\n| 新加坡 |[2]\n\n完。",
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_read_piece_by_piece_is_the_answer_read_whole(page: Page, name: str) -> None:
    for size in (1, 2, 5):
        pieces = [ANSWERS[name][at : at + size] for at in range(0, len(ANSWERS[name]), size)]
        states = page.evaluate(
            """async (pieces) => {
              const { blocksOf, blockHtml } = await import("/assets/markdown.js");
              const labels = new Map([[1, "one"], [2, "two"]]);
              const drawn = ({ tokens }) =>
                tokens.map((token) => blockHtml(token, labels)).join("");
              let text = "";
              let blocks;
              return pieces.map((piece) => {
                text += piece;
                blocks = blocksOf(text, blocks);
                return [drawn(blocks), drawn(blocksOf(text))];
              });
            }""",
            pieces,
        )
        for piecewise, whole in states:
            assert piecewise == whole
