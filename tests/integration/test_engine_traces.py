"""The spans of a turn, by an engine on a real Redis, a model and a tool server that listen."""

from collections.abc import Callable, Iterator

import pytest
import structlog
from structlog.testing import capture_logs

from kotaemon_node.domain.trace_context import TraceContext
from kotaemon_node.ports.traces import NO_SPAN, current
from kotaemon_node.telemetry.spans import Recorded, RecordedTraces
from tests.engine_pods import ANYBODY, Stall, TestPod, key
from tests.fakes.llm_server import FakeLlmServer
from tests.fakes.tool_server import ToolServer
from tests.redis_server import RedisServer, ServerClock
from tests.tool_pods import ToolPod

QUESTION = 'Where is my-order? call:look{"order": "A1"} call:pay{"order": "my-order"}'
TURN = "invoke_agent kotaemon"


@pytest.fixture
def redis(redis_server: RedisServer) -> RedisServer:
    redis_server.wipe()
    return redis_server


class Tree:
    """The spans that pods ended, and who hangs below whom."""

    def __init__(self, redis: RedisServer) -> None:
        self.spans: list[Recorded] = []
        self.traces = RecordedTraces(self.spans.append, clock=ServerClock(redis))

    def named(self, name: str) -> Recorded:
        (found,) = [one for one in self.spans if one.name == name]
        return found

    def below(self, above: Recorded) -> list[str]:
        """Return the names of the parts in the order in which they began."""
        parts = [one for one in self.spans if one.parent == above.context]
        return [one.name for one in sorted(parts, key=lambda one: one.begun_ns)]

    def asks(self, pod: TestPod, turn_id: str, **options: str) -> None:
        """Submit a turn as a request does whose client has a trace of its own."""
        above = TraceContext("a" * 32, "b" * 16, sampled=True).header
        request = self.traces.begin("POST", trace_id="", above=above, kind="server")
        with request:
            pod.submit(turn_id, **options)

    def until(self, pod: TestPod, name: str, count: int = 1) -> None:
        pod.until(lambda: sum(one.name == name for one in self.spans) >= count)


@pytest.fixture
def tree(redis: RedisServer) -> Tree:
    return Tree(redis)


@pytest.fixture
def servers() -> Iterator[tuple[FakeLlmServer, ToolServer]]:
    with FakeLlmServer(tokens_min=20) as llm, ToolServer() as tools:
        yield llm, tools


def test_a_turn_with_tools_is_one_tree(
    redis: RedisServer, tree: Tree, servers: tuple[FakeLlmServer, ToolServer]
) -> None:
    llm, tools = servers
    effects = {"look": "read", "pay": "once"}
    pod = ToolPod("a", redis, llm=llm, tools=tools, effects=effects, traces=tree.traces)

    tree.asks(pod, "t1", message=QUESTION)
    tree.until(pod, TURN)

    turn, request = tree.named(TURN), tree.named("POST")
    assert turn.parent == request.parent  # beside the request, which it may outlive
    assert tree.below(request) == ["claim"]
    # In the order of their beginning; the first text is stored while the model goes on.
    assert tree.below(turn) == [
        "retrieval default",
        "chat fake",
        "group_commit",
        "execute_tool look",
        "execute_tool pay",
        "chat fake",
        "commit",
    ]
    assert {one.context.trace_id for one in tree.spans} == {"a" * 32}
    assert turn.facts["kotaemon.turn.state"] == "done"
    assert turn.facts["gen_ai.operation.name"] == "invoke_agent"
    assert [name for name, _, _ in turn.events] == ["first_text"]

    chats = [one for one in tree.spans if one.name == "chat fake"]
    assert {one.kind for one in chats} == {"client"}
    last = chats[-1].facts
    assert last["gen_ai.request.model"] == "fake"
    assert int(last["gen_ai.usage.output_tokens"]) >= 20
    assert 0 < float(last["gen_ai.response.time_to_first_chunk"]) < 60
    assert turn.facts["gen_ai.usage.output_tokens"] == sum(
        int(one.facts["gen_ai.usage.output_tokens"]) for one in chats
    )
    paid = tree.named("execute_tool pay").facts
    assert (paid["gen_ai.tool.name"], paid["kotaemon.tool.outcome"]) == ("pay", "done")

    # Whom the turn asks is told of the very span that asks.
    told = {TraceContext.read(header) for header in llm.behaviour.traceparents}
    assert told == {one.context for one in chats}
    look = tree.named("execute_tool look").context.header
    assert [asked.headers["traceparent"] for asked in tools.asked("/look")] == [look]


