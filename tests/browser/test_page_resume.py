"""Streams break; the reader must not notice more than a short line, and the text is exact."""

import threading

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import OpenPage, ask, finished
from tests.browser.knowledge import ANSWER, QUESTION, add_shop
from tests.browser.stub import Stub
from tests.browser.stub_turns import Script

# Frames 1 to 3 are status, source, status; text begins with 4.
PIECES = tuple(f"piece {n} 🐢 " for n in range(1, 9))
WHOLE = "".join(PIECES).strip()


def shown(page: Page) -> str:
    return page.locator(".text").inner_text().strip()  # a blank stands before the cursor


@pytest.mark.parametrize("cuts", [(4,), (1,), (3, 5, 7), (11,)], ids=str)
def test_a_cut_stream_goes_on_where_it_broke(
    stub: Stub, open_page: OpenPage, cuts: tuple[int, ...]
) -> None:
    stub.scripts["Cut?"] = Script(pieces=PIECES, cuts=cuts, delay_s=0.01)
    page = open_page(stub.url)

    ask(page, "Cut?")
    finished(page)

    assert shown(page) == WHOLE
    assert len(stub.asked("GET", r"/stream$")) == len(cuts)
    assert len(stub.asked("POST", r"/turns$")) == 1


def test_the_way_back_names_the_last_frame_seen(stub: Stub, open_page: OpenPage) -> None:
    cut = threading.Event()
    stub.scripts["Cut?"] = Script(pieces=PIECES, cuts=(6,), cut_when=cut)
    page = open_page(stub.url)
    ask(page, "Cut?")
    page.wait_for_selector(".text:has-text('piece 3')")

    cut.set()
    finished(page)

    assert shown(page) == WHOLE
    turn = next(iter(stub.sessions.values()))[0]
    [(_, _, headers)] = stub.asked("GET", r"/stream$")
    assert headers["Last-Event-ID"] == f"{turn.turn_id}:6"


def test_frames_that_come_again_change_nothing(stub: Stub, open_page: OpenPage) -> None:
    cut = threading.Event()
    error = {"code": "language_model_failed", "message": "no answer", "retryable": True}
    frames = [
        {"type": "tool_call", "name": "lookup", "args": {}, "state": "started"},
        {"type": "tool_call", "name": "lookup", "args": {}, "state": "done"},
        {"type": "text", "content": "Half", "offset": 0},
        {"type": "error", **error},
    ]
    stub.scripts["Again?"] = Script(frames=frames, cuts=(3,), cut_when=cut)
    stub.repeats_frames = True
    page = open_page(stub.url)
    ask(page, "Again?")
    page.wait_for_selector(".text:has-text('Half')")

    cut.set()
    page.wait_for_selector(".turn[data-state=failed]")

    assert shown(page) == "Half"
    assert page.locator(".tools li").count() == 1


def test_the_text_so_far_stays_while_reconnecting(stub: Stub, open_page: OpenPage) -> None:
    cut, go_on = threading.Event(), threading.Event()
    stub.scripts["Cut?"] = Script(pieces=("First, ", go_on, "second."), cuts=(4,), cut_when=cut)
    for _ in range(2):
        stub.refuse("GET", r"/turns/\w+/stream$", 503, code="unavailable", retryable=True)
    page = open_page(stub.url)
    ask(page, "Cut?")
    page.wait_for_selector(".text:has-text('First,')")

    cut.set()

    page.wait_for_selector(".phase.troubled")
    assert "reconnecting" in page.locator(".phase").inner_text()
    assert shown(page) == "First,"
    go_on.set()
    finished(page)
    assert shown(page) == "First, second."
    assert page.locator(".pods-used").inner_text() == "worker-0 → worker-1"


def test_three_missed_heartbeats_are_a_broken_stream(stub: Stub, open_page: OpenPage) -> None:
    stub.scripts["Mute?"] = Script(pieces=PIECES, mute_after=5)
    page = open_page(stub.url)

    ask(page, "Mute?")
    finished(page)

    assert shown(page) == WHOLE
    assert len(stub.asked("GET", r"/stream$")) == 1


def test_a_question_whose_sending_failed_is_sent_again_under_the_same_id(
    stub: Stub, open_page: OpenPage
) -> None:
    add_shop(stub)
    stub.refuse("POST", r"/turns$", 503, code="draining", retryable=True)
    stub.refuse("POST", r"/turns$", 429, code="overloaded", retryable=True)
    page = open_page(stub.url)

    ask(page, QUESTION)
    finished(page)

    assert shown(page) == ANSWER
    assert len(stub.asked("POST", r"/turns$")) == 3
    assert [len(turns) for turns in stub.sessions.values()] == [1]


def test_restart_drops_the_text_and_begins_again(stub: Stub, open_page: OpenPage) -> None:
    stub.scripts["Restart?"] = Script(
        frames=[
            {"type": "text", "content": "This was never so.", "offset": 0},
            {"type": "restart"},
            {"type": "text", "content": "This is so.", "offset": 0},
            {"type": "done", "state": "done", "generation": {}},
        ]
    )
    page = open_page(stub.url)

    ask(page, "Restart?")
    finished(page)

    assert shown(page) == "This is so."


