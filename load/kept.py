"""Results of a measure as they are kept: figures for programs, and a report for people."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def keep(out: Path, results: Mapping[str, Any], report: str) -> None:
    """Write ``results`` to ``out`` with the suffix .json, and ``report`` (Markdown) with .md."""
    out.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    out.with_suffix(".md").write_text(report, "utf-8")


def progress(what: str) -> None:
    """Tell somebody who waits how far a measure is."""
    print(f"  {what}", flush=True)
