"""A conversation outlives the page; earlier ones are found again."""

import re
import threading

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenPage, ask, finished
from tests.browser.knowledge import ANSWER, QUESTION, RETURNS_PASSAGE, add_shop
from tests.browser.stub import Stub
from tests.browser.stub_turns import Script


@pytest.mark.parametrize("sample", [True, False], ids=["the sample shop", "other documents"])
def test_questions_about_the_sample_are_offered_where_it_is_served(
    stub: Stub, open_page: OpenPage, sample: bool
) -> None:
    stub.has_examples = sample
    page = open_page(stub.url)
    page.wait_for_selector(".welcome")

    expect(page.locator(".examples button")).to_have_count(4 if sample else 0)

    if sample:
        page.locator(".examples button").first.click()
        finished(page)
        assert "Malaysia" in page.locator(".question").inner_text()


def test_a_reload_keeps_the_conversation_and_its_citations(stub: Stub, open_page: OpenPage) -> None:
    add_shop(stub)
    page = open_page(stub.url)
    ask(page, QUESTION)
    finished(page)
    ask(page, "And what else?")
    finished(page, turns=2)
    assert "?s=" in page.url

    page.reload()

    finished(page, turns=2)
    questions = page.locator(".question p").all_inner_texts()
    assert questions == [QUESTION, "And what else?"]
    assert page.locator(".text").first.inner_text() == ANSWER
    page.locator(".cite").nth(1).click()
    page.locator(".document mark").wait_for()
    assert page.locator(".document mark").text_content() == RETURNS_PASSAGE


def test_a_reload_in_the_middle_of_an_answer_follows_it_to_its_end(
    stub: Stub, open_page: OpenPage
) -> None:
    go_on = threading.Event()
    stub.scripts["Slow?"] = Script(pieces=("Before the reload, ", go_on, "after it."))
    page = open_page(stub.url)
    ask(page, "Slow?")
    page.wait_for_selector(".text:has-text('Before the reload')")

    page.reload()

    page.wait_for_selector(".text.live:has-text('Before the reload')")
    go_on.set()
    finished(page)
    assert page.locator(".text").inner_text() == "Before the reload, after it."
    assert [len(turns) for turns in stub.sessions.values()] == [1]


def test_a_second_page_follows_the_running_answer_of_the_first(
    stub: Stub, open_page: OpenPage
) -> None:
    go_on = threading.Event()
    stub.scripts["Slow?"] = Script(pieces=("One half, ", go_on, "the other."))
    first = open_page(stub.url)
    ask(first, "Slow?")
    first.wait_for_selector(".text:has-text('One half')")

    second = open_page(first.url)

    second.wait_for_selector(".text.live:has-text('One half')")
    go_on.set()
    finished(second)
    assert second.locator(".text").inner_text() == "One half, the other."
    assert len(stub.asked("POST", r"/turns$")) == 1


def test_a_question_that_never_arrived_is_sent_after_the_reload(
    stub: Stub, open_page: OpenPage
) -> None:
    add_shop(stub)
    for _ in range(50):
        stub.refuse("POST", r"/turns$", 503, code="unavailable", retryable=True)
    page = open_page(stub.url)
    ask(page, QUESTION)
    page.wait_for_selector(".phase.troubled")
    stub.refusals.clear()

    page.reload()

    finished(page)
    assert page.locator(".text").inner_text() == ANSWER
    assert [len(turns) for turns in stub.sessions.values()] == [1]


def test_earlier_conversations_are_listed_and_opened(stub: Stub, open_page: OpenPage) -> None:
    add_shop(stub)
    page = open_page(stub.url)
    ask(page, QUESTION)
    finished(page)
    page.get_by_role("button", name="New conversation").click()
    page.wait_for_selector(".welcome")
    assert "?s=" not in page.url
    ask(page, "Something else?")
    finished(page)
    rows = page.locator(".row-open")
    expect(rows).to_have_count(2)

    rows.filter(has_text=QUESTION).click()

    page.wait_for_selector(f".question:has-text('{QUESTION}')")
    assert page.locator(".turn").count() == 1
    page.go_back()
    page.wait_for_selector(".question:has-text('Something else?')")


def test_a_conversation_can_be_deleted(stub: Stub, open_page: OpenPage) -> None:
    add_shop(stub)
    page = open_page(stub.url)
    ask(page, QUESTION)
    finished(page)
    expect(page.locator(".row-open")).to_have_count(1)

    page.get_by_role("button", name=re.compile("Delete conversation")).click()
    page.get_by_role("button", name="Delete", exact=True).click()

    page.wait_for_selector(".welcome")
    expect(page.locator(".row")).to_have_count(0)
    assert stub.sessions == {}


def test_an_unknown_conversation_is_said_to_be_gone(stub: Stub, open_page: OpenPage) -> None:
    page = open_page(f"{stub.url}/?s=never-was")

    page.wait_for_selector(".notice")
    assert "not here any more" in page.locator(".notice").inner_text()
    page.locator(".notice button").click()
    page.wait_for_selector(".welcome")


def test_of_a_conversation_whose_end_was_lost_the_rest_is_shown(
    stub: Stub, open_page: OpenPage
) -> None:
    add_shop(stub)
    page = open_page(stub.url)
    ask(page, QUESTION)
    finished(page)
    stub.refuse("GET", r"/v1/sessions/\w+$", 410, code="gone")

    page.reload()

    finished(page)
    assert page.locator(".notice").count() == 0
    assert stub.refusals == []


def test_a_conversation_that_cannot_be_loaded_can_be_tried_again(
    stub: Stub, open_page: OpenPage
) -> None:
    add_shop(stub)
    page = open_page(stub.url)
    ask(page, QUESTION)
    finished(page)
    stub.refuse("GET", r"/v1/sessions/\w+$", 503, code="store_unavailable", retryable=True)
    page.reload()
    page.wait_for_selector(".notice")

    page.get_by_role("button", name="Try again").click()

    finished(page)
    assert page.locator(".text").inner_text() == ANSWER


def test_where_ids_are_minted_the_page_asks_for_one(stub: Stub, open_page: OpenPage) -> None:
    add_shop(stub)
    stub.mints_ids = True
    page = open_page(stub.url)

    ask(page, QUESTION)
    finished(page)

    assert page.url.endswith("?s=minted-0")
    assert page.locator(".text").inner_text() == ANSWER
    assert page.locator(".turn").count() == 1
