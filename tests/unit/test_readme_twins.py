"""README.zh.md is in step with README.md: the same sections, figures, commands and pages."""

import re
from itertools import zip_longest

import pytest

from tests.doc_examples import ROOT, examples_of

ENGLISH = ROOT / "README.md"
CHINESE = ROOT / "README.zh.md"
_FIGURE = re.compile(r"(?<![\w./-])\d[\d,.]*\d|(?<![\w./-])\d(?![\w./-])")
_LINK = re.compile(r"\]\(((?!https?:)[^)]+)\)")
_OWN = {"README.md", "README.zh.md", "docs/images/page-source.png", "docs/images/page-chinese.png"}


def sections(text: str) -> list[str]:
    """Return what stands before the first heading, then each section."""
    return re.split(r"^## ", text, flags=re.M)


def prose(text: str) -> str:
    """Return a section without its blocks, comments and where links lead to."""
    text = re.sub(r"```.*?```|<!--.*?-->", "", text, flags=re.DOTALL)
    return re.sub(r"\]\([^)]*\)|`[^`]*`|https?:\S+", " ", text)


PAIRS = list(
    zip_longest(
        sections(ENGLISH.read_text("utf-8")),
        sections(CHINESE.read_text("utf-8")),
        fillvalue="(missing)",
    )
)


def test_they_have_as_many_sections() -> None:
    assert not [pair for pair in PAIRS if "(missing)" in pair]
    assert len(PAIRS) > 8


@pytest.mark.parametrize("number", range(len(PAIRS)))
def test_each_figure_of_the_twin_stands_in_the_same_section(number: int) -> None:
    english, chinese = (set(_FIGURE.findall(prose(text))) for text in PAIRS[number])

    assert chinese <= english


@pytest.mark.parametrize("name", ["takeover.md", "chaos.md", "convergence.md", "e2e-k8s.md"])
def test_figures_beside_a_results_file_are_the_same(name: str) -> None:
    told = [
        [
            sorted(_FIGURE.findall(prose(line)))
            for line in page.read_text("utf-8").splitlines()
            if line.startswith("|") and f"load/results/{name}" in line
        ]
        for page in (ENGLISH, CHINESE)
    ]

    assert told[0] == told[1]


def test_commands_are_the_same_but_for_words_of_people() -> None:
    def typed(code: str) -> str:
        bare = re.sub(r"#.*|<[^>]*>", "", code)  # comments, and what a reader fills in
        return re.sub(r'^say ".*"', "say", bare, flags=re.M).replace(" ", "")

    english, chinese = (
        [(one.kind, typed(one.code)) for one in examples_of(page)] for page in (ENGLISH, CHINESE)
    )

    assert chinese == english


def test_pages_that_the_twin_links_are_linked_in_english() -> None:
    english, chinese = (
        set(_LINK.findall(page.read_text("utf-8"))) - _OWN for page in (ENGLISH, CHINESE)
    )

    assert chinese <= english
