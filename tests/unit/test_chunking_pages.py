"""Pages are where a passage begins, never where one ends."""

import pytest

from coordinator.chunking import passages_of
from kotaemon_node.adapters.documents import parsed as documents
from kotaemon_node.adapters.documents.parsed import Block, Outline
from kotaemon_node.adapters.documents.visible import visible_text


def blocks(outline: Outline) -> tuple[Block, ...]:
    return outline.document("T").blocks


def test_what_is_added_begins_on_the_current_page() -> None:
    outline = Outline()
    outline.page = 3
    outline.heading(1, "Costs")
    outline.add("text", "None.")
    outline.faq("Who?", "We.", "")
    outline.table([["a", "b"]], has_header=False)

    assert {block.page for block in blocks(outline)} == {3}


def test_a_block_knows_where_further_pages_begin_whatever_was_cleaned_away() -> None:
    outline = Outline()
    outline.page = 1
    text = "\n\nThe parcel\u200b leaves\r\non the same day. "
    outline.add("text", text, pages=[(text.index("on"), 2)])

    (block,) = blocks(outline)
    assert block.text == "The parcel leaves\non the same day."
    at = block.text.index("on")
    assert [block.page_at(offset) for offset in (0, at - 1, at, len(block.text) - 1)] == [
        1,
        1,
        2,
        2,
    ]


def test_a_page_that_begins_at_the_edge_of_a_block_is_not_inside_it() -> None:
    outline = Outline()
    outline.page = 1
    outline.add("text", "One.", pages=[(0, 2), (4, 3)])

    (block,) = blocks(outline)
    assert (block.page, block.pages) == (2, ())


def test_a_row_of_a_table_knows_its_page() -> None:
    outline = Outline()
    outline.page = 9
    rows = [["city", "days"], ["", ""], ["Bonn", "2"], ["Ulm", "3"], ["Jena", "4"]]
    outline.table(rows, has_header=True, row_pages=[5, 5, 5, 6, 6])

    (block,) = blocks(outline)
    assert block.page == 5
    assert block.page_at(block.text.index("| Bonn")) == 5
    assert block.page_at(block.text.index("| Ulm")) == 6
    assert block.pages == ((block.text.index("| Ulm"), 6),)


def test_a_sentence_that_runs_over_a_page_break_is_one_and_passages_flow_on() -> None:
    outline = Outline()
    sentences = [f"Sentence number {at} says something about lamps." for at in range(60)]
    text = " ".join(sentences)
    outline.page = 1
    outline.add("text", text, pages=[(text.index("30 says"), 2)])

    found = passages_of("a.pdf", "r", outline.document("T"))

    assert all(it.text.startswith("Sentence") and it.text.endswith(".") for it in found)
    assert [it.page for it in found] == sorted(it.page or 0 for it in found)
    assert {it.page for it in found} == {1, 2}
    over = next(it for it in found if "number 30 says" in it.text)
    assert over.page == 1


def test_short_paragraphs_of_two_pages_share_a_passage() -> None:
    outline = Outline()
    for page in (1, 2):
        outline.page = page
        outline.add("text", f"Page {page}.")

    (found,) = passages_of("a.pdf", "r", outline.document("T"))

    assert (found.text, found.page) == ("Page 1.\n\nPage 2.", 1)


def test_a_paragraph_of_a_thousand_pages_is_looked_at_a_few_times_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked_at = 0

    def counted(text: str) -> str:
        nonlocal looked_at
        looked_at += len(text)
        return visible_text(text)

    monkeypatch.setattr(documents, "visible_text", counted)
    outline = Outline()
    page = "A\u200b page.\n"
    outline.add("text", page * 1_000, pages=[(len(page) * at, at + 1) for at in range(1, 1_000)])
    (block,) = blocks(outline)
    assert [block.text[at - 6 : at + 1] for at, _ in block.pages] == ["page.\nA"] * 999
    assert looked_at < 10 * len(page) * 1_000
