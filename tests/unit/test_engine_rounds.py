"""Rounds of a talk with a language model: in which order they are noted and shown."""

from collections.abc import Iterator
from typing import Any

import pytest

from kotaemon_node.engine.rounds import Round, Talk
from kotaemon_node.engine.stopping import Stop
from kotaemon_node.engine.tool_calls import DecidedCall
from kotaemon_node.engine.tool_steps import ToolSteps
from kotaemon_node.ports.language_model import ChatMessage, ToolCall, Usage
from kotaemon_node.telemetry.metrics import Metrics
from tests.fakes.services import FakeClock
from tests.unit.test_engine_tool_steps import WORK, Box, Notes

ASKED = (ChatMessage("user", "?"),)


class Writer(Notes):
    """Notes texts too."""

    prefix = ""

    def text(self, piece: str) -> None:
        self.order.append(piece)

    def finish(self) -> None:
        self.order.append("finish")


class Scripted:
    """Says one round after the other."""

    name, continues_prefix = "scripted", True

    def __init__(self, *rounds: list[str | ToolCall]) -> None:
        self._rounds = list(rounds)
        self.asked: list[Any] = []

    def stream(self, messages: Any, *, usage: Usage, **options: Any) -> Iterator[str | ToolCall]:
        self.asked.append(messages)
        usage.prompt_tokens, usage.completion_tokens = 10, 1
        return iter(self._rounds.pop(0))


def talked(out: Writer, model: Scripted) -> Usage:
    usage, steps = (
        Usage(),
        ToolSteps(Box("read", out, lambda: 7), clock=FakeClock(), metrics=Metrics()),
    )
    talk = Talk(model, steps, WORK, out, phase=out.order.append)  # type: ignore[arg-type]
    talk.answer(ASKED, usage=usage)
    return usage


CALL = ToolCall("c", "act", {})


@pytest.mark.parametrize(("said", "gap"), [("Wait.", ["\n\n"]), ("Wait.\n", []), ("", [])])
def test_nothing_behind_a_rounds_text_is_shown_before_its_decision_is_noted(
    said: str, gap: list[str]
) -> None:
    out, stop = Writer(), Stop()
    out.stop = stop
    usage = talked(out, Scripted([*filter(None, [said]), CALL], ["Done."]))
    assert out.order == [
        "generation", "finish", *filter(None, [said]), "round:1", *gap,
        "tools", "begun:1.1", "started", "stored", "called", "result:1.1", "done",
        "generation", "finish", "Done.",
    ]  # fmt: skip
    assert out.journal["round:1"]["text"] == said + "".join(gap)
    assert usage == Usage(20, 2)


def test_a_round_that_is_known_is_shown_and_not_asked_for() -> None:
    known = Round("Wait.\n\n", (DecidedCall(CALL, "read"),), Usage(30, 3))
    out = Writer(
        {
            "round:1": known.as_json(),
            "result:1.1": {"state": "done", "told": "7", "cut": False},
        }
    )
    model = Scripted(["Done."])
    usage = talked(out, model)
    assert out.order == ["Wait.\n\n", "generation", "finish", "Done."]
    assert usage == Usage(40, 4)
    ((question, asked, result),) = model.asked
    assert (question, asked) == (ASKED[0], ChatMessage("assistant", "Wait.", tool_calls=(CALL,)))
    assert result.tool_call_id == "c"
    assert "\n7\n" in result.content
