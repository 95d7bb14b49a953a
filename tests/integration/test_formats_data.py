"""Real files of every format: each gets its text, whose words arrive, or the right reason."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from kotaemon_node.adapters.documents.endings import SUPPORTED_ENDINGS
from load.bench.format_figures import STUDIES, Read, figures, outcome, within_goal
from load.bench.format_words import cell_recall, words
from load.bench.formats import cases, measure, read

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def data() -> Path:
    folder = os.environ.get("KOTAEMON_TEST_DATA")
    if not folder:
        pytest.skip("KOTAEMON_TEST_DATA does not name the folder of the public data sets")
    return Path(folder)


@pytest.fixture(scope="module")
def found(data: Path) -> Sequence[Read]:
    """Return what becomes of all files but PDFs, which have tests of their own."""
    result = []
    for case in cases(data, "dev"):
        if case.set != "pdf_hard":
            text, reason, took_ms = read(case.name, case.path)
            kind = outcome(text, reason)
            size_bytes = case.path.stat().st_size
            result.append(Read(case, words(text), reason, kind, took_ms, size_bytes))
    return result


def test_every_file_gets_its_text_or_the_right_reason(found: Sequence[Read]) -> None:
    assert len(found) >= 180
    assert not figures(found)["unexpected"]
    for it in found:
        ending = it.case.path.suffix.lower()
        if it.case.set == "docs_formats" and it.case.expected == "read":
            readable = ending in SUPPORTED_ENDINGS
            assert (it.outcome in {"text", "no text"}) is readable, (it.case.name, it.reason)


def test_the_words_of_each_format_arrive(found: Sequence[Read]) -> None:
    formats = figures(found)["formats"]
    assert {name.partition(": ")[2] for name, it in formats.items() if it["compared"]} == {
        "csv",
        "docx",
        "html",
        "pptx",
        "text in an old encoding",
        "xlsx",
    }
    assert within_goal(figures(found)), formats


def test_no_single_file_loses_a_tenth_of_its_words(found: Sequence[Read]) -> None:
    low = [it for it in found if it.compared and it.recall < 0.9]
    assert not [it for it in low if it.case.path.name not in STUDIES]


def test_cells_of_tables_stay_whole(found: Sequence[Read]) -> None:
    shares = [cell_recall(it.words, it.case.cells) for it in found if it.compared and it.case.cells]
    assert len(shares) >= 15
    assert sum(shares) / len(shares) > 0.95


def test_texts_in_old_encodings_are_read_exactly_or_refused(found: Sequence[Read]) -> None:
    """A wrong decoding that nobody notices is the worst result."""
    texts = [it for it in found if it.case.set == "encodings" and it.compared]
    assert len(texts) >= 70
    assert not [it.case.path for it in texts if min(it.recall, it.precision) < 0.999]


@pytest.mark.parametrize("ending", [".pdf", ".docx", ".md", ".csv", ".bin"])
def test_a_wrong_name_breaks_no_parser(found: Sequence[Read], ending: str) -> None:
    for it in found:
        if it.case.set == "docs_formats" and it.took_ms < 100:
            _, reason, _ = read(f"mislabelled{ending}", it.case.path)
            assert outcome("", reason) != "CRASH", (it.case.name, reason)


@pytest.mark.long
def test_all_sets_together_reach_the_goal(data: Path) -> None:
    result = measure(data, "dev")
    assert within_goal(result), (result["unexpected"], result["formats"])
