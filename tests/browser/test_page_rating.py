"""Say whether an answer was good: by mouse, by keyboard, in both languages."""

import threading

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import OpenPage, ask, finished, wait_until
from tests.browser.stub import Stub
from tests.browser.stub_turns import Script


def pressed(page: Page) -> list[str]:
    return [
        button.get_attribute("aria-label") or ""
        for button in page.locator(".rating button[aria-pressed=true]").all()
    ]


def test_a_thumb_stays_pressed_also_when_the_page_is_opened_again(
    stub: Stub, open_page: OpenPage
) -> None:
    page = open_page(stub.url)
    ask(page, "When?")
    finished(page)
    assert pressed(page) == []

    page.get_by_role("button", name="Good answer").click()

    wait_until(lambda: list(stub.ratings.values()) == ["up"])
    assert pressed(page) == ["Good answer"]
    page.get_by_role("button", name="Bad answer").focus()
    page.keyboard.press("Enter")
    wait_until(lambda: list(stub.ratings.values()) == ["down"])
    page.reload()
    page.wait_for_selector(".rating")
    assert pressed(page) == ["Bad answer"]


def test_a_rating_that_was_not_heard_is_taken_back(stub: Stub, open_page: OpenPage) -> None:
    page = open_page(stub.url)
    ask(page, "When?")
    finished(page)
    stub.refuse("POST", ".*/feedback", 503, code="store_unavailable")

    page.get_by_role("button", name="Good answer").click()

    page.wait_for_selector(".rating [role=alert]")
    assert pressed(page) == []
    assert stub.ratings == {}


@pytest.mark.parametrize(("language", "name"), [("en-GB", "Good answer"), ("zh-CN", "回答得好")])
def test_only_a_whole_answer_is_rated_in_the_pages_language(
    stub: Stub, open_page: OpenPage, language: str, name: str
) -> None:
    go_on = threading.Event()
    stub.scripts["Slow?"] = Script(pieces=("First half, ", go_on, "second half."))
    page = open_page(stub.url, locale=language)
    ask(page, "Slow?")
    page.wait_for_selector(".text.live:has-text('First half,')")
    assert page.locator(".rating").count() == 0
    go_on.set()
    finished(page)
    assert page.get_by_role("button", name=name).is_visible()


def test_a_thumb_down_may_say_why(stub: Stub, open_page: OpenPage) -> None:
    page = open_page(stub.url)
    ask(page, "When?")
    finished(page)
    page.get_by_role("button", name="Bad answer").click()
    wait_until(lambda: list(stub.comments.values()) == [""])

    page.get_by_label("What was wrong?").fill("It is out of date.")
    page.keyboard.press("Enter")

    page.get_by_text("Thank you.").wait_for()
    assert list(stub.ratings.values()) == ["down"]
    assert list(stub.comments.values()) == ["It is out of date."]
    assert page.locator(".comment").count() == 0
