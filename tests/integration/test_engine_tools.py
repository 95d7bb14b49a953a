"""Turns that call tools, on a real Redis: what a takeover repeats, and what it never does."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from kotaemon_node.domain import limits
from kotaemon_node.domain.frames import Frame
from kotaemon_node.domain.session import Turn
from kotaemon_node.domain.turn import State
from tests.fakes.llm_server import FakeLlmServer
from tests.fakes.tool_server import ToolServer
from tests.integration.test_engine_turns import ANYBODY, key, text_of
from tests.redis_server import RedisServer
from tests.tool_pods import HeldMetrics, Hold, ToolPod, states_of

ASK = 'Where is it? call:{name}{{"order": "A1"}}'


@dataclass
class World:
    """What all pods of a test share."""

    redis: RedisServer
    llm: FakeLlmServer
    tools: ToolServer

    def pod(self, name: str, *, effects: dict[str, str], **options) -> ToolPod:
        return ToolPod(name, self.redis, llm=self.llm, tools=self.tools, effects=effects, **options)

    def asked_anew(self) -> int:
        """How often the model was asked to decide, rather than to go on behind results."""
        requests = list(self.llm.behaviour.requests)
        return sum(1 for body in requests if body["messages"][-1]["role"] == "user")


@pytest.fixture
def world(redis_server: RedisServer) -> Iterator[World]:
    redis_server.wipe()
    with FakeLlmServer(tokens_min=40) as llm, ToolServer() as tools:
        yield World(redis_server, llm, tools)


def turn_of(pod: ToolPod) -> Turn:
    turn = pod.engine.wait(key("t1"), ANYBODY, timeout_s=60)
    assert turn is not None
    return turn


def assert_whole(pod: ToolPod) -> tuple[list[Frame], Turn]:
    """The frames are numbered without a gap and make the answer that was committed."""
    frames, turn = pod.frames("t1"), turn_of(pod)
    assert [frame.seq for frame in frames] == list(range(1, len(frames) + 1))
    assert turn.state is State.DONE, turn.error
    assert turn.degraded is None
    assert text_of(frames) == turn.answer == frames[-1].fields["answer"] != ""
    return frames, turn


def short(key_: str) -> str:
    """Return ``session:turn:step`` of a call's key."""
    tenant, session, epoch, turn, step = key_.split(":")
    assert (tenant, len(epoch)) == ("default", 22)
    return f"{session}:{turn}:{step}"


def keys(world: World) -> list[str]:
    """Return the keys of all calls, in order; those of one session share its epoch."""
    found = world.tools.keys()
    assert len({key_.split(":")[2] for key_ in found if ":s1:" in key_}) <= 1
    return [short(key_) for key_ in found]


def acted(world: World) -> dict[str, int]:
    """Return how often the world outside changed, by call."""
    return {short(key_): count for key_, count in world.tools.effects().items()}


def test_a_tool_is_called_once_and_its_result_is_the_answer(world: World) -> None:
    pod = world.pod("a", effects={"look": "read"})
    pod.submit("t1", message=ASK.format(name="look"))
    frames, turn = assert_whole(pod)
    assert turn.answer.startswith("Let me look that up, part 1.\n\nThe tools say: ")
    assert "PX-0001" in turn.answer
    (asked,) = world.tools.asked()
    assert (short(asked.key), asked.arguments) == ("s1:t1:1.1", {"order": "A1"})
    started, done = [frame.fields for frame in frames if frame.type == "tool_call"]
    assert started == {"name": "look", "args": {"order": "A1"}, "step": "1.1", "state": "started"}
    assert done == {
        **started,
        "state": "done",
        "result": {"code": "PX-0001", "asked": {"order": "A1"}},
    }
    assert pod.calls("look", "done") == 1
    assert turn.usage["completion_tokens"] > 40
    # The model was shown the result as a quotation, under the mark of this turn.
    told = world.llm.behaviour.requests[-1]["messages"]
    assert [message["role"] for message in told[-2:]] == ["assistant", "tool"]
    assert told[-1]["content"].startswith("=== ")
    mark = told[-1]["content"].split()[1]
    assert mark in told[0]["content"]
    assert mark in told[1]["content"]


