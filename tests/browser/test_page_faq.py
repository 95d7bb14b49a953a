"""The page of an FAQ: entries are added, changed, looked for and removed, by mouse and keyboard."""

import json
import re
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.conftest import PHONE, OpenPage, ask, finished
from tests.browser.stub import Stub
from tests.browser.test_page_contrast import CONTRAST_MIN, LOW_CONTRASTS
from tests.browser.test_page_phone import fits
from tests.cluster import Cluster

PATIENCE_MS = 60_000
WIDE_WORD = "w" * 150


class FaqRoutes:
    """The routes of FAQ entries as the page meets them; ``orders`` end when a test says so."""

    def __init__(self, page: Page) -> None:
        self.entries: dict[str, dict[str, Any]] = {}
        self.drafts: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.puts: list[tuple[str, dict[str, Any]]] = []
        self.decided: list[tuple[str, str, dict[str, Any]]] = []
        """What was done to drafts: method, last part of the path, body."""
        self.job: dict[str, Any] = {"state": "done", "result": {"generation": 8}}
        self.refusal: dict[str, Any] | None = None
        page.route(re.compile(r"/v1/(faq|jobs)"), self._answer)

    def add(self, entry_id: str, question: str, answer: str, **fields: Any) -> None:
        self.entries[entry_id] = {
            "id": entry_id, "kb": "default", "question": question, "answer": answer, "tags": [],
            "variants": [], "document": f"{entry_id}.faq.json", "revision": "r", "managed": True,
            "state": "live", "reason": None, "job": None, "generation": 7,
            "changed_at": "2026-01-01T00:00:00Z", "url": f"/v1/sources/default/7/{entry_id}",
            **fields,
        }  # fmt: skip

    def _answer(self, route: Route) -> None:
        method, address = route.request.method, urlsplit(route.request.url)
        entry_id = address.path.rpartition("/")[2]
        if address.path == "/v1/faq/drafts":
            route.fulfill(json={"kb": "default", "drafts": self.drafts, "total": len(self.drafts)})
        elif self.refusal is not None and method != "GET":
            route.fulfill(status=422, json={"error": self.refusal})
        elif address.path.startswith("/v1/jobs/"):
            route.fulfill(json=self.job)
        elif method == "PUT":
            body = json.loads(route.request.post_data or "{}")
            self.puts.append((entry_id, body))
            self.add(entry_id, **body)
            route.fulfill(status=202, json={"document": f"{entry_id}.faq.json", "job": "j"})
        elif "/drafts/" in address.path:
            self.decided.append((method, entry_id, json.loads(route.request.post_data or "{}")))
            order = {"id": "draft-d1", "document": "draft-d1.faq.json", "job": "j"}
            if method == "DELETE":
                route.fulfill(status=204, body="")
            else:
                body = self.decided[-1][2]
                self.add("draft-d1", body["question"], body["answer"])
                route.fulfill(status=202, json=order)
        elif method == "DELETE":
            del self.entries[entry_id]
            route.fulfill(status=202, json={"job": "j"})
        else:
            wanted = parse_qs(address.query).get("q", [""])[0]
            self.asked.append(wanted)
            found = [it for it in self.entries.values() if wanted.lower() in it["question"].lower()]
            told = {"kb": "default", "generation": 7, "total": len(found), "complete": True}
            route.fulfill(json={**told, "entries": found[::-1], "next_offset": None})


def at_faq(open_page: OpenPage, stub: Stub, **options: Any) -> tuple[Page, FaqRoutes]:
    """Open the page and prepare the routes; the FAQ is not yet shown."""
    page = open_page(stub.url, **options)
    return page, FaqRoutes(page)


def fill(page: Page, question: str, answer: str) -> None:
    page.get_by_label("Question", exact=True).fill(question)
    page.get_by_label("Answer", exact=True).fill(answer)


