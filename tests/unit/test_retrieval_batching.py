"""Questions are encoded at once when the encoder is idle, and together when it is busy."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from kotaemon_node.domain.errors import Overloaded, Unavailable
from kotaemon_node.ports.encoder import SpaceVectors
from kotaemon_node.retrieval.batching import BATCH_QUESTIONS_MAX, QuestionEncoder
from tests.fakes.encoder import HashingEncoder


class Gate:
    """``Tasks.compute`` that stands still at each call until it is let through."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.through = threading.Semaphore(0)

    def compute(self, work: Callable[..., Any], *arguments: Any) -> Any:
        self.entered.release()
        assert self.through.acquire(timeout=30)
        return work(*arguments)


class Caller(threading.Thread):
    """Asks for one question; keeps what came of it."""

    def __init__(self, encoder: QuestionEncoder, question: str, *, started: bool = True) -> None:
        super().__init__(daemon=True)
        self._encoder = encoder
        self.question = question
        self.vector: np.ndarray[Any, Any] | None = None
        self.error: BaseException | None = None
        if started:
            self.start()

    def run(self) -> None:
        try:
            self.vector = self._encoder.encode(self.question)["all"]
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            self.error = error


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = threading.Event()
    for _ in range(3000):
        if condition():
            return
        deadline.wait(0.01)
    raise AssertionError("it never came to be")


def queue_of(encoder: QuestionEncoder) -> int:
    return len(encoder._queue)


@pytest.fixture
def gate() -> Gate:
    return Gate()


def test_an_idle_encoder_starts_at_once_and_a_busy_one_collects(gate: Gate) -> None:
    # Given one question that is being encoded
    model = HashingEncoder()
    encoder = QuestionEncoder(model, compute=gate.compute)
    first = Caller(encoder, "first")
    assert gate.entered.acquire(timeout=30)
    # When forty more come
    others = [Caller(encoder, f"question {number}") for number in range(40)]
    wait_until(lambda: queue_of(encoder) == 40)
    for _ in range(3):
        gate.through.release()
    # Then they went together, and each got its own vector
    for caller in (first, *others):
        caller.join(timeout=30)
        alone = HashingEncoder().encode_queries([caller.question])["all"].vectors[0]
        assert caller.vector is not None
        assert np.array_equal(caller.vector, alone)
    assert [len(call) for call in model.calls] == [1, BATCH_QUESTIONS_MAX, 40 - BATCH_QUESTIONS_MAX]


def test_a_full_queue_refuses_and_then_takes_again(gate: Gate) -> None:
    encoder = QuestionEncoder(HashingEncoder(), compute=gate.compute, waiting_max=2)
    callers = [Caller(encoder, "running")]
    assert gate.entered.acquire(timeout=30)
    callers += [Caller(encoder, "one"), Caller(encoder, "two")]
    wait_until(lambda: queue_of(encoder) == 2)
    with pytest.raises(Overloaded):
        encoder.encode("three")
    for _ in range(3):
        gate.through.release()
    for caller in callers:
        caller.join(timeout=30)
        assert caller.error is None
    assert "all" in encoder.encode("four")


def test_a_failing_batch_fails_for_its_questions_only(gate: Gate) -> None:
    class Failing(HashingEncoder):
        def encode_queries(self, texts: Sequence[str]) -> Mapping[str, SpaceVectors]:
            if "bad" in texts:
                raise RuntimeError("no vector for this")
            return super().encode_queries(texts)

    encoder = QuestionEncoder(Failing(), compute=gate.compute)
    first = Caller(encoder, "good")
    assert gate.entered.acquire(timeout=30)
    bad = [Caller(encoder, "bad"), Caller(encoder, "beside it")]
    wait_until(lambda: queue_of(encoder) == 2)
    for _ in range(3):
        gate.through.release()
    for caller in (first, *bad):
        caller.join(timeout=30)
    assert first.error is None
    assert [str(caller.error) for caller in bad] == ["no vector for this"] * 2
    assert "all" in encoder.encode("good again")


