"""Talks in one process: what an agent answers, what its memory keeps, and what it shows."""

import asyncio
import doctest
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import kotaemon_node.conversation
from kotaemon_node.adapters.llm.openai import make_language_model
from kotaemon_node.conversation import (
    ConversationAgent,
    ConversationMemory,
    SessionBusy,
    TurnNotAnswered,
)
from kotaemon_node.domain.errors import Malformed
from kotaemon_node.domain.frames import Frame
from kotaemon_node.domain.turn import State
from kotaemon_node.tools import ToolRegistry
from tests.fakes.llm_server import FakeLlmServer
from tests.library_talks import Pipeline, agent
from tests.unit.test_engine_understanding import ASKED_BEFORE, TEXTS, Shop


def test_a_message_that_leans_on_the_talk_is_understood_by_what_the_memory_keeps() -> None:
    memory = ConversationMemory()
    talk = agent(memory)
    first = talk.step(ASKED_BEFORE)
    assert first.startswith(TEXTS[0])
    assert first.sources[0]["document"] == "shop.md"
    second = talk.step("and to Canada?")
    assert second.startswith(TEXTS[1])
    assert [turn.message for turn in memory.turns] == [ASKED_BEFORE, "and to Canada?"]
    assert memory.turns[-1].answer == second
    assert second.turn.version == 2


def test_pieces_are_those_of_the_answer_also_in_an_event_loop() -> None:
    async def talk(talk_: ConversationAgent) -> list[str]:
        ticks: list[str] = []
        async for piece in talk_.astream(ASKED_BEFORE):
            ticks.append(piece)
        return ticks

    memory = ConversationMemory()
    # A thread of its own: a browser's test before this one leaves its loop in this one.
    with ThreadPoolExecutor(1) as threads:
        pieces = threads.submit(asyncio.run, talk(agent(memory))).result(60)
    assert "".join(pieces) == memory.turns[0].answer
    assert pieces


def test_what_stands_behind_the_window_is_summed_up_with_the_turn() -> None:
    memory = ConversationMemory(max_history=2, summary_threshold=1, user_id="mei")
    talk = agent(memory)
    for place in ("Germany", "Canada", "Norway", "Japan"):
        talk.step(f"How long does shipping to {place} take?")
    assert [turn.version for turn in memory.turns] == [3, 4]
    assert memory.summary.splitlines()[0].startswith("- Asked: How long does shipping to Germany")
    assert "Canada" in memory.summary
    assert memory.place.view().user_id == "mei"


class Failing(Shop):
    """Knowledge that cannot be searched."""

    def search(self, question: str, **_: Any) -> Any:
        raise RuntimeError("the disk is gone")


def test_a_turn_without_an_answer_raises_and_the_talk_goes_on() -> None:
    memory = ConversationMemory()
    with pytest.raises(TurnNotAnswered, match="internal error") as failed:
        agent(memory, knowledge=Failing()).step(ASKED_BEFORE)
    assert (failed.value.code, failed.value.turn.state) == ("internal", State.FAILED)
    assert agent(memory).step(ASKED_BEFORE).startswith(TEXTS[0])
    assert [turn.state for turn in memory.turns] == [State.FAILED, State.DONE]


def test_one_turn_of_a_talk_runs_at_a_time() -> None:
    memory = ConversationMemory()
    frames = agent(memory).frames(ASKED_BEFORE)
    next(frames)
    with pytest.raises(SessionBusy):
        memory.place.begin("again")
    list(frames)


@pytest.fixture
def llm() -> Iterator[FakeLlmServer]:
    with FakeLlmServer() as server:
        yield server


def test_a_model_calls_functions_and_each_call_is_shown(llm: FakeLlmServer) -> None:
    registry, asked = ToolRegistry(), list[str]()

    @registry.tool(effects="read")
    def order_status(order: str, session_id: str) -> dict[str, str]:
        """Tells where an order is."""
        asked.append(f"{session_id} {order}")
        return {"state": "packed"}

    model = make_language_model(llm.base_url, "", "fake", "none")
    memory = ConversationMemory(session_id="s1")
    question = 'call:order_status{"order": "1003"}'
    frames = list(agent(memory, registry, model=model).frames(question))
    shown = [it.fields for it in frames if isinstance(it, Frame) and it.type == "tool_call"]
    assert [(it["name"], it["state"]) for it in shown] == [
        ("order_status", "started"),
        ("order_status", "done"),
    ]
    assert shown[-1]["result"] == {"state": "packed"}
    assert asked == ["s1 1003"]
    # And where tools are not to be called, the model is told of none.
    silent = ConversationAgent(memory, Pipeline(model), registry, use_tool_calling=False)  # type: ignore[arg-type]
    assert silent.step(question)
    assert len(asked) == 1


def test_numbers_and_ids_are_checked() -> None:
    with pytest.raises(ValueError, match="max_history"):
        ConversationMemory(0)
    with pytest.raises(ValueError, match="15 together"):
        ConversationMemory(20, store="redis://127.0.0.1:1")
    with pytest.raises(Malformed):
        ConversationMemory(session_id="a/b")


def test_examples_in_the_docstrings_run() -> None:
    assert doctest.testmod(kotaemon_node.conversation).failed == 0
