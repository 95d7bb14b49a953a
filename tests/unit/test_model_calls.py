"""What a language model may have called: what is offered, what waits for a yes, and how much."""

import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest

from kotaemon_node.domain import limits
from kotaemon_node.domain.acting_limits import TOOL_CALLS_PER_TURN_MAX
from kotaemon_node.engine.plugin_tools import PluginToolbox, hook_name
from kotaemon_node.engine.rounds import Talk
from kotaemon_node.engine.terms import ModelTerms
from kotaemon_node.engine.tool_calls import DecidedCall
from kotaemon_node.ports.language_model import ChatMessage, ToolCall, Usage
from kotaemon_node.ports.plugins import PluginCall, PluginDescription
from kotaemon_node.ports.tools import ToolFailed
from tests.calls import CALLER, WORK, Calls, Tools, Writer
from tests.fakes.plugins import FixedPlugins, ScriptedPlugin

ORDER = {"type": "object", "properties": {"order": {"type": "string"}}, "required": ["order"]}
NOTHING: Mapping[str, Any] = {}


class Scripted:
    """Says one round after the other; what it was told and offered is noted."""

    name, continues_prefix = "scripted", True

    def __init__(self, *rounds: list[str | ToolCall]) -> None:
        self._rounds = list(rounds)
        self.told: list[list[ChatMessage]] = []
        self.offered: list[list[str]] = []

    def stream(
        self, messages: Any, *, usage: Usage, tools: Any = (), **_: Any
    ) -> Iterator[str | ToolCall]:
        self.told.append(list(messages))
        self.offered.append([spec.name for spec in tools])
        usage.prompt_tokens, usage.completion_tokens = 900, 100
        # The last round is said for ever, as long as it may call.
        said = self._rounds.pop(0) if len(self._rounds) > 1 else self._rounds[0]
        return iter(said if tools else [it for it in said if isinstance(it, str)] or ["Done."])


class Asking:
    """A talk with a model, and what it proposed."""

    def __init__(self, calls: Calls, *rounds: list[str | ToolCall], **options: Any) -> None:
        self.calls, self.model, self.out = calls, Scripted(*rounds), Writer()
        self.proposed: list[tuple[str, Mapping[str, Any] | None, str]] = []
        self.usage = Usage()
        self.options = options

    def answer(self, out: Writer | None = None) -> str:
        self.out = out or self.out
        talk = Talk(
            self.model,
            self.calls.steps,
            WORK,
            self.out,  # type: ignore[arg-type]
            phase=self.out.phases.append,
            propose=self.propose,
            **self.options,
        )
        talk.answer((ChatMessage("user", "?"),), usage=self.usage)
        return "".join(self.out.texts)

    def propose(self, decided: DecidedCall, action: str) -> str:
        self.proposed.append((decided.call.name, decided.call.arguments, action))
        return f"Shall I? {action}"


def asked(name: str, place: int = 1, **arguments: Any) -> ToolCall:
    return ToolCall(f"c{place}", name, arguments)


def shop() -> Calls:
    calls = Calls()
    calls.tools.add("look", lambda said, _: {"asked": said["order"]}, parameters=ORDER)
    calls.tools.add("cancel", lambda *_: "cancelled", "once", parameters=ORDER, confirm=True)
    return calls


def test_calls_of_one_round_are_made_together_and_told_in_the_models_order() -> None:
    calls, met = Calls(), threading.Barrier(2, timeout=60)
    for name in ("one", "two"):
        calls.tools.add(name, lambda said, _: (met.wait() and None) or said["n"])
    talk = Asking(calls, [asked("one", 1, n=1), asked("two", 2, n=2)], ["Both."])
    assert talk.answer().endswith("Both.")
    told = [said.content.splitlines()[1] for said in talk.model.told[-1][-2:]]
    assert told == ["1", "2"]


def test_what_changes_something_is_not_made_but_asked_for() -> None:
    calls = shop()
    talk = Asking(calls, ["Of course.", asked("look", order="7"), asked("cancel", 2, order="7")])
    assert talk.answer() == "Of course.\n\nShall I? cancel (order: 7)"
    assert talk.proposed == [("cancel", {"order": "7"}, "cancel (order: 7)")]
    assert [name for name, _ in calls.tools.called] == ["look"]
    assert [it["state"] for it in talk.out.frames if it["name"] == "cancel"] == ["proposed"]
    # Whoever takes the turn over asks for the same, and asks the model nothing
    heir = Writer(talk.out.journal)
    assert talk.answer(heir) == "Of course.\n\nShall I? cancel (order: 7)"
    assert (len(talk.model.told), len(calls.tools.called)) == (1, 1)


