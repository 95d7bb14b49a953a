"""What a pod keeps of finished turns: the arm, the counts, the record; on a real Redis."""

import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import pytest

from kotaemon_node.domain.errors import StoreFull, StoreUnavailable
from kotaemon_node.domain.experiment import Arm, LiveExperiment
from kotaemon_node.domain.session import SessionKey
from kotaemon_node.engine.counting import Tallying
from kotaemon_node.engine.figures import report_of
from kotaemon_node.engine.profile import split
from kotaemon_node.engine.prompt import build_prompt
from kotaemon_node.engine.record import extracted_again, hits_of
from kotaemon_node.ports.analytics import Day, Tally
from kotaemon_node.ports.feedback import Feedback
from kotaemon_node.ports.turn_records import TurnRecord
from kotaemon_node.retrieval.reranking import Reranking
from tests.book_pods import KNOWN, UNKNOWN, BookPod, Saying, opened
from tests.engine_pods import ANYBODY
from tests.redis_server import RedisServer, ServerClock

PATIENT_S = 60.0
EXPERIMENT = LiveExperiment("wide", 0.5, Arm(top_k=1), Arm(top_k=3, retriever="lexical"))
SESSIONS = {
    arm: next(f"s{n}" for n in range(100) if EXPERIMENT.arm_of(f"s{n}") == arm) for arm in "ab"
}


def counted(pod: BookPod) -> Any:
    return report_of(pod.analytics.days("default", [datetime.now(UTC).date()]))


def test_two_arms_answer_differently_and_their_turns_are_told_apart(server: RedisServer) -> None:
    pods = [BookPod(name, server, profile_of=split(EXPERIMENT)) for name in ("one", "two")]
    for number, pod in enumerate(pods):
        for session in SESSIONS.values():
            pod.ask(session, f"t{number}", KNOWN)

    searched = [(top_k, legs) for pod in pods for _, top_k, legs in pod.shelf.searched]
    both, words = frozenset({"lexical", "dense"}), frozenset({"lexical"})
    assert searched == [(1, both), (3, words)] * 2
    for arm, session in SESSIONS.items():
        view = pods[1].sessions.load(
            SessionKey("default", session), ANYBODY, after_version=0, limit=9
        )
        assert [turn.profile for turn in view.turns] == [f"wide/{arm}"] * 2
        assert pods[0].record(f"trace-{session}-t0")["profile"]["name"] == f"wide/{arm}"
    report = counted(pods[0])
    assert [(one.profile, one.figures.turns) for one in report.profiles] == [
        ("wide/a", 2),
        ("wide/b", 2),
    ]
    assert report.comparisons[0].experiment == "wide"


def test_turns_of_all_pods_are_counted_once_each(server: RedisServer) -> None:
    pods = [BookPod("one", server), BookPod("two", server)]
    pods[0].ask("s1", "t1", KNOWN)
    pods[1].ask("s1", "t2", f"  {KNOWN.upper()} ")
    turn = pods[1].ask("s2", "t1", UNKNOWN)
    # Its pod died between counting and settling: another one tells of it again.
    pods[0].tally.turn(pods[0].begin("s2", "t1", UNKNOWN), epoch=epoch_of(pods[0], "s2"), turn=turn)

    report = counted(pods[0])
    assert (report.totals.turns, report.totals.sessions) == (3, 2)
    assert (report.totals.answered, report.totals.unanswered) == (2, 1)
    assert report.totals.total_s.mean > 0
    asked = [(one.question, one.turns) for one in report.top_questions]
    assert asked == [("how soon does a parcel leave the warehouse", 2), (UNKNOWN.lower()[:-1], 1)]
    assert [one.question for one in report.unanswered_questions] == [UNKNOWN.lower()[:-1]]


class Refusing:
    """Analytics whose store refuses to count."""

    def __init__(self, refusal: Exception) -> None:
        self._refusal = refusal

    def add(self, tally: Tally) -> None:
        raise self._refusal

    def days(self, tenant: str, days: Sequence[date]) -> Sequence[Day]:
        return []


