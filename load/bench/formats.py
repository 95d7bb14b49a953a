"""Measures what becomes of files of every format: text or reason, and how many words arrive.

    python -m load.bench.formats --data ../shared/data --out load/results/formats

Three public sets are read: Office, web and e-book files with reference conversions by another
program (``docs_formats``), texts in old encodings with their truth (``encodings``), and difficult
PDFs with the words that a third program found (``pdf_hard``, a soft reference: it is wrong at
times). Each file is read in a process that may take a minute for it.
"""

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from kotaemon_node.adapters.documents.reading import parse_document
from kotaemon_node.domain.errors import DocumentRefused
from load import surroundings
from load.bench.format_figures import Case, Read, figures, outcome, report, within_goal
from load.bench.format_words import cells, plain, words
from load.kept import keep

PATIENCE_S = 60.0


def cases(data: Path, half: str) -> Iterator[Case]:
    """Yield the files of all sets, with what is expected of them."""
    folder = data / "docs_formats" / half
    for row in rows(folder):
        truth = (folder / row["truth"]).read_text("utf-8") if "truth" in row else None
        expected = {"encrypted": "refused", "corrupt": "any"}.get(row["category"], "read")
        yield Case(
            set="docs_formats",
            format=row["format"],
            path=folder / row["file"],
            name=row["file"],
            expected=expected,
            truth=None if truth is None else words(plain(truth)),
            cells=[] if truth is None else cells(truth),
        )
    yield from encoded(data / "encodings" / half)
    folder = data / "pdf_hard" / half
    for row in rows(folder):
        soft = folder / "truth" / f"{PurePosixPath(row['file']).name}.txt"
        known = row["expect"] == "text" and soft.exists()
        yield Case(
            set="pdf_hard",
            format="pdf",
            path=folder / row["file"],
            name=row["file"],
            expected=PDF_EXPECTED[row["expect"]],
            truth=words(soft.read_text("utf-8")) if known else None,
        )


PDF_EXPECTED = {
    "text": "read",
    "no-text": "refused",
    "password-required": "refused",
    "rejected": "refused",
    "error-or-repaired": "any",
    "text-or-error": "any",
    "error-or-slow": "any",
}


def encoded(folder: Path) -> Iterator[Case]:
    """Yield the texts in old encodings; their truth is what the right decoding is parsed to."""
    for row in rows(folder):
        path = folder / row["file"]
        name = "page.html" if path.suffix == ".html" else "page.txt"
        right: str | None = None
        if "truth" in row:
            right = (folder / row["truth"]).read_text("utf-8")
        elif row["decodes"]:
            right = path.read_bytes().decode(row["encoding"])
        truth = None if right is None else words(text_of(name, right.encode()))
        yield Case(
            set="encodings",
            format="text in an old encoding",
            path=path,
            name=name,
            expected="any",
            truth=truth,
        )


def rows(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a set's list."""
    for line in (folder / "manifest.jsonl").read_text("utf-8").splitlines():
        yield json.loads(line)


def text_of(name: str, content: bytes) -> str:
    """Return the canonical text, "" where there is none."""
    try:
        return parse_document(name, content).text()
    except DocumentRefused:
        return ""


def read(name: str, path: Path) -> tuple[str, str, float]:
    """Return the text, the reason why there is none, and the milliseconds that it took."""
    content = path.read_bytes()
    began_s = time.perf_counter()
    text, reason = "", ""
    try:
        text = parse_document(name, content).text()
    except DocumentRefused as refusal:
        reason = str(refusal)
    except Exception as error:  # noqa: BLE001 - a parser's bug is a result here
        reason = f"CRASH: {error!r}"
    return text, reason, (time.perf_counter() - began_s) * 1000


class Child:
    """A process that reads, replaced when it dies or takes too long."""

    def __init__(self) -> None:
        self._processes = multiprocessing.get_context("spawn")
        self._pool = self._processes.Pool(1)

    def read(self, case: Case) -> Read:
        """Read a file; a death and a time-out are reasons like others."""
        asked = self._pool.apply_async(read, (case.name, case.path))
        try:
            text, reason, took_ms = asked.get(PATIENCE_S)
        except multiprocessing.TimeoutError:
            self._pool.terminate()
            self._pool = self._processes.Pool(1)
            text, took_ms = "", PATIENCE_S * 1000
            reason = f"CRASH: no answer within {PATIENCE_S:.0f} s"
        ours = words(text)
        size_bytes = case.path.stat().st_size
        return Read(case, ours, reason, outcome(text, reason), took_ms, size_bytes)

    def close(self) -> None:
        """End the process."""
        self._pool.terminate()


def measure(data: Path, half: str) -> Mapping[str, Any]:
    """Read everything; return the results."""
    child = Child()
    try:
        # The first file would be charged with the libraries that all need.
        child.read(next(cases(data, half)))
        found = [child.read(case) for case in cases(data, half)]
    finally:
        child.close()
    return {
        "half": half,
        "commit": surroundings.commit(),
        "machine": surroundings.machine(),
        **figures(found),
    }


def main() -> int:
    """Run as asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder of the public sets")
    parser.add_argument("--half", default="dev", help="which half of the sets")
    parser.add_argument("--out", type=Path, required=True, help="this, .json and .md")
    asked = parser.parse_args()
    found = measure(asked.data, asked.half)
    text = report(found)
    keep(asked.out, found, text)
    print(text)
    return 0 if within_goal(found) else 1


if __name__ == "__main__":
    sys.exit(main())
