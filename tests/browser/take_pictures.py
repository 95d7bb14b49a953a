"""Takes the pictures of the documentation: ``python -m tests.browser.take_pictures URL FOLDER``."""

import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.conftest import ARGUMENTS, CHROMIUM, PHONE, ask, finished

QUESTIONS = (
    "How long is the warranty on lamps?",
    "Can I cancel my order?",
)
QUESTION_ZH = "标准配送到马来西亚需要多长时间？"
DESKTOP = {"viewport": {"width": 1440, "height": 900}, "locale": "en-US"}
PHONE_OPTIONS = {"viewport": PHONE, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}


def main(url: str, folder: Path) -> None:
    """Hold short conversations with the page at ``url`` and write pictures of them."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        desktop(browser, url, folder)
        phone(browser, url, folder)
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
    chinese.locator(".cluster button").click()
    save(chinese, folder / "page-chinese.png")


def phone(browser: Browser, url: str, folder: Path) -> None:
    """The page on a phone, and the source as a sheet."""
    page = opened(browser, url, locale="en-US", **PHONE_OPTIONS)
    converse(page)
    save(page, folder / "page-phone.png")
    page.locator(".cite").first.tap()
    page.locator(".document mark").first.wait_for()
    save(page, folder / "page-phone-source.png")


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
    main(sys.argv[1], Path(sys.argv[2]))
