"""Ask, watch the answer come, open what it cites."""

import threading

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import OpenPage, ask, finished, wait_until
from tests.browser.knowledge import (
    ANSWER,
    PASSAGE,
    QUESTION,
    RETURNS_PASSAGE,
    SHIPPING,
    add_shop,
)
from tests.browser.stub import Stub
from tests.browser.stub_turns import Script

MARK_IN_VIEW = """() => {
  const mark = document.querySelector(".document mark").getBoundingClientRect();
  const box = document.querySelector(".source-text").getBoundingClientRect();
  return mark.top >= box.top && mark.bottom <= box.bottom;
}"""


def length_of(page: Page) -> int:
    return len(page.locator(".document").text_content() or "")


def test_text_is_shown_while_it_arrives(stub: Stub, open_page: OpenPage) -> None:
    go_on = threading.Event()
    stub.scripts["Slow?"] = Script(pieces=("First half, ", go_on, "second half."))
    page = open_page(stub.url)

    ask(page, "Slow?")

    page.wait_for_selector(".text.live:has-text('First half,')")
    assert page.locator(".phase").inner_text().strip() == "Writing"
    assert page.locator(".turn").get_attribute("data-state") == "running"
    go_on.set()
    finished(page)
    assert page.locator(".text").inner_text() == "First half, second half."
    assert page.locator(".phase").count() == 0


def test_a_citation_opens_the_document_with_exactly_the_passage_marked(
    stub: Stub, open_page: OpenPage
) -> None:
    add_shop(stub)
    page = open_page(stub.url)
    ask(page, QUESTION)
    finished(page)
    assert page.locator(".text").inner_text() == ANSWER

    page.locator(".cite").first.click()

    mark = page.locator(".document mark")
    mark.wait_for()
    assert mark.text_content() == PASSAGE
    assert page.locator(".document").text_content() == SHIPPING.format(passage=PASSAGE)
    assert page.evaluate(MARK_IN_VIEW)
    head = page.locator(".source-head").inner_text()
    for fact in ("Shipping", "Delivery times", "shop/shipping.md", "generation 3", "9f2c4be01a"):
        assert fact in head


def test_a_passage_far_down_is_scrolled_into_view(stub: Stub, open_page: OpenPage) -> None:
    text = (
        "Intro 🐢.\n\n" + "A line of a long document.\n" * 900 + "Here it is.\n" + "More.\n" * 900
    )
    start = text.index("Here it is.")
    doc = stub.add_document(
        {"document": "long.txt", "revision": "r", "title": "Long", "text": text,
         "span": [start, start + 11]},
    )  # fmt: skip
    stub.scripts["Where?"] = Script(pieces=("There [1].",), sources=[doc])
    page = open_page(stub.url)
    ask(page, "Where?")
    finished(page)

    page.locator(".cite").click()

    page.locator(".document mark").wait_for()
    assert page.evaluate(MARK_IN_VIEW)
    shown = length_of(page)
    page.get_by_role("button", name="Show the text before").click()
    wait_until(lambda: length_of(page) > shown)
    assert page.locator(".document mark").text_content() == "Here it is."


def test_sources_stand_below_the_answer_and_can_be_walked_through(
    stub: Stub, open_page: OpenPage
) -> None:
    add_shop(stub)
    page = open_page(stub.url)
    ask(page, QUESTION)
    finished(page)
    assert "2 sources" in page.locator(".why h3").inner_text()

    page.locator(".why button").nth(1).click()
    page.locator(f".document mark:has-text('{RETURNS_PASSAGE}')").wait_for()
    assert page.locator(".source-at").inner_text() == "2 of 2"
    page.get_by_role("button", name="Next source").click()

    page.locator(f".document mark:has-text('{PASSAGE}')").wait_for()
    assert page.locator(".source-at").inner_text() == "1 of 2"


def test_a_source_that_is_gone_says_so(stub: Stub, open_page: OpenPage) -> None:
    add_shop(stub)
    stub.documents.clear()
    page = open_page(stub.url)
    ask(page, QUESTION)
    finished(page)

    page.locator(".cite").first.click()

    assert "no longer kept" in page.locator(".source-absent").inner_text()


