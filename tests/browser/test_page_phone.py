"""On a phone: everything in reach, nothing wider than the screen, the source as a sheet."""

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import PHONE, OpenPage, ask, finished
from tests.browser.knowledge import PASSAGE, QUESTION, add_shop
from tests.browser.stub import Stub
from tests.browser.stub_turns import Script

PHONE_OPTIONS = {"viewport": PHONE, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}


def fits(page: Page) -> bool:
    """Whether nothing can be scrolled sideways, neither the page nor the conversation."""
    return bool(
        page.evaluate(
            """() => [document.documentElement, document.body, ...document.querySelectorAll(
                 ".thread, .composer, .header, .source, .side, .source-text")]
                 .every((box) => box.scrollWidth <= box.clientWidth
                   && box.getBoundingClientRect().right <= innerWidth + 0.5)"""
        )
    )


def on_screen(page: Page, selector: str) -> bool:
    box = page.locator(selector).bounding_box()
    assert box is not None
    assert page.viewport_size is not None
    return bool(
        box["y"] >= 0
        and box["y"] + box["height"] <= page.viewport_size["height"]
        and box["x"] >= 0
        and box["x"] + box["width"] <= page.viewport_size["width"]
    )


@pytest.mark.parametrize("width", [320, 375, 430, 768])
def test_nothing_is_wider_than_the_screen(stub: Stub, open_page: OpenPage, width: int) -> None:
    table = "| a | b | c | d |\n|---|---|---|---|\n| long cell | long cell | long cell | cell |\n"
    stub.scripts["Wide?"] = Script(
        pieces=(f"{'w' * 300}\n\n{table}\n```\n{'code ' * 60}\n```\nhttps://x.example/{'y' * 200}",)
    )
    page = open_page(stub.url, **{**PHONE_OPTIONS, "viewport": {"width": width, "height": 700}})
    assert fits(page)

    ask(page, "Wide?")
    finished(page)

    assert fits(page)
    assert on_screen(page, "#question")
    assert on_screen(page, "button[aria-label=Send]")


def test_the_source_is_a_sheet_that_closes_by_touching_beside_it(
    stub: Stub, open_page: OpenPage
) -> None:
    add_shop(stub)
    page = open_page(stub.url, **PHONE_OPTIONS)
    ask(page, QUESTION)
    finished(page)

    page.locator(".cite").first.tap()

    sheet = page.get_by_role("dialog", name="Shipping")
    sheet.wait_for()
    page.locator(".document mark").wait_for()
    page.locator(".source").evaluate(
        "(sheet) => Promise.all(sheet.getAnimations().map((animation) => animation.finished))"
    )
    assert page.locator(".document mark").text_content() == PASSAGE
    assert fits(page)
    assert page.evaluate("document.querySelector('.middle').inert")
    page.touchscreen.tap(PHONE["width"] / 2, 20)
    sheet.wait_for(state="detached")
    assert not page.evaluate("document.querySelector('.middle').inert")


def test_an_empty_page_is_shown_from_its_top(stub: Stub, open_page: OpenPage) -> None:
    stub.has_examples = True
    page = open_page(stub.url, **{**PHONE_OPTIONS, "viewport": {"width": 375, "height": 480}})
    page.wait_for_selector(".examples")

    assert page.locator(".thread").evaluate("(thread) => thread.scrollTop") == 0
    assert on_screen(page, ".welcome h2")


def test_the_cluster_fits_even_when_its_name_is_long(stub: Stub, open_page: OpenPage) -> None:
    for _ in range(20):
        stub.refuse("GET", r"/v1/cluster", 503, code="unavailable", retryable=True)
    page = open_page(stub.url, **{**PHONE_OPTIONS, "viewport": {"width": 320, "height": 600}})
    page.wait_for_selector(".dot.down")
    assert fits(page)
    stub.refusals.clear()

    page.get_by_role("button", name="Cluster").tap()

    page.locator(".pods li").nth(2).wait_for()
    assert on_screen(page, ".popover")


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
def test_how_many_pods_there_are_is_shown_whole(
    stub: Stub, open_page: OpenPage, locale: str
) -> None:
    page = open_page(stub.url, **{**PHONE_OPTIONS, "locale": locale})
    page.wait_for_selector(".dot.ready")

    label = page.locator(".cluster-label")

    assert "3" in label.inner_text()
    assert label.evaluate("(one) => one.scrollWidth <= one.clientWidth")


def test_conversations_are_a_drawer(stub: Stub, open_page: OpenPage) -> None:
    add_shop(stub)
    page = open_page(stub.url, **PHONE_OPTIONS)
    ask(page, QUESTION)
    finished(page)
    assert page.locator(".side").count() == 0

    page.get_by_role("button", name="Conversations").tap()

    page.locator(".side.drawer .row-open").tap()
    page.locator(".side").wait_for(state="detached")
    assert on_screen(page, "#question")


def test_a_touch_screen_gets_no_keyboard_unasked(stub: Stub, open_page: OpenPage) -> None:
    page = open_page(stub.url, **PHONE_OPTIONS)
    page.wait_for_selector(".welcome")

    assert page.evaluate("document.activeElement === document.body")
