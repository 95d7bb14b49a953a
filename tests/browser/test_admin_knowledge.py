"""Knowledge on the admin page: uploads, documents, generations, the gate, the search."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.stub_admin import AdminStub, document

DROP = """(names) => {
  const area = document.querySelector(".drop");
  const carried = new DataTransfer();
  for (const name of names) carried.items.add(new File(["a lamp"], name));
  for (const type of ["dragenter", "dragover", "drop"]) {
    const about = { bubbles: true, cancelable: true, dataTransfer: carried };
    area.dispatchEvent(new DragEvent(type, about));
  }
}"""


def opened(admin: AdminStub, open_page: OpenPage, tab: str = "documents", **options: Any) -> Page:
    page = open_page(f"{admin.url}/admin#/knowledge/shop/{tab}", **options)
    page.locator(".tiles").first.wait_for()
    return page


def test_dropped_files_are_followed_until_they_are_read(
    admin: AdminStub, open_page: OpenPage
) -> None:
    page = opened(admin, open_page)
    page.locator(".drop").wait_for()

    page.evaluate(DROP, ["lamps.md", "bad.md", "odd.xyz"])

    def upload(name: str) -> Any:
        return page.locator(f".upload[data-name='{name}']")

    expect(upload("lamps.md")).to_contain_text("indexed, generation 4")
    expect(upload("bad.md")).to_contain_text("it holds no text")
    expect(upload("odd.xyz")).to_contain_text("said the stub: invalid")
    assert [name for _, _, name in admin.said] == ["lamps.md", "bad.md", "odd.xyz"]
    expect(page.locator("tr[data-document='shop/lamps.md']")).to_be_visible()
    page.get_by_role("button", name="Clear those that have ended").click()
    expect(page.locator(".upload")).to_have_count(0)


@pytest.mark.long
def test_chosen_files_go_to_a_new_base_and_a_busy_pod_is_asked_again(
    admin: AdminStub, open_page: OpenPage, tmp_path: Path
) -> None:
    page = opened(admin, open_page)
    page.locator("select").first.select_option(label="New…")
    page.get_by_label("Name of the new base").fill("garden")
    page.keyboard.press("Enter")
    expect(page.get_by_text("garden holds nothing yet")).to_be_visible()
    admin.refuse("POST", "/documents", 429, code="overloaded", retryable=True)
    file = tmp_path / "roses.md"
    file.write_text("# Roses")

    page.locator("input[type=file]").set_input_files(file)

    expect(page.locator(".upload")).to_contain_text("indexed, generation 4", timeout=60_000)
    assert [path.split("?")[0] for _, path, _ in admin.said] == ["/v1/knowledge/garden/documents"]


def test_documents_are_found_opened_and_removed_after_a_question(
    admin: AdminStub, open_page: OpenPage
) -> None:
    admin.documents_there = [document(f"shop/file-{n:03}.md") for n in range(60)]
    admin.documents_there[7] |= {"status": "failed", "reason": "it is encrypted"}
    page = opened(admin, open_page)
    rows = page.locator("tr[data-document]")
    expect(rows).to_have_count(50)
    page.get_by_role("button", name="Next").click()
    expect(rows).to_have_count(10)
    page.get_by_label("Find a document").fill("file-007")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("it is encrypted")

    page.get_by_role("button", name="Remove: shop/file-007.md").click()
    assert not admin.said
    page.get_by_role("button", name="Yes").click()

    expect(page.locator(".order")).to_contain_text("Delete shop/file-007.md · done · generation 5")
    expect(rows).to_have_count(0)
    page.get_by_label("Find a document").fill("file-008")
    rows.get_by_role("link").click()
    expect(page.locator(".document-text")).to_contain_text("<script>alert(1)</script>")


@pytest.mark.long
def test_a_rollback_is_asked_for_and_a_held_build_is_shown(
    admin: AdminStub, open_page: OpenPage
) -> None:
    admin.held = {
        "key": "k", "kb": "shop", "generation": 3, "at": "2026-11-21T10:00:00Z",
        "reason": "1 of 8 probes is answered worse", "recall": 0.8, "recall_before": 1.0,
        "lost": [{"question": "What of lamps?", "documents": ["returns.md"], "before": 1.0,
                  "now": 0.0}], "unanswerable": [],
    }  # fmt: skip
    page = opened(admin, open_page, "generations")
    held = page.get_by_label("The gate holds a new build")
    expect(held).to_contain_text("What of lamps?")
    held.get_by_role("button", name="Publish all the same").click()
    held.get_by_role("button", name="Yes").click()
    page.get_by_role("button", name="Go back to it: 2").click()
    page.get_by_role("button", name="Yes").click()

    expect(page.locator(".order")).to_have_count(2)
    bodies = [body for _, _, body in admin.said]
    assert bodies[0]["force"] is True
    assert bodies[1]["generation"] == 2
    expect(page.locator(".order").first).to_contain_text("Go back: shop → 2 · done")


def test_a_search_shows_scores_marks_words_and_runs_nothing(
    admin: AdminStub, open_page: OpenPage
) -> None:
    page = opened(admin, open_page, "search")
    page.get_by_label("Question").fill("lamps (return) c++ 退货")
    page.get_by_label("Passages", exact=True).fill("2")
    page.get_by_role("button", name="Search").click()

    hits = page.locator(".hit")
    expect(hits).to_have_count(2)
    expect(hits.first).to_contain_text("0.910")
    assert hits.first.locator("mark").all_inner_texts() == ["lamps", "return", "return"]
    expect(hits.first.locator(".hit-text")).to_contain_text("<b>No</b> return")
    assert hits.first.get_by_role("link").get_attribute("href") == "/v1/sources/shop/3/p0"
