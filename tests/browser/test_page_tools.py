"""What tools did is shown and can be opened; what an answer asks is answered with a button."""

import threading

import pytest
from playwright.sync_api import Page, expect

from tests.browser.acting_scripts import SUMMARY, call, proposing, told
from tests.browser.conftest import OpenPage, ask, finished
from tests.browser.stub import Stub
from tests.browser.stub_turns import Script


def lines(page: Page) -> list[str]:
    return [" ".join(line.split()) for line in page.locator(".tools li").all_inner_texts()]


def test_a_call_is_one_line_that_opens_to_arguments_and_result(
    stub: Stub, open_page: OpenPage
) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    stub.scripts["Order?"] = Script(
        frames=[
            {"type": "status", "phase": "tools", "latency": 0.1},
            call("order_query", "started"),
            call("order_query", "done", result={"status": "waiting", "note": hostile}),
            {**call("stock", "failed", result={"error": "away"}), "step": "0.2"},
            {**call("parcel", "started"), "step": "0.3", "later": True},
            *told("It waits."),
        ]
    )
    page = open_page(stub.url)
    ask(page, "Order?")
    finished(page)

    assert lines(page) == [
        "order_query done", "stock failed", "parcel goes on, you will be told",
    ]  # fmt: skip
    expect(page.locator(".tools pre").first).to_be_hidden()
    page.locator(".tools summary").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".tools pre").nth(0)).to_have_text('{\n  "order": "1003"\n}')
    expect(page.locator(".tools pre").nth(1)).to_contain_text(hostile)
    assert page.locator(".tools img").count() == 0


def test_tool_lines_come_through_a_cut(stub: Stub, open_page: OpenPage) -> None:
    cut = threading.Event()
    stub.scripts["Order?"] = Script(
        frames=[
            call("order_query", "started"),
            call("order_query", "done", result={"status": "waiting"}),
            *told("It waits."),
        ],
        cuts=(1,),
        cut_when=cut,
    )
    page = open_page(stub.url)
    ask(page, "Order?")
    page.wait_for_selector(".tools li.started")

    cut.set()
    finished(page)

    assert lines(page) == ["order_query done"]


@pytest.mark.parametrize(
    ("question", "text", "button", "said"),
    [
        ("Cancel it", f"I can do this: {SUMMARY}\n\nShall I?", "Yes, do it", "yes"),
        ("Cancel it", f"I can do this: {SUMMARY}\n\nShall I?", "No", "no"),
        ("取消吧", "我可以为您取消订单，需要我执行吗？", "Yes, do it", "是的"),
    ],
)
def test_a_proposal_is_answered_with_a_button(
    stub: Stub, open_page: OpenPage, question: str, text: str, button: str, said: str
) -> None:
    stub.scripts[question] = proposing(text)
    stub.scripts[said] = Script(pieces=("All right.",))
    page = open_page(stub.url)
    ask(page, question)
    finished(page)

    page.get_by_role("button", name=button, exact=True).click()

    finished(page, turns=2)
    assert page.locator(".question p").nth(1).inner_text() == said
    assert page.locator(".reply").count() == 0


def test_a_proposal_still_has_its_buttons_when_the_page_is_opened_again(
    stub: Stub, open_page: OpenPage
) -> None:
    stub.scripts["Cancel it"] = proposing("Shall I?")
    page = open_page(stub.url)
    ask(page, "Cancel it")
    finished(page)
    turn = next(iter(stub.sessions.values()))[0]
    stub.pending = {"turn_id": turn.turn_id, "kind": "yes", "summary": SUMMARY, "choices": []}

    page.reload()

    page.get_by_role("button", name="Yes, do it").wait_for()


def test_what_an_answer_names_to_choose_from_are_buttons(stub: Stub, open_page: OpenPage) -> None:
    asked = {"ask": {"slot": "order_id", "text": "Which?", "choices": ["1003", "1004"]}}
    stub.scripts["Order?"] = Script(
        frames=[call("query", "started"), call("query", "done", result=asked), *told("Which?")]
    )
    stub.scripts["1004"] = Script(pieces=("It is on its way.",))
    page = open_page(stub.url)
    ask(page, "Order?")
    finished(page)

    page.get_by_role("button", name="1004", exact=True).click()

    finished(page, turns=2)
    expect(page.locator(".text").nth(1)).to_have_text("It is on its way.")


def test_a_call_that_was_made_after_all_asks_nothing(stub: Stub, open_page: OpenPage) -> None:
    stub.scripts["Cancel it"] = Script(
        frames=[
            call("cancel.propose", "done", result={"propose": {"summary": SUMMARY}}),
            {**call("cancel", "done", result={"result": "Done."}), "step": "0.2"},
            *told("Done."),
        ]
    )
    page = open_page(stub.url)

    ask(page, "Cancel it")
    finished(page)

    assert page.locator(".reply").count() == 0
