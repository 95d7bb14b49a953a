"""Everything without a mouse, and told to those who don't see the page."""

import threading

from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage, ask, finished
from tests.browser.knowledge import PASSAGE, QUESTION, add_shop
from tests.browser.stub import Stub
from tests.browser.stub_turns import Script


def tab_to(page: Page, name: str) -> None:
    """Press Tab until the element of this accessible name or text has the focus."""
    for _ in range(60):
        page.keyboard.press("Tab")
        told = page.evaluate(
            "(document.activeElement.ariaLabel || document.activeElement.textContent || '').trim()"
        )
        if told == name:
            return
    raise AssertionError(f"{name!r} cannot be reached with Tab")


def test_a_whole_conversation_with_the_keyboard_only(stub: Stub, open_page: OpenPage) -> None:
    add_shop(stub)
    page = open_page(stub.url)
    expect(page.locator("#question")).to_be_focused()
    page.keyboard.type(QUESTION)
    page.keyboard.press("Enter")
    finished(page)
    expect(page.locator("#question")).to_be_focused()

    tab_to(page, "Source 1: Shipping")
    page.keyboard.press("Enter")

    page.locator(".document mark").wait_for()
    assert page.locator(".document mark").text_content() == PASSAGE
    expect(page.locator("#source-title")).to_be_focused()
    page.keyboard.press("Escape")
    page.locator(".source").wait_for(state="detached")
    expect(page.locator(".cite").first).to_be_focused()


def test_shift_enter_makes_a_new_line_and_slash_goes_to_the_field(
    stub: Stub, open_page: OpenPage
) -> None:
    page = open_page(stub.url)
    expect(page.locator("#question")).to_be_focused()
    page.keyboard.type("one")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("two / three")
    assert page.locator("#question").input_value() == "one\ntwo / three"

    page.locator("#question").fill("")
    page.locator("#question").blur()
    page.keyboard.press("/")

    expect(page.locator("#question")).to_be_focused()
    assert page.locator("#question").input_value() == ""


def test_blank_questions_are_not_sent(stub: Stub, open_page: OpenPage) -> None:
    page = open_page(stub.url)

    ask(page, "   ")

    assert page.locator(".turn").count() == 0
    assert page.locator("button[aria-label=Send]").is_disabled()


def test_an_answer_is_read_out_by_sentences_each_once(stub: Stub, open_page: OpenPage) -> None:
    first, second = threading.Event(), threading.Event()
    stub.scripts["Slow?"] = Script(
        pieces=("It is **so** [1]. And ", first, "that. Then", second, " the end")
    )
    page = open_page(stub.url)
    ask(page, "Slow?")
    said = page.locator("[aria-live=polite][aria-relevant=additions] p")

    expect(said).to_have_text(["It is so."])
    assert page.locator(".text").get_attribute("aria-busy") == "true"
    first.set()
    expect(said).to_have_text(["It is so.", "And that."])
    second.set()
    finished(page)

    expect(said).to_have_text(["It is so.", "And that.", "Then the end"])
    assert page.locator(".text").get_attribute("aria-busy") in {None, "false"}
    page.reload()
    finished(page)
    expect(said).to_have_count(0)


def test_the_keys_are_listed_and_do_what_the_list_says(stub: Stub, open_page: OpenPage) -> None:
    never = threading.Event()
    stub.scripts["Long?"] = Script(pieces=("As far as this, ", never, "not this."))
    page = open_page(stub.url)
    page.locator("#question").blur()
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Shortcuts").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")

    ask(page, "Long?")
    page.wait_for_selector(".text:has-text('As far as this')")
    page.keyboard.press("Escape")
    page.wait_for_selector(".turn[data-state=cancelled]")
    never.set()
    page.keyboard.press("Alt+KeyN")

    page.locator(".welcome").wait_for()
    expect(page.locator("#question")).to_be_focused()
    ask(page, "Another?")
    finished(page)
    page.keyboard.press("Alt+KeyK")
    expect(page.locator("#session-search")).to_be_focused()


def test_the_search_gets_the_focus_though_the_list_comes_late(
    stub: Stub, open_page: OpenPage
) -> None:
    page = open_page(stub.url)
    ask(page, "First?")
    finished(page)
    page.route("**/v1/sessions?*", lambda route: None)
    page.keyboard.press("Alt+KeyN")
    page.locator(".welcome").wait_for()
    ask(page, "Second?")
    finished(page)
    expect(page.locator("#session-search")).to_have_count(0)

    with page.expect_request("**/v1/sessions?*"):
        page.keyboard.press("Alt+KeyK")
    page.unroute("**/v1/sessions?*")  # lets those that wait go on

    expect(page.locator("#session-search")).to_be_focused()


def test_escape_closes_what_lies_on_top_and_gives_the_focus_back(
    stub: Stub, open_page: OpenPage
) -> None:
    add_shop(stub)
    page = open_page(stub.url, viewport={"width": 900, "height": 700})
    ask(page, QUESTION)
    finished(page)
    page.locator(".cite").first.click()
    page.locator(".document mark").wait_for()

    page.get_by_role("button", name="Cluster").focus()
    page.keyboard.press("Enter")
    page.locator(".popover").wait_for()
    page.keyboard.press("Escape")
    page.locator(".popover").wait_for(state="detached")
    expect(page.get_by_role("button", name="Cluster")).to_be_focused()
    assert page.locator(".source").count() == 1

    page.keyboard.press("Escape")
    page.locator(".source").wait_for(state="detached")


def test_every_control_has_a_name(stub: Stub, open_page: OpenPage) -> None:
    add_shop(stub)
    page = open_page(stub.url)
    ask(page, QUESTION)
    finished(page)
    page.locator(".cite").first.click()
    page.locator(".document mark").wait_for()

    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, a, textarea, [role=dialog], nav, aside")]
          .filter((element) => !element.ariaLabel && !element.title && !element.textContent.trim()
            && !element.getAttribute("aria-labelledby")).map((element) => element.outerHTML)"""
    )

    assert nameless == []
