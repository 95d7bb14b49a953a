"""Spans as values: what belongs to what, what is recorded, and that all of it is bounded."""

from collections.abc import Iterator
from contextvars import copy_context

import pytest

from kotaemon_node.domain.errors import Fenced
from kotaemon_node.domain.limits import SPAN_EVENTS_MAX, SPAN_FACTS_MAX, SPAN_TEXT_CHARS_MAX
from kotaemon_node.domain.trace_context import TraceContext
from kotaemon_node.ports.traces import NO_SPAN, NO_TRACES, current, enter, outgoing, span
from kotaemon_node.telemetry.spans import Recorded, RecordedTraces
from tests.fakes.services import FakeClock

TRACE = "0af7651916cd43dd8448eb211c80319c"
ABOVE = f"00-{TRACE}-b7ad6b7169203331-01"


class Kept:
    """Traces whose ended spans a test reads."""

    def __init__(self, *, ratio: float = 1.0) -> None:
        self.spans: list[Recorded] = []
        self.clock = FakeClock()
        self.traces = RecordedTraces(self.spans.append, clock=self.clock, ratio=ratio)

    def __getitem__(self, name: str) -> Recorded:
        (found,) = [one for one in self.spans if one.name == name]
        return found


def test_a_part_hangs_below_what_is_under_way_and_lasts_as_long_as_its_block() -> None:
    kept = Kept()

    with kept.traces.begin("request", trace_id=TRACE, kind="server") as request:
        kept.clock.at_s += 1
        with span("commit", {"kotaemon.tries": 2}):
            assert current() is not request
            kept.clock.at_s += 2
        assert current() is request
    assert current() is NO_SPAN

    commit, ended = kept["commit"], kept["request"]
    assert (commit.parent, ended.parent) == (ended.context, None)
    assert commit.context.trace_id == ended.context.trace_id == TRACE
    assert commit.begun_ns - ended.begun_ns == 1_000_000_000
    assert (commit.ended_ns - commit.begun_ns, ended.ended_ns - ended.begun_ns) == (2e9, 3e9)
    assert commit.facts == {"kotaemon.tries": 2}


def test_what_leaves_a_block_fails_its_span_by_its_code_and_not_by_its_words() -> None:
    kept = Kept()

    with pytest.raises(Fenced), kept.traces.begin("commit", trace_id=TRACE):
        raise Fenced("of session s1, which nobody may know")
    with pytest.raises(ZeroDivisionError), kept.traces.begin("bug", trace_id=TRACE):
        raise ZeroDivisionError("secret")

    assert (kept["commit"].failure, kept["bug"].failure) == (Fenced.code, "ZeroDivisionError")


def test_a_clients_trace_goes_on_as_the_client_wants_it() -> None:
    kept = Kept(ratio=0.0)

    with kept.traces.begin("request", trace_id="f" * 32, above=ABOVE):
        assert outgoing()["traceparent"].startswith(f"00-{TRACE}-")
    unwanted = kept.traces.begin("request", trace_id=TRACE, above=ABOVE[:-2] + "00")
    with unwanted, span("chat"):
        told = TraceContext.read(outgoing()["traceparent"])

    (request,) = kept.spans
    assert request.parent == TraceContext.read(ABOVE)
    assert told is not None
    assert (told.trace_id, told.sampled) == (TRACE, False)


def test_all_pods_record_the_same_share_of_the_traces_that_begin_here() -> None:
    ids = [f"{number:032x}" for number in range(1, 2_001)]
    # A balancer's ids are UUIDs, in which some digits are always the same.
    ids += [f"{number:012x}4{number % 4096:03x}8{number:015x}" for number in range(1, 2_001)]

    first, second = Kept(ratio=0.25), Kept(ratio=0.25)
    for kept in (first, second):
        for trace_id in ids:
            kept.traces.begin("request", trace_id=trace_id).end()

    recorded = [one.context.trace_id for one in first.spans]
    assert recorded == [one.context.trace_id for one in second.spans]
    assert 850 < len(recorded) < 1_150


def test_a_turn_is_one_span_whoever_ends_it() -> None:
    first, second = Kept(), Kept()
    with first.traces.begin("request", trace_id=TRACE, above=ABOVE) as request:
        reserved = first.traces.reserve(request)
    with first.traces.resume("turn", reserved, age_s=0.0), span("retrieval"):
        pass  # and then this pod is killed
    with second.traces.resume("turn", reserved, age_s=5.0) as turn:
        turn.past("takeover", 0.25)
        turn.end()
        turn.end()

    assert [one.name for one in first.spans] == ["request", "retrieval"]
    ended = second["turn"]
    assert first["retrieval"].parent == second["takeover"].parent == ended.context
    assert ended.parent == TraceContext.read(ABOVE)  # it is no part of the request: it outlives it
    assert ended.ended_ns - ended.begun_ns == 5e9
    assert second["takeover"].ended_ns - second["takeover"].begun_ns == 0.25e9


def test_a_turn_without_a_reserved_span_is_not_traced() -> None:
    kept = Kept()

    for reserved in ("", "nonsense", "00-zz"):
        assert kept.traces.resume("turn", reserved, age_s=0.0) is NO_SPAN
    unwanted = kept.traces.resume("turn", f"{ABOVE[:-2]}00 b7ad6b7169203331", age_s=0.0)
    unwanted.end()

    assert not kept.spans


def test_a_span_is_bounded() -> None:
    kept = Kept()

    with kept.traces.begin("n" * 1_000, trace_id=TRACE) as full:
        full.tell({f"kotaemon.{number}": "x" * 1_000 for number in range(100)})
        full.tell({"kotaemon.0": "again"})
        for number in range(100):
            full.event(str(number))

    (ended,) = kept.spans
    assert len(ended.name) == SPAN_TEXT_CHARS_MAX
    assert len(ended.facts) == SPAN_FACTS_MAX
    assert ended.facts["kotaemon.0"] == "again"
    assert ended.facts["kotaemon.1"] == "x" * SPAN_TEXT_CHARS_MAX
    assert len(ended.events) == SPAN_EVENTS_MAX


def test_what_is_said_of_a_span_that_ended_is_dropped() -> None:
    kept = Kept()

    with kept.traces.begin("request", trace_id=TRACE) as request:
        request.tell({"kotaemon.first": 1})
    request.tell({"kotaemon.second": 2})
    request.event("late")
    request.fail("late")

    ended = kept["request"]
    assert (ended.facts, ended.events, ended.failure) == ({"kotaemon.first": 1}, [], "")


def test_a_generator_that_another_task_closes_ends_its_span() -> None:
    kept = Kept()

    def pieces() -> Iterator[str]:
        with kept.traces.begin("chat", trace_id=TRACE):
            yield "piece"

    begun = pieces()
    copy_context().run(next, begun)
    begun.close()

    assert kept["chat"].failure == ""
    assert current() is NO_SPAN


def test_off_there_is_nothing() -> None:
    enter(NO_SPAN)

    with NO_TRACES.begin("request", trace_id=TRACE, above=ABOVE) as request, span("part") as part:
        part.event("first")
        assert request is part is current() is NO_SPAN
        assert outgoing() == {}
        assert NO_TRACES.reserve(request) == ""
