"""Markdown becomes plain text; its structure stays, its marks go."""

from kotaemon_node.adapters.documents.parsed import ParsedDocument
from kotaemon_node.adapters.documents.reading import parse_document


def parsed(text: str) -> ParsedDocument:
    return parse_document("policy.md", text.encode())


def blocks(text: str) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(block.kind, block.text, block.heading) for block in parsed(text).blocks]


def test_headings_make_the_path_of_what_is_below_them() -> None:
    assert blocks("# Returns\n\nAll of it.\n\n## Costs\n\nFree.\n\n# Other\n\nElse.") == [
        ("heading", "Returns", ()),
        ("text", "All of it.", ("Returns",)),
        ("heading", "Costs", ("Returns",)),
        ("text", "Free.", ("Returns", "Costs")),
        ("heading", "Other", ()),
        ("text", "Else.", ("Other",)),
    ]


def test_marks_links_and_comments_leave_only_their_words() -> None:
    source = (
        "We **never** sell `data`, see [our *rules*](https://x.example/a_b) or [them][1].\n"
        "![A lamp](lamp.png) <b>Bold</b><br>next &amp; last <!-- hidden -->\n\n[1]: /y"
    )
    assert blocks(source) == [
        ("text", "We never sell data, see our rules or them. A lamp Bold\nnext & last", ()),
    ]


def test_list_items_keep_a_line_and_a_mark_each() -> None:
    assert blocks("3. Open\n4. Close\n   - the lid\n   - the door\n\nDone.") == [
        ("text", "3. Open\n4. Close\n  • the lid\n  • the door", ()),
        ("text", "Done.", ()),
    ]


def test_code_inside_a_list_stands_between_its_halves() -> None:
    assert [kind for kind, _, _ in blocks("- one\n\n  ```\n  x = 1\n  ```\n\n- two")] == [
        "text",
        "code",
        "text",
    ]


def test_a_table_keeps_its_rows_and_knows_its_header() -> None:
    (table,) = parsed("| City | *Days* |\n|---|---|\n| Oslo | 3 |\n| Rome | |").blocks
    assert table.text == "| City | Days |\n| Oslo | 3 |\n| Rome |  |"
    assert table.header == "| City | Days |"


def test_the_title_is_that_of_the_front_matter_then_the_first_heading_then_the_file() -> None:
    assert parsed("---\ntitle: 'Our shipping'\nx: 1\n---\n# Other\n\nText.").title == "Our shipping"
    assert parsed("## Second level\n\nText.").title == "Second level"
    assert parsed("Text.").title == "policy"
    assert "x: 1" not in parsed("---\nx: 1\n---\nText.").text()


def test_html_inside_is_read_like_html() -> None:
    source = (
        "Before.\n\n<table><tr><th>A</th><th>B</th></tr><tr><td>1</td><td>2</td></tr></table>\n"
    )
    assert blocks(source + "\n<script>alert(1)</script>\n\nAfter.") == [
        ("text", "Before.", ()),
        ("table", "| A | B |\n| 1 | 2 |", ()),
        ("text", "After.", ()),
    ]


def test_template_calls_of_site_generators_are_no_text() -> None:
    assert parsed("{{< tabs >}}\nReal text.\n{{% /tabs %}}").text() == "Real text."


def test_a_paragraph_of_brackets_does_not_take_minutes() -> None:
    # A quadratic reader needs most of a minute for this.
    assert parsed("[" * 100_000).text() == "[" * 100_000


def test_text_between_two_rules_is_no_front_matter() -> None:
    texts = [
        b.text for b in parse_document("a.md", b"---\nClosed on Monday.\n\n---\n\nEnd.\n").blocks
    ]
    assert "\n".join(texts).replace("Closed on Monday.", "", 1) == "\nEnd."
    (end,) = parse_document("a.md", b"---\n# note\ntitle: X\n---\nEnd.\n").blocks
    assert end.text == "End."
