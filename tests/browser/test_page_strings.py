"""Every public string that attacks a page, as an answer, a question, a title and a document."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from load.bad_input.doors import texts
from tests.browser.conftest import OpenPage, ask, finished
from tests.browser.stub import Stub
from tests.browser.stub_admin import AdminStub
from tests.browser.stub_turns import Script
from tests.browser.test_page_safety import HARMLESS, NOTHING

pytestmark = pytest.mark.data
TOGETHER = 60
"""Strings in one answer: each in a paragraph of its own, and all of them in one line besides."""

ADMIN_HARMLESS = """() => ({
  bad: document.querySelectorAll("main script, main iframe, main object, main img[src='x']").length,
  handlers: [...document.querySelectorAll("main *")]
    .flatMap((element) => [...element.attributes]).filter(({ name }) => name.startsWith("on"))
    .length,
  links: [...document.querySelectorAll("main a[href]")]
    .filter((link) => !/^https?:$/.test(link.protocol)).length,
})"""


def groups(data: Path) -> list[Sequence[str]]:
    found = [text.replace("\0", "") for text in texts(data)]
    return [found[at : at + TOGETHER] for at in range(0, len(found), TOGETHER)]


def shown(stub: Stub, page: Page, number: int, group: Sequence[str]) -> None:
    answer = "\n\n".join(group) + "\n\n" + " ".join(group)
    middle = len(answer) // 2
    source: dict[str, Any] = {
        "document": group[0] or "d", "revision": "r", "title": " ".join(group)[:500],
        "text": f"{' '.join(group)} The passage.", "span": [0, 4],
    }  # fmt: skip
    doc = stub.add_document(source, heading=[*group[:3]])
    asked = f"{number} {' '.join(group[:20])}".replace("\n", " ")[:2_000].strip()
    stub.scripts[asked] = stub.default = Script(
        pieces=(answer[:middle], answer[middle:], "\n\nSee [1]."), sources=[doc]
    )
    ask(page, asked)
    finished(page, turns=number)
    page.locator(".cite").last.click()
    page.locator(".document mark").wait_for()
    assert page.evaluate(HARMLESS) == NOTHING, number
    page.keyboard.press("Escape")


def check(stub: Stub, open_page: OpenPage, chosen: Sequence[Sequence[str]]) -> None:
    foreign: list[str] = []
    page = open_page(stub.url)
    page.on(
        "request",
        lambda request: foreign.append(request.url) if stub.url not in request.url else None,
    )
    for number, group in enumerate(chosen, start=1):
        shown(stub, page, number, group)
    assert foreign == []


def test_some_public_strings_do_nothing_on_the_page(
    stub: Stub, open_page: OpenPage, public_data: Path
) -> None:
    check(stub, open_page, groups(public_data)[:1])


@pytest.mark.long
def test_no_public_string_does_anything_on_the_page(
    stub: Stub, open_page: OpenPage, public_data: Path
) -> None:
    chosen = groups(public_data)
    check(stub, open_page, chosen)
    print(f"{sum(map(len, chosen))} strings as answers, questions, titles and documents")


@pytest.mark.long
def test_nor_on_the_admin_page(admin: AdminStub, open_page: OpenPage, public_data: Path) -> None:
    for number, group in enumerate(groups(public_data)):
        evil = " ".join(group).replace("\n", " ")
        admin.scripts[evil] = Script(pieces=("\n\n".join(group),))
        admin.begin(f"s{number}", "t1", evil)
        admin.handoffs[f"s{number}"] = {"since": 1.0, "reason": evil[:500], "by": "customer"}
        page = open_page(f"{admin.url}/admin#/sessions/s{number}")
        page.locator(".said-turn[data-state=done]").wait_for()
        page.locator(".agent-box").wait_for()
        assert page.evaluate(ADMIN_HARMLESS) == {"bad": 0, "handlers": 0, "links": 0}, number
        page.close()
