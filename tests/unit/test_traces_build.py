"""A build of knowledge is one trace, in which pods go on that hear of it."""

import json
from pathlib import Path

import pytest

from kotaemon_node.domain.trace_context import TraceContext, is_trace_id
from kotaemon_node.listeners.knowledge_updated import KnowledgeUpdatedListener
from kotaemon_node.ports.traces import NO_SPAN, Span, current
from kotaemon_node.telemetry.spans import Recorded, RecordedTraces
from tests.fakes.coordination import SteppedCoordinator, World
from tests.fakes.services import FakeClock


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_build_shows_its_steps_and_who_serves_it_goes_on(world: World) -> None:
    spans: list[Recorded] = []
    traces = RecordedTraces(spans.append, clock=world.clock)
    coordinator = SteppedCoordinator(world, traces=traces)
    world.write({"shop/a.md": "# Returns\n\nWithin 30 days."})
    coordinator.settle()
    event = next(message for message in world.bus.messages if message.key == "shop")
    trace_id = json.loads(event.value)["trace_id"]

    # Another program, which knows nothing but the event.
    heard: list[Span] = []
    elsewhere: list[Recorded] = []
    listener = KnowledgeUpdatedListener(
        look=lambda tenant, kb, generation: heard.append(current()),
        traces=RecordedTraces(elsewhere.append, clock=FakeClock()),
    )
    assert listener.handle(event)

    mine = [one for one in spans if one.context.trace_id == trace_id]
    build = mine[-1]
    assert [one.name for one in mine] == ["read", "encode", "store", "publish", "build"]
    assert {one.parent for one in mine[:-1]} == {build.context}
    assert build.parent is None
    (hearing,) = elsewhere
    assert heard == [hearing]
    assert hearing.parent == build.context


def test_a_step_that_builds_nothing_leaves_no_span(world: World) -> None:
    spans: list[Recorded] = []
    coordinator = SteppedCoordinator(world, traces=RecordedTraces(spans.append, clock=world.clock))
    world.write({"a.md": "# Returns\n\nWithin 30 days."})
    coordinator.settle()
    spans.clear()

    coordinator.settle()

    assert spans == []


def test_without_traces_an_event_has_the_id_of_a_trace_all_the_same(world: World) -> None:
    coordinator = SteppedCoordinator(world)
    coordinator.settle()

    (message,) = world.bus.messages
    trace_id = json.loads(message.value)["trace_id"]
    heard: list[Span] = []
    listener = KnowledgeUpdatedListener(look=lambda *_: heard.append(current()))

    assert is_trace_id(trace_id)
    assert listener.handle(message)
    assert heard == [NO_SPAN]
    known = RecordedTraces(lambda _: None, clock=FakeClock()).known(trace_id)
    assert TraceContext.read(known) is not None
