"""What people said is known to the bot as exchanges; what a tool answers may call a person."""

from dataclasses import replace
from typing import Any

import pytest

from kotaemon_node.domain.handoff import Handoff
from kotaemon_node.domain.session import SessionKey, SessionView, Turn, TurnKey
from kotaemon_node.domain.turn import State
from kotaemon_node.engine.answer_draft import Draft
from kotaemon_node.engine.counting import tally_of
from kotaemon_node.engine.figures import figures_of
from kotaemon_node.engine.handoff import Persons, as_told
from kotaemon_node.ports.sessions import Lease, Work

KEY = TurnKey(SessionKey("default", "s1"), "t9")


def turn(message: str = "", answer: str = "", **more: Any) -> Turn:
    return Turn("t", message, State.DONE, answer=answer, **more)


def work(*past: Turn) -> Work:
    turns = tuple(replace(one, version=place) for place, one in enumerate(past, start=1))
    session = SessionView("s1", "e", len(past), "", 0.0, 0.0, turns)
    return Work(Lease(KEY, "e", 1, "pod", "trace"), "and now?", {}, session, 1)


def exchanges(told: Work) -> list[tuple[str, str]]:
    return [(one.message, one.answer) for one in told.session.turns]


def test_a_talk_without_people_stays_as_it_is() -> None:
    asked = work(turn("one?", "One."), turn("two?", "Two."))

    assert as_told(asked) is asked


def test_what_customers_wrote_and_people_answered_is_one_exchange() -> None:
    said = {"author": "agent", "name": "Ann"}
    asked = work(
        turn("one?", "One."),
        turn(event="handoff"),
        turn("hello?", handoff=True),
        turn("anybody?", handoff=True),
        turn(answer="Yes.", **said),
        turn(answer="I am looking.", **said),
        turn("thanks", handoff=True),
        turn(answer="不客气。", author="agent"),
        turn(event="handback"),
    )

    assert exchanges(as_told(asked)) == [
        ("one?", "One."),
        ("hello?\nanybody?", "Ann (a person): Yes.\nAnn (a person): I am looking."),
        ("thanks", "（人工客服）：不客气。"),
    ]


class Out:
    def __init__(self, **journal: Any) -> None:
        self.journal = {name.replace("_", ":"): value for name, value in journal.items()}


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ('{"handoff": true, "reason": "fraud"}', "fraud"),
        ('{"result": {"handoff": true}}', ""),
        ('{"result": "I ask \\"handoff\\"", "handoff": false}', None),
        ('{"text": "\\"handoff\\": true"}', None),
        ('{"handoff": true, "resu', None),
        ('["handoff"]', None),
    ],
)
def test_a_tool_that_answers_handoff_calls_a_person(told: str, reason: str | None) -> None:
    out: Any = Out(result_1=dict(state="done", told=told), asked={"handoff": True})

    wanted = Persons(lambda: 7.0).wanted(work(), Draft(), out)

    assert wanted == (Handoff(7.0, reason, "tool") if reason is not None else None)


def test_turns_of_people_change_no_figure_of_the_bot() -> None:
    counts: dict[str, int] = {}
    for version, one in enumerate(
        (
            turn("one?", "One."),
            turn("a person please", "Yes.", event="handoff"),
            turn("hello?", handoff=True),
            turn(answer="Yes.", author="agent"),
            turn(event="handback"),
        ),
        start=1,
    ):
        counted = tally_of(KEY, epoch="e", turn=replace(one, version=version), with_question=True)
        for name, number in counted.counts.items():
            counts[name] = counts.get(name, 0) + number
        assert bool(counted.question) is one.by_bot

    figures = figures_of(counts)

    assert (figures.turns, figures.done, figures.answered, figures.sessions) == (2, 2, 2, 1)
    assert (figures.handoffs, figures.handoff_rate) == (1, 1.0)
    assert (figures.with_person, figures.agent_messages) == (1, 1)
    assert figures_of({}).handoff_rate is None
