"""What a PDF shows becomes text in the order in which somebody reads it."""

import pytest

from kotaemon_node.adapters.documents import pdf_flow, pdf_words
from kotaemon_node.adapters.documents.parsed import Block
from kotaemon_node.adapters.documents.pdf import parse_pdf
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import DocumentRefused
from tests.fakes.pdf_pages import ANY, HELVETICA_BOLD, WIDTH, Page, pdf

PROSE = [
    "The parcel leaves our house on the day on which the order was paid, if that",
    "was before noon; otherwise it leaves on the next working day. Whoever wants to",
    "know where it is finds its number in the message that we send at that time.",
]


def blocks(*pages: Page, bookmarks: list[tuple[str, int]] | None = None) -> tuple[Block, ...]:
    return parse_pdf(pdf(*pages, bookmarks=bookmarks or ()), name="a").blocks


def texts(*pages: Page) -> list[str]:
    return [block.text for block in blocks(*pages)]


def test_lines_of_a_paragraph_are_joined_and_paragraphs_kept_apart() -> None:
    page = Page().lines(72, 700, PROSE).lines(72, 640, PROSE)
    assert texts(page) == [" ".join(PROSE)] * 2


def test_an_indented_line_begins_a_paragraph() -> None:
    page = Page().lines(72, 700, PROSE).text(90, 664, PROSE[0]).text(72, 652, PROSE[1])
    assert texts(page) == [" ".join(PROSE), " ".join(PROSE[:2])]


def test_a_line_with_room_for_the_next_word_was_ended_on_purpose() -> None:
    page = Page().lines(72, 700, [PROSE[0], "Opening hours", "Nine to five", PROSE[1]])
    assert texts(page)[0] == f"{PROSE[0]} Opening hours\nNine to five\n{PROSE[1]}"


def test_a_word_divided_at_the_end_of_a_line_is_one_word_and_a_compound_stays_one() -> None:
    page = Page().lines(
        72,
        700,
        [
            "Our ware-house stands near the sea-side and every lorry goes to the sea-",
            "side. What is sold there comes from the ware-house, and for all our deliv-",
            "eries holds: what we sell as handmade was made by hand, and what is self-",
            "made was made here, as the handmade is. Also lamps of non-European or non-",
            "Chinese makers are sold at the hand-",
        ],
    )
    page.lines(72, 640, ["made lamps shop."])
    (text,) = texts(page)
    assert "goes to the sea-side." in text
    assert "all our deliveries holds" in text
    assert "what is self-made was" in text
    assert "non-European or non-Chinese makers" in text
    assert "at the handmade lamps" in text


def test_columns_are_read_one_after_the_other_below_what_spans_them() -> None:
    left = ["left column line", "goes on over here", "and over here too", "to its very end.", "L."]
    right = [line.replace("left", "right") for line in left[:-1]] + ["R."]
    page = Page().text(72, 730, "What stands above both columns reaches over the whole page here")
    page.lines(72, 700, left).lines(330, 694, right)
    text = "\n".join(texts(page))
    assert text.index("above both") < text.index("left column") < text.index("L.")
    assert text.index("L.") < text.index("right column") < text.index("R.")


def test_a_paragraph_goes_on_over_the_end_of_a_page_and_knows_where() -> None:
    first = Page().lines(72, 112, PROSE[:2]).text(300, 30, "1")
    second = Page().lines(72, 700, PROSE[2:]).text(300, 30, "2")
    (block,) = blocks(first, second)
    assert block.text == " ".join(PROSE)
    assert (block.page, block.pages) == (1, ((block.text.index("know"), 2),))


def test_running_headers_and_page_numbers_are_dropped_but_for_one_header_and_one_footer() -> None:
    pages = [
        Page()
        .text(72, 760, "Handbook of the shop")
        .text(72, 700, f"{name} is what this page is about, and nothing but that.")
        .text(72, 40, "Confidential")
        .text(500, 40, f"Page {number} of 4")
        for number, name in enumerate(["Bread", "Lamps", "Chairs", "Tea"], 1)
    ]
    text = "\n".join(texts(*pages))
    assert text.count("Handbook") == text.count("Confidential") == 1
    assert "Page 1" not in text
    assert [name in text for name in ("Bread", "Lamps", "Chairs", "Tea")] == [True] * 4


def test_large_or_bold_lines_are_headings_by_their_rank() -> None:
    page = (
        Page()
        .text(72, 740, "The Shop", size=20)
        .text(72, 710, "Returns", size=14)
        .lines(72, 690, PROSE)
        .text(72, 640, "Costs of a return", font=HELVETICA_BOLD)
        .lines(72, 620, PROSE)
        .text(72, 570, "Delivery", size=14)
        .lines(72, 550, PROSE)
    )
    found = [block.heading for block in blocks(page) if block.kind == "text"]
    assert found == [
        ("The Shop", "Returns"),
        ("The Shop", "Returns", "Costs of a return"),
        ("The Shop", "Delivery"),
    ]


def test_bookmarks_say_what_a_heading_is_whatever_it_looks_like() -> None:
    pages = [
        Page().text(72, 740, f"{number}. {name}").lines(72, 700, PROSE)
        for number, name in enumerate(["Returns", "Costs"], 1)
    ]
    found = blocks(*pages, bookmarks=[("Returns", 1), ("Costs", 2)])
    assert [it.heading for it in found if it.kind == "text"] == [("1. Returns",), ("2. Costs",)]


