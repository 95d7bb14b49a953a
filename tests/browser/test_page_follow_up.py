"""A message that nobody asked for appears in the conversation, and says what it is."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenPage, ask, finished
from tests.browser.stub import Stub
from tests.browser.stub_turns import Script, StubTurn

TOLD = "Order 1003 was cancelled."


def tells(stub: Stub, sid: str) -> None:
    """Tell the session something, as the stream of a session does."""
    turn = StubTurn("follow-up-1", "", Script(pieces=(TOLD,)))
    turn.said = {"origin": "follow_up", "ref": "call 7"}
    stub.sessions[sid].append(turn)
    turn.run()


@pytest.mark.parametrize(
    ("locale", "label"),
    [
        ("en", "About what you asked before"),
        pytest.param("zh-CN", "关于您之前的问题", marks=pytest.mark.long),
    ],
)
def test_a_follow_up_is_shown_live_and_after_a_reload_without_a_question(
    stub: Stub, open_page: OpenPage, locale: str, label: str
) -> None:
    page = open_page(stub.url, locale=locale)
    ask(page, "Cancel 1003")
    finished(page)

    tells(stub, page.url.partition("?s=")[2])

    for _ in range(2):
        finished(page, turns=2)
        told = page.locator(".turn").nth(1)
        expect(told.locator(".text")).to_have_text(TOLD)
        expect(told.locator(".said-by")).to_have_text(label)
        assert page.locator(".question").count() == 1
        page.reload()
