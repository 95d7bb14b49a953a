"""Hooks are part of their turn: what they propose or ask has to be put to the user in it."""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from kotaemon_node.adapters.system import ThreadTasks
from kotaemon_node.domain.acting_limits import TOOL_PATIENCE_S
from kotaemon_node.domain.limits import TOOL_TIMEOUT_S_MAX
from kotaemon_node.engine.ledger import Outcome
from kotaemon_node.engine.plugin_tools import PluginToolbox, hook_name
from kotaemon_node.engine.slow_calls import Behind
from kotaemon_node.engine.tool_calls import DecidedCall
from kotaemon_node.engine.tool_steps import ToolSteps
from kotaemon_node.ports.language_model import ToolCall
from kotaemon_node.ports.later import SLOW_CALL
from kotaemon_node.ports.plugins import PluginCall, PluginDescription
from kotaemon_node.ports.tools import ToolOutcomeUnknown
from tests.calls import WORK, Calls, Writer
from tests.fakes.plugins import FixedPlugins, ScriptedPlugin

CANCEL = PluginDescription("cancel", "v1", "Cancels.", "once", {"type": "object"})
PROPOSAL = {"propose": {"arguments": {"order_id": "1"}, "summary": "Cancel order 1"}}


class Turn:
    """A turn in which a hook of a plugin is asked."""

    def __init__(self, about: PluginDescription, script: Callable[[PluginCall], Any]) -> None:
        self.calls, self.out = Calls(), Writer()
        self.plugin = ScriptedPlugin(about, script)
        self._steps = ToolSteps(
            PluginToolbox(FixedPlugins(self.plugin)),
            clock=self.calls.clock,
            metrics=self.calls.metrics,
            tasks=ThreadTasks(),
            behind=Behind(self.calls.later, self.calls.follow_ups),
        )

    def ask(self) -> Outcome:
        hook = ToolCall("hook", hook_name("cancel", "propose"), {"user_input": "cancel it"})
        calls = [DecidedCall(hook, "read")]
        (outcome,) = self._steps.run(calls, WORK, self.out, round_number=0)  # type: ignore[arg-type]
        return outcome

    def lasting(self, answer: Any) -> Any:
        """Answer after the turn has lost its patience with what may go on behind it."""
        until_s = self.calls.clock.monotonic_s() + 2 * TOOL_PATIENCE_S
        while self.calls.clock.monotonic_s() < until_s:
            threading.Event().wait(0.005)
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_a_slow_plugin_proposes_in_the_turn_and_within_its_time() -> None:
    turn = Turn(replace(CANCEL, slow=True, timeout_s=240.0), lambda _: PROPOSAL)
    outcome = turn.ask()
    assert (outcome.state, outcome.later, outcome.value) == ("done", False, PROPOSAL)
    assert not turn.calls.jobs(SLOW_CALL)
    (asked,) = turn.plugin.asked
    assert asked.timeout_s == TOOL_TIMEOUT_S_MAX


@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize(
    ("answer", "state"), [(PROPOSAL, "done"), (ToolOutcomeUnknown("it took too long"), "failed")]
)
def test_a_hook_that_lasts_is_waited_for_and_never_left_behind(
    answer: Any, state: str, slow: bool
) -> None:
    turn = Turn(replace(CANCEL, slow=slow, timeout_s=30.0), lambda _: turn.lasting(answer))
    outcome = turn.ask()
    assert (outcome.state, outcome.later) == (state, False)
    assert turn.out.frames[-1]["state"] == state
    assert not turn.calls.jobs(SLOW_CALL)
    assert turn.out.phases == ["waiting"]


def test_what_the_plugin_does_still_goes_on_behind_the_turn() -> None:
    turn = Turn(replace(CANCEL, slow=True, confirm=False), lambda _: "ok")
    run = DecidedCall(ToolCall("run", "cancel", {}), "once")
    (outcome,) = turn._steps.run([run], WORK, turn.out, round_number=0)  # type: ignore[arg-type]
    assert outcome.later
    assert len(turn.calls.jobs(SLOW_CALL)) == 1
