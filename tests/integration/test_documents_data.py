"""Real documents of other people: none breaks the parsers, none turns to mojibake."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coordinator.ingest import Ingested, ingest
from kotaemon_node.adapters.documents.reading import SUPPORTED_ENDINGS

_ADDRESS = re.compile(r"\]\([^)]*\)")

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def data() -> Path:
    folder = os.environ.get("KOTAEMON_TEST_DATA")
    if not folder:
        pytest.skip("KOTAEMON_TEST_DATA does not name the folder of the public data sets")
    return Path(folder)


def rows(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text(encoding="utf-8").splitlines():
        yield json.loads(line)


def read(path: Path, *, name: str | None = None) -> Ingested:
    document = ingest(name or path.name, path.read_bytes())
    assert document.reason is None or "internal error" not in document.reason, path
    end = 0
    for passage in document.passages:
        assert document.text[slice(*passage.span)] == passage.text, path
        assert end <= passage.span[0], path
        end = passage.span[1]
    return document


@pytest.mark.parametrize(
    ("folder", "language", "passages_min"),
    [
        ("redis_docs/dev/docs", "en", 500),
        ("tidb_docs_zh/dev/docs", "zh", 1_000),
        ("sourcegraph_handbook/dev/docs", "en", 1_000),
    ],
)
def test_product_documentation_is_read_whole(
    data: Path, folder: str, language: str, passages_min: int
) -> None:
    documents = [read(path) for path in sorted((data / folder).rglob("*.md"))]
    refusals = {it.reason for it in documents if it.reason is not None}
    assert refusals <= {"there is no text in it"}
    found = [passage for it in documents for passage in it.passages]
    assert len(found) >= passages_min
    spoken = sum(1 for it in found if it.language == language)
    assert spoken > 0.7 * len(found)
    assert not [it for it in found if "```" in it.text and it.kind == "text"]


def test_headings_of_the_reference_split_lead_to_our_passages(data: Path) -> None:
    """Each section that the data set knows by its heading is a path of ours, with its words."""
    paths_of: dict[str, set[str]] = {}
    missing = 0
    checked = 0
    for row in rows(data / "tidb_docs_zh/dev/passages.jsonl"):
        if row["heading"] and "`" not in row["heading"] and "{" not in row["heading"]:
            checked += 1
            if (name := row["doc_id"]) not in paths_of:
                document = read(data / "tidb_docs_zh/dev/docs" / name)
                paths_of[name] = {heading for it in document.passages for heading in it.heading}
            missing += row["heading"].strip() not in paths_of[name]
        if checked == 300:
            break
    assert missing < 0.05 * checked


def test_texts_with_known_truth_are_decoded_exactly(data: Path) -> None:
    folder = data / "encodings/dev"
    known = [row for row in rows(folder / "manifest.jsonl") if "truth" in row]
    assert len(known) >= 8
    for row in known:
        truth = (folder / row["truth"]).read_text(encoding="utf-8")
        document = read(folder / row["file"])
        assert "".join(document.text.split()) == "".join(truth.split()), row["file"]


def test_other_encodings_are_right_or_refused(data: Path) -> None:
    folder = data / "encodings/dev"
    wrong = []
    for row in rows(folder / "manifest.jsonl"):
        path = folder / row["file"]
        document = read(path, name="page.txt" if path.suffix != ".html" else "page.html")
        try:
            truth = path.read_bytes().decode(row["encoding"])
        except (UnicodeDecodeError, LookupError):
            continue
        if document.reason is None and path.suffix != ".html" and "<html" not in truth[:500]:
            letters = set(document.text) - set(truth)
            wrong += [(row["file"], letters)] if len(letters) > 3 else []
    assert not wrong


def test_files_of_every_format_get_a_text_or_a_reason(data: Path) -> None:
    folder = data / "docs_formats/dev"
    texts = 0
    for row in rows(folder / "manifest.jsonl"):
        path = folder / row["file"]
        document = read(path)
        if row["category"] == "encrypted":
            assert document.reason is not None, path
        elif path.suffix.lower() in SUPPORTED_ENDINGS and row["category"] == "ok":
            assert document.reason in {None, "there is no text in it"}, (path, document.reason)
            texts += document.reason is None
        elif path.suffix.lower() not in SUPPORTED_ENDINGS:
            assert document.reason is not None, path
    assert texts >= 65


def test_a_wrong_name_breaks_no_parser(data: Path) -> None:
    folder = data / "docs_formats/dev"
    for row in rows(folder / "manifest.jsonl"):
        for ending in (".pdf", ".docx", ".md", ".txt", ".html", ".csv", ".bin"):
            read(folder / row["file"], name=f"mislabelled{ending}")


def test_pages_keep_the_words_of_the_reference_conversion(data: Path) -> None:
    folder = data / "docs_formats/dev"
    for row in rows(folder / "manifest.jsonl"):
        path = folder / row["file"]
        if "truth" not in row or path.suffix not in {".html", ".csv", ".md"}:
            continue
        ours = read(path).text
        truth = _ADDRESS.sub("", (folder / row["truth"]).read_text(encoding="utf-8"))
        words = set(_words(truth))
        recall = len(words & set(_words(ours))) / max(len(words), 1)
        assert recall > 0.9, (path.name, words - set(_words(ours)))


def _words(text: str) -> list[str]:
    return "".join(char if char.isalnum() else " " for char in text).split()
