"""What the documentation tells of the chat page is what the page does and says."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ASSETS = ROOT / "kotaemon_node" / "web" / "assets"
PAGE = (ROOT / "docs" / "how-to" / "chat-page.md").read_text("utf-8")
WORDS = (ASSETS / "words-en.js").read_text("utf-8")


def keys_of_the_page() -> list[tuple[str, str]]:
    """Return keys and what they do, as the list behind *?* shows them."""
    rows = re.search(r"const KEYS = \[(.*?)\n\];", (ASSETS / "ui/shortcuts.js").read_text(), re.S)
    meanings = re.search(r"\n  keys: \{(.*?)\n  \},", WORDS, re.S)
    assert rows
    assert meanings
    said = dict(re.findall(r'(\w+): "([^"]+)"', meanings[1]))
    return [
        (" + ".join(re.findall(r'"([^"]+)"', keys)), said[name])
        for name, keys in re.findall(r'\["(\w+)", \[(.*?)\]\]', rows[1])
    ]


def test_its_keys_are_those_of_the_page() -> None:
    table = PAGE.partition("## Keys")[2].partition("\n\nEverything")[0]

    told = re.findall(r"^\| (.+?) \| (.+?) \|$", table, re.M)[1:]

    assert told == keys_of_the_page()


QUOTED = re.findall(r"(?<!\*)\*([A-Z][^*\n]+)\*(?!\*)", PAGE)


@pytest.mark.parametrize("words", QUOTED)
def test_what_it_quotes_stands_on_the_page(words: str) -> None:
    assert f'"{words}' in WORDS


def test_quotations_are_found() -> None:
    assert len(QUOTED) >= 7


def test_every_picture_is_shown_by_a_page() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    picture = re.compile(r"!\[[^\]]*\]\([^)]*?([\w-]+\.(?:png|svg))\)")
    shown = {name for page in pages for name in picture.findall(page.read_text("utf-8"))}

    assert {file.name for file in (ROOT / "docs" / "images").iterdir()} <= shown