def test_no_word_of_a_user_and_no_id_of_a_session_is_in_a_span(
    redis: RedisServer, tree: Tree, servers: tuple[FakeLlmServer, ToolServer]
) -> None:
    llm, tools = servers
    effects = {"look": "read", "pay": "once"}
    pod = ToolPod("a", redis, llm=llm, tools=tools, effects=effects, traces=tree.traces)

    tree.asks(pod, "t1", message=QUESTION)
    tree.until(pod, TURN)

    said = repr([(one.name, one.facts, one.events, one.failure) for one in tree.spans])
    for secret in ("my-order", "A1", "PX-", "s1", "t1", "Orders are"):
        assert secret not in said


def test_a_turn_that_is_taken_over_is_ended_once_by_who_ends_it(
    redis: RedisServer, tree: Tree
) -> None:
    stall = Stall(3)
    first = TestPod("a", redis, gate=stall, traces=tree.traces)
    second = TestPod("b", redis, traces=tree.traces)
    for pod in (first, second):
        pod.judges()
    tree.asks(first, "t1")
    assert stall.reached.wait(60)
    first.until_shown("t1", "Parcels leave within ")

    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        assert second.engine.take(key("t1"), from_owner="a")
        second.engine.wait(key("t1"), ANYBODY, timeout_s=60)
        tree.until(second, TURN)
    stall.go.set()
    first.until(lambda: first.engine.running == 0)

    turn = tree.named(TURN)
    assert tree.named("takeover").facts == {"kotaemon.owner.before": "a"}
    assert tree.below(turn).count("group_commit") == 2  # each owner's first text
    assert tree.below(turn).count("commit") == 1
    assert turn.facts["kotaemon.turn.attempts"] == 2
    (line,) = [line for line in lines if line["event"] == "turn_taken_over"]
    assert line["trace_id"] == "trace-t1"


def test_waiting_cancelling_and_handing_over_show(redis: RedisServer, tree: Tree) -> None:
    stall = Stall(2)
    pod = TestPod("a", redis, gate=stall, traces=tree.traces)
    tree.asks(pod, "t1")
    assert stall.reached.wait(60)
    tree.asks(pod, "t2")  # waits behind it
    pod.engine.cancel(key("t1"), ANYBODY)
    tree.until(pod, TURN)
    cancelled = tree.named(TURN)
    stall.go.set()
    tree.until(pod, TURN, count=2)

    assert cancelled.facts["kotaemon.turn.state"] == "cancelled"
    (waited,) = [one for one in tree.spans if one.name == TURN and one is not cancelled]
    assert "queued" in tree.below(waited)
    assert waited.facts["kotaemon.session.hash"] == cancelled.facts["kotaemon.session.hash"]
    outcomes = [one.facts["kotaemon.claim.outcome"] for one in tree.spans if one.name == "claim"]
    assert outcomes == ["owned", "queued"]


def test_who_leaves_does_not_end_the_turn(redis: RedisServer, tree: Tree) -> None:
    stall = Stall(2)
    first = TestPod("a", redis, gate=stall, traces=tree.traces)
    tree.asks(first, "t1")
    assert stall.reached.wait(60)

    first.engine.hand_over()
    stall.go.set()
    tree.until(first, "hand_over")
    first.until(lambda: first.engine.running == 0)

    assert TURN not in [one.name for one in tree.spans]
    assert current() is NO_SPAN


def test_without_traces_a_turn_keeps_nothing_of_them(redis: RedisServer) -> None:
    pod = TestPod("a", redis)
    seen: list[Callable[[], object]] = []
    pod.answerer._gate = lambda work, place: seen.append(lambda: dict(work.options))

    pod.submit("t1")
    pod.engine.wait(key("t1"), ANYBODY, timeout_s=60)

    assert seen
    assert seen[0]() == {}