@pytest.mark.parametrize(
    ("told", "title"),
    [
        ("商店手册", "商店手册"),
        ("Handbook", "Handbook"),
        ("Microsoft Word - x.doc", "Shop"),
        ("x.indd", "Shop"),
        ("0001-22", "Shop"),
        ("¹ØÓÚºì¾ü", "Shop"),
        ("", "Shop"),
    ],
)
def test_the_title_is_what_the_file_says_if_that_says_something(told: str, title: str) -> None:
    page = Page().text(72, 740, "Shop", size=20).lines(72, 700, PROSE)
    assert parse_pdf(pdf(page, title=told), name="file name").title == title


def test_a_pdf_without_any_title_is_called_after_its_file() -> None:
    assert parse_pdf(pdf(Page().lines(72, 700, PROSE)), name="file name").title == "file name"


def test_items_share_a_block_a_line_each() -> None:
    page = Page().lines(72, 700, ["\u2022 Bread and butter", "\u2022 Lamps", "1. One", "2. Two"])
    assert texts(page) == ["• Bread and butter\n• Lamps\n1. One\n2. Two"]


def test_chinese_lines_are_joined_without_blanks_and_loses_those_that_only_space_it_out() -> None:
    page = Page().text(72, 700, "订单在付款后三天内从我们的仓库发出，节假日", font=ANY)
    page.text(72, 688, "顺延。", font=ANY).text(72, 600, "关 于 退 货 的 规 定", font=ANY)
    assert texts(page) == ["订单在付款后三天内从我们的仓库发出，节假日顺延。", "关于退货的规定"]


def test_shapes_of_fonts_are_letters() -> None:
    page = Page().text(72, 700, "\ufb01ve o\ufb03ces \u2f00 \uf0b7 x\u00b2", font=ANY)
    assert texts(page) == ["five offices 一 • x²"]


def test_text_from_right_to_left_is_in_the_order_of_reading() -> None:
    page = Page().text(200, 700, "שלום עולם"[::-1], font=ANY)
    assert texts(page) == ["שלום עולם"]


@pytest.mark.parametrize(
    ("matrix", "step", "rotate"),
    [
        ("0 1 -1 0", (12, 0), 90),
        ("-1 0 0 -1", (0, 12), 180),
        ("0 -1 1 0", (-12, 0), 270),
        ("-1 0 0 1", (0, -12), 0),  # mirrored
    ],
)
def test_turned_pages_are_read_as_if_they_were_upright(
    matrix: str, step: tuple[int, int], rotate: int
) -> None:
    page = Page(rotate=rotate)
    for number, line in enumerate(PROSE):
        page.text(300 + number * step[0], 400 + number * step[1], line[:40], size=6, matrix=matrix)
    assert texts(page) == [" ".join(line[:40].strip() for line in PROSE)]


def test_what_no_reader_sees_is_not_text() -> None:
    page = Page().text(72, 700, "Seen").text(72, 650, "Not painted", mode=3)
    page.text(WIDTH + 20, 600, "Beside the page").text(72, -40, "Below it")
    assert texts(page) == ["Seen"]


def test_the_text_behind_a_scanned_page_is_read() -> None:
    assert texts(Page().picture().text(72, 700, "Recognised", mode=3)) == ["Recognised"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (pdf(Page().picture(), Page().picture()), "its pages are pictures without text (2 pages)"),
        (pdf(Page()), "there is no text in it"),
        (pdf(Page().text(72, 700, "x"), encrypted=True), "needs a password"),
        (pdf(Page(broken=True)), "the PDF is broken"),
        (b"%PDF-1.7\nnothing else", "the PDF is broken"),
        (b"version https://git-lfs.github.com/spec/v1", "it is not a PDF"),
    ],
    ids=["scanned", "empty", "encrypted", "no page", "cut off", "other"],
)
def test_a_refusal_says_what_is_wrong(content: bytes, reason: str) -> None:
    with pytest.raises(DocumentRefused, match=reason.replace("(", r"\(").replace(")", r"\)")):
        parse_pdf(content, name="a")


def test_an_unreadable_page_does_not_cost_the_others() -> None:
    assert texts(Page().text(72, 700, "One."), Page(broken=True), Page().text(72, 700, "3.")) == [
        "One.",
        "3.",
    ]


def test_a_pdf_of_too_many_pages_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PDF_PAGES_MAX", 1)
    with pytest.raises(DocumentRefused, match="it has 2 pages, the limit is 1"):
        parse_pdf(pdf(Page(), Page()), name="a")


def test_a_page_of_too_many_characters_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PDF_PAGE_CHARS_MAX", 20)
    assert texts(Page().lines(72, 700, PROSE), Page().text(72, 700, "Short.")) == ["Short."]


def test_of_a_long_paragraph_only_the_end_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    longest = 0

    class Counted:
        def search(self, text: str) -> None:
            nonlocal longest
            longest = max(longest, len(text))

    monkeypatch.setattr(pdf_words, "_DIVIDED", Counted())
    monkeypatch.setattr(pdf_flow, "_ENDED", Counted())
    line = "a line of prose goes on and on without any end of it as far as one can see"
    document = parse_pdf(pdf(*[Page().lines(72, 720, [line] * 40)] * 4), name="a")
    assert max(len(block.text) for block in document.blocks) > 5_000
    assert 0 < longest <= 200