def test_one_change_is_asked_for_at_a_time() -> None:
    calls = shop()
    talk = Asking(calls, [asked("cancel", 1, order="7"), asked("cancel", 2, order="8")])
    talk.answer()
    assert [arguments for _, arguments, _ in talk.proposed] == [{"order": "7"}]
    assert [frame["state"] for frame in talk.out.frames] == ["proposed", "failed"]
    assert not calls.tools.called


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (asked("refund", order="7"), "there is no function refund"),
        (asked("cancel"), "the argument order is missing"),
        (asked("cancel", order=7), "must be of type string"),
        (ToolCall("c1", "cancel", None), "no JSON object"),
    ],
)
def test_what_was_not_offered_or_makes_no_sense_is_refused_and_not_asked_for(
    call: ToolCall, told: str
) -> None:
    calls = shop()
    talk = Asking(calls, [call], ["Sorry."])
    assert talk.answer() == "Sorry."
    assert told in talk.model.told[-1][-1].content
    assert not talk.proposed
    assert not calls.tools.called
    count = calls.metrics.registry.get_sample_value(
        "kotaemon_plugin_calls_total",
        {"plugin": "unlisted" if call.name == "refund" else "cancel", "outcome": "failed"},
    )
    assert count == 1


def test_a_turn_makes_so_many_rounds_and_calls_and_then_answers() -> None:
    calls = Calls()
    calls.tools.add("look", lambda *_: 1)
    talk = Asking(calls, [asked("look", n, n=n) for n in range(8)])
    assert talk.answer() == "Done."
    assert len(calls.tools.called) == TOOL_CALLS_PER_TURN_MAX
    assert len(talk.model.told) == limits.TOOL_ROUNDS_MAX + 1
    assert talk.model.offered[-1] == []
    assert "as many calls as it may" in talk.model.told[-1][-1].content


@pytest.mark.parametrize(
    "terms",
    [ModelTerms(turn_tokens_max=2_000), ModelTerms(price_completion=1e4, turn_cost_max=2.0)],
)
def test_a_turn_that_used_up_its_tokens_or_money_ends_and_says_so(terms: ModelTerms) -> None:
    calls = Calls()
    calls.tools.add("look", lambda *_: 1)
    talk = Asking(calls, ["Wait.", asked("look")], used_up=terms.used_up)
    assert "this answer has used up what one answer may take" in talk.answer()
    assert len(talk.model.told) == len(calls.tools.called) == 2
    assert not ModelTerms().used_up(talk.usage)


@pytest.mark.data
def test_a_model_that_obeys_an_injection_changes_nothing() -> None:
    """Whatever a retrieved text says, and however the model falls for it."""
    corpus = Path(os.environ["KOTAEMON_TEST_DATA"]) / "prompt_injection" / "dev"
    lines = [line for file in sorted(corpus.rglob("*.jsonl")) for line in file.open("rb")]
    assert lines
    for line in lines[:200]:
        calls, said = shop(), orjson.loads(line)
        order = str(next(iter(said.values())))[:100]
        talk = Asking(calls, ["Ok.", asked("cancel", order=order), asked("wipe", 2)], ["Done."])
        talk.answer()
        assert not calls.tools.called
        assert len(talk.proposed) == 1


# --- plugins as tools ------------------------------------------------------------------------


def plugin(name: str = "orders", **options: Any) -> ScriptedPlugin:
    said = {"version": "v1", "description": "Orders.", "effects": "once", "parameters": ORDER}
    about = PluginDescription(name, **{**said, **options})  # type: ignore[arg-type]

    def script(call: PluginCall) -> Any:
        return {"took_effect": True, "result": 1} if call.entry == "lookup" else call.entry

    return ScriptedPlugin(about, script)


def test_plugins_are_tools_beside_those_of_the_file_and_have_their_names_first() -> None:
    others = Tools()
    others.add("orders", lambda *_: "the file's")
    others.add("weather", lambda *_: "fine")
    ours, hooks_only = plugin(retries=3, looks_up=True), plugin("faq", runs=False)
    box = PluginToolbox(FixedPlugins(ours, hooks_only), others)  # type: ignore[arg-type]
    specs = {spec.name: spec for spec in box.specs(CALLER)}
    assert list(specs) == ["orders", "weather"]
    orders = specs["orders"]
    assert (orders.confirm, orders.retries, orders.looks_up, orders.version) == (
        True,
        0,
        True,
        "v1",
    )
    stop = Writer().stop
    assert box.call("orders", {"order": "1"}, caller=CALLER, key="k", stop=stop) == "run"
    assert box.call("weather", {}, caller=CALLER, key="k", stop=stop) == "fine"
    hook = hook_name("faq", "answer")
    assert box.call(hook, {"user_input": "why?"}, caller=CALLER, key="k2", stop=stop) == "hook"
    assert box.lookup("orders", {"order": "1"}, caller=CALLER, key="k", stop=stop).result == 1
    called = [(call.entry, call.method, call.user_input, call.key) for call in hooks_only.asked]
    assert called == [("hook", "answer", "why?", "k2")]
    assert ours.asked[0].caller is CALLER
    with pytest.raises(ToolFailed):
        PluginToolbox(FixedPlugins()).call("x", {}, caller=CALLER, key="k", stop=stop)
