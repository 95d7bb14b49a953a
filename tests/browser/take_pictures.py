"""Takes the pictures of the documentation: ``python -m tests.browser.take_pictures FOLDER``.

They are of clusters that it starts: the sample shop, and one whose answers take long.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import requests
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.conftest import ARGUMENTS, CHROMIUM, PHONE, ask, finished
from tests.cluster import Cluster
from tests.fakes.llm_server import FakeLlmServer

QUESTIONS = (
    "How long is the warranty on lamps?",
    "Can I cancel my order?",
)
QUESTION_ZH = "标准配送到马来西亚需要多长时间？"
DESKTOP: dict[str, Any] = {"viewport": {"width": 1440, "height": 900}, "locale": "en-US"}
ADMIN: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}, "locale": "en-US"}
PHONE_OPTIONS: dict[str, Any] = {
    "viewport": PHONE,
    "has_touch": True,
    "is_mobile": True,
    "device_scale_factor": 2,
}


def main(folder: Path) -> None:
    """Hold short conversations, look at them as those who run the cluster do, and kill a pod."""
    expect.set_options(timeout=120_000)
    with sync_playwright() as playwright, TemporaryDirectory() as data:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        with Cluster(Path(data, "shop"), plugins="sample") as shop:
            desktop(browser, shop.url, folder)
            phone(browser, shop.url, folder)
            admin(browser, shop.url, folder)
        with FakeLlmServer(token_ms=100, tokens_min=250) as slow:
            environment = {"LLM_BASE_URL": slow.base_url, "LLM_CONTINUE": "vllm"}
            with Cluster(Path(data, "slow"), plugins="sample", environment=environment) as cluster:
                killed_pod(browser, cluster, folder)
        browser.close()


def desktop(browser: Browser, url: str, folder: Path) -> None:
    """The page in light and dark, with the source panel open, and in Chinese."""
    page = opened(browser, url, **DESKTOP)
    save(page, folder / "page-start.png")
    converse(page)
    save(page, folder / "page-light.png")
    page.locator(".turn").nth(1).locator(".cite").first.click()
    page.locator(".document mark").first.wait_for()
    save(page, folder / "page-source.png")
    address = page.url
    dark = opened(browser, address, **DESKTOP, color_scheme="dark")
    finished(dark, turns=2)
    dark.locator(".turn").nth(1).locator(".cite").first.click()
    dark.locator(".document mark").first.wait_for()
    save(dark, folder / "page-dark.png")
    chinese = opened(browser, url, **{**DESKTOP, "locale": "zh-CN"})
    ask(chinese, QUESTION_ZH)
    finished(chinese)
    chinese.locator(".cite").first.click()
    chinese.locator(".document mark").first.wait_for()
    save(chinese, folder / "page-chinese.png")


def phone(browser: Browser, url: str, folder: Path) -> None:
    """The page on a phone, and the source as a sheet."""
    page = opened(browser, url, locale="en-US", **PHONE_OPTIONS)
    converse(page)
    save(page, folder / "page-phone.png")
    page.locator(".cite").first.tap()
    page.locator(".document mark").first.wait_for()
    save(page, folder / "page-phone-source.png")


def admin(browser: Browser, url: str, folder: Path) -> None:
    """A conversation with the trace of an answer beside one that a person has; knowledge."""
    waiting = browser.new_context(**DESKTOP).new_page()
    waiting.goto(url)
    ask(waiting, "My lamp arrived broken, who can help?")
    finished(waiting)
    waiting.get_by_role("button", name="Talk to a person").click()
    waiting.get_by_role("button", name="Back to the assistant").wait_for()
    page = browser.new_context(**ADMIN).new_page()
    page.goto(f"{url}/admin#/sessions")
    page.locator(".session-rows.waiting li").first.wait_for()
    page.locator(".session-rows a", has_text=QUESTIONS[0]).first.click()
    page.get_by_role("button", name="How it came about").first.click()
    page.locator(".trace-box tbody tr").first.wait_for()
    page.locator(".trace-box").evaluate("(box) => box.scrollIntoView({ block: 'center' })")
    save(page, folder / "admin-session.png")
    hand = browser.new_context(**{**PHONE_OPTIONS, "locale": "zh-CN"}).new_page()
    hand.goto(f"{url}/admin#/knowledge/default")
    hand.locator("tr[data-document]").first.wait_for()
    save(hand, folder / "admin-phone.png")


def killed_pod(browser: Browser, cluster: Cluster, folder: Path) -> None:
    """The cluster in the moment after a pod was killed: others go on with its turns."""
    page = browser.new_context(**ADMIN).new_page()
    page.goto(f"{cluster.url}/admin#/cluster")
    expect(page.locator(".pod-card[data-state=ready]")).to_have_count(3)
    for number in range(12):
        begin_turn(cluster.url, f"pictured-{number}")
    expect(page.locator(".pod-card:has(.turn-cells .on)")).to_have_count(3)
    cluster.kill("worker-1")
    log = page.get_by_role("log")
    expect(log).to_contain_text("worker-1 is gone")
    expect(log).to_contain_text("took over")
    save(page, folder / "admin-cluster.png")


def begin_turn(url: str, sid: str) -> None:
    """Have a turn run, and go without its answer."""
    with requests.post(
        f"{url}/v1/sessions/{sid}/turns",
        json={"message": QUESTIONS[0]},
        headers={"Accept": "text/event-stream"},
        stream=True,
        timeout=60,
    ) as answer:
        answer.raise_for_status()
        next(answer.iter_lines())


def opened(browser: Browser, url: str, **options: Any) -> Page:
    """Open a page and wait until it is drawn."""
    page = browser.new_context(**options).new_page()
    page.goto(url)
    page.wait_for_selector(".thread")
    page.wait_for_selector(".dot.ready")
    return page


def converse(page: Page) -> None:
    """Ask the questions, one after the other."""
    for number, question in enumerate(QUESTIONS, start=1):
        ask(page, question)
        finished(page, turns=number)


def save(page: Page, file: Path) -> None:
    """Write a picture once nothing moves any more."""
    page.evaluate("document.fonts.ready.then(() => undefined)")
    page.evaluate("Promise.all(document.getAnimations().map((one) => one.finished)).then(() => 0)")
    page.screenshot(path=file)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
