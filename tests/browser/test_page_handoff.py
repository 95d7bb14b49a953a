"""A person takes the conversation: the page says so, shows what they say, and gives it back."""

import threading

import pytest
import requests
from playwright.sync_api import Page, expect

from tests.browser.conftest import PHONE, OpenPage, ask, finished
from tests.browser.stub import Stub
from tests.browser.stub_handoff import person_says
from tests.browser.stub_turns import Script
from tests.cluster import Cluster

PATIENCE_MS = 60_000


def sid_of(page: Page) -> str:
    return page.url.partition("?s=")[2]


def happened(page: Page) -> list[str]:
    return page.locator(".happened").all_inner_texts()


def test_a_person_comes_says_something_and_leaves(stub: Stub, open_page: OpenPage) -> None:
    page = open_page(stub.url)
    assert page.get_by_role("button", name="Talk to a person").count() == 0
    ask(page, "Hello?")
    finished(page)

    page.get_by_role("button", name="Talk to a person").click()

    expect(page.get_by_role("status").filter(has_text="A person is with you.")).to_be_visible()
    expect(page.locator(".happened")).to_have_text(["From here on a person answers"])
    expect(page.locator("#question")).to_have_attribute("placeholder", "Write to the person…")
    ask(page, "Are you there?")
    expect(page.locator(".sent")).to_have_text("Sent to the person")
    person_says(stub, sid_of(page), "Yes, I am **here**.", name="Ann")
    said = page.locator(".said")
    expect(said.locator(".said-by")).to_have_text("Ann")
    expect(said.locator(".said-text")).to_have_text("Yes, I am here.")
    assert said.locator(".question, .meta").count() == 0

    page.reload()
    expect(page.locator(".person.here")).to_be_visible()
    expect(page.locator(".said-by")).to_have_text("Ann")
    expect(page.locator(".sent")).to_have_count(1)

    page.get_by_role("button", name="Back to the assistant").click()
    expect(page.locator(".happened")).to_have_count(2)
    expect(page.locator(".person.here")).to_have_count(0)
    ask(page, "And now?")
    expect(page.locator(".turn").last.locator(".text")).to_have_text("I don't know.")


def test_an_answer_that_runs_ends_and_says_why(stub: Stub, open_page: OpenPage) -> None:
    go_on = threading.Event()
    stub.scripts["Slow?"] = Script(pieces=("One half, ", go_on, "the other."))
    page = open_page(stub.url)
    ask(page, "Slow?")
    page.wait_for_selector(".text.live:has-text('One half')")
    other = open_page(page.url, context=page.context)
    other.wait_for_selector(".text.live:has-text('One half')")

    # from another tab
    other.get_by_role("button", name="Talk to a person").click()

    for one in (page, other):
        expect(one.locator(".person.here")).to_be_visible()
        expect(one.locator(".happened")).to_have_count(1)
        expect(one.locator(".stopped")).to_have_count(0)
    go_on.set()
    assert page.locator(".text").inner_text() == "One half,"


def test_it_is_said_in_chinese_and_fits_a_phone(stub: Stub, open_page: OpenPage) -> None:
    phone = {"viewport": {**PHONE, "width": 320}, "has_touch": True, "is_mobile": True}
    page = open_page(stub.url, locale="zh-CN", **phone)
    ask(page, "你好？")
    finished(page)
    page.get_by_role("button", name="转人工客服").tap()
    expect(page.locator(".person.here")).to_contain_text("人工客服正在为您服务。")
    person_says(stub, sid_of(page), "您好，" + "很长" * 80, name="")
    expect(page.locator(".said-by")).to_have_text("人工客服")
    assert happened(page) == ["以下由人工客服回答"]
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    page.get_by_role("button", name="返回智能助手").tap()
    expect(page.locator(".happened")).to_have_count(2)


@pytest.mark.long
def test_a_refusal_is_said_and_nothing_changes(stub: Stub, open_page: OpenPage) -> None:
    page = open_page(stub.url)
    ask(page, "Hello?")
    finished(page)
    stub.refuse("POST", r"/handoff$", 503, code="store_unavailable", retryable=True)

    page.get_by_role("button", name="Talk to a person").click()

    expect(page.locator(".person-error")).to_be_visible()
    expect(page.get_by_role("button", name="Talk to a person")).to_be_enabled()


@pytest.mark.long
def test_a_person_on_a_real_cluster_is_seen_live(cluster: Cluster, open_page: OpenPage) -> None:
    page = open_page(cluster.url, locale="zh-CN")
    ask(page, "灯具的保修期是多久？")
    finished(page)
    ask(page, "我要转人工")
    expect(page.locator(".person.here")).to_be_visible(timeout=PATIENCE_MS)
    session = f"{cluster.url}/v1/sessions/{sid_of(page)}"
    told = requests.get(session, timeout=30).json()
    assert told["handoff"]["by"] == "words"

    said = requests.post(
        f"{session}/agent-messages", json={"text": "您好，我是小王。", "name": "小王"}, timeout=60
    )

    assert said.status_code == 200, said.text
    expect(page.locator(".said-by")).to_have_text("小王", timeout=PATIENCE_MS)
    ask(page, "您好")
    expect(page.locator(".sent")).to_have_count(1, timeout=PATIENCE_MS)
    requests.post(f"{session}/handback", json={}, timeout=60).raise_for_status()
    expect(page.locator(".person.here")).to_have_count(0, timeout=PATIENCE_MS)
    ask(page, "你好，灯具的保修期是多久？")
    expect(page.locator(".turn").last.locator(".text")).not_to_be_empty(timeout=PATIENCE_MS)
