"""The rules of WCAG as axe-core checks them, in each of the page's states."""

from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Page

from tests.browser.acting_scripts import proposing
from tests.browser.conftest import OpenPage, ask, finished
from tests.browser.knowledge import QUESTION, add_shop
from tests.browser.stub import Stub
from tests.browser.stub_turns import Script

AXE = Path(__file__).parents[1] / "js" / "node_modules" / "axe-core" / "axe.min.js"

pytestmark = pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed")

TABLE = "| a | b |\n|---|---|\n| 1 | 2 |\n"
CODE = "```py\nprint(1)\n```\n"


def problems(page: Page) -> list[str]:
    """Return what axe finds: the rule and where it is broken."""
    page.evaluate("Promise.all(document.getAnimations().map((one) => one.finished)).then(() => 0)")
    page.evaluate(AXE.read_text())
    found: dict[str, Any] = page.evaluate(
        "axe.run({ resultTypes: ['violations'] }).then(({ violations }) => ({ violations }))"
    )
    return [
        f"{rule['id']}: {node['html'][:120]}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_conversation_keeps_the_rules(
    stub: Stub, open_page: OpenPage, scheme: Literal["light", "dark"]
) -> None:
    add_shop(stub)
    stub.scripts["Show all"] = Script(pieces=(f"# One\n\n{TABLE}\n{CODE}\n- a\n- b [1]\n",))
    stub.scripts["Cancel it"] = proposing("Shall I?")
    stub.has_examples = True
    page = open_page(stub.url, color_scheme=scheme)
    page.wait_for_selector(".examples")
    assert problems(page) == []

    for number, question in enumerate((QUESTION, "Show all", "Cancel it"), start=1):
        ask(page, question)
        finished(page, turns=number)
    page.locator(".tools summary").click()
    page.get_by_role("button", name="Bad answer").last.click()
    assert problems(page) == []

    page.locator(".cite").first.click()
    page.locator(".document mark").wait_for()
    assert problems(page) == []
    page.keyboard.press("Escape")
    page.locator("#question").blur()
    page.keyboard.press("?")
    page.get_by_role("dialog").wait_for()
    assert problems(page) == []


def test_a_phone_keeps_the_rules(stub: Stub, open_page: OpenPage) -> None:
    add_shop(stub)
    page = open_page(
        stub.url, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True,
        locale="zh-CN",
    )  # fmt: skip
    page.locator("#question").fill(QUESTION)
    page.locator("#question").press("Enter")
    finished(page)
    assert problems(page) == []

    page.get_by_role("button", name="对话列表").tap()
    page.locator(".side.drawer .row-open").wait_for()
    assert problems(page) == []