@pytest.mark.parametrize(
    ("locale", "told"), [("en-GB", "This source was withdrawn."), ("zh-CN", "该来源已撤回。")]
)
def test_a_source_that_was_purged_is_withdrawn(
    stub: Stub, open_page: OpenPage, locale: str, told: str
) -> None:
    add_shop(stub)
    stub.refuse("GET", "/v1/sources/", 410, code="withdrawn")
    page = open_page(stub.url, locale=locale)
    page.locator("#question").fill(QUESTION)
    page.locator("#question").press("Enter")
    finished(page)

    page.locator(".cite").first.click()

    assert page.locator(".source-absent").inner_text().strip() == told


def test_an_answer_tells_who_served_it_and_from_which_knowledge(
    stub: Stub, open_page: OpenPage
) -> None:
    add_shop(stub)
    page = open_page(stub.url)

    ask(page, QUESTION)
    finished(page)

    meta = page.locator(".meta").inner_text()
    assert "worker-0" in meta
    assert "default · generation 3" in meta


def test_markdown_is_drawn_and_wide_parts_scroll_alone(stub: Stub, open_page: OpenPage) -> None:
    table = "| a | b | c |\n|---|---|---|\n" + f"| {'x' * 400} | y | z |\n"
    stub.scripts["Table?"] = Script(
        pieces=(
            f"## Prices\n\n{table}\n\n- one\n- **two**\n\n```\n{'code ' * 80}\n```\n\n{'w' * 500}",
        )
    )
    page = open_page(stub.url)

    ask(page, "Table?")
    finished(page)

    assert page.locator(".text h4").inner_text() == "Prices"
    assert page.locator(".text li strong").inner_text() == "two"
    assert page.locator(".text td").count() == 3
    thread = page.locator(".thread")
    assert thread.evaluate("(box) => box.scrollWidth - box.clientWidth") == 0


def test_the_cluster_is_shown_pod_by_pod(stub: Stub, open_page: OpenPage) -> None:
    stub.pods_ready["worker-1"] = False
    page = open_page(stub.url)

    page.get_by_role("button", name="Cluster").click()

    pods = page.locator(".pods li")
    pods.first.wait_for()
    assert pods.count() == 3
    assert "not ready" in pods.nth(1).inner_text()
    assert "2 of 3 pods" in page.locator(".cluster-label").inner_text()


def test_rows_quoted_from_a_table_are_drawn_as_rows(stub: Stub, open_page: OpenPage) -> None:
    source = {"document": "d", "revision": "r", "title": "T", "text": "x", "span": [0, 1]}
    stub.scripts["Rows?"] = Script(
        pieces=(
            "It depends. [1]\n| Malaysia | $8.90 | [1]\n| Sing",
            "apore | $4.90 | [1]\nThat is all.",
        ),
        sources=[stub.add_document(source)],
    )
    page = open_page(stub.url)

    ask(page, "Rows?")
    finished(page)

    cells = page.locator(".text td").all_inner_texts()
    assert cells == ["Malaysia", "$8.90 1", "Singapore", "$4.90 1"]
    assert page.locator(".text p").all_inner_texts() == ["It depends. 1", "That is all."]
    assert page.locator(".cite").count() == 3


def test_the_end_stays_in_view_until_the_reader_goes_up(stub: Stub, open_page: OpenPage) -> None:
    go_on = threading.Event()
    lines = tuple(f"Line {n} of a long answer.\n\n" for n in range(60))
    stub.scripts["Long?"] = Script(pieces=(*lines, go_on, "The end."))
    page = open_page(stub.url)
    ask(page, "Long?")
    page.wait_for_selector(".text:has-text('Line 59')")
    wait_until(lambda: distance_to_end(page) < 2)
    assert page.locator(".to-end").count() == 0

    page.locator(".thread").hover()
    page.mouse.wheel(0, -600)
    page.locator(".to-end button").wait_for()
    above = distance_to_end(page)
    go_on.set()
    finished(page)

    assert distance_to_end(page) >= above
    page.get_by_role("button", name="To the latest answer").click()
    wait_until(lambda: distance_to_end(page) < 2)


def distance_to_end(page: Page) -> float:
    return float(
        page.locator(".thread").evaluate("(b) => b.scrollHeight - b.scrollTop - b.clientHeight")
    )