def refusing(pod: BookPod, refusal: Exception) -> None:
    """Have nothing counted by ``pod``."""
    pod.tally = Tallying(Refusing(refusal), with_questions=True, count=pod.metrics.analytics)


def test_a_turn_that_could_not_be_counted_is_counted_by_another_pod(server: RedisServer) -> None:
    one, two = BookPod("one", server), BookPod("two", server)
    refusing(one, StoreUnavailable("away"))
    one.ask("s1", "t1", KNOWN)
    assert (counted(one).totals.turns, one.events()) == (0, [])

    two.engine.resend(two.sessions.orphans(limit=10))

    two.until(lambda: bool(two.events()))
    assert counted(two).totals.turns == 1


@pytest.mark.parametrize("refusal", [StoreFull("full"), RuntimeError("a bug")])
def test_what_cannot_be_counted_for_long_holds_no_event_back(
    server: RedisServer, refusal: Exception
) -> None:
    pod = BookPod("one", server)
    refusing(pod, refusal)

    pod.ask("s1", "t1", KNOWN)

    assert len(pod.events()) == 1


def epoch_of(pod: BookPod, session: str) -> str:
    head = pod.sessions.head(SessionKey("default", session))
    assert head is not None
    return head.epoch


def test_the_last_rating_counts_and_goes_with_its_session(server: RedisServer) -> None:
    pod = BookPod("one", server)
    turn = pod.ask("s1", "t1", KNOWN)
    key = pod.begin("s1", "t1", KNOWN)
    for at, rating in enumerate(("up", "up", "down"), start=1):
        pod.ratings.rate(key, turn, Feedback(rating, "", float(at)))  # type: ignore[arg-type]

    assert pod.ratings.of(key.session, ["t1"])["t1"].rating == "down"
    totals = counted(pod).totals
    assert (totals.up, totals.down) == (0, 1)
    pod.sessions.delete(key.session, ANYBODY)
    assert pod.ratings.of(key.session, ["t1"]) == {}
    assert pod.found("trace-s1-t1") == []


def test_an_extractive_answer_comes_out_the_same_from_its_record(server: RedisServer) -> None:
    pod = BookPod("one", server)
    turn = pod.ask("s1", "t1", KNOWN)
    record = pod.record("trace-s1-t1")

    assert not any("text" in passage for passage in record["passages"])
    assert record["knowledge"] == {"kb": "default", "generation": 7, "digest": "digest-7"}
    assert extracted_again(record, opened) == turn.answer == record["answer"]
    assert "two days" in turn.answer
    assert record["cited"] == [record["passages"][0]["id"]]


def test_a_record_names_the_reranker_and_both_scores(server: RedisServer) -> None:
    class Backwards:
        name = "backwards"

        def scores(self, question: str, passages: Sequence[str]) -> Sequence[float]:
            return [float(place) for place in range(len(passages))]

    pod = BookPod("one", server, reranking=Reranking(Backwards(), clock=ServerClock(server)))
    pod.ask("s1", "t1", KNOWN)
    record = pod.record("trace-s1-t1")

    assert record["knowledge"]["reranker"] == "backwards"
    places = [passage["scores"]["rerank"] for passage in record["passages"]]
    assert places == sorted(places, reverse=True)
    assert [it["phase"] for it in record["phases"]][:2] == ["retrieval", "rerank"]
    assert [hit.rerank for hit in hits_of(record, opened)] == places


def test_the_prompt_of_a_model_comes_out_the_same_from_its_record(server: RedisServer) -> None:
    pod = BookPod("one", server, model=Saying("It leaves within ", "two days [1]."))
    first = pod.ask("s1", "t1", KNOWN)
    second = pod.ask("s1", "t2", "And a parcel of 40 kg?")
    record = pod.record("trace-s1-t2")

    assert record["history"] == [first.turn_id]
    generation = record["steps"]["generation"]
    prompt = build_prompt(
        question=record["message"],
        hits=hits_of(record, opened),
        history=[first],
        summary="",
        trace_id=record["trace_id"],
        with_tools=False,
        chars_max=generation["prompt_chars_max"],
    )
    assert [{"role": one.role, "content": one.content} for one in prompt] == generation["messages"]
    assert record["answer"] == second.answer
    assert generation["model"] == "saying"


