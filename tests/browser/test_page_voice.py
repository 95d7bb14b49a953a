"""The microphone of the page is off when nobody talks, and offered to whoever may use it."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage, wait_until
from tests.browser.stub import Stub

# Asked from outside: the page's own policy lets nobody wait for a text of code in it.

# A microphone that a test grants, and what became of all that was opened.
FAKE = """() => {
  window.opened = { tracks: [], contexts: [] };
  const Real = window.AudioContext;
  window.AudioContext = class extends Real {
    constructor() { super(); window.opened.contexts.push(this); }
  };
  navigator.mediaDevices.getUserMedia = () => new Promise((grant, refuse) => {
    window.grant = () => {
      const track = { live: true, stop() { this.live = false; } };
      window.opened.tracks.push(track);
      grant({ getTracks: () => [track] });
    };
    window.refuse = () => refuse(new DOMException("no", "NotAllowedError"));
  });
}"""
ALL_OFF = """() => opened.tracks.every(({ live }) => !live)
  && opened.contexts.every(({ state }) => state === "closed")"""


def hears(handler: Any, *, body: Any) -> None:
    handler._json(200, {"hears": True, "speaks": True})


@pytest.fixture
def hearing(stub: Stub, open_page: OpenPage) -> Page:
    """A page that offers its microphone, and waits for leave to use it."""
    stub.more_routes = (("GET", r"/v1/voice", hears),)
    page = open_page(stub.url)
    page.evaluate(FAKE)
    page.get_by_label("Ask by voice").click()
    wait_until(lambda: page.evaluate("window.grant !== undefined"))
    return page


def test_what_fails_behind_the_permission_leaves_no_microphone_on(hearing: Page) -> None:
    hearing.evaluate(
        "() => { AudioWorklet.prototype.addModule = () => Promise.reject(new Error('no')); }"
    )

    hearing.evaluate("grant()")

    expect(hearing.get_by_text("The microphone cannot be used.")).to_be_visible()
    assert hearing.evaluate("opened.tracks.length") == 1
    wait_until(lambda: hearing.evaluate(ALL_OFF))


def test_a_refused_microphone_leaves_nothing_open(hearing: Page) -> None:
    hearing.evaluate("refuse()")

    expect(hearing.get_by_text("The microphone cannot be used.")).to_be_visible()
    wait_until(lambda: hearing.evaluate(ALL_OFF))


def test_stopped_while_the_permission_is_asked_for_it_stays_off(hearing: Page) -> None:
    hearing.locator(".send.voice").click()
    expect(hearing.get_by_label("Ask by voice")).to_have_attribute("aria-pressed", "false")

    hearing.evaluate("grant()")

    wait_until(lambda: hearing.evaluate(ALL_OFF))
    expect(hearing.get_by_label("Ask by voice")).to_have_attribute("aria-pressed", "false")
    assert hearing.evaluate("opened.tracks.length") == 1


def test_a_closed_cluster_is_asked_for_its_voice_after_the_login(
    stub: Stub, open_page: OpenPage
) -> None:
    entered: list[bool] = []

    def closed(handler: Any, *, body: Any) -> None:
        if entered:
            handler._json(200, {"tenant": "default", "subject": "ann", "role": "customer",
                                "hears": True})  # fmt: skip
        else:
            handler._error(401, code="unauthenticated")

    def log_in(handler: Any, *, body: Any) -> None:
        entered.append(True)
        closed(handler, body=body)

    stub.more_routes = (
        ("GET", r"/v1/(?:me|voice)", closed),
        ("POST", r"/v1/login", log_in),
    )
    page = open_page(stub.url)
    page.get_by_label("API key").fill("kn_key")
    page.keyboard.press("Enter")

    expect(page.get_by_label("Ask by voice")).to_be_visible()
