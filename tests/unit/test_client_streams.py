"""The Python client's streams through every fault: the text is the answer, or an error says why."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from kotaemon_node.client import (
    Answer,
    AsyncClient,
    Client,
    Done,
    Frame,
    Gone,
    KotaemonError,
    Misfit,
    NotAllowed,
    Restart,
    Snapshot,
    Text,
    TurnFailed,
    Unfinished,
    Unreachable,
)
from kotaemon_node.client import config as client_config
from tests import event_loops
from tests.fakes.flaky_server import (
    TRACE,
    Asked,
    Reaction,
    answers,
    done,
    drops,
    flaky,
    refuses,
    streams,
    text,
)

QUICK = {"chance": lambda: 0.0, "retries": 3}
WHOLE = (text(1, "Two ", 0), text(2, "weeks.", 4), done(3, "Two weeks."))


@dataclass
class Told:
    """What a caller saw of one message."""

    frames: Sequence[Frame]
    answer: Answer | None
    error: KotaemonError | None
    seen: Sequence[Asked]

    @property
    def shown(self) -> str:
        """The text as somebody had it who followed the rules of offsets."""
        shown = ""
        for frame in self.frames:
            if isinstance(frame, Restart):
                shown = ""
            elif frame.raw["type"] == "text" or hasattr(frame, "offset"):
                assert frame.offset == len(shown)  # type: ignore[attr-defined]
                shown += frame.content  # type: ignore[attr-defined]
        return shown


def blocking(url: str, fields: dict[str, Any]) -> tuple[list[Frame], Answer | None, Any]:
    frames: list[Frame] = []
    with Client({"endpoint": url}, **fields) as client:
        stream = client.stream_message("s", "How long?", turn_id="t")
        try:
            frames += stream
            return frames, stream.answer(), None
        except KotaemonError as error:
            return frames, None, error


def asynchronous(url: str, fields: dict[str, Any]) -> tuple[list[Frame], Answer | None, Any]:
    frames: list[Frame] = []

    async def run() -> tuple[list[Frame], Answer | None, Any]:
        async with AsyncClient(endpoint=url, **fields) as client:
            stream = client.stream_message("s", "How long?", turn_id="t")
            try:
                async for frame in stream:
                    frames.append(frame)
                return frames, await stream.answer(), None
            except KotaemonError as error:
                return frames, None, error

    return event_loops.run(run())


@pytest.fixture(params=[blocking, asynchronous])
def tell(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what has a message answered by a server that follows a script."""
    monkeypatch.setattr(client_config, "PAUSE_FIRST_S", 0.001)
    monkeypatch.setattr(client_config, "PAUSE_MAX_S", 0.001)

    def run(*script: Reaction, **fields: Any) -> Told:
        with flaky(*script) as server:
            return Told(*request.param(server.url, {**QUICK, **fields}), server.seen)

    return run


def whole(told: Told) -> None:
    assert told.error is None
    assert told.answer is not None
    assert told.shown == told.answer.response == told.answer.answer == "Two weeks."
    assert (told.answer.state, told.answer.trace_id) == ("done", TRACE)
    assert told.answer.usage == {"prompt_tokens": 1}


def test_a_turn_that_nothing_happens_to(tell: Any) -> None:
    docs = [{"n": 1, "document": "returns.md"}]
    told = tell(streams({"type": "source", "seq": 1, "docs": docs}, *_from(2)), api_key="k")

    whole(told)
    assert told.answer.sources == docs
    (asked,) = told.seen
    assert (asked.method, asked.path) == ("POST", "/v1/sessions/s/turns")
    assert asked.body == {"message": "How long?", "turn_id": "t"}
    assert asked.headers["authorization"] == "Bearer k"


def _from(first: int) -> list[dict[str, Any]]:
    return [{**frame, "seq": frame["seq"] + first - 1} for frame in WHOLE]


def test_a_pod_that_dies_before_its_first_word_is_asked_the_same_again(tell: Any) -> None:
    told = tell(drops(), refuses(503, "draining", retryable=True), streams(), streams(*WHOLE))

    whole(told)
    assert {(asked.method, asked.body["turn_id"]) for asked in told.seen} == {("POST", "t")}
    assert len(told.seen) == 4


def test_a_stream_that_breaks_off_goes_on_behind_its_last_frame(tell: Any) -> None:
    told = tell(streams(WHOLE[0]), drops(), streams(*WHOLE[1:]))

    whole(told)
    assert [frame.seq for frame in told.frames] == [1, 2, 3]
    resumed = told.seen[-1]
    assert (resumed.method, resumed.path) == ("GET", "/v1/sessions/s/turns/t/stream")
    assert resumed.headers["last-event-id"] == "t:1"


