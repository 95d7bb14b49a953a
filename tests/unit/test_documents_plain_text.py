"""TXT: paragraphs as they stand, with what looks like a headline as a heading."""

from kotaemon_node.adapters.documents.parsed import ParsedDocument
from kotaemon_node.adapters.documents.reading import parse_document


def parsed(text: str) -> ParsedDocument:
    return parse_document("notes/pay-ment.txt", text.encode())


def test_one_paragraph_is_the_text_as_it_was_written() -> None:
    document = parsed("First line of it,\nwrapped here. \r\n")
    assert document.text() == "First line of it,\nwrapped here."
    assert document.title == "pay ment"


def test_lines_that_stand_alone_or_are_underlined_are_headings() -> None:
    document = parsed("Payment\n=======\n\nHow to pay\n\nBy card.\n\nFees:\n\n- none\n\n12.5\n")
    assert [(b.kind, b.text, b.heading) for b in document.blocks] == [
        ("heading", "Payment", ()),
        ("heading", "How to pay", ("Payment",)),
        ("text", "By card.", ("Payment", "How to pay")),
        ("text", "Fees:", ("Payment", "How to pay")),
        ("text", "- none", ("Payment", "How to pay")),
        ("text", "12.5", ("Payment", "How to pay")),
    ]
    assert document.title == "Payment"


def test_a_chinese_headline_is_one_as_well() -> None:
    document = parsed("退货政策\n\n收货后 30 天内可以退货。")
    assert document.title == "退货政策"
    assert document.blocks[1].heading == ("退货政策",)
