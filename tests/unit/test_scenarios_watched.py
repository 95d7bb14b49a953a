"""What scenarios of load take for a wrong answer: streams that lose, double or mix something."""

from typing import Any

import pytest

from load.scenarios.watched import Event, Events, Watched, WrongAnswer, check_marks, marks

DOCS = [{"n": 1, "url": "/v1/sources/default/1/p"}]


def event(kind: str, seq: int | None = None, **fields: Any) -> Event:
    frame = {"type": kind, "turn_id": "t", **fields}
    if seq is None:
        return Event("", kind, frame)
    return Event(f"t:{seq}", kind, {**frame, "seq": seq})


def text(seq: int, content: str, offset: int) -> Event:
    return event("text", seq, content=content, offset=offset)


def watched(*events: Event) -> Watched:
    turn = Watched("t")
    for one in events:
        turn.take(one)
    return turn


def test_a_whole_answer_is_right_over_any_number_of_connections() -> None:
    turn = watched(
        event("status", 1, phase="retrieval"),
        event("source", 2, docs=DOCS),
        text(3, "灯😀", 0),
        text(4, " lasts. [1]", 2),  # code points, not bytes
    )
    assert turn.last_id == "t:4"
    turn.take(event("done", 5, state="done", answer="灯😀 lasts. [1]"))
    assert turn.end is not None
    assert turn.text == "灯😀 lasts. [1]"


def test_a_restart_begins_the_text_anew_and_a_snapshot_stands_for_frames() -> None:
    turn = watched(
        text(1, "half", 0),
        event("restart", 2),
        text(3, "whole", 0),
        event("done", 4, state="done", answer="whole"),
    )
    assert (turn.restarts, turn.text) == (1, "whole")
    again = watched(
        event("snapshot", content="who", last=3),
        text(4, "le", 3),
        event("done", 5, state="done", answer="whole"),
    )
    assert again.end is not None


@pytest.mark.parametrize(
    ("events", "wrong"),
    [
        ([text(1, "a", 0), text(3, "b", 1)], "frames are missing"),
        ([text(1, "a", 0), text(1, "a", 0)], "a frame came twice"),
        ([text(1, "ab", 0), text(2, "b", 1)], "does not go on at the next character"),
        ([text(1, "ab", 0), text(2, "b", 3)], "does not go on at the next character"),
        (
            [text(1, "a", 0), event("done", 2, state="done", answer="ab")],
            "the answer is not the text that was shown",
        ),
        (
            [text(1, "a", 0), event("done", 2, state="cancelled", answer="a")],
            "the turn ended as cancelled",
        ),
        (
            [event("done", 1, state="done", answer=""), event("status", 2)],
            "a frame came behind the end",
        ),
        (
            [text(1, "a [2]", 0), event("done", 2, state="done", answer="a [2]")],
            "a mark names no source",
        ),
        ([event("error", code="gone")], "the turn ended with gone"),
        ([event("error", 1, code="deadline_exceeded")], "the turn ended with deadline_exceeded"),
        ([Event("u:1", "status", {"turn_id": "u", "seq": 1})], "a frame of another turn"),
        ([Event("t:2", "status", {"turn_id": "t", "seq": 1})], "under another id"),
    ],
)
def test_what_a_stream_may_not_do(events: list[Event], wrong: str) -> None:
    with pytest.raises(WrongAnswer, match=wrong):
        watched(*events)


def test_events_come_whole_however_their_bytes_are_cut() -> None:
    sent = (
        b": heartbeat\n\n"
        b'id: t:1\nevent: text\ndata: {"seq": 1, "content": "\xe7\x81\xaf"}\n\n'
        b'event: turn\ndata: {"turn_id": "t"}\n\n'
    )
    for size in (1, 2, 7, len(sent)):
        events = Events()
        found = [
            one
            for start in range(0, len(sent), size)
            for one in events.feed(sent[start : start + size])
        ]
        assert [(one.id, one.type) for one in found] == [("t:1", "text"), ("", "turn")]
        assert found[0].frame["content"] == "灯"
        assert events.beats == 1


def test_an_event_without_json_or_without_an_end_is_wrong() -> None:
    with pytest.raises(WrongAnswer, match="no JSON"):
        list(Events().feed(b"data: {\n\n"))
    with pytest.raises(WrongAnswer, match="no end"):
        list(Events().feed(b"data: " + b"x" * 5_000_000))


def test_marks_are_those_of_the_answer() -> None:
    assert marks("A [1]. B [2][1]. c[x]") == [1, 2, 1]
    check_marks("no mark", [])
    with pytest.raises(WrongAnswer, match="names no source"):
        check_marks("A [2]", DOCS)
