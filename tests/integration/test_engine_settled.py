"""What turns took of a language model counts, however they end; on a real Redis."""

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from kotaemon_node.adapters.redis.use import RedisUse
from kotaemon_node.domain.quotas import Quota
from kotaemon_node.domain.session import SessionKey, TurnKey
from kotaemon_node.domain.turn import State
from kotaemon_node.engine.rounds import Round, unkept
from kotaemon_node.engine.settling import LeftTurn, Settling, turn_name
from kotaemon_node.ports.language_model import ChatMessage, Usage
from kotaemon_node.ports.use import User, Wanted
from tests.book_pods import KNOWN, BookPod
from tests.engine_pods import ANYBODY
from tests.redis_server import RedisServer

PATIENT_S = 60.0
RESERVED, TOOK = 400, 530
ANN = User("default", "ann", Quota(tokens_per_minute=10_000, cost_per_day=10.0), Quota())


class Writing:
    """A language model that writes until it is let go, then goes on or breaks."""

    name = "writing"
    continues_prefix = False

    def __init__(self, broken: Exception | None = None) -> None:
        self.begun, self.go = threading.Event(), threading.Event()
        self._broken = broken

    def stream(self, messages: Sequence[ChatMessage], *, usage: Usage, **_: Any) -> Iterator[str]:
        usage.prompt_tokens, usage.completion_tokens = TOOK - 30, 30
        yield "A parcel "
        self.begun.set()
        assert self.go.wait(PATIENT_S)
        if self._broken is not None:
            raise self._broken
        yield "leaves within two days."


class Limited:
    """A pod whose turns are counted, and the turn that it answers now."""

    def __init__(self, server: RedisServer, broken: Exception | None = None) -> None:
        self.model = Writing(broken)
        self.pod = BookPod("one", server, model=self.model, spent=self._spent)
        self.settling = Settling(RedisUse(self.pod.store))
        self.pod.tally = self.settling  # type: ignore[assignment]
        self.key = TurnKey(SessionKey("default", "s1"), "t1")
        self.told = threading.Event()
        self.take(self.key)
        self.pod.begin("s1", "t1", KNOWN)
        assert self.model.begun.wait(PATIENT_S)

    def _spent(self, left: LeftTurn, *, gone: bool) -> None:
        self.settling.spent(left, gone=gone)
        self.told.set()

    def take(self, key: TurnKey) -> None:
        """Reserve for a turn."""
        wanted = Wanted(1, RESERVED, 0.4, turn=turn_name(key))
        assert RedisUse(self.pod.store).take(ANN, wanted).refused is None

    def used(self) -> tuple[float, float]:
        """Return what counts: tokens, and cost."""
        levels = {
            one.name: one.limit - one.left for one in RedisUse(self.pod.store).look(ANN).levels
        }
        return levels["tokens"], round(levels["cost"], 6)

    def other(self, server: RedisServer) -> BookPod:
        """Return another pod."""
        pod = BookPod("two", server)
        pod.tally = self.settling  # type: ignore[assignment]
        return pod


def test_a_turn_that_fails_is_paid_for(server: RedisServer) -> None:
    one = Limited(server, broken=RuntimeError("a bug"))
    one.model.go.set()
    done = one.pod.engine.wait(one.key, ANYBODY, timeout_s=PATIENT_S)
    one.pod.until_idle()

    assert done is not None
    assert done.state is State.FAILED
    assert one.used() == (TOOK, 0.0)


@pytest.mark.parametrize("late", [True, False], ids=["told late", "told first"])
def test_a_cancelled_turn_is_paid_for_as_far_as_it_came(server: RedisServer, late: bool) -> None:
    one = Limited(server)
    other = one.other(server)
    if late:
        other.engine.cancel(one.key, ANYBODY)
        other.until_idle()
        assert one.used() == (RESERVED, 0.4)  # until it is told
        one.model.go.set()
    else:
        settling, other.tally = other.tally, Deaf()  # type: ignore[assignment]
        other.engine.cancel(one.key, ANYBODY)
        one.model.go.set()
        assert one.told.wait(PATIENT_S)
        assert one.used() == (RESERVED, 0.4)
        other.tally = settling
        other.engine.resend(other.sessions.orphans(limit=10))
        other.until(lambda: bool(other.events()))

    one.pod.until(lambda: one.used() == (TOOK, 0.0))


class Deaf:
    """Has what ended told again."""

    def turn(self, *_: Any, **__: Any) -> bool:
        return False


def test_a_turn_that_waited_took_nothing(server: RedisServer) -> None:
    one = Limited(server)
    waiting = TurnKey(one.key.session, "t2")
    one.take(waiting)
    one.pod.begin("s1", "t2", KNOWN)
    assert one.used() == (2 * RESERVED, 0.8)

    one.pod.engine.cancel(waiting, ANYBODY)

    one.pod.until(lambda: one.used() == (RESERVED, 0.4))
    one.model.go.set()
    one.pod.until_idle()
    assert one.used() == (TOOK, 0.0)


def test_a_turn_whose_session_is_deleted_is_paid_for(server: RedisServer) -> None:
    one = Limited(server)
    one.pod.sessions.delete(one.key.session, ANYBODY)

    one.model.go.set()

    one.pod.until(lambda: one.used() == (TOOK, 0.0))


def test_a_turn_that_was_handed_over_is_paid_for_by_all_who_answered_it(
    server: RedisServer,
) -> None:
    one = Limited(server)
    heir = BookPod("two", server, model=(going_on := Writing()))
    heir.tally = one.settling  # type: ignore[assignment]
    one.pod.leaving = True
    one.pod.engine.hand_over()
    one.model.go.set()
    assert one.told.wait(PATIENT_S)
    one.pod.until_idle()

    going_on.go.set()
    assert heir.recovery.sweep() == 1
    done = heir.engine.wait(one.key, ANYBODY, timeout_s=PATIENT_S)
    heir.until_idle()

    assert done is not None
    assert (done.state, done.attempts) == (State.DONE, 2)
    heir.until(lambda: one.used() == (2 * TOOK, 0.0))


class Journal:
    """Of a turn whose first round was decided."""

    def steps(self, prefix: str) -> list[tuple[str, Any]]:
        said = Round("Let me see.", usage=Usage(200, 20))
        return [("1", said.as_json())] if prefix == "round:" else []


def test_what_stands_in_the_journal_is_counted_by_whoever_goes_on() -> None:
    out: Any = Journal()

    assert unkept(Usage(500, 30), out) == Usage(300, 10)
    assert unkept(Usage(200, 20), out) == Usage(0, 0)
