"""The short tests of the core have teeth: each of its broken places makes some fail."""

from collections import Counter
from pathlib import Path

import pytest

from tests.mutants import core_runs
from tests.mutants.core import CORE_MUTANTS, CoreMutant
from tests.mutants.core_runs import row_of
from tests.mutants.trees import ROOT, RUN_S, failed, planted

EACH = pytest.mark.parametrize("mutant", CORE_MUTANTS, ids=lambda it: it.name)


@EACH
def test_what_a_core_mutant_changes_stands_once(mutant: CoreMutant) -> None:
    change = mutant.change
    text = (ROOT / change.file).read_text("utf-8")
    assert text.count(change.old) == 1
    if change.file.endswith(".py"):
        compile(text.replace(change.old, change.new), change.file, "exec")


def test_there_are_at_least_thirty_and_each_was_seen() -> None:
    assert max(Counter(mutant.name for mutant in CORE_MUTANTS).values()) == 1
    rows = core_runs.TABLE.rows()
    assert [*rows] == [mutant.name for mutant in CORE_MUTANTS]
    assert len(rows) >= 30
    assert [name for name, row in rows.items() if not row["red"]] == []
    assert core_runs.TABLE.out.with_suffix(".md").read_text("utf-8") == core_runs.shown(
        [*rows.values()]
    )


@pytest.mark.long
@pytest.mark.timeout(2 * RUN_S + 60)
@EACH
def test_a_core_mutant_is_seen(mutant: CoreMutant, tmp_path: Path) -> None:
    planted((), tree := tmp_path / "tree")

    assert failed(mutant.tests, tree) == []
    assert row_of(mutant, tree)["red"]