def test_a_snapshot_stands_in_for_frames_and_sources_are_fetched(
    stub: Stub, open_page: OpenPage
) -> None:
    add_shop(stub)
    page = open_page(stub.url)
    snapshot = stub.scripts[QUESTION]

    # Given a stream that breaks early, and by the return only a summary is kept.
    stub.scripts[QUESTION] = Script(pieces=snapshot.pieces, sources=snapshot.sources, cuts=(1,))
    stub.summarise_after_cut = True
    ask(page, QUESTION)
    finished(page)

    assert shown(page) == ANSWER
    page.locator(".why button").first.wait_for()
    assert page.locator(".why button").count() == 2


def test_a_leaving_pod_sends_the_reader_on(stub: Stub, open_page: OpenPage) -> None:
    stub.scripts["Leave?"] = Script(pieces=PIECES, leave_after=6)
    page = open_page(stub.url)

    ask(page, "Leave?")
    finished(page)

    assert shown(page) == WHOLE
    assert page.locator(".pods-used").inner_text() == "worker-0 → worker-1"


def test_what_the_store_lost_is_read_again_from_the_start(stub: Stub, open_page: OpenPage) -> None:
    cut = threading.Event()
    stub.scripts["Gone?"] = Script(pieces=PIECES, cuts=(6,), cut_when=cut)
    stub.refuse("GET", r"/turns/\w+/stream$", 410, code="gone")
    page = open_page(stub.url)
    ask(page, "Gone?")
    page.wait_for_selector(".text:has-text('piece 3')")

    cut.set()
    finished(page)

    assert shown(page) == WHOLE
    assert "Last-Event-ID" not in stub.asked("GET", r"/stream$")[-1][2]


def test_a_question_that_was_told_of_a_loss_is_sent_again(stub: Stub, open_page: OpenPage) -> None:
    """The server tells once that it lost the end of a session, and accepts nothing meanwhile."""
    add_shop(stub)
    stub.refuse("POST", r"/turns$", 410, code="gone")
    page = open_page(stub.url)

    ask(page, QUESTION)
    finished(page)

    assert shown(page) == ANSWER
    assert len(stub.asked("POST", r"/turns$")) == 2
    assert [len(turns) for turns in stub.sessions.values()] == [1]


def test_a_failed_turn_keeps_its_text_and_a_new_try_has_a_new_id(
    stub: Stub, open_page: OpenPage
) -> None:
    error = {"code": "language_model_failed", "message": "no answer", "retryable": True}
    stub.scripts["Fail?"] = Script(pieces=("Half an answer",), error=error)
    page = open_page(stub.url)
    ask(page, "Fail?")
    page.wait_for_selector(".turn[data-state=failed]")
    assert shown(page) == "Half an answer"
    assert "language model did not answer" in page.locator(".problem").inner_text()
    assert "trace-1" in page.locator(".problem").inner_text()

    stub.scripts["Fail?"] = Script(pieces=("A whole answer",))
    page.get_by_role("button", name="Ask again").click()

    finished(page)
    assert page.locator(".turn").nth(1).locator(".text").inner_text() == "A whole answer"
    first, second = next(iter(stub.sessions.values()))
    assert first.turn_id != second.turn_id


def test_a_refused_question_says_why(stub: Stub, open_page: OpenPage) -> None:
    stub.refuse("POST", r"/turns$", 413, code="too_large")
    page = open_page(stub.url)

    ask(page, "Refused?")

    page.wait_for_selector(".turn[data-state=failed]")
    assert "The question is too long." in page.locator(".problem").inner_text()


def test_stop_ends_the_answer_with_the_text_so_far(stub: Stub, open_page: OpenPage) -> None:
    never = threading.Event()
    stub.scripts["Long?"] = Script(pieces=("As far as this, ", never, "not this."))
    page = open_page(stub.url)
    ask(page, "Long?")
    page.wait_for_selector(".text:has-text('As far as this')")

    page.get_by_role("button", name="Stop").click()

    page.wait_for_selector(".turn[data-state=cancelled]")
    never.set()
    assert shown(page) == "As far as this,"
    assert "Stopped" in page.locator(".stopped").inner_text()
    page.wait_for_selector("button[aria-label=Send]")


def test_offline_is_said_and_the_way_back_is_found(stub: Stub, open_page: OpenPage) -> None:
    go_on = threading.Event()
    cut = threading.Event()
    stub.scripts["Tunnel?"] = Script(pieces=("Before, ", go_on, "after."), cuts=(4,), cut_when=cut)
    page = open_page(stub.url)
    ask(page, "Tunnel?")
    page.wait_for_selector(".text:has-text('Before')")

    cut.set()
    page.context.set_offline(True)
    page.wait_for_selector(".offline")
    go_on.set()
    page.context.set_offline(False)

    finished(page)
    assert shown(page) == "Before, after."
    assert page.locator(".offline").count() == 0
