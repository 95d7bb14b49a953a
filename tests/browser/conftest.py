"""A real Chromium on a small server of the page's routes; each page shows that it kept its CSP."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    expect,
    sync_playwright,
)

from tests.browser.stub import Stub
from tests.browser.stub_admin import AdminStub

CHROMIUM = os.environ.get("CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium-headless-shell", "chromium", "chromium-browser"))),
    None,
)
"""The program; the first opens a page for a third of the computing, since it has no windows."""
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 375, "height": 740}

# The page's own eyes: what the browser refused, and whether anything was loaded from elsewhere.
WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.violations.push(`${event.violatedDirective}: ${event.blockedURI} ${event.sourceFile}`));
"""

OpenPage = Callable[..., Page]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.fail("Chromium is not installed; `make install` installs it")
    expect.set_options(timeout=60_000)  # a machine may be busy with other things
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture
def stub() -> Iterator[Stub]:
    server = Stub()
    yield server
    server.close()


@pytest.fixture
def admin() -> Iterator[AdminStub]:
    server = AdminStub()
    yield server
    server.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """Open pages; at the end no page may have met an error or a violation of its policy."""
    contexts: list[BrowserContext] = []
    said: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        # A refused or broken request is reported by the browser itself; those are staged here.
        if message.type == "error" and "Failed to load resource" not in message.text:
            said.append(message.text)

    def opened(url: str, *, context: BrowserContext | None = None, **options: Any) -> Page:
        if context is None:
            context = browser.new_context(**{"viewport": DESKTOP, "locale": "en-US", **options})
            context.set_default_timeout(30_000)
            context.add_init_script(WATCH)
            contexts.append(context)
        page = context.new_page()
        page.on("console", listen)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(url)
        return page

    with ExitStack() as after:
        for_each = contexts  # filled while the test runs
        after.callback(lambda: [context.close() for context in for_each])
        yield opened
        violations = [
            violation
            for context in contexts
            for page in context.pages
            for violation in page.evaluate("window.violations")
        ]
        assert violations == []
        assert said == []


def ask(page: Page, question: str) -> None:
    """Type a question and send it with Enter."""
    page.locator("#question").fill(question)
    page.locator("#question").press("Enter")


def finished(page: Page, *, turns: int = 1) -> None:
    """Wait until so many turns are done."""
    page.wait_for_selector(f".turn[data-state=done] >> nth={turns - 1}")


def wait_until(holds: Callable[[], bool], *, within_s: float = 60.0) -> None:
    """Ask again and again until it holds; fails when it does not within the time."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)
