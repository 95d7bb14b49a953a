"""Functions as tools: what is said of them, whose arguments they get, and how their calls end."""

import doctest
import threading
from typing import Any, Literal

import pytest

import kotaemon_node.tools
from kotaemon_node.domain.errors import Fenced
from kotaemon_node.engine.stopping import Stop
from kotaemon_node.ports.tools import Caller
from kotaemon_node.tools import ToolFailed, ToolOutcomeUnknown, ToolRegistry

CALLER = Caller("default", "s1", user_id="mei", slots={"order_id": "2001"})


def test_the_schema_follows_from_the_annotations_and_leaves_out_what_comes_from_the_talk() -> None:
    registry = ToolRegistry()

    @registry.tool(effects="read")
    def orders(state: Literal["open", "sent"], user_id: str, newest: int = 5) -> list[str]:
        """Lists the orders of the user."""
        return [f"{user_id}:{state}"] * newest

    [spec] = registry.specs(CALLER)
    assert (spec.name, spec.description, spec.effects) == (
        "orders",
        "Lists the orders of the user.",
        "read",
    )
    assert spec.parameters == {
        "type": "object",
        "properties": {"state": {"enum": ["open", "sent"]}, "newest": {"type": "integer"}},
        "required": ["state"],
        "additionalProperties": False,
    }
    assert registry.call(
        "orders", {"state": "open", "newest": 1}, caller=CALLER, key="k", stop=Stop()
    ) == ["mei:open"]


def test_an_async_function_is_waited_for_and_told_its_key() -> None:
    async def cancel(order: str, idempotency_key: str) -> dict[str, Any]:
        return {"order": order, "key": idempotency_key}

    registry = ToolRegistry()
    registry.register("cancel", cancel, description="Cancels.", effects="idempotent", confirm=True)
    assert registry.specs(CALLER)[0].confirm
    told = registry.call("cancel", {"order": "1"}, caller=CALLER, key="s:t:0.1", stop=Stop())
    assert told == {"order": "1", "key": "s:t:0.1"}


@pytest.mark.parametrize(
    ("arguments", "problem", "reached"),
    [
        ({}, "the argument how is missing", False),
        ({"how": 3}, "how", False),
        ({"how": "well", "more": 1}, "there is no argument more", False),
        ({"how": "raise"}, r"it failed \(RuntimeError\)$", True),
        ({"how": "object"}, "it did not return JSON", True),
        ({"how": "long"}, "more than 262144 bytes", True),
    ],
)
def test_a_call_that_fails_says_why_and_whether_it_got_there(
    arguments: dict[str, Any], problem: str, reached: bool
) -> None:
    def shop(how: str) -> Any:
        if how == "raise":
            raise RuntimeError("the shop is shut")
        return object() if how == "object" else "x" * 300_000

    registry = ToolRegistry()
    registry.register("look", shop, effects="read")
    with pytest.raises(ToolFailed, match=problem) as failed:
        registry.call_tool("look", **arguments)
    assert failed.value.reached is reached

    for effects in ("once", "idempotent"):
        registry.register(effects, shop, effects=effects)
        with pytest.raises(ToolOutcomeUnknown if reached else ToolFailed, match=problem):
            registry.call_tool(effects, **arguments)


def test_a_function_that_knows_says_itself_that_it_did_not_act() -> None:
    def cancel() -> None:
        raise ToolFailed("the order has been sent", reached=True)

    registry = ToolRegistry()
    registry.register("cancel", cancel, effects="once")
    with pytest.raises(ToolFailed, match=r"^the order has been sent$") as failed:
        registry.call_tool("cancel")
    assert failed.value.settles


def test_a_schema_that_is_none_is_refused_when_it_is_registered() -> None:
    with pytest.raises(ValueError, match="required must be a list"):
        ToolRegistry().register("a", lambda: 1, parameters={"required": 5})


def test_a_function_that_takes_too_long_leaves_its_outcome_unknown() -> None:
    registry, go = ToolRegistry(), threading.Event()
    registry.register("wait", lambda: go.wait(60), parameters={}, timeout_s=0.05)
    with pytest.raises(ToolOutcomeUnknown, match=r"0\.05 s"):
        registry.call_tool("wait")
    go.set()


def test_a_turn_that_was_stopped_gets_its_reason_and_not_the_answer() -> None:
    registry, stop = ToolRegistry(), Stop()
    registry.register("stop", lambda: stop.request(Fenced("another pod has it")), parameters={})
    with pytest.raises(Fenced):
        registry.call("stop", {}, caller=CALLER, key="k", stop=stop)


def test_names_are_those_that_models_may_say_and_each_is_there_once() -> None:
    registry = ToolRegistry()
    registry.register("a-b_1", lambda: 1, parameters={})
    for name in ("a-b_1", "", "a b", "x" * 65, "名"):
        with pytest.raises(ValueError, match="tool"):
            registry.register(name, lambda: 1, parameters={})
    with pytest.raises(ToolFailed, match="no tool other"):
        registry.call_tool("other")


def test_examples_in_the_docstrings_run() -> None:
    assert doctest.testmod(kotaemon_node.tools).failed == 0