def live_everywhere(cluster: Cluster, entry: Locator) -> None:
    """Wait until the entry says in which generation it is live, and every pod serves that."""
    expect(entry).to_contain_text(re.compile(r"Live in generation \d+"), timeout=PATIENCE_MS)
    number = int(re.findall(r"Live in generation (\d+)", entry.inner_text())[0])

    def served() -> bool:
        pods = requests.get(f"{cluster.url}/v1/cluster", timeout=30).json()["pods"]
        return all(pod["generations"]["default"]["generation"] >= number for pod in pods)

    cluster.wait_until(served, what=f"every pod serves generation {number}")


@pytest.mark.long
def test_an_entry_that_is_added_answers_and_is_changed_on_a_real_cluster(
    cluster: Cluster, open_page: OpenPage
) -> None:
    page = open_page(cluster.url)
    page.get_by_role("link", name="FAQ").click()
    page.get_by_role("button", name="Add an entry").click()
    fill(page, "Do you sell gift cards?", "Yes, from 10 to 500.\n\nThey never expire.")
    page.get_by_label("Other ways to ask it").fill("Are there vouchers?")
    page.get_by_label("Tags", exact=True).fill("gifts, money")
    page.get_by_role("button", name="Save").click()
    entry = page.locator(".faq-entry", has_text="Do you sell gift cards?")
    live_everywhere(cluster, entry)
    expect(entry.locator(".faq-tag")).to_have_text(["gifts", "money"])

    page.get_by_role("link", name="Conversation").click()
    ask(page, "Hello, do you sell gift cards please")
    finished(page)
    shown = page.locator(".text").inner_text()
    assert "Yes, from 10 to 500." in shown
    assert "They never expire." in shown
    page.locator(".cite").click()
    expect(page.locator(".document mark").first).to_contain_text("Yes, from 10 to 500.")
    page.keyboard.press("Escape")
    ask(page, "Are there vouchers?")
    finished(page, turns=2)
    assert "Yes, from 10 to 500." in page.locator(".text").nth(1).inner_text()

    page.get_by_role("link", name="FAQ").click()
    entry.get_by_role("button", name="Edit").click()
    page.get_by_label("Answer", exact=True).fill("No, not any more.")
    page.get_by_role("button", name="Save").click()
    live_everywhere(cluster, entry)
    page.get_by_role("link", name="Conversation").click()
    assert page.locator(".turn").count() == 2
    ask(page, "Do you sell gift cards?")
    finished(page, turns=3)
    assert page.locator(".text").nth(2).inner_text().startswith("No, not any more.")


def test_an_entry_is_written_by_keyboard_alone(stub: Stub, open_page: OpenPage) -> None:
    page, routes = at_faq(open_page, stub)
    routes.add("old", "What is old?", "This.")
    page.get_by_role("link", name="FAQ").focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Add an entry").press("Enter")
    expect(page.get_by_label("Question", exact=True)).to_be_focused()
    page.keyboard.type("What is new?")
    page.keyboard.press("Tab")
    page.keyboard.type("That.")
    page.keyboard.press("Tab")
    page.keyboard.type("And new?\nSomething new?")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".faq-entry")).to_have_count(2)
    ((entry_id, body),) = routes.puts
    assert re.fullmatch(r"what-is-new-[0-9a-f]{6}", entry_id)
    assert body == {
        "question": "What is new?", "answer": "That.", "tags": [],
        "variants": ["And new?", "Something new?"],
    }  # fmt: skip
    page.get_by_role("button", name="Edit: What is old?").press("Enter")
    expect(page.get_by_label("Question", exact=True)).to_have_value("What is old?")
    page.keyboard.press("Escape")
    expect(page.locator(".faq-form")).to_have_count(0)
    expect(page.get_by_role("button", name="Edit: What is old?")).to_be_focused()


def test_what_was_not_taken_says_why_and_is_not_lost(stub: Stub, open_page: OpenPage) -> None:
    page, routes = at_faq(open_page, stub)
    page.get_by_role("link", name="FAQ").click()
    expect(page.locator(".faq-note")).to_have_text("There are no entries yet.")
    page.get_by_role("button", name="Add an entry").click()
    fill(page, "Q?", "A.")
    routes.refusal = {"code": "invalid", "message": "a tag must not contain a comma"}
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_have_text("a tag must not contain a comma")
    expect(page.get_by_label("Question", exact=True)).to_have_value("Q?")
    routes.refusal = None
    routes.job = {"state": "failed", "reason": "the gate holds it"}
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".faq-state.failed")).to_have_text("the gate holds it")