def test_without_tools_the_model_is_asked_as_ever(world: World) -> None:
    pod = world.pod("a", effects={})
    pod.submit("t1", message=ASK.format(name="look"))
    assert_whole(pod)
    (body,) = world.llm.behaviour.requests
    assert set(body) == {"model", "messages", "stream", "stream_options"}
    assert all(set(message) == {"role", "content"} for message in body["messages"])
    assert "functions" not in body["messages"][0]["content"]


def test_several_calls_and_several_rounds(world: World) -> None:
    pod = world.pod("a", effects={"look": "read", "book": "idempotent"})
    both = f"{ASK.format(name='look')} {ASK.format(name='book')}"
    pod.submit("t1", message=f"{both} then {ASK.format(name='look')}")
    frames, turn = assert_whole(pod)
    assert keys(world) == ["s1:t1:1.1", "s1:t1:1.2", "s1:t1:2.1"]
    assert [state for _, state in states_of(frames)] == ["started", "done"] * 3
    assert turn.answer.count("Let me look that up") == 2
    assert all(code in turn.answer for code in ("PX-0001", "PX-0002", "PX-0003"))


def test_a_model_that_never_stops_calling_has_to_answer_at_last(world: World) -> None:
    pod = world.pod("a", effects={"look": "read"})
    pod.submit("t1", message=" then ".join([ASK.format(name="look")] * 9))
    assert_whole(pod)
    assert len(world.tools.asked()) == limits.TOOL_ROUNDS_MAX
    assert "tools" not in world.llm.behaviour.requests[-1]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ('call:sell{"order": "A1"}', "there is no function sell; the functions are: look"),
        ("call:look{order: A1}", "the arguments are no JSON object"),
        ('call:look{"order": 1}', "the argument order must be of type string"),
        ("call:look", "the argument order is missing"),
    ],
)
def test_a_call_that_makes_no_sense_is_told_to_the_model(
    world: World, asked: str, told: str
) -> None:
    pod = world.pod("a", effects={"look": "once"})
    pod.submit("t1", message=asked)
    frames, turn = assert_whole(pod)
    assert told in turn.answer
    assert states_of(frames)[-1] == ("1.1", "failed")
    assert not world.tools.asked()
    assert pod.calls("unlisted", "failed") == (1 if "sell" in asked else 0)


@pytest.mark.parametrize("effects", ["read", "idempotent", "once"])
def test_a_tool_that_hangs_up_is_not_called_again(world: World, effects: str) -> None:
    world.tools.doings.hang_up = True
    pod = world.pod("a", effects={"act": effects})
    pod.submit("t1", message=ASK.format(name="act"))
    frames, turn = assert_whole(pod)
    state = "failed" if effects == "read" else "unknown"
    assert states_of(frames) == [("1.1", "started"), ("1.1", state)]
    assert ("not known whether it was done" in turn.answer) == (state == "unknown")
    assert len(world.tools.asked()) == 1
    assert pod.calls("act", state) == 1


# --- takeovers -------------------------------------------------------------------------------

Kill = Callable[[World, str], tuple[ToolPod, Hold]]


def ask(pod: ToolPod, effects: str) -> None:
    pod.submit("t1", message=ASK.format(name=f"{effects}_act"))


def in_the_first_text(world: World, effects: str) -> tuple[ToolPod, Hold]:
    pod, hold = world.pod("dead", effects=tools_of(effects)), Hold()
    pod.model.place, pod.model.hold = (1, 4), hold  # type: ignore[method-assign]
    ask(pod, effects)
    until_stored(pod, lambda frames: text_of(frames) == "Let me look")
    return pod, hold


def during_the_call(world: World, effects: str) -> tuple[ToolPod, Hold]:
    pod, hold = world.pod("dead", effects=tools_of(effects)), Hold()
    world.tools.doings.hold, world.tools.doings.times = hold.go, 1
    ask(pod, effects)
    while not world.tools.effects():
        threading.Event().wait(0.01)
    hold.reached.set()
    return pod, hold


def behind_the_answer(world: World, effects: str) -> tuple[ToolPod, Hold]:
    pod, hold = world.pod("dead", effects=tools_of(effects)), Hold()
    pod.toolbox.hold = hold  # type: ignore[method-assign]
    ask(pod, effects)
    return pod, hold


