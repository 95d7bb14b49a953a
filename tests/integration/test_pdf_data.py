"""Real and hostile PDFs of other people: each gets its text, or a reason that is the right one."""

import json
from pathlib import Path
from typing import Any

import pytest

from coordinator.chunking import passages_of
from kotaemon_node.adapters.documents.pdf import parse_pdf
from kotaemon_node.domain.errors import DocumentRefused
from load.bench.format_words import words

pytestmark = pytest.mark.data

# What a parser may answer, by what the set expects of the file; "" is a text.
REASONS = {
    "text": ("",),
    "no-text": ("without text", "there is no text in it"),
    "password-required": ("needs a password",),
    "rejected": ("it is not a PDF",),
    "error-or-repaired": ("", "broken", "not a PDF", "no text"),
    "text-or-error": ("", "broken", "not a PDF"),
}
# The set was sorted by what another program did with its files.
BETTER = {
    "issue8372.pdf": "",  # that program had no letters for its font
    "auth-event-ef-open.pdf": "",  # only its attachment is encrypted
    "r6-user-password.pdf": "needs a password",  # that program tried the owner's, which is empty
}
WRONG_REFERENCES = {
    "XiaoBiaoSong.pdf": "GBK read as Western European",
    "issue14999_reduced.pdf": "names of glyphs in place of letters",
    "fake-bold-sample.pdf": "each letter twice, one a line",
    "issue-842-example.pdf": "each word four times without a blank",
}
WEAK = {"issue6387.pdf": 0.4}  # vertical Japanese in columns side by side is read by rows
RECALL_MIN = 0.96


@pytest.fixture(scope="module")
def rows(public_data: Path) -> list[dict[str, Any]]:
    manifest = public_data / "pdf_hard/dev/manifest.jsonl"
    return [json.loads(line) for line in manifest.read_text("utf-8").splitlines()]


def outcome(path: Path) -> tuple[str, str]:
    """Return the text of a file, or the reason why it has none."""
    try:
        return parse_pdf(path.read_bytes(), name=path.stem).text(), ""
    except DocumentRefused as refusal:
        return "", str(refusal)


def test_every_file_gets_its_text_or_the_right_reason_and_texts_keep_their_words(
    public_data: Path, rows: list[dict[str, Any]]
) -> None:
    folder = public_data / "pdf_hard/dev"
    wrong: list[tuple[str, str]] = []
    recalls: dict[str, float] = {}
    for row in rows:
        path = folder / row["file"]
        text, reason = outcome(path)
        expected = (BETTER[path.name],) if path.name in BETTER else REASONS[row["expect"]]
        fits = any(sign in reason if sign else not reason for sign in expected)
        wrong += [] if fits else [(path.name, reason)]
        truth = folder / "truth" / f"{path.name}.txt"
        if text and row["expect"] == "text" and path.name not in WRONG_REFERENCES:
            told = set(words(truth.read_text("utf-8")))
            recalls[path.name] = len(told & set(words(text))) / len(told)
    assert not wrong
    assert len(recalls) >= 35
    assert sum(recalls.values()) / len(recalls) > RECALL_MIN, recalls
    assert [it for it, recall in recalls.items() if recall < WEAK.get(it, 0.85)] == []


@pytest.mark.long
def test_financial_reports_keep_their_tables_with_headings_and_pages(public_data: Path) -> None:
    path = public_data / "sec_10q_pdf/dev/pdf/2022 Q3 AAPL.pdf"
    document = parse_pdf(path.read_bytes(), name=path.stem)
    header = (
        "|  | Three Months Ended June 25, 2022 | Three Months Ended June 26, 2021 "
        "| Nine Months Ended June 25, 2022 | Nine Months Ended June 26, 2021 |"
    )
    row = "| Net income | $19,442 | $21,744 | $79,082 | $74,129 |"
    passages = passages_of(path.name, "r", document)
    text = document.text()
    found = [it for it in passages if row in it.text]
    assert found
    for passage in found:
        assert passage.kind == "table"
        assert header in passage.text or header in passage.heading
        assert text[slice(*passage.span)] == passage.text
    assert {it.page for it in found} >= {4, 5}
    assert any("Earnings Per Share" in it.heading for it in passages)
    assert text.count("Q3 2022 Form 10-Q |") <= 1