def test_a_turn_that_failed_is_on_record_with_its_prompt(server: RedisServer) -> None:
    pod = BookPod("one", server, model=Saying())
    turn = pod.ask("s1", "t1", KNOWN)
    record = pod.record("trace-s1-t1")

    assert (record["state"], record["error"]) == ("failed", turn.error)
    assert KNOWN in record["steps"]["generation"]["messages"][-1]["content"]
    assert len(record["passages"]) == 3


def test_the_record_of_a_turn_that_was_taken_over_names_every_pod(server: RedisServer) -> None:
    dead, heir = BookPod("dead", server), BookPod("heir", server)
    reached, go = threading.Event(), threading.Event()

    def answer_nothing(*_: Any, **__: Any) -> Any:
        reached.set()
        assert go.wait(PATIENT_S)
        raise StoreUnavailable("it is dead")

    dead.answerer.answer = answer_nothing  # type: ignore[method-assign]
    key = dead.begin("s1", "t1", KNOWN)
    assert reached.wait(PATIENT_S)
    heir.judges()
    assert heir.recovery.sweep() == 1
    turn = heir.engine.wait(key, ANYBODY, timeout_s=60)
    go.set()
    assert turn is not None

    record = heir.record("trace-s1-t1")
    assert record["pods"] == ["dead", "heir"]
    assert (record["attempts"], record["losses"]) == (2, 1)
    assert record["phases"][0]["phase"] == "taken_over"


def test_a_cancelled_turn_is_on_record_with_the_pod_that_had_it(server: RedisServer) -> None:
    pod, other = BookPod("one", server), BookPod("two", server)
    reached, go = threading.Event(), threading.Event()

    def never(*_: Any, **__: Any) -> Any:
        reached.set()
        assert go.wait(PATIENT_S)
        raise StoreUnavailable("it was cancelled")

    pod.answerer.answer = never  # type: ignore[method-assign]
    key = pod.begin("s1", "t1", KNOWN)
    assert reached.wait(PATIENT_S)
    other.engine.cancel(key, ANYBODY)
    go.set()

    record = other.record("trace-s1-t1")
    assert (record["state"], record["pods"]) == ("cancelled", ["one", "two"])


def test_turns_of_one_trace_are_all_found(server: RedisServer) -> None:
    pod = BookPod("one", server)
    for number in range(3):
        pod.ask("s1", f"t{number}", KNOWN, trace_id="mine")

    assert [one["turn_id"] for one in pod.found("mine")] == ["t2", "t1", "t0"]


class NoRecords:
    """Takes no record; ``hold`` is waited for first."""

    def __init__(self) -> None:
        self.hold = threading.Event()

    def put(self, record: TurnRecord) -> None:
        assert self.hold.wait(PATIENT_S)
        raise StoreUnavailable("no records today")

    def find(self, tenant: str, trace_id: str) -> Sequence[Mapping[str, Any]]:
        return []


@pytest.mark.parametrize("hangs", [False, True])
def test_a_record_that_cannot_be_kept_costs_no_answer(server: RedisServer, hangs: bool) -> None:
    records = NoRecords()
    if not hangs:
        records.hold.set()
    pod = BookPod("one", server, records=records)

    turn = pod.ask("s1", "t1", KNOWN)

    assert "two days" in turn.answer
    records.hold.set()

    def outcome(name: str) -> float:
        registry = pod.metrics.registry
        labels = {"outcome": name}
        return registry.get_sample_value("kotaemon_audit_records_total", labels) or 0.0

    pod.until(lambda: outcome("failed") == 1)
    assert outcome("late") == int(hangs)