def behind_the_result(world: World, effects: str) -> tuple[ToolPod, Hold]:
    hold = Hold()
    pod = world.pod("dead", effects=tools_of(effects), metrics=HeldMetrics(hold, place=1))
    ask(pod, effects)
    until_stored(pod, lambda frames: states_of(frames)[-1:] == [("1.1", "done")])
    return pod, hold


def in_the_last_text(world: World, effects: str) -> tuple[ToolPod, Hold]:
    pod, hold = world.pod("dead", effects=tools_of(effects)), Hold()
    pod.model.place, pod.model.hold = (2, 9), hold  # type: ignore[method-assign]
    ask(pod, effects)
    until_stored(pod, lambda frames: "The tools say" in text_of(frames))
    return pod, hold


def until_stored(pod: ToolPod, holds: Callable[[list[Frame]], bool]) -> None:
    """Wait until that is true of the frames that every pod can see."""
    stored: list[Frame] = []
    for frame in pod.engine.follow(key("t1"), ANYBODY, after=0):
        if frame is not None:
            stored.append(frame)
            if holds(stored):
                return
    raise AssertionError(f"the turn ended before that: {stored}")


def tools_of(effects: str) -> dict[str, str]:
    return {f"{effects}_act": effects}


@pytest.mark.parametrize("effects", ["read", "idempotent", "once"])
@pytest.mark.parametrize(
    ("kill", "in_doubt"),
    [
        (in_the_first_text, False),
        (during_the_call, True),
        (behind_the_answer, True),
        (behind_the_result, False),
        (in_the_last_text, False),
    ],
)
def test_a_takeover_repeats_no_effect(
    world: World, effects: str, kill: Kill, in_doubt: bool
) -> None:
    # Given a pod that is lost at that place, and one that serves a newer generation
    dead, hold = kill(world, effects)
    assert hold.reached.wait(60)
    heir = world.pod("heir", effects=tools_of(effects), generation=8)
    heir.judges()
    # When the turn is taken over
    assert heir.recovery.sweep() == 1
    frames, turn = assert_whole(heir)
    hold.go.set()  # it was only slow: whatever it still does changes nothing
    # Then a call that may have acted is repeated only where that is harmless, under the same key
    repeated = in_doubt and effects != "once"
    assert keys(world) == ["s1:t1:1.1"] * (2 if repeated else 1)
    assert acted(world) == {"s1:t1:1.1": 1}
    lost = in_doubt and effects == "once"
    assert states_of(frames) == [("1.1", "started"), ("1.1", "unknown" if lost else "done")]
    assert ("PX-0001" in turn.answer) == (not lost)
    assert ("not known whether it was done" in turn.answer) == lost
    # And the answer went on, from the same passages, with a decision that was taken once
    assert (turn.attempts, turn.owner) == (2, "heir")
    assert not [frame for frame in frames if frame.type == "restart"]
    assert world.llm.stats["prefix_mismatches"] == 0
    assert world.asked_anew() == 1
    (source,) = [frame for frame in frames if frame.type == "source"]
    assert [doc["generation"] for doc in source.fields["docs"]] == [7]
    assert turn.sources == tuple(source.fields["docs"])
    assert turn.generation == {"default": 7}
    assert (dead.knowledge.searches, heir.knowledge.searches) == (1, 0)
    dead.until_idle()
    assert turn_of(heir) == turn
    assert len(world.tools.asked()) == (2 if repeated else 1)


@pytest.mark.parametrize("effects", ["read", "idempotent", "once"])
def test_a_call_that_was_decided_and_not_begun_is_made_by_the_new_owner(
    world: World, effects: str
) -> None:
    # Given a pod that is lost between two calls of one round
    hold, tools = Hold(), {"first": effects, "second": effects}
    dead = world.pod("dead", effects=tools, metrics=HeldMetrics(hold, place=1))
    dead.submit("t1", message=f"{ASK.format(name='first')} {ASK.format(name='second')}")
    assert hold.reached.wait(60)
    until_stored(dead, lambda frames: states_of(frames)[-1:] == [("1.1", "done")])
    heir = world.pod("heir", effects=tools, generation=8)
    heir.judges()
    # When the turn is taken over, and the other wakes up
    assert heir.recovery.sweep() == 1
    frames, turn = assert_whole(heir)
    hold.go.set()
    dead.until_idle()
    # Then each was called once, by whoever was the owner, and nobody decided again
    assert keys(world) == ["s1:t1:1.1", "s1:t1:1.2"]
    assert [state for _, state in states_of(frames)] == ["started", "done"] * 2
    assert "PX-0002" in turn.answer
    assert world.asked_anew() == 1


