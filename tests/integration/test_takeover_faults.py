"""Pods that freeze, a store that pauses, a turn that kills its pods, and pods that leave."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest
import requests

from kotaemon_node.chaos.reader import Reading, TurnReader, first_text_s
from tests.turn_cluster import QUESTION, Reader, TurnCluster, new_id

FROZEN_TEXT_MAX_S = 10.0
"""Promised are 4 s in a quiet run."""
REDIS_PAUSE_S = 5.0
ATTEMPTS_MAX = 3
ROLLING_CLIENTS = 8


def test_a_frozen_pod_is_replaced_and_says_nothing_when_it_wakes(running: TurnCluster) -> None:
    undisturbed = running.reader().read()
    running.pace(token_ms=60)
    with Reader(running.reader()) as client:
        running.cluster.wait_until(lambda: client.texts() >= 5, what="the answer has begun")
        victim = running.owner(client.reading)
        fenced = running.metric(victim, "kotaemon_fenced_writes_total")
        last_seq = client.reading.last_seq
        frozen_s = time.monotonic()
        pid = running.cluster.kill(victim, signal.SIGSTOP)
        try:
            running.cluster.wait_until(
                lambda: first_text_s(client.reading.arrivals, after=last_seq) is not None,
                what="another pod goes on",
            )
        finally:
            # It wakes while the other one writes: both have something to say about each number.
            os.kill(pid, signal.SIGCONT)
        reading = client.finish()
    running.assert_whole(reading)
    assert reading.text == undisturbed.text
    assert reading.restarts == 0
    assert running.turn(reading)["attempts"] == 2
    text_s = first_text_s(reading.arrivals, after=last_seq)
    assert text_s is not None
    cut_s = reading.tries[0].ended_s - frozen_s
    print(f"frozen: cut after {cut_s:.2f} s, text after {text_s - frozen_s:.2f} s")
    assert text_s - frozen_s < FROZEN_TEXT_MAX_S
    assert not reading.errors

    running.cluster.wait_until(
        lambda: running.metric(victim, "kotaemon_fenced_writes_total") > fenced,
        what="the zombie's write is refused",
        timeout_s=15,
    )
    running.cluster.wait_ready()
    assert running.cluster.pid(victim) == pid
    # What the zombie did has changed nothing.
    running.assert_whole(reading)
    assert running.turn(reading)["owner"].partition(".")[0] != victim


def test_a_pause_of_the_store_moves_no_turn(running: TurnCluster) -> None:
    undisturbed = running.reader().read()
    running.pace(token_ms=60)
    before = running.metrics("kotaemon_takeovers_total")
    clients = [Reader(running.reader()) for _ in range(4)]
    for client in clients:
        client.__enter__()
    running.cluster.wait_until(
        lambda: all(client.texts() >= 3 for client in clients), what="all answers have begun"
    )
    pid = running.cluster.kill("redis", signal.SIGSTOP)
    try:
        time.sleep(REDIS_PAUSE_S)
    finally:
        os.kill(pid, signal.SIGCONT)
    readings = [client.finish() for client in clients]
    for reading in readings:
        running.assert_whole(reading)
        assert reading.text == undisturbed.text
        assert running.turn(reading)["attempts"] == 1, running.turn(reading)
        assert not reading.errors
    assert running.metrics("kotaemon_takeovers_total") == before


@pytest.mark.long
def test_a_turn_whose_pods_die_three_times_is_ended(running: TurnCluster) -> None:
    running.pace(token_ms=400)
    with Reader(running.reader()) as client:
        for attempt in range(1, ATTEMPTS_MAX + 1):
            running.cluster.wait_until(
                partial(_answered_by, running, client, attempt),
                what=f"pod number {attempt} answers",
            )
            running.cluster.kill(running.owner(client.reading))
        reading = client.finish()
    assert reading.state == "failed"
    assert reading.terminal is not None
    assert reading.terminal["code"] == "turn_crashed"
    assert reading.terminal["retryable"] is False
    assert not reading.problems
    turn = running.turn(reading)
    assert turn["state"] == "failed"
    assert turn["error"]["code"] == "turn_crashed"
    # What was shown stays, and the session goes on.
    assert turn["answer"] == reading.text != ""
    running.cluster.wait_ready()
    running.pace(token_ms=1)
    running.assert_whole(running.reader(session_id=reading.session_id).read())


def test_a_cancel_from_another_pod_ends_a_silent_model(running: TurnCluster) -> None:
    running.model.break_with("stall", after_tokens=5)
    aborted = running.model.stats["aborted"]
    with Reader(running.reader()) as client:
        running.cluster.wait_until(lambda: client.texts() >= 1, what="the answer has begun")
        time.sleep(0.2)  # the model falls silent behind its fifth token
        owner = running.owner(client.reading)
        other = next(worker for worker in running.workers() if worker != owner)
        address = running.cluster.pod_url(other)
        cancelled_s = time.monotonic()
        answer = requests.post(f"{address}{_turn_path(client.reading)}/cancel", timeout=30)
        reading = client.finish()
    assert answer.status_code == 200, answer.text
    took_s = reading.arrivals[-1].at_s - cancelled_s
    print(f"cancelled: the stream ended after {took_s * 1000:.0f} ms")
    assert reading.state == "cancelled"
    assert not reading.problems
    assert took_s < 10  # the model's own silence would be borne for thirty
    waited_s = running.cluster.wait_until(
        lambda: running.model.stats["aborted"] > aborted,
        what="the call of the model is cut",
        timeout_s=5,
    )
    print(f"cancelled: the model's call was cut within {took_s + waited_s:.2f} s")
    turn = running.turn(reading)
    assert turn["state"] == "cancelled"
    assert turn["answer"] == reading.text != ""
    assert turn["attempts"] == 1
    assert [one["state"] for one in running.history(reading)] == ["cancelled"]


def test_a_client_that_leaves_ends_nothing(running: TurnCluster) -> None:
    aborted = running.model.stats["aborted"]
    with Reader(running.reader()) as client:
        running.cluster.wait_until(lambda: client.texts() >= 3, what="the answer has begun")
        client.client.leave()
        running.cluster.wait_until(
            lambda: client.reading.left, what="the client is gone", timeout_s=5
        )
    assert running.turn(client.reading)["state"] == "running"
    running.cluster.wait_until(
        lambda: running.turn(client.reading)["state"] != "running", what="the turn ends"
    )
    turn = running.turn(client.reading)
    assert turn["state"] == "done"
    assert turn["attempts"] == 1
    assert turn["degraded"] is None
    assert turn["answer"].startswith(client.reading.text)
    assert len(turn["answer"]) > len(client.reading.text)
    assert running.model.stats["aborted"] == aborted


def test_a_session_that_is_deleted_ends_its_turn(running: TurnCluster) -> None:
    running.pace(token_ms=100)
    aborted = running.model.stats["aborted"]
    with Reader(running.reader()) as client:
        running.cluster.wait_until(lambda: client.texts() >= 3, what="the answer has begun")
        session = f"{running.url}/v1/sessions/{client.reading.session_id}"
        deleted_s = time.monotonic()
        assert requests.delete(session, timeout=30).status_code == 204
        reading = client.finish()
    print(f"deleted: the stream ended after {time.monotonic() - deleted_s:.2f} s")
    assert reading.terminal is None
    assert reading.refusal is not None
    assert reading.refusal["code"] == "gone", reading.tries
    running.cluster.wait_until(
        lambda: running.model.stats["aborted"] > aborted,
        what="the call of the model is cut",
        timeout_s=5,
    )
    for worker in running.workers():
        address = f"{running.cluster.pod_url(worker)}/v1/sessions/{reading.session_id}"
        assert requests.get(address, timeout=30).status_code == 404
    # A late try of the same turn runs nothing in a new session of that name.
    late = running.again(reading)
    assert late.refusal is not None
    assert late.refusal["code"] == "gone"


def test_a_rolling_restart_shows_no_client_an_error(running: TurnCluster) -> None:
    undisturbed = running.reader().read()
    with _talking(running, clients=ROLLING_CLIENTS) as readings:
        for worker in running.workers():
            pid = running.cluster.kill(worker, signal.SIGTERM)
            running.cluster.wait_until(
                partial(_replaced, running, worker, pid), what=f"{worker} has left"
            )
            running.cluster.wait_ready()
    moved = sum(len(reading.tries) > 1 for reading in readings)
    print(f"rolling restart: {len(readings)} turns, {moved} of them moved")
    assert len(readings) > ROLLING_CLIENTS * 3
    for reading in readings:
        assert reading.complete, (reading.problems, reading.tries)
        assert reading.text == undisturbed.text
        assert not reading.errors, reading.tries
        assert not reading.cuts, reading.tries
    for session_id, seen in _by_session(readings).items():
        history = running.history(seen[0])
        assert [one["turn_id"] for one in history] == [one.turn_id for one in seen], session_id
        assert [one["answer"] for one in history] == [one.text for one in seen], session_id


def test_a_turn_that_outlasts_a_drain_is_handed_over(running: TurnCluster) -> None:
    undisturbed = running.reader().read()
    running.pace(token_ms=130)
    with Reader(running.reader()) as client:
        running.cluster.wait_until(lambda: client.texts() >= 3, what="the answer has begun")
        owner = running.owner(client.reading)
        other = next(worker for worker in running.workers() if worker != owner)

        # Who follows on a pod that leaves is sent away at once: the turn does not need that pod.
        follower = TurnReader(
            running.cluster.pod_url(other),
            session_id=client.reading.session_id,
            turn_id=client.reading.turn_id,
            message=QUESTION,
            on_frame=lambda one: follower.leave() if one.frame["type"] == "reconnect" else None,
        )
        with Reader(follower) as following:
            running.cluster.wait_until(lambda: following.texts() >= 3, what="the other follows")
            running.cluster.kill(other, signal.SIGTERM)
            sent_away = following.finish(timeout_s=10)
        assert [one["type"] for one in sent_away.frames()][-1] == "reconnect"
        assert not sent_away.problems
        assert len(sent_away.tries) == 1

        running.cluster.kill(owner, signal.SIGTERM)
        begun_s = time.monotonic()
        reading = client.finish()
    moved_s = next(one.ended_s for one in reading.tries if one.end == "reconnect") - begun_s
    gap_s = reading.tries[1].began_s - reading.tries[0].ended_s
    print(f"handed over {moved_s:.1f} s after SIGTERM; the client was away for {gap_s:.2f} s")
    running.assert_whole(reading)
    assert reading.text == undisturbed.text
    assert reading.restarts == 0
    assert not reading.errors, reading.tries
    assert not reading.cuts, reading.tries
    assert running.turn(reading)["owner"].partition(".")[0] != owner


@contextmanager
def _talking(running: TurnCluster, *, clients: int) -> Iterator[list[Reading]]:
    """Let clients talk without end, three turns a session; yield what they read, as it grows."""
    stopped = threading.Event()
    readings: list[Reading] = []

    def talk() -> None:
        while not stopped.is_set():
            session_id = new_id("s")
            for _ in range(3):
                readings.append(running.reader(session_id=session_id).read())

    threads = [threading.Thread(target=talk) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield readings
    finally:
        stopped.set()
        for thread in threads:
            thread.join(60)


def _by_session(readings: list[Reading]) -> dict[str, list[Reading]]:
    """Return the readings of each session, in the order of their turns."""
    found: dict[str, list[Reading]] = {}
    for reading in readings:
        found.setdefault(reading.session_id, []).append(reading)
    return found


def _turn_path(reading: Reading) -> str:
    return f"/v1/sessions/{reading.session_id}/turns/{reading.turn_id}"


def _answered_by(running: TurnCluster, client: Reader, attempt: int) -> bool:
    """Tell whether the turn's owner number ``attempt`` has written something."""
    taken = [one for one in client.reading.frames("status") if one["phase"] == "taken_over"]
    written = client.texts() if attempt == 1 else len(taken) == attempt - 1
    return bool(written) and running.turn(client.reading).get("attempts") == attempt


def _replaced(running: TurnCluster, worker: str, pid: int) -> bool:
    return bool(running.cluster.row(worker)["pid"] != pid)
