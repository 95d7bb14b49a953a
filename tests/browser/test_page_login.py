"""A closed cluster: the page asks for a key, keeps it out of reach of scripts, and lets it go.

The routes are the product's own, around the scripted pod.
"""

import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect
from werkzeug.serving import make_server

from kotaemon_node.api.app import create_app
from tests.browser.conftest import OpenPage, ask, finished
from tests.browser.test_page_contrast import CONTRAST_MIN, LOW_CONTRASTS
from tests.fakes.credentials import KeyedCluster
from tests.fakes.services import ANSWER


@pytest.fixture
def closed() -> Iterator[tuple[str, KeyedCluster]]:
    """Serve a scripted pod that asks for keys; yield its address and its parts."""
    cluster = KeyedCluster()
    server = make_server("127.0.0.1", 0, create_app(cluster.services()), threaded=True)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", cluster
    server.shutdown()


def test_the_page_asks_for_a_key_keeps_it_and_lets_it_go(
    closed: tuple[str, KeyedCluster], open_page: OpenPage
) -> None:
    # given a page that nobody logged in to
    url, cluster = closed
    key = cluster.key(user="ann")
    page = open_page(url)
    field = page.get_by_label("API key")
    expect(field).to_be_focused()
    assert page.locator("#question").count() == 0

    # when the key is wrong, it says so where a reader of the screen hears it
    page.keyboard.type("kn_wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("This key is not known, or it has ended.")
    expect(field).to_be_focused()
    assert page.evaluate(LOW_CONTRASTS, CONTRAST_MIN) == []
    page.get_by_role("button", name="切换到中文").click()
    expect(page.get_by_label("API 密钥")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_text("密钥无效或已过期。")

    # when it is right, the page is there, and a reload does not ask again
    page.get_by_label("API 密钥").fill(key)
    page.keyboard.press("Enter")
    ask(page, "How long?")
    finished(page)
    assert "." in page.url.partition("?s=")[2], "the id was minted"
    page.reload()
    finished(page)
    assert ANSWER.partition("[")[0].strip() in page.locator(".text").inner_text()
    assert page.evaluate("document.cookie") == ""
    assert key not in page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert page.get_by_role("button", name="集群").count() == 0, "not for a customer to see"

    # when the user leaves, the page knows nothing any more
    page.get_by_role("button", name="退出登录").click()
    expect(page.get_by_label("API 密钥")).to_be_focused()
    assert "?s=" not in page.url
    page.reload()
    expect(page.get_by_label("API 密钥")).to_be_focused()


def test_a_question_that_met_a_login_that_ended_is_asked_after_the_next(
    closed: tuple[str, KeyedCluster], open_page: OpenPage
) -> None:
    url, cluster = closed
    key = cluster.key(user="ann")
    page = open_page(url)
    page.get_by_label("API key").fill(key)
    page.keyboard.press("Enter")
    expect(page.locator("#question")).to_be_focused()

    page.context.clear_cookies()
    ask(page, "How long?")
    page.get_by_label("API key").fill(key)
    page.keyboard.press("Enter")

    finished(page)
    assert page.locator(".question p").all_inner_texts() == ["How long?"]
    assert len(cluster.turns.submitted) == 1