def test_a_leader_that_is_ended_frees_those_behind_it() -> None:
    # Given a task that is killed in the middle of its batch, with two questions behind it
    class Killed(BaseException):
        pass

    entered, proceed = threading.Event(), threading.Event()
    calls: list[int] = []

    def compute(work: Callable[..., Any], *arguments: Any) -> Any:
        calls.append(len(arguments[0]))
        if len(calls) == 1:
            entered.set()
            assert proceed.wait(30)
            raise Killed
        return work(*arguments)

    encoder = QuestionEncoder(HashingEncoder(), compute=compute)
    killed = Caller(encoder, "killed")
    assert entered.wait(30)
    behind = [Caller(encoder, "a"), Caller(encoder, "b")]
    wait_until(lambda: queue_of(encoder) == 2)
    proceed.set()
    for caller in (killed, *behind):
        caller.join(timeout=30)
    # Then only it has failed
    assert isinstance(killed.error, Killed)
    assert [caller.error for caller in behind] == [None, None]
    assert calls == [1, 2]


def test_a_waiting_question_that_is_ended_is_never_chosen_to_lead(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    encoder = QuestionEncoder(HashingEncoder(), compute=gate.compute)
    first = Caller(encoder, "first")
    assert gate.entered.acquire(timeout=30)
    # Given a second one whose task is ended as soon as it waits
    with monkeypatch.context() as patch:

        def killed(event: threading.Event, timeout: float | None = None) -> bool:
            raise Killed

        patch.setattr(threading.Event, "wait", killed)
        with pytest.raises(Killed):
            encoder.encode("second")
    third = Caller(encoder, "third")
    wait_until(lambda: queue_of(encoder) == 1)
    for _ in range(2):
        gate.through.release()
    for caller in (first, third):
        caller.join(timeout=30)
        assert caller.error is None


def test_a_question_that_is_ended_just_when_it_is_to_lead_lets_the_next_one_lead(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    encoder = QuestionEncoder(HashingEncoder(), compute=gate.compute)
    first = Caller(encoder, "first")
    assert gate.entered.acquire(timeout=30)
    # Given a second one whose task is ended in the moment in which it is woken to lead
    wait = threading.Event.wait

    def killed_when_woken(event: threading.Event, timeout: float | None = None) -> bool:
        woken = wait(event, timeout)
        if threading.current_thread() is second:
            raise Killed
        return woken

    monkeypatch.setattr(threading.Event, "wait", killed_when_woken)
    second = Caller(encoder, "second", started=False)
    second.start()
    wait_until(lambda: queue_of(encoder) == 1)
    third = Caller(encoder, "third")
    wait_until(lambda: queue_of(encoder) == 2)
    for _ in range(2):
        gate.through.release()
    for caller in (first, second, third):
        caller.join(timeout=30)
    assert isinstance(second.error, Killed)
    assert third.vector is not None


def test_others_of_an_interrupted_batch_may_retry() -> None:
    class Killed(BaseException):
        pass

    entered, proceed = threading.Event(), threading.Event()
    calls: list[int] = []

    def compute(work: Callable[..., Any], *arguments: Any) -> Any:
        calls.append(len(arguments[0]))
        if len(calls) == 1:
            entered.set()
            assert proceed.wait(30)
        if len(calls) == 2:
            raise Killed
        return work(*arguments)

    encoder = QuestionEncoder(HashingEncoder(), compute=compute)
    first = Caller(encoder, "first")
    assert entered.wait(30)
    batch = [Caller(encoder, "leader"), Caller(encoder, "other")]
    wait_until(lambda: queue_of(encoder) == 2)
    proceed.set()
    for caller in (first, *batch):
        caller.join(timeout=30)
    assert first.error is None
    assert {type(caller.error) for caller in batch} == {Killed, Unavailable}
    assert "all" in encoder.encode("again")


def test_questions_of_one_call_stay_together_and_count_as_many(gate: Gate) -> None:
    model = HashingEncoder()
    encoder = QuestionEncoder(model, compute=gate.compute, waiting_max=40)
    first = Caller(encoder, "first")
    assert gate.entered.acquire(timeout=30)
    found: list[Any] = []
    many = [f"question {number}" for number in range(20)]
    callers = [
        threading.Thread(target=lambda: found.append(encoder.encode_all(many)), daemon=True)
        for _ in range(2)
    ]
    for caller in callers:
        caller.start()
    wait_until(lambda: queue_of(encoder) == 2)

    with pytest.raises(Overloaded):
        encoder.encode("one more")
    for _ in range(3):
        gate.through.release()
    for caller in (first, *callers):
        caller.join(timeout=30)

    # Two calls of twenty do not fit into one batch.
    assert [len(call) for call in model.calls] == [1, 20, 20]
    expected = HashingEncoder().encode_queries(many)["all"].vectors
    for vectors in found:
        assert np.array_equal(np.stack([vector["all"] for vector in vectors]), expected)