def test_a_pod_that_says_nothing_for_three_heartbeats_is_left(
    tell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert client_config.SILENCE_S > 3 * client_config.HEARTBEAT_S
    monkeypatch.setattr(client_config, "SILENCE_S", 0.3)
    frozen = threading.Event()
    try:
        whole(tell(streams(WHOLE[0], silent=frozen), streams(*WHOLE[1:])))
    finally:
        frozen.set()


def test_a_pod_that_leaves_sends_its_readers_elsewhere(tell: Any) -> None:
    leave = {"type": "reconnect", "retry_ms": 1}
    whole(tell(streams(WHOLE[0], leave), streams(leave), streams(*WHOLE[1:])))


def test_frames_that_came_already_are_not_shown_again(tell: Any) -> None:
    told = tell(streams(*WHOLE[:2]), streams(*WHOLE))

    whole(told)
    assert [frame.seq for frame in told.frames] == [1, 2, 3]


def test_an_answer_that_begins_anew_is_shown_anew(tell: Any) -> None:
    told = tell(
        streams(text(1, "Three", 0)),
        streams({"type": "restart", "seq": 2}, *_from(3)),
    )
    whole(told)


@pytest.mark.parametrize("shown", ["Two ", "Three"])
def test_frames_that_are_no_longer_kept_are_told_by_a_snapshot(tell: Any, shown: str) -> None:
    snapshot = {"type": "snapshot", "content": "Two weeks.", "last": 4}
    stored = {
        "turn_id": "t", "trace_id": TRACE, "state": "done", "answer": "Two weeks.",
        "sources": [{"n": 1}], "usage": {},
    }  # fmt: skip
    told = tell(
        streams(text(1, shown, 0)),
        streams(snapshot, done(5, "Two weeks.")),
        answers(200, stored),
    )
    whole(told)
    assert told.answer.sources == [{"n": 1}]
    assert any(isinstance(frame, Snapshot) for frame in told.frames)
    kinds = {Snapshot: "snapshot", Restart: "restart", Text: "text", Done: "done"}
    assert [frame.raw["type"] for frame in told.frames] == [kinds[type(it)] for it in told.frames]
    shown = [frame for frame in told.frames if isinstance(frame, Text)][-1]
    assert (shown.raw["content"], shown.raw["offset"]) == (shown.content, shown.offset)


@pytest.mark.parametrize(
    "wrong", [text(3, "months.", 4), text(2, "weeks.", 7), done(2, "Three weeks.")]
)
def test_what_does_not_fit_is_read_anew_once(tell: Any, wrong: dict[str, Any]) -> None:
    told = tell(streams(WHOLE[0], wrong), streams(*WHOLE))

    whole(told)
    assert (told.seen[-1].method, told.seen[-1].headers.get("last-event-id")) == ("GET", None)
    again = tell(streams(WHOLE[0], wrong))
    assert isinstance(again.error, Misfit)


def test_characters_may_be_cut_anywhere_and_are_counted_as_code_points(tell: Any) -> None:
    answer = "两周内可退 🏮。"
    frames = [text(1, answer[:4], 0), text(2, answer[4:], 4), done(3, answer)]
    told = tell(streams(*frames, cut=1))

    assert told.error is None
    assert told.shown == told.answer.response == answer


def test_a_store_that_forgot_says_gone_and_a_turn_that_failed_says_why(tell: Any) -> None:
    lost = {"type": "error", "code": "gone", "message": "read the turn", "retryable": False}
    failed = {**lost, "code": "turn_crashed", "message": "three pods", "seq": 2}

    by_frame = tell(streams(WHOLE[0], lost)).error
    by_status = tell(streams(WHOLE[0]), refuses(410, "gone")).error
    turn = tell(streams(WHOLE[0], failed)).error

    assert (type(by_frame), type(by_status), type(turn)) == (Gone, Gone, TurnFailed)
    assert (turn.code, turn.message, turn.retryable, turn.trace_id) == (
        "turn_crashed", "three pods", False, TRACE,
    )  # fmt: skip


def test_what_is_refused_is_not_tried_again(tell: Any) -> None:
    told = tell(refuses(401, "unauthenticated"))

    assert isinstance(told.error, NotAllowed)
    assert (told.error.status, told.error.code, len(told.seen)) == (401, "unauthenticated", 1)


@pytest.mark.parametrize(
    "fault",
    [drops(), streams(), streams({"type": "reconnect", "retry_ms": 0})],
    ids=["dead", "empty", "sent away"],
)
def test_tries_that_bring_nothing_are_bounded(tell: Any, fault: Reaction) -> None:
    told = tell(fault)

    assert isinstance(told.error, Unreachable)
    assert told.error.retryable
    assert len(told.seen) == 1 + QUICK["retries"]


def test_tries_begin_anew_with_each_new_frame(tell: Any) -> None:
    steps = [text(n + 1, "x", n) for n in range(8)]
    script = [it for frame in steps for it in (streams(frame), drops())]
    told = tell(*script, streams(done(9, "x" * 8)))

    assert told.error is None
    assert told.shown == "x" * 8


def test_an_answer_that_is_asked_of_a_failed_stream_is_its_error_each_time() -> None:
    failed = {"type": "error", "code": "turn_crashed", "message": "three pods", "seq": 2}
    with flaky(streams(WHOLE[0], failed)) as server, Client(endpoint=server.url) as client:
        stream = client.stream_message("s", "How long?", turn_id="t")
        with pytest.raises(TurnFailed) as first:
            list(stream)
        for _ in range(2):
            with pytest.raises(TurnFailed) as again:
                stream.answer()
            assert again.value is first.value
        assert len(server.seen) == 1


def test_an_answer_that_is_asked_of_a_closed_stream_is_unfinished() -> None:
    async def run(url: str) -> str:
        async with AsyncClient(endpoint=url) as client:
            async with client.stream_message("s", "How long?", turn_id="t") as stream:
                await anext(stream)
            with pytest.raises(Unfinished):
                await stream.answer()
            return stream.so_far

    with flaky(streams(*WHOLE)) as server, Client(endpoint=server.url) as client:
        with client.stream_message("s", "How long?", turn_id="t") as stream:
            next(stream)
        with pytest.raises(Unfinished, match="follow_turn"):
            stream.answer()
        assert event_loops.run(run(server.url)) == "Two "
