"""The page on a real cluster: HAProxy, pods, Redis, coordinator; and what a killed pod means."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from playwright.sync_api import Page

from tests.browser.conftest import OpenPage, ask, finished
from tests.cluster import Cluster
from tests.fakes.llm_server import FakeLlmServer

QUESTION = "How long does standard delivery to Malaysia take?"
QUESTION_ZH = "灯具的保修期是多久？"
FIRST_VISIT_BYTES_MAX = 200_000


def served_by(page: Page, question: str, *, turns: int) -> str:
    """Ask and return the pod that the answer names."""
    with page.expect_response(lambda response: response.url.endswith("/turns")) as told:
        ask(page, question)
    finished(page, turns=turns)
    return told.value.headers["x-served-by"]


def quoted(cluster: Cluster, page: Page, *, turn: int, citation: int) -> list[str]:
    """Return what a citation quotes of its source, as the API tells it."""
    sid = page.url.partition("?s=")[2]
    turns = requests.get(f"{cluster.url}/v1/sessions/{sid}", timeout=30).json()["turns"]
    number = int(page.locator(".turn").nth(turn).locator(".cite").nth(citation).inner_text())
    doc = next(doc for doc in turns[turn]["sources"] if doc["n"] == number)
    source: dict[str, Any] = requests.get(cluster.url + doc["url"], timeout=30).json()
    return [source["text"][start:end] for start, end in doc["quotes"]]


def marked(page: Page, *, turn: int, citation: int) -> list[str]:
    """Open a citation and return what is marked."""
    page.locator(".turn").nth(turn).locator(".cite").nth(citation).click()
    page.locator(".document mark").first.wait_for()
    passage = page.locator(".document mark").all_text_contents()
    page.keyboard.press("Escape")
    page.locator(".source").wait_for(state="detached")
    return passage


@pytest.mark.long
def test_a_conversation_goes_on_after_the_pod_that_served_it_was_killed(
    cluster: Cluster, open_page: OpenPage
) -> None:
    page = open_page(cluster.url)
    pod = served_by(page, QUESTION, turns=1)
    answer = page.locator(".text").inner_text()
    assert "4 to 6 working days" in answer
    assert pod in page.locator(".meta").inner_text()
    sentences = quoted(cluster, page, turn=0, citation=0)
    assert "4 to 6 working days" in "".join(sentences)
    assert marked(page, turn=0, citation=0) == sentences

    cluster.kill(pod)
    page.reload()

    finished(page)
    assert page.locator(".text").inner_text() == answer
    served_by(page, QUESTION_ZH, turns=2)
    chinese = page.locator(".text").nth(1).inner_text()
    assert "36 个月" in chinese
    sentences = quoted(cluster, page, turn=1, citation=0)
    assert "36 个月" in "".join(sentences)
    assert marked(page, turn=1, citation=0) == sentences
    assert page.locator(".problem").count() == 0


def test_the_page_shows_the_pods_of_the_cluster(cluster: Cluster, open_page: OpenPage) -> None:
    page = open_page(cluster.url)

    page.get_by_role("button", name=re.compile("Cluster")).click()

    page.locator(".pods li").nth(2).wait_for()
    names = page.locator(".pod-name").all_inner_texts()
    assert names == ["worker-0", "worker-1", "worker-2"]
    page.locator(".popover .dot.ready").first.wait_for()


@pytest.fixture(scope="module")
def slow_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Run a cluster whose language model takes its time, so that a pod can die in the middle."""
    with FakeLlmServer(token_ms=60, tokens_min=120) as llm:
        environment = {"LLM_BASE_URL": llm.base_url, "LLM_CONTINUE": "vllm"}
        folder = tmp_path_factory.mktemp("page") / "data"
        with Cluster(folder, workers=2, environment=environment) as running:
            yield running


@pytest.mark.long  # a cluster of its own; the page's part: test_page_elsewhere.py, a cut stream
def test_a_pod_killed_in_the_middle_of_an_answer_is_hardly_noticed(
    slow_cluster: Cluster, open_page: OpenPage
) -> None:
    page = open_page(slow_cluster.url)
    with page.expect_response(lambda response: response.url.endswith("/turns")) as told:
        ask(page, QUESTION)
    page.wait_for_selector(".text.live .cite")
    begun = page.locator(".text").inner_text().strip()

    slow_cluster.kill(told.value.headers["x-served-by"])
    page.wait_for_selector(".turn[data-state=done]", timeout=60_000)

    sid = page.url.partition("?s=")[2]
    [turn] = requests.get(f"{slow_cluster.url}/v1/sessions/{sid}", timeout=30).json()["turns"]
    shown = page.locator(".text").inner_text()
    assert shown == turn["answer"].replace("[1]", "1")
    assert shown.startswith(begun)
    assert turn["attempts"] == 2
    assert page.locator(".pods-used").inner_text().count("→") >= 1
    assert page.locator(".problem").count() == 0


def sent_bytes(page: Page, url: str) -> int:
    """Open a page and return how many bytes of bodies and headers the server sent for it."""
    sent: list[float] = []
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.on("Network.loadingFinished", lambda told: sent.append(told["encodedDataLength"]))
    page.goto(url)
    page.wait_for_selector(".dot.ready")
    page.wait_for_load_state("load")
    return round(sum(sent))


def test_a_first_visit_is_small_and_a_second_one_tiny(
    cluster: Cluster, open_page: OpenPage
) -> None:
    page = open_page("about:blank")

    first = sent_bytes(page, cluster.url)
    second = sent_bytes(page, cluster.url)

    assert 50_000 < first < FIRST_VISIT_BYTES_MAX, first
    assert second < 0.15 * first, (first, second)
