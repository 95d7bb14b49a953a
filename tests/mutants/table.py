"""The kept table of mutants: ``load/results/mutants.json`` and ``.md``."""

from collections.abc import Sequence
from typing import Final

from tests.mutants.catalogue import MUTANTS, SHOWN_BY
from tests.mutants.kept_rows import KeptRows, Row
from tests.mutants.trees import ROOT

_KEPT: Final = ROOT / "load" / "results" / "mutants"


def shown(rows: Sequence[Row]) -> str:
    """Return the table for people."""
    by_name = {row["mutant"]: row for row in rows}
    lines = [
        "# Mutants",
        "",
        "Made by `python -m tests.mutants`: systems that break a rule of their own, each disturbed",
        "for a while and judged by `kotaemon_node.proof`. What was changed in each stands in",
        "`tests/mutants/catalogue.py`.",
        "",
        "| mutant | faults | seconds | turns; hit | red rules | violations | commit |",
        "|---|---|---|---|---|---|---|",
        *(_line(row) for row in rows if not row["survives"]),
        "",
        "## Each rule has been red",
        "",
        "| rule | mutant | violations of it |",
        "|---|---|---|",
        *(
            f"| `{rule}` | {name} | {by_name.get(name, {}).get('red', {}).get(rule, 'none')} |"
            for rule, name in SHOWN_BY.items()
        ),
        "",
        "## Survivors",
        "",
        "What clients see of these is right; that is no proof that they are.",
        "",
        "| mutant | faults | turns; hit | takeovers seen | red rules | why | found by |",
        "|---|---|---|---|---|---|---|",
        *(_survivor(row) for row in rows if row["survives"]),
    ]
    return "\n".join(lines) + "\n"


TABLE: Final = KeptRows(_KEPT, [mutant.name for mutant in MUTANTS], shown)


def _line(row: Row) -> str:
    cells = [
        row["mutant"],
        ", ".join(row["faults"]),
        f"{row['seconds']:.0f}",
        f"{row['turns']}; {row['hits']}",
        _red(row),
        str(row["violations"]),
        row["commit"],
    ]
    return f"| {' | '.join(cells)} |"


def _survivor(row: Row) -> str:
    found_by = f"`tests/property`: {row['story']}" if row["story"] else "nothing"
    cells = [
        row["mutant"],
        ", ".join(row["faults"]),
        f"{row['turns']}; {row['hits']}",
        str(row["takeovers_seen"]),
        _red(row),
        row["survives"],
        found_by,
    ]
    return f"| {' | '.join(cells)} |"


def _red(row: Row) -> str:
    return ", ".join(f"{rule} ({times})" for rule, times in row["red"].items()) or "none"
