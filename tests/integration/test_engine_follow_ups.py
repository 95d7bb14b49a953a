"""Follow-ups on pods of one process: told once, in their place, whoever dies."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from kotaemon_node.adapters.redis import RedisLater
from kotaemon_node.adapters.system import RandomIds, ThreadTasks
from kotaemon_node.domain import acting_limits as limits
from kotaemon_node.domain.frames import Frame
from kotaemon_node.domain.session import SessionKey, SessionPlace
from kotaemon_node.engine import execution, follow_ups
from kotaemon_node.engine.follow_ups import FollowUps, FollowUpTurns, turn_id_of
from kotaemon_node.engine.later import LaterWorker
from kotaemon_node.ports.later import FOLLOW_UP, Again, LaterJob
from tests.engine_pods import ANYBODY, PIECES, Stall, TestPod, key, text_of, trusts_the_store
from tests.handed_pods import DeskPod
from tests.redis_server import RedisServer, ServerClock

SESSION = SessionKey("default", "s1")
TEXTS = {"en": "Your order was cancelled.", "zh": "您的订单已取消。"}
DOCS = [{"n": 1, "document": "orders.md", "span": [0, 4]}]


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    server = RedisServer()
    server.start()
    yield server
    server.remove()


@pytest.fixture(autouse=True)
def _empty(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.wipe()
    monkeypatch.setattr(follow_ups, "_SOON_S", 0.05)
    monkeypatch.setattr(limits, "LATER_POLL_S", 0.05)


class Working:
    """A pod whose worker carries jobs out until the end of the test."""

    def __init__(self, name: str, server: RedisServer, *, pod: TestPod | None = None) -> None:
        self.pod = pod or TestPod(name, server)
        self.later = RedisLater(self.pod.store)
        self.follow_ups = FollowUps(self.later)
        self.stopped = False
        self.worker = LaterWorker(
            self.later,
            handlers={FOLLOW_UP: FollowUpTurns(self.pod.sessions, self.pod.engine)},
            clock=ServerClock(server),
            ids=RandomIds(),
            tasks=ThreadTasks(),
            draining=lambda: self.stopped,
            jitter=lambda: 0.0,
        )
        self._thread = threading.Thread(target=self.worker.run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self.stopped = True
        self.worker.wake()
        self._thread.join(60)


@pytest.fixture
def working(server: RedisServer) -> Iterator[Any]:
    """Return what starts a pod that works."""
    started: list[Working] = []

    def start(name: str, **more: Any) -> Working:
        started.append(Working(name, server, **more))
        return started[-1]

    yield start
    for one in started:
        one.stop()


def ended(one: Working) -> None:
    one.pod.until(lambda: not one.later.waiting("default", limit=10))
    one.pod.until_idle()


def history(one: Working) -> list[tuple[str, str, str]]:
    view = one.pod.sessions.load(SESSION, ANYBODY, after_version=0, limit=50)
    return [(turn.message, turn.answer, turn.origin) for turn in view.turns]


def test_a_session_is_told_in_its_language_with_sources_and_without_a_question(
    working: Any,
) -> None:
    one = working("pod-a")
    one.pod.submit("t1", message="取消订单")
    one.pod.until_idle()

    assert one.follow_ups.tell(SESSION, ref="cancel 7", text=TEXTS, sources=DOCS)
    assert not one.follow_ups.tell(SESSION, ref="cancel 7", text="Something else.")
    ended(one)

    assert history(one) == [("取消订单", "".join(PIECES), ""), ("", TEXTS["zh"], "follow_up")]
    turn_id = turn_id_of(SESSION, "cancel 7")
    turn = one.pod.sessions.turn(key(turn_id), ANYBODY)
    assert (turn.ref, turn.sources, turn.unanswered) == ("cancel 7", tuple(DOCS), False)
    shown = one.pod.frames(turn_id)
    assert [frame.type for frame in shown] == ["status", "source", "text", "done"]
    assert {name: shown[-1].fields[name] for name in ("origin", "ref", "answer")} == {
        "origin": "follow_up",
        "ref": "cancel 7",
        "answer": TEXTS["zh"],
    }


def test_it_is_told_once_though_twenty_workers_race_for_it(
    working: Any, server: RedisServer
) -> None:
    pods = [working(f"pod-{number}") for number in range(2)]
    pods[0].pod.submit("t1")
    pods[0].pod.until_idle()
    handlers = [FollowUpTurns(it.pod.sessions, it.pod.engine) for it in pods] * 10
    pods[0].follow_ups.tell(SESSION, ref="cancel 7", text=TEXTS, due_in_s=3600)
    [row] = pods[0].later.waiting("default", limit=10)

    # As if its lease had ended at each of them: all carry the same job out at the same moment.
    job = LaterJob(row.name, row.kind, "default", row.fields)
    barrier = threading.Barrier(len(handlers))

    def carry_out(handler: FollowUpTurns) -> None:
        barrier.wait(60)
        for _ in range(200):
            try:
                handler(job)
                break
            except Again:
                threading.Event().wait(0.05)

    threads = [threading.Thread(target=carry_out, args=(it,)) for it in handlers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert [row for row in history(pods[0]) if row[2]] == [("", TEXTS["en"], "follow_up")]


def test_it_waits_its_place_behind_a_turn_that_runs_and_the_stream_of_the_session_shows_it(
    working: Any, server: RedisServer
) -> None:
    stall = Stall(2)
    one = working("pod-a", pod=TestPod("pod-a", server, stall))
    one.pod.submit("t1")
    assert stall.reached.wait(60)
    seen: list[Frame] = []
    stream = one.pod.engine.follow_session(SESSION, ANYBODY, place=SessionPlace(version=0))
    one.follow_ups.tell(SESSION, ref="cancel 7", text=TEXTS)
    one.pod.until(lambda: one.pod.store.client.llen("kn:default:{s1}:queue") == 1)
    stall.go.set()
    for frame in stream:
        if frame is not None:
            seen.append(frame)
        if frame is not None and frame.type == "done" and frame.fields.get("origin"):
            break

    told = turn_id_of(SESSION, "cancel 7")
    assert [(it.turn_id, it.type) for it in seen if it.type in {"turn", "done"}] in (
        [("t1", "turn"), ("t1", "done"), (told, "turn"), (told, "done")],
        [("t1", "turn"), (told, "turn"), ("t1", "done"), (told, "done")],
    )
    [announced] = [it for it in seen if it.type == "turn" and it.turn_id == told]
    # It may run by the time it is met.
    assert announced.fields | {"state": "queued"} == {
        "message": "",
        "state": "queued",
        "origin": "follow_up",
        "ref": "cancel 7",
    }
    assert text_of([it for it in seen if it.turn_id == told]) == TEXTS["en"]


def test_another_pod_tells_it_where_the_first_one_died_over_it(
    working: Any, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    dying = TestPod("pod-a", server)
    dying.submit("t1")
    dying.until_idle()
    # It accepts the turn and dies before it executes anything of it.
    monkeypatch.setattr(dying.engine, "start", lambda work: None)
    first = working("pod-a", pod=dying)
    first.follow_ups.tell(SESSION, ref="cancel 7", text=TEXTS)
    turn_id = turn_id_of(SESSION, "cancel 7")
    dying.until(lambda: dying.store.client.hexists("kn:default:{s1}:seen", turn_id))
    first.stop()

    heir = working("pod-b")
    heir.pod.beats()
    trusts_the_store(heir.pod.owners)
    heir.pod.until(lambda: heir.pod.recovery.sweep() >= 0 and len(history(heir)) == 2)
    ended(heir)
    assert history(heir)[1:] == [("", TEXTS["en"], "follow_up")]
    assert heir.pod.sessions.turn(key(turn_id), ANYBODY).attempts == 2


def test_what_was_interrupted_before_it_was_heard_is_told_again(
    working: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = working("pod-a")
    one.pod.submit("t1")
    one.pod.until_idle()
    told = execution.told
    here, go = threading.Event(), threading.Event()

    def stalled(work: Any, out: Any) -> Any:
        if work.options.get(FOLLOW_UP) and not here.is_set():
            here.set()
            go.wait(60)
        return told(work, out)

    monkeypatch.setattr(execution, "told", stalled)
    one.follow_ups.tell(SESSION, ref="cancel 7", text=TEXTS)
    assert here.wait(60)
    one.pod.submit("t2", on_busy="interrupt")
    go.set()
    ended(one)
    assert [row[:2] for row in history(one) if row[2]] == [("", ""), ("", TEXTS["en"])]


def test_a_session_that_was_deleted_is_told_nothing_and_the_job_ends(working: Any) -> None:
    one = working("pod-a")
    one.pod.submit("t1")
    one.pod.until_idle()
    one.pod.sessions.delete(SESSION, ANYBODY)
    one.follow_ups.tell(SESSION, ref="cancel 7", text=TEXTS)
    one.follow_ups.tell(SessionKey("default", "never"), ref="cancel 7", text=TEXTS)
    ended(one)
    assert one.later.dead("default", limit=10) == []
    assert one.pod.sessions.head(SESSION) is None


def test_while_a_person_has_the_session_it_waits_until_that_is_over(
    working: Any, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow_ups, "FOLLOW_UP_PARKED_S", 0.1)
    pod = DeskPod("pod-a", server)
    pod.ask("t1")
    pod.hand_off()
    one = working("pod-a", pod=pod)
    one.follow_ups.tell(SESSION, ref="cancel 7", text=TEXTS)

    def parked() -> bool:
        rows = one.later.waiting("default", limit=10)
        return [row.error for row in rows] == ["a person has the session"]

    pod.until(parked)
    assert [row for row in history(one) if row[2]] == []
    pod.hand_back()
    ended(one)
    assert history(one)[-1] == ("", TEXTS["en"], "follow_up")


def test_a_follow_up_that_met_the_handoff_on_its_way_says_nothing_and_comes_afterwards(
    working: Any, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow_ups, "FOLLOW_UP_PARKED_S", 0.1)
    stall = Stall(2)
    pod = DeskPod("pod-a", server, stall)
    one = working("pod-a", pod=pod)
    pod.submit("t1")
    assert stall.reached.wait(60)
    one.follow_ups.tell(SESSION, ref="cancel 7", text=TEXTS)
    pod.until(lambda: pod.store.client.llen("kn:default:{s1}:queue") == 1)
    pod.hand_off()  # ends what runs; the follow-up that waited is next
    stall.go.set()
    pod.until(lambda: len(history(one)) >= 2)
    pod.until_idle()
    assert TEXTS["en"] not in [answer for _, answer, _ in history(one)]
    pod.hand_back()
    ended(one)
    assert [answer for _, answer, _ in history(one)].count(TEXTS["en"]) == 1
