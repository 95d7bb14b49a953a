"""The page's microphone, without a cluster: a browser hears real speech, and says the answer."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from kotaemon_node.api.app import create_app
from kotaemon_node.domain.sound import Pcm, wav_of
from tests.browser.conftest import ARGUMENTS, CHROMIUM
from tests.fakes.services import FakeCluster
from tests.socket_server import SocketServer
from tests.speech import SILENCE, offline, spoken, word_errors

QUESTION = "where is my order"

pytestmark = pytest.mark.long


@pytest.fixture
def microphone(tmp_path: Path) -> Iterator[Browser]:
    """A browser whose microphone hears the question, then silence, again and again."""
    said = tmp_path / "question.wav"
    said.write_bytes(wav_of(Pcm(16_000, SILENCE + spoken(QUESTION) + SILENCE * 20)))
    fake = [
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={said}",
        "--autoplay-policy=no-user-gesture-required",
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*ARGUMENTS, *fake])
        yield browser
        browser.close()


def test_the_page_hears_a_question_and_speaks_its_answer(microphone: Browser) -> None:
    cluster = FakeCluster()
    with offline() as offer:
        app = create_app(replace(cluster.services(), voice=offer))
        with SocketServer(app) as server:
            context = microphone.new_context(locale="en-US", permissions=["microphone"])
            page = context.new_page()
            problems: list[str] = []
            page.on("pageerror", lambda error: problems.append(str(error)))
            page.goto(server.url.replace("ws", "http"))
            page.get_by_label("Ask by voice").click()
            page.wait_for_selector(".send.voice.speaking", timeout=120_000)
            page.wait_for_selector(".turn[data-state=done]", timeout=60_000)
            asked = page.locator(".turn .question").first.inner_text().splitlines()[-1]
            page.get_by_label("Ask by voice").wait_for(timeout=60_000)
            context.close()

    assert word_errors(QUESTION, asked) <= 1
    assert cluster.turns.submitted[0].message == asked
    assert problems == []
