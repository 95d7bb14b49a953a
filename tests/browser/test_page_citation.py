"""A citation opens its very sentence: in the panel, on a page without scripts, after a change."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Browser, Page
from werkzeug.serving import make_server

from kotaemon_node.api.app import create_app
from kotaemon_node.domain.knowledge import Source
from tests.browser.conftest import OpenPage, ask, finished, wait_until
from tests.browser.stub import Stub
from tests.browser.stub_turns import Script
from tests.cluster import Cluster
from tests.fakes.knowledge_base import GENERATION, PASSAGE
from tests.fakes.services import FakeCluster

FIRST = "Lamps are sent by parcel 🐢 within two days."
SECOND = "A lamp with a glass shade 𠮷 takes a week."
PASSAGE_TEXT = f"{FIRST} We pack each of them in a box of its own. {SECOND} Sofas take a month."
TEXT = "Lamps 📦\n\n" + "Before. " * 900 + f"\n\n{PASSAGE_TEXT}\n\n" + "After. " * 900
IN_VIEW = """(mark) => {
  const place = mark.getBoundingClientRect();
  const head = document.querySelector("header").getBoundingClientRect();
  const box = mark.closest(".source-text")?.getBoundingClientRect()
    ?? { top: head.bottom, bottom: innerHeight };
  return place.top >= box.top && place.bottom <= box.bottom;
}"""


def span(part: str) -> tuple[int, int]:
    """Return where a part of the text stands, in code points."""
    return TEXT.index(part), TEXT.index(part) + len(part)


def quotes() -> str:
    return ",".join("-".join(map(str, span(part))) for part in (FIRST, SECOND))


def opened(stub: Stub, open_page: OpenPage) -> Page:
    """Return a page with an answer that quotes two sentences of one source."""
    source = {"document": "lamps.md", "revision": "r", "title": "Lamps", "text": TEXT,
              "span": list(span(PASSAGE_TEXT))}  # fmt: skip
    doc = stub.add_document(source, quotes=[list(span(FIRST)), list(span(SECOND))])
    script = Script(pieces=(f"{FIRST} [1] ", f"{SECOND} [1]"), sources=[doc])
    stub.scripts["How are lamps sent?"] = script
    page = open_page(stub.url)
    ask(page, "How are lamps sent?")
    finished(page)
    return page


def test_each_mark_opens_the_very_sentence_before_it(stub: Stub, open_page: OpenPage) -> None:
    page = opened(stub, open_page)

    here = page.locator(".document mark.here")
    for place, sentence in ((1, SECOND), (0, FIRST)):
        page.locator(".cite").nth(place).click()
        page.locator(f".document mark.here:has-text('{sentence}')").wait_for()
        wait_until(lambda: bool(here.evaluate(IN_VIEW)))
        assert page.locator(".document mark").all_text_contents() == [FIRST, SECOND]
    assert page.locator(".document .passage").text_content() == PASSAGE_TEXT
    shown = page.locator(".document").text_content() or ""
    assert shown in TEXT


def test_a_source_has_an_address_of_its_own_with_its_quotes(
    stub: Stub, open_page: OpenPage
) -> None:
    page = opened(stub, open_page)

    page.locator(".cite").first.click()

    address = page.locator(".source-bar a").get_attribute("href")
    assert address == f"/v1/sources/default/3/p1?quote={quotes()}#cited"


@pytest.fixture
def pod_url() -> Iterator[str]:
    """Serve the real routes with that document in them."""
    cluster = FakeCluster()
    source = Source("default", GENERATION, "lamps.md", "r" * 64, "Lamps", TEXT, span(PASSAGE_TEXT))
    cluster.knowledge.source = lambda *_: source  # type: ignore[method-assign]
    server = make_server("127.0.0.1", 0, create_app(replace(cluster.services())), threaded=True)
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    serving.join()


@pytest.mark.parametrize("fragment", ["", "#cited"])
def test_without_scripts_the_page_of_a_source_shows_the_sentence(
    pod_url: str, browser: Browser, fragment: str
) -> None:
    context = browser.new_context(java_script_enabled=False, viewport={"width": 900, "height": 700})
    page = context.new_page()

    page.goto(f"{pod_url}/v1/sources/default/{GENERATION}/{PASSAGE.id}?quote={quotes()}{fragment}")

    assert page.locator("mark").all_text_contents() == [FIRST, SECOND]
    assert page.locator(".document").text_content() == TEXT
    assert page.locator("h1").inner_text() == "Lamps"
    # What a script of the test may ask is not what the page may run.
    wait_until(lambda: bool(page.locator("mark").first.evaluate(IN_VIEW)))
    context.close()


@pytest.mark.long
def test_after_a_change_the_old_answer_still_opens_the_old_sentence(
    plates: Cluster, open_page: OpenPage, knowledge: Path
) -> None:
    cluster, plate = plates, knowledge / "plates.md"
    old = "The Cirrus plate is blue."
    question = "What colour is the Cirrus plate?"
    plate.write_text(f"# Plates\n\n{old} It is made of clay.\n", "utf-8")
    wait_until(lambda: "blue" in told(cluster, question))
    page = open_page(cluster.url)
    ask(page, question)
    finished(page)
    plate.write_text("# Plates\n\nPlates come in boxes. The Cirrus plate is green.\n", "utf-8")
    wait_until(lambda: "green" in told(cluster, question))

    page.reload()
    page.locator(".cite").first.click()

    mark = page.locator(".document mark")
    mark.wait_for()
    assert mark.text_content() == old
    assert "green" not in (page.locator(".document").text_content() or "")
    with page.context.expect_page() as own:
        page.locator(".source-bar a").click()
    assert own.value.locator("mark").all_text_contents() == [old]
    assert own.value.locator("script").count() == 0


@pytest.mark.long
def test_through_the_balancer_a_source_may_be_kept_until_it_is_purged(
    plates: Cluster, knowledge: Path
) -> None:
    (knowledge / "forks.md").write_text("# Forks\n\nThe Stratus fork is steel.\n", "utf-8")
    question = {"q": "What is the Stratus fork made of?"}
    wait_until(lambda: "steel" in told(plates, question["q"]))
    [doc] = requests.get(f"{plates.url}/ask", params=question, timeout=30).json()["source"]
    address = plates.url + doc["url"]

    kept = requests.get(address, timeout=30)
    again = requests.get(address, headers={"If-None-Match": kept.headers["ETag"]}, timeout=30)
    done = requests.delete(
        f"{plates.url}/v1/knowledge/default/documents/forks.md?purge=true", timeout=30
    )

    assert kept.headers["Cache-Control"] == "public, max-age=300, must-revalidate, immutable"
    assert (again.status_code, again.content) == (304, b"")
    assert done.status_code == 202
    wait_until(lambda: requests.get(address, timeout=30).status_code == 410)
    gone = requests.get(address, headers={"If-None-Match": kept.headers["ETag"]}, timeout=30)
    assert gone.headers["Cache-Control"] == "no-store"


@pytest.fixture(scope="module")
def knowledge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("knowledge")
    (folder / "cups.md").write_text("# Cups\n\nThe Aurora cup holds 350 millilitres.\n", "utf-8")
    return folder


@pytest.fixture(scope="module")
def plates(tmp_path_factory: pytest.TempPathFactory, knowledge: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("data"), knowledge=knowledge, workers=2) as running:
        yield running


def told(cluster: Cluster, question: str) -> str:
    answer: str = requests.get(f"{cluster.url}/ask", params={"q": question}, timeout=30).json()[
        "answer"
    ]
    return answer
