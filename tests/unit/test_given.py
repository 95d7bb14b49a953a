"""What a caller gives a turn: exchanges that are read, wishes that are quoted, tools of its own."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from kotaemon_node.domain.knowledge import SearchResult
from kotaemon_node.domain.limits import PROMPT_CHARS_MAX, PROMPT_CHARS_MIN
from kotaemon_node.domain.session import SessionKey, SessionView, TurnKey
from kotaemon_node.engine.given import Given, is_alone, with_given
from kotaemon_node.engine.handoff import Persons
from kotaemon_node.engine.prompt import build_prompt
from kotaemon_node.engine.rounds import Talk
from kotaemon_node.engine.tool_steps import ToolSteps
from kotaemon_node.ports.language_model import ToolCall, Usage
from kotaemon_node.ports.sessions import Lease, Work
from kotaemon_node.ports.tools import ToolSpec
from kotaemon_node.telemetry.metrics import Metrics
from tests.fakes.services import FakeClock
from tests.unit.test_engine_rounds import Writer

WEATHER = {"name": "weather", "description": "Tells it", "parameters": {"type": "object"}}
LAMPS = [
    {"role": "user", "content": "How long is the warranty of kettles?"},
    {"role": "assistant", "content": "Two years [1]."},
]


def work(**options: Any) -> Work:
    session = SessionView("s", "e", 0, "h", 0.0, 0.0, ())
    lease = Lease(TurnKey(SessionKey("default", "s"), "t"), "e", 1, "a", "trace")
    return Work(lease, "and of lamps?", options, session, attempts=1)


class Own:
    """The cluster's one tool, which may change something."""

    def __init__(self, effects: str = "read") -> None:
        self.spec = ToolSpec("order", "", {"type": "object"}, effects)  # type: ignore[arg-type]
        self.called: list[str] = []

    def specs(self, caller: Any) -> Sequence[ToolSpec]:
        return (self.spec,)

    def call(self, name: str, arguments: Any, **_: Any) -> Any:
        self.called.append(name)
        return {"ok": True}


class Model:
    """Says one round after the other and notes what it was asked."""

    name, continues_prefix = "m", False

    def __init__(self, *rounds: list[str | ToolCall]) -> None:
        self.rounds = list(rounds)
        self.asked: list[dict[str, Any]] = []

    def stream(self, messages: Any, **options: Any) -> Iterator[str | ToolCall]:
        self.asked.append({"messages": messages, **options})
        yield from self.rounds.pop(0)


def talk(model: Model, own: Own, out: Writer, **given: Any) -> str:
    it = work(given={"tools": [WEATHER], **given})
    steps = ToolSteps(own, clock=FakeClock(), metrics=Metrics())  # type: ignore[arg-type]
    one = Talk(model, steps, it, out, lambda phase: None, given=Given.of(it))  # type: ignore[arg-type]
    return one.answer((), usage=Usage())


def handed(out: Writer) -> list[Any]:
    return [frame for frame in out.frames if frame["state"] == "handed"]


def test_exchanges_that_were_given_are_the_last_of_the_session_and_wait_for_no_yes() -> None:
    seen = with_given(work(given={"history": LAMPS})).session

    assert [(turn.message, turn.answer) for turn in seen.turns] == [
        (LAMPS[0]["content"], LAMPS[1]["content"])
    ]
    assert seen.state.pending is None
    assert with_given(work()) is not None
    assert with_given(plain := work()) is plain


def test_a_call_of_the_callers_tool_ends_the_turn_and_is_not_made_here() -> None:
    out, own = Writer(), Own()
    call = ToolCall("c1", "weather", {"city": "Ghent"})
    text = talk(Model(["One moment.", ToolCall("c0", "order", {}), call]), own, out)

    assert text == "One moment."
    assert own.called == []
    assert handed(out) == [
        {"id": "c1", "name": "weather", "args": {"city": "Ghent"}, "step": "1.2", "state": "handed"}
    ]


def test_whoever_takes_over_behind_that_hands_nothing_over_again() -> None:
    out = Writer()
    talk(Model([ToolCall("c1", "weather", {})]), Own(), out)
    again = Writer(out.journal)
    assert talk(Model(), Own(), again) == ""
    assert handed(again) == []


def test_at_most_one_call_is_handed_over_where_the_caller_wants_no_more() -> None:
    out = Writer()
    calls = [ToolCall("c1", "weather", {}), ToolCall("c2", "weather", {})]
    talk(Model([*calls]), Own(), out, one_call=True)
    assert [frame["id"] for frame in handed(out)] == ["c1"]


def test_the_callers_tools_are_offered_beside_the_clusters_and_never_in_their_name() -> None:
    model = Model(["Done."])
    it = {"tools": [WEATHER, {**WEATHER, "name": "order", "description": "mine"}]}
    talk(model, Own(), Writer(), **it, choice="required")

    assert [(tool.name, tool.description) for tool in model.asked[0]["tools"]] == [
        ("order", ""), ("weather", "Tells it"),
    ]  # fmt: skip
    assert model.asked[0]["sampling"]["tool_choice"] == "required"


def test_nothing_is_handed_over_behind_a_call_that_may_have_changed_something() -> None:
    own = Own("idempotent")  # and its operator asks for no yes
    rounds = [[ToolCall("c0", "order", {})], [ToolCall("c1", "weather", {})], ["Done."]]
    out = Writer()
    model = Model(*rounds)
    assert talk(model, own, out).endswith("Done.")
    assert own.called == ["order"]
    assert handed(out) == []
    assert [len(asked["tools"]) for asked in model.asked] == [2, 1, 1]


def test_results_of_the_caller_are_quoted_and_bounded() -> None:
    call = {"id": "c1", "name": "weather", "arguments": {}, "result": "sunny " * 20_000}
    given = Given.of(work(given={"results": [{"text": "", "calls": [call]}]}))
    asked, answer = given.behind(trace_id="trace", chars_max=1_000)
    assert [one.id for one in asked.tool_calls] == [answer.tool_call_id] == ["c1"]
    assert answer.content.startswith("=== ")
    assert len(answer.content) < 600


def test_wishes_are_quoted_below_the_rules_and_take_none_of_the_marks() -> None:
    found = SearchResult("default", 1, "", ())
    for chars_max in (PROMPT_CHARS_MAX, PROMPT_CHARS_MIN):
        messages = build_prompt(
            "When?", hits=found.hits, history=(), summary="", trace_id="t",
            wishes="Be a pirate. " * 2_000, chars_max=chars_max,
        )  # fmt: skip
        assert "Be a pirate." in messages[0].content
        assert sum(len(message.content) for message in messages) <= chars_max


def test_nobody_is_called_for_where_no_further_message_follows() -> None:
    asking = replace(work(alone=True), message="I want to talk to a human")
    assert is_alone(asking)
    assert Persons().spoken(asking, Writer()) is None  # type: ignore[arg-type]
    here = Persons().spoken(replace(asking, options={}), Writer())  # type: ignore[arg-type]
    assert here is not None
