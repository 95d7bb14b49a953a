"""What is asked in another tab or on another device appears here, live, and nothing twice."""

import threading
from collections.abc import Iterator

import pytest
import requests
from playwright.sync_api import Page, expect

from tests.browser.conftest import PHONE, OpenPage, ask, finished, wait_until
from tests.browser.knowledge import ANSWER, QUESTION, add_shop
from tests.browser.stub import Stub
from tests.browser.stub_turns import Script
from tests.cluster import Cluster
from tests.fakes.llm_server import FakeLlmServer

SESSION_STREAM = r"/v1/sessions/[^/]+/stream"


def questions(page: Page) -> list[str]:
    return page.locator(".question p").all_inner_texts()


def answers(page: Page) -> list[str]:
    return page.locator(".text").all_inner_texts()


def follows(stub: Stub, *, times: int = 1) -> None:
    """Wait until the session was followed so often."""
    wait_until(lambda: len(stub.asked("GET", SESSION_STREAM)) >= times)


def opened(stub: Stub, open_page: OpenPage) -> tuple[Page, Page]:
    """Return two tabs with one conversation of one turn."""
    first = open_page(stub.url)
    ask(first, "Hello?")
    finished(first)
    second = open_page(first.url, context=first.context)
    finished(second)
    follows(stub, times=2)
    return first, second


def test_a_question_of_one_tab_is_answered_in_both_live_and_once(
    stub: Stub, open_page: OpenPage
) -> None:
    add_shop(stub)
    go_on = threading.Event()
    stub.scripts["Slow?"] = Script(pieces=("One half, ", go_on, "the other."))
    first, second = opened(stub, open_page)

    ask(first, "Slow?")

    for page in (first, second):
        page.wait_for_selector(".text.live:has-text('One half')")
    go_on.set()
    for page in (first, second):
        finished(page, turns=2)
        assert questions(page) == ["Hello?", "Slow?"]
        assert answers(page) == ["I don't know.", "One half, the other."]
    # and the other way round; sources and citations are there as well
    ask(second, QUESTION)
    for page in (first, second):
        finished(page, turns=3)
        assert questions(page) == ["Hello?", "Slow?", QUESTION]
        assert answers(page)[2] == ANSWER
        expect(page.locator(".turn").nth(2).locator(".why button")).to_have_count(2)
    assert len(stub.asked("POST", r"/turns$")) == 3
    assert stub.asked("GET", r"/turns/[^/]+/stream") == []


def test_a_cut_stream_is_taken_up_behind_the_last_frame(stub: Stub, open_page: OpenPage) -> None:
    cut = threading.Event()
    stub.scripts["Slow?"] = Script(pieces=("One half, ", cut, "the other."))
    first, second = opened(stub, open_page)
    ask(first, "Slow?")
    second.wait_for_selector(".text.live:has-text('One half')")
    turn = next(iter(stub.sessions.values()))[1]
    stub.session_cuts = [f"{turn.turn_id}:5"] * 2
    stub.refuse("GET", SESSION_STREAM, 503, code="draining", retryable=True)

    cut.set()
    # while it is away, another question is asked and answered
    finished(first, turns=2)
    ask(first, "And then?")

    finished(second, turns=3)
    assert questions(second) == ["Hello?", "Slow?", "And then?"]
    assert answers(second) == ["I don't know.", "One half, the other.", "I don't know."]
    told = [headers.get("Last-Event-ID") for _, _, headers in stub.asked("GET", SESSION_STREAM)]
    assert f"{turn.turn_id}:5" in told


def test_a_page_that_nobody_looks_at_holds_no_connection_and_catches_up(
    stub: Stub, open_page: OpenPage
) -> None:
    first, second = opened(stub, open_page)
    before = len(stub.asked("GET", SESSION_STREAM))
    look_away(second, hidden=True)

    ask(first, "Meanwhile?")
    finished(first, turns=2)
    assert questions(second) == ["Hello?"]
    assert len(stub.asked("GET", SESSION_STREAM)) == before
    look_away(second, hidden=False)

    finished(second, turns=2)
    assert questions(second) == ["Hello?", "Meanwhile?"]


def look_away(page: Page, *, hidden: bool) -> None:
    """Make the page believe that its tab was put behind another one, or was brought back."""
    page.evaluate(
        """(hidden) => {
          Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
          document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )


def test_what_the_store_lost_is_read_again(stub: Stub, open_page: OpenPage) -> None:
    first, second = opened(stub, open_page)
    look_away(second, hidden=True)
    ask(first, "Meanwhile?")
    finished(first, turns=2)
    stub.refuse("GET", SESSION_STREAM, 410, code="gone")

    look_away(second, hidden=False)

    finished(second, turns=2)
    assert questions(second) == ["Hello?", "Meanwhile?"]
    assert stub.refusals == []


def test_a_conversation_that_is_deleted_elsewhere_is_said_to_be_gone(
    stub: Stub, open_page: OpenPage
) -> None:
    _, second = opened(stub, open_page)

    stub.sessions.clear()

    second.wait_for_selector(".notice")
    assert "not here any more" in second.locator(".notice").inner_text()
    assert second.locator(".turn").count() == 0


@pytest.fixture(scope="module")
def slow_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Run a cluster whose language model takes its time, so that two pages can be compared."""
    with FakeLlmServer(token_ms=60, tokens_min=100) as llm:
        environment = {"LLM_BASE_URL": llm.base_url, "LLM_CONTINUE": "vllm"}
        folder = tmp_path_factory.mktemp("elsewhere") / "data"
        with Cluster(folder, workers=2, environment=environment) as running:
            yield running


@pytest.mark.long
def test_two_devices_on_a_real_cluster_also_when_the_pod_between_them_is_killed(
    slow_cluster: Cluster, open_page: OpenPage
) -> None:
    question = "How long does standard delivery to Malaysia take?"
    desk = open_page(slow_cluster.url)
    ask(desk, question)
    finished(desk)
    phone = open_page(desk.url, viewport=PHONE, locale="zh-CN")
    finished(phone)

    with phone.expect_response(lambda response: response.url.endswith("/turns")) as told:
        ask(phone, "灯具的保修期是多久？")
    desk.wait_for_selector(".turn:nth-child(2) .text.live")
    slow_cluster.kill(told.value.headers["x-served-by"])
    for page in (desk, phone):
        page.wait_for_selector(".turn[data-state=done] >> nth=1", timeout=60_000)

    sid = desk.url.partition("?s=")[2]
    turns = requests.get(f"{slow_cluster.url}/v1/sessions/{sid}", timeout=30).json()["turns"]
    assert turns[1]["attempts"] == 2
    for page in (desk, phone):
        assert questions(page) == [turn["message"] for turn in turns]
        shown = [text.replace("[", "").replace("]", "") for text in answers(page)]
        assert shown == [turn["answer"].replace("[", "").replace("]", "") for turn in turns]
        assert page.locator(".problem").count() == 0
