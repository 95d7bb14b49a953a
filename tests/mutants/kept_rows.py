"""A table of mutants that is kept: a row for each, written anew when one was run again."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class KeptRows:
    """The rows of ``out`` with the suffix .json, and what people read of them with .md."""

    out: Path
    names: Sequence[str]
    """Of all mutants, in the order of the table."""
    shown: Callable[[Sequence[Row]], str]

    def rows(self) -> dict[str, Row]:
        """Return the kept rows by the names of their mutants."""
        file = self.out.with_suffix(".json")
        rows = json.loads(file.read_text("utf-8"))["mutants"] if file.exists() else []
        return {row["mutant"]: row for row in rows}

    def keep(self, row: Row) -> None:
        """Put a row into the table, in place of the one before it."""
        rows = {**self.rows(), row["mutant"]: row}
        ordered = [rows[name] for name in self.names if name in rows]
        text = json.dumps({"mutants": ordered}, indent=1, ensure_ascii=False) + "\n"
        self.out.with_suffix(".json").write_text(text, "utf-8")
        self.out.with_suffix(".md").write_text(self.shown(ordered), "utf-8")