def test_entries_are_looked_for_and_removed(stub: Stub, open_page: OpenPage) -> None:
    page, routes = at_faq(open_page, stub)
    routes.add("a", "How much is a lamp?", "20.")
    routes.add("b", "Who are you?", "We.", managed=False, document="faq.csv")
    routes.add("c", "", "", state="failed", reason="it is not JSON")
    page.get_by_role("link", name="FAQ").click()
    expect(page.locator(".faq-entry")).to_have_count(3)
    expect(page.locator("[data-id=c]")).to_contain_text("it is not JSON")
    table = page.locator("[data-id=b]")
    expect(table.get_by_role("link", name="In faq.csv")).to_be_visible()
    expect(table.get_by_role("button")).to_have_count(0)
    page.get_by_label("Search questions and tags").fill("lamp")
    expect(page.locator(".faq-entry")).to_have_count(1)
    assert routes.asked[-1] == "lamp"
    page.get_by_role("button", name="Delete: How much is a lamp?").click()
    page.get_by_role("button", name="Keep").click()
    page.get_by_role("button", name="Delete: How much is a lamp?").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.locator(".faq-note")).to_have_text("No entry has these words.")
    assert "a" not in routes.entries


def test_the_conversation_is_as_it_was_behind_the_faq(stub: Stub, open_page: OpenPage) -> None:
    page, _ = at_faq(open_page, stub)
    ask(page, "Anything?")
    finished(page)
    page.get_by_role("link", name="FAQ").click()
    expect(page.locator(".faq-title")).to_be_visible()
    page.go_back()
    expect(page.locator(".turn")).to_have_count(1)
    page.go_forward()
    page.reload()
    expect(page.locator(".faq-title")).to_be_visible()
    page.get_by_role("button", name="New conversation").click()
    expect(page.locator("#question")).to_be_focused()


def test_who_may_not_change_knowledge_sees_no_faq(stub: Stub, open_page: OpenPage) -> None:
    page = open_page("about:blank")
    me = {"tenant": "default", "subject": "s", "role": "customer"}
    page.route("**/v1/me", lambda route: route.fulfill(json=me))
    page.goto(stub.url)
    page.get_by_role("button", name="Log out").wait_for()
    assert page.get_by_role("link", name="FAQ").count() == 0


def test_it_fits_a_small_phone(stub: Stub, open_page: OpenPage) -> None:
    width = 320
    phone = {"viewport": {**PHONE, "width": width}, "has_touch": True, "is_mobile": True}
    page, routes = at_faq(open_page, stub, **phone)
    routes.add("a", WIDE_WORD, WIDE_WORD, tags=[WIDE_WORD], variants=[WIDE_WORD])
    routes.add("b", "Q?", "A.", managed=False, document=f"{WIDE_WORD}.csv")
    assert fits(page)
    page.get_by_role("link", name="FAQ").tap()
    page.get_by_role("button", name="Edit").tap()
    page.get_by_role("button", name="Add an entry").tap()
    expect(page.locator(".faq-form")).to_have_count(1)
    assert fits(page)
    assert page.evaluate("document.querySelector('.faq').scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_its_texts_stand_out(
    stub: Stub, open_page: OpenPage, scheme: Literal["light", "dark"]
) -> None:
    page, routes = at_faq(open_page, stub, color_scheme=scheme)
    routes.add("a", "Q?", "A.", tags=["t"], variants=["V?"])
    routes.add("b", "", "", state="failed", reason="it is not JSON")
    routes.add("c", "C?", "A.", state="changing")
    page.get_by_role("link", name="FAQ").click()
    page.get_by_role("button", name="Add an entry").click()
    expect(page.locator(".faq-entry")).to_have_count(3)
    assert page.evaluate(LOW_CONTRASTS, CONTRAST_MIN) == []
