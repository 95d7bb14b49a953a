"""The page in Chinese, and Chinese questions on any page."""

from playwright.sync_api import expect

from tests.browser.conftest import OpenPage, ask, finished
from tests.browser.knowledge import ANSWER_ZH, PASSAGE_ZH, QUESTION_ZH, add_shop
from tests.browser.stub import Stub


def test_a_chinese_browser_gets_a_chinese_page(stub: Stub, open_page: OpenPage) -> None:
    add_shop(stub)
    page = open_page(stub.url, locale="zh-CN")
    page.wait_for_selector(".welcome")
    assert page.locator("html").get_attribute("lang") == "zh-CN"
    assert page.locator(".welcome h2").inner_text() == "想了解什么？"

    page.locator("#question").fill(QUESTION_ZH)
    page.get_by_role("button", name="发送").click()
    finished(page)

    assert page.locator(".text").inner_text() == ANSWER_ZH
    assert page.locator(".why h3").inner_text().startswith("回答依据")
    page.locator(".cite").click()
    page.locator(".document mark").wait_for()
    assert page.locator(".document mark").text_content() == PASSAGE_ZH


def test_a_chinese_answer_on_an_english_page_is_marked_as_chinese(
    stub: Stub, open_page: OpenPage
) -> None:
    add_shop(stub)
    page = open_page(stub.url)

    ask(page, QUESTION_ZH)
    finished(page)

    assert page.locator(".text").get_attribute("lang") == "zh-CN"
    assert page.locator("html").get_attribute("lang") == "en"


def test_the_language_chosen_is_remembered(stub: Stub, open_page: OpenPage) -> None:
    page = open_page(stub.url)
    page.get_by_role("button", name="切换到中文").click()
    expect(page.locator("#question")).to_have_attribute("placeholder", "请输入问题…")

    page.reload()

    page.wait_for_selector(".welcome")
    expect(page.locator("#question")).to_have_attribute("placeholder", "请输入问题…")
    page.get_by_role("button", name="Switch to English").click()
    expect(page.locator("#question")).to_have_attribute("placeholder", "Ask a question…")


def test_enter_that_chooses_a_word_does_not_send(stub: Stub, open_page: OpenPage) -> None:
    page = open_page(stub.url)
    page.locator("#question").fill("标准")

    page.locator("#question").dispatch_event(
        "keydown", {"key": "Enter", "isComposing": True, "bubbles": True, "cancelable": True}
    )

    assert page.locator("#question").input_value() == "标准"
    assert stub.asked("POST", r"/turns$") == []
