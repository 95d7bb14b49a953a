"""From frames to pieces of a completion: nothing that was said is taken back."""

from typing import Any

import pytest

from kotaemon_node.api.errors import TurnFailed
from kotaemon_node.api.openai.bodies import chat_request
from kotaemon_node.api.openai.completion import Telling
from kotaemon_node.api.openai.errors import BegunAnew, error_chunk
from kotaemon_node.domain.errors import Draining
from kotaemon_node.domain.frames import Frame

RESTART = ("restart", {})
DONE = ("done", {"state": "done", "usage": {"prompt_tokens": 9, "completion_tokens": 4}})


def text(content: str) -> tuple[str, dict[str, Any]]:
    return ("text", {"content": content, "offset": 0})


def telling(*, streams: bool = True, **body: Any) -> Telling:
    messages = [{"role": "user", "content": "When?"}]
    asked = chat_request({"model": "kotaemon", "messages": messages, "stream": streams, **body})
    return Telling(asked, streams=streams)


def told(one: Telling, *frames: tuple[str, dict[str, Any]]) -> str:
    pieces = [
        delta.get("content", "")
        for number, (kind, fields) in enumerate(frames, start=1)
        for delta in one.take(Frame(kind, fields, "t", "trace", number))  # type: ignore[arg-type]
    ]
    return "".join(pieces)


def test_an_answer_that_begins_anew_goes_on_where_it_says_the_same() -> None:
    frames = (text("Parcels "), text("leave"), RESTART, text("Par"), text("cels leave soon."), DONE)
    assert told(telling(), *frames) == "Parcels leave soon."


@pytest.mark.parametrize("anew", [(text("Orders leave"),), (text("Par"), DONE)])
def test_a_stream_whose_answer_is_another_one_now_ends_with_an_error(anew: Any) -> None:
    one = telling()
    with pytest.raises(BegunAnew) as error:
        told(one, text("Parcels leave"), RESTART, *anew)
    assert error_chunk(error.value)["error"]["code"] == "answer_restarted"  # type: ignore[index]


def test_what_was_not_sent_yet_is_simply_the_new_answer() -> None:
    assert told(telling(), RESTART, text("Orders leave."), DONE) == "Orders leave."
    one = telling(streams=False)
    told(one, text("Parcels"), RESTART, text("Orders leave."), DONE)
    assert one.text == "Orders leave."


def test_frames_that_are_no_longer_kept_are_told_whole() -> None:
    assert told(telling(), ("snapshot", {"content": "Soon.", "last": 3}), DONE) == "Soon."


@pytest.mark.parametrize(
    "pieces", [["One STOP two"], ["One S", "TO", "P two"], list("One STOP two")]
)
@pytest.mark.parametrize("streams", [True, False])
def test_an_answer_is_cut_before_a_stop_however_it_comes(pieces: list[str], streams: bool) -> None:
    one = telling(streams=streams, stop=["STOP", "never"])
    assert told(one, *map(text, pieces), DONE) == one.text == "One "
    assert one.finish_reason == "stop"
    other = telling(streams=streams, stop="STOP")
    assert told(other, text("One S"), DONE) == "One S"


def test_an_answer_as_long_as_it_may_be_says_so() -> None:
    one = telling(max_completion_tokens=4)
    told(one, text("One two"), DONE)
    assert one.finish_reason == "length"
    assert one.usage == {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}


def test_a_turn_that_failed_is_raised_and_errors_in_a_stream_name_their_code() -> None:
    with pytest.raises(TurnFailed) as failed:
        told(telling(), text("On"), ("error", {"code": "turn_crashed", "message": "three pods"}))
    assert error_chunk(failed.value) == {
        "error": {
            "message": "three pods", "type": "server_error", "param": None, "code": "turn_crashed",
        }
    }  # fmt: skip
    assert error_chunk(Draining("leaving"))["error"]["code"] == "draining"  # type: ignore[index]
