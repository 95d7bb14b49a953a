"""What the page is made of: known files, nothing from other hosts, equal words in each language."""

import hashlib
import re

import pytest

from scripts.page_modules import PAGES, modules_of
from tests.browser.conftest import OpenPage
from tests.browser.stub import WEB, Stub

OWN = [
    file
    for file in [WEB / "index.html", *(WEB / "assets").rglob("*")]
    if file.is_file() and "vendor" not in file.parts
]


def test_vendored_files_are_those_that_the_list_names() -> None:
    rows = re.findall(
        r"^\| (\S+) \|.*\| ([0-9a-f]{64}) \|$", (WEB / "VENDOR.md").read_text(), re.MULTILINE
    )
    vendor = WEB / "assets" / "vendor"

    listed = dict(rows)
    found = {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in vendor.iterdir()
        if file.is_file()
    }

    assert found == listed


def test_own_files_name_no_other_host() -> None:
    allowed = {"http://www.w3.org/2000/svg"}

    addresses = {
        address
        for file in OWN
        for address in re.findall(r"https?://[\w./-]+|(?<=[\"'(])//[\w.-]+", file.read_text())
    }

    assert addresses <= allowed


def test_own_files_hold_no_inline_script_or_style() -> None:
    index = (WEB / "index.html").read_text()

    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", index)
    for file in OWN:
        if file.suffix == ".js":
            assert not re.search(r"\beval\(|new Function|\bstyle=", file.read_text()), file


@pytest.mark.parametrize(("page", "entry"), PAGES.items())
def test_every_module_is_fetched_at_once(page: str, entry: str) -> None:
    """`python -m scripts.page_modules` writes the list anew."""
    text = (WEB / page).read_text()

    named = re.findall(r'modulepreload" href="/([^"]+)"', text)

    assert f'type="module" src="/{entry}"' in text
    assert named == modules_of(entry)


def test_both_languages_have_the_same_words(stub: Stub, open_page: OpenPage) -> None:
    page = open_page(stub.url)

    shapes = page.evaluate(
        """async () => {
          const { EN } = await import("/assets/words-en.js");
          const { ZH } = await import("/assets/words-zh.js");
          const shape = (words) => Object.entries(words).flatMap(([key, value]) =>
            value !== null && typeof value === "object"
              ? shape(value).map((inner) => `${key}.${inner}`)
              : [`${key}: ${typeof value}`]).sort();
          return [shape(EN), shape(ZH)];
        }"""
    )

    assert shapes[0] == shapes[1]
    assert len(shapes[0]) > 80


def test_a_page_loads_from_its_own_host_only(stub: Stub, open_page: OpenPage) -> None:
    page = open_page(stub.url)
    page.wait_for_selector(".welcome")

    hosts = page.evaluate(
        "performance.getEntriesByType('resource').map((entry) => new URL(entry.name).origin)"
    )

    assert set(hosts) == {stub.url}
