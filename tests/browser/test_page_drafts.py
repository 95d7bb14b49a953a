"""Questions that were not answered well: shown above the FAQ, answered, dismissed."""

from typing import Any, Literal

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PHONE, OpenPage
from tests.browser.stub import Stub
from tests.browser.test_page_contrast import CONTRAST_MIN, LOW_CONTRASTS
from tests.browser.test_page_faq import WIDE_WORD, at_faq
from tests.browser.test_page_phone import fits


def draft(draft_id: str, question: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": draft_id, "kb": "default", "question": question, "variants": [], "asked": 4,
        "down": 0, "first_at": 1.0, "last_at": 2.0, "suggestion": "", "suggested_by": "",
        "sources": [], "examples": [{"session_id": "s1", "turn_id": "t1", "version": 1}], **fields,
    }  # fmt: skip


def test_a_question_is_answered_for_everybody(stub: Stub, open_page: OpenPage) -> None:
    page, routes = at_faq(open_page, stub)
    gifts = draft(
        "d1", "Do you sell gift cards?", variants=["Are there gift cards?"], down=1,
        suggestion="Yes, from 10 to 500.", suggested_by="agent",
    )  # fmt: skip
    routes.drafts = [gifts, draft("d2", "Are you open on Sunday?", asked=1)]
    page.get_by_role("link", name="FAQ").click()

    expect(page.get_by_role("heading", name="2 open questions")).to_be_visible()
    first = page.locator("[data-draft=d1]")
    expect(first).to_contain_text("Are there gift cards?")
    expect(first).to_contain_text("Asked 4 times, rated down 1×")
    expect(first).to_contain_text("A person answered:")
    assert first.get_by_role("link").get_attribute("href") == "/?s=s1"
    page.get_by_role("button", name="Answer: Do you sell gift cards?").click()
    expect(page.get_by_label("Answer", exact=True)).to_have_value("Yes, from 10 to 500.")
    page.get_by_label("Answer", exact=True).fill("Yes, from 20 to 500.")
    page.get_by_role("button", name="Accept").click()

    expect(page.locator(".faq-draft")).to_have_count(1)
    expect(page.get_by_role("heading", name="1 open question")).to_be_visible()
    entry = page.locator("[data-id=draft-d1]")
    expect(entry).to_contain_text("Yes, from 20 to 500.")
    expect(entry).to_contain_text("Live in generation 8")
    ((method, action, body),) = routes.decided
    assert (method, action) == ("POST", "accept")
    assert body == {"question": "Do you sell gift cards?", "answer": "Yes, from 20 to 500."}


def test_a_question_is_dismissed_by_keyboard_and_a_refusal_is_said(
    stub: Stub, open_page: OpenPage
) -> None:
    page, routes = at_faq(open_page, stub)
    routes.drafts = [draft("d1", "Who are you?")]
    page.get_by_role("link", name="FAQ").click()
    page.get_by_role("button", name="Answer: Who are you?").press("Enter")
    expect(page.get_by_label("Answer", exact=True)).to_be_focused()
    page.keyboard.type("We.")
    routes.refusal = {"code": "invalid", "message": "too short"}
    page.get_by_role("button", name="Accept").click()
    expect(page.get_by_role("alert")).to_have_text("too short")
    page.get_by_label("Answer", exact=True).press("Escape")
    expect(page.locator(".faq-draft .faq-form")).to_have_count(0)
    routes.refusal = None

    page.get_by_role("button", name="Dismiss: Who are you?").press("Enter")

    expect(page.locator(".faq-drafts")).to_have_count(0)
    assert routes.decided == [("DELETE", "d1", {})]


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.long)])
def test_in_chinese_on_a_small_phone_it_fits_and_stands_out(
    stub: Stub, open_page: OpenPage, scheme: Literal["light", "dark"]
) -> None:
    phone = {"viewport": {**PHONE, "width": 320}, "has_touch": True, "is_mobile": True}
    page, routes = at_faq(open_page, stub, locale="zh-CN", color_scheme=scheme, **phone)
    routes.drafts = [
        draft("d1", WIDE_WORD, variants=[WIDE_WORD], suggestion=WIDE_WORD, suggested_by="passages"),
        draft("d2", "周末营业吗？", down=2),
    ]
    page.get_by_role("link", name="常见问题").tap()
    expect(page.get_by_role("heading", name="2 个待解答的问题")).to_be_visible()
    expect(page.locator("[data-draft=d1]")).to_contain_text("文档中的说法：")
    page.get_by_role("button", name="解答: 周末营业吗？").tap()
    expect(page.get_by_role("button", name="采用")).to_be_visible()
    assert fits(page)
    assert page.evaluate(LOW_CONTRASTS, CONTRAST_MIN) == []
