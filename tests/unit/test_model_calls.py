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
from kotaemon_node.engine.tool_steps import DecidedCall
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
