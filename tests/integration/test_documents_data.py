"""Real documents of other people: none breaks the parsers, none turns to mojibake."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coordinator.ingest import Ingested, ingest

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