@pytest.mark.parametrize("place", [(2, 4), (3, 9)])
def test_a_takeover_in_a_later_round_goes_on_in_that_rounds_text(
    world: World, place: tuple[int, int]
) -> None:
    hold, tools = Hold(), {"look": "once"}
    question = f"{ASK.format(name='look')} then {ASK.format(name='look')}"
    undisturbed = world.pod("calm", effects=tools)
    undisturbed.submit("t0", message=question)
    calm = undisturbed.engine.wait(key("t0"), ANYBODY, timeout_s=60)
    assert calm is not None
    dead = world.pod("dead", effects=tools)
    dead.model.place, dead.model.hold = place, hold  # type: ignore[method-assign]
    dead.submit("t1", message=question)
    shown = "part 1.\n\nLet me" if place[0] == 2 else "part 2.\n\nThe tools"
    until_stored(dead, lambda frames: shown in text_of(frames))
    assert hold.reached.wait(60)
    heir = world.pod("heir", effects=tools)
    heir.judges()
    assert heir.recovery.sweep() == 1
    frames, turn = assert_whole(heir)
    hold.go.set()
    assert turn.answer == calm.answer.replace("PX-0001", "PX-0003").replace("PX-0002", "PX-0004")
    assert not [frame for frame in frames if frame.type == "restart"]
    assert world.llm.stats["prefix_mismatches"] == 0
    assert keys(world)[2:] == ["s1:t1:1.1", "s1:t1:2.1"]


@pytest.mark.parametrize("quietly", ["", "quietly "])
def test_a_model_that_cannot_continue_begins_again_but_calls_nothing_again(
    world: World, quietly: str
) -> None:
    hold, tools = Hold(), {"look": "once"}
    dead = world.pod("dead", effects=tools, continues="none")
    dead.model.place, dead.model.hold = (2, 9), hold  # type: ignore[method-assign]
    dead.submit("t1", message=quietly + ASK.format(name="look"))
    until_stored(dead, lambda frames: "The tools say" in text_of(frames))
    assert hold.reached.wait(60)
    heir = world.pod("heir", effects=tools, continues="none")
    heir.judges()
    assert heir.recovery.sweep() == 1
    frames, turn = assert_whole(heir)
    hold.go.set()
    assert len([frame for frame in frames if frame.type == "restart"]) == 1
    assert turn.answer.startswith("The tools say" if quietly else "Let me look that up, part 1.\n")
    assert turn.answer.count("PX-0001") == 1
    assert keys(world) == ["s1:t1:1.1"]


def test_a_cancel_hangs_up_on_the_tool(world: World) -> None:
    world.tools.doings.delay_s = 60
    pod = world.pod("a", effects={"look": "read"})
    pod.submit("t1", message=ASK.format(name="look"))
    while not world.tools.asked():
        threading.Event().wait(0.01)
    turn = pod.engine.cancel(key("t1"), ANYBODY)
    assert turn.state is State.CANCELLED
    pod.until_idle()
    # And says that nobody knows what became of the call.
    frames = pod.frames("t1")
    assert states_of(frames) == [("1.1", "started"), ("1.1", "unknown")]
    assert frames[-1].fields["state"] == "cancelled"
    assert [frame.seq for frame in frames] == list(range(1, len(frames) + 1))


def test_a_pod_without_the_tool_says_so_of_a_call_in_doubt(world: World) -> None:
    dead, hold = during_the_call(world, "idempotent")
    heir = world.pod("heir", effects={"other": "read"})
    heir.judges()
    assert heir.recovery.sweep() == 1
    frames, _ = assert_whole(heir)
    hold.go.set()
    assert states_of(frames)[-1] == ("1.1", "unknown")
    assert len(world.tools.asked()) == 1
    dead.until_idle()
