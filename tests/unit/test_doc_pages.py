"""The index of the documentation is whole, and examples are found with what they print."""

import re
from pathlib import Path

from tests.doc_examples import ROOT, Example, examples_of, not_printed


def test_the_index_names_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text("utf-8")
    linked = set(re.findall(r"\]\(([^)#]+)", index))

    for folder in ("how-to", "reference"):
        for page in (ROOT / "docs" / folder).glob("*.md"):
            assert f"{folder}/{page.name}" in linked, page.name
    for link in linked:
        assert (ROOT / "docs" / link).exists(), link


def test_examples_are_found_with_what_they_print(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "A\n```sh\ncurl a\n```\n```text\none…\n```\n<!-- not run: no b -->\n```sh\nb\n```\n"
    )

    assert examples_of(page) == [
        Example("sh", "curl a", ("one…",), 3, ""),
        Example("sh", "b", (), 10, "no b"),
    ]


def test_what_is_shown_has_to_be_printed_in_its_order() -> None:
    assert list(not_printed(("a…c", "d"), "abc\nd\n")) == []
    assert list(not_printed(("d", "a…c"), "abc\nd\n")) == ["a…c"]
