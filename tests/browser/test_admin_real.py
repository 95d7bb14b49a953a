"""The admin page on a real cluster: a pod killed, a document read, a session taken, a rollout."""

import re
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import requests
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.cluster import Cluster
from tests.fakes.llm_server import FakeLlmServer

pytestmark = pytest.mark.long

QUESTION = "How long does standard delivery to Malaysia take?"
PATIENCE_MS = 120_000


@pytest.fixture(scope="module")
def busy() -> Iterator[FakeLlmServer]:
    """A language model that takes its time, so that turns run while a pod dies."""
    with FakeLlmServer(token_ms=100, tokens_min=250) as llm:
        yield llm


@pytest.fixture(scope="module")
def real(busy: FakeLlmServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    environment = {"LLM_BASE_URL": busy.base_url, "LLM_CONTINUE": "vllm"}
    folder = tmp_path_factory.mktemp("admin") / "data"
    with Cluster(folder, workers=2, plugins="sample", environment=environment) as running:
        yield running


def begin_turn(cluster: Cluster, sid: str) -> None:
    """Have a turn run, and go without its answer."""
    url = f"{cluster.url}/v1/sessions/{sid}/turns"
    stream = {"Accept": "text/event-stream"}
    with requests.post(
        url, json={"message": QUESTION}, headers=stream, stream=True, timeout=60
    ) as answer:
        assert answer.status_code == 200
        next(answer.iter_lines())


def of(page: Page, pod: str) -> str:
    return page.locator(f".pod-card[data-pod={pod}]").get_attribute("data-state") or ""


def test_a_killed_pod_is_seen_to_go_and_its_turns_to_move(
    real: Cluster, open_page: OpenPage
) -> None:
    page = open_page(f"{real.url}/admin#/cluster")
    expect(page.locator(".pod-card[data-state=ready]")).to_have_count(2, timeout=PATIENCE_MS)
    for number in range(6):
        begin_turn(real, f"running-{uuid4().hex[:6]}-{number}")
    busy = page.locator(".pod-card:has(.turn-cells .on)").first
    busy.wait_for(timeout=PATIENCE_MS)
    pod = busy.get_attribute("data-pod")
    assert pod is not None

    real.kill(pod)

    log = page.get_by_role("log")
    expect(log).to_contain_text(
        re.compile(rf"{pod} is gone; it had \d+ turns?"), timeout=PATIENCE_MS
    )
    expect(log).to_contain_text(re.compile(r"took over \d+ turns?"), timeout=PATIENCE_MS)
    # It is started again by who looks after the processes.
    expect(log).to_contain_text(f"{pod} has started", timeout=PATIENCE_MS)
    expect(page.locator(f".pod-card[data-pod={pod}]")).to_have_attribute(
        "data-state", "ready", timeout=PATIENCE_MS
    )


def test_a_document_is_uploaded_read_found_and_removed(
    real: Cluster, open_page: OpenPage, tmp_path: Path
) -> None:
    file = tmp_path / "submarines.md"
    file.write_text("# Submarines\n\nA yellow submarine is delivered within 17 working days.\n")
    page = open_page(f"{real.url}/admin#/knowledge/default")
    page.locator("input[type=file]").set_input_files(file)
    upload = page.locator(".upload")
    expect(upload).to_contain_text("indexed, generation", timeout=PATIENCE_MS)
    expect(page.locator("tr[data-document='submarines.md']")).to_be_visible(timeout=PATIENCE_MS)

    page.get_by_role("link", name="Search").click()
    page.get_by_label("Question").fill("When is a yellow submarine delivered?")
    page.get_by_role("button", name="Search").click()
    hit = page.locator(".hit").first
    expect(hit).to_contain_text("17 working days", timeout=PATIENCE_MS)
    assert "submarine" in hit.locator("mark").all_inner_texts()

    page.get_by_role("link", name="Documents").click()
    page.get_by_role("button", name="Remove: submarines.md").click()
    page.get_by_role("button", name="Yes").click()
    expect(page.locator(".order")).to_contain_text("done", timeout=PATIENCE_MS)
    expect(page.locator("tr[data-document='submarines.md']")).to_have_count(0, timeout=PATIENCE_MS)


def test_a_session_is_taken_over_and_its_trace_read(
    real: Cluster, busy: FakeLlmServer, open_page: OpenPage
) -> None:
    sid = f"asked-{uuid4().hex[:8]}"
    begin_turn(real, sid)
    page = open_page(f"{real.url}/admin#/sessions")
    page.locator(f".session-rows a[href*='{sid}']").first.click()
    expect(page.locator(".said-turn .text")).not_to_be_empty(timeout=PATIENCE_MS)

    page.get_by_role("button", name="Take over").click()
    expect(page.locator(".agent-box.here")).to_be_visible(timeout=PATIENCE_MS)
    # Interrupted, or done already where the machine is slow: no bot speaks any more.
    running = page.locator(".said-turn:is([data-state=running], [data-state=queued])")
    expect(running).to_have_count(0, timeout=PATIENCE_MS)
    page.get_by_label("Your message").fill("This is Ann.")
    page.keyboard.press("Enter")
    expect(page.locator(".said-turn.by-person")).to_contain_text(
        "This is Ann.", timeout=PATIENCE_MS
    )
    page.get_by_role("button", name="How it came about").click()
    expect(page.locator(".trace-box tbody tr").first).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_role("button", name="Give back to the assistant").click()
    expect(page.get_by_role("button", name="Take over")).to_be_visible(timeout=PATIENCE_MS)

    turns = requests.get(f"{real.url}/v1/sessions/{sid}", timeout=30).json()["turns"]
    assert "This is Ann." in [turn["answer"] for turn in turns]


def test_a_configuration_is_rolled_out_with_the_slider(real: Cluster, open_page: OpenPage) -> None:
    page = open_page(f"{real.url}/admin#/plugins/order_query")
    card = page.locator("[data-plugin=order_query]")
    slider = card.get_by_label("New versions reach")
    slider.fill("30")
    card.get_by_role("button", name="Apply").click()
    expect(card).to_contain_text("begins with 30 %", timeout=PATIENCE_MS)
    card.get_by_label("Address").fill("http://127.0.0.1:8091")
    card.get_by_role("button", name="Save").click()
    expect(card).to_contain_text("is given to 30 % of the sessions", timeout=PATIENCE_MS)
    expect(card).to_have_attribute("data-converged", "true", timeout=PATIENCE_MS)
    slider.fill("100")
    card.get_by_role("button", name="Apply").click()
    expect(card).to_contain_text("No version is being tried", timeout=PATIENCE_MS)

    [told] = [
        row
        for row in requests.get(f"{real.url}/v1/plugins", timeout=30).json()["plugins"]
        if row["name"] == "order_query"
    ]
    assert told["stable"]["config"] == {"url": "http://127.0.0.1:8091"}
    assert told["rollout_percent"] == 100
    assert told["breaker"] == "closed"
