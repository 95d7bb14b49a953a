"""The tests of conversations that act have teeth: each broken system makes some of them fail."""

from pathlib import Path

import pytest

from tests.mutants.acting import ACTING_MUTANTS, ActingMutant
from tests.mutants.trees import ROOT, RUN_S, found_by

EACH = pytest.mark.parametrize("mutant", ACTING_MUTANTS, ids=lambda it: it.name)


@EACH
def test_what_an_acting_mutant_changes_stands_once(mutant: ActingMutant) -> None:
    for change in mutant.changes:
        text = (ROOT / change.file).read_text("utf-8")
        assert text.count(change.old) == 1
        if change.file.endswith(".py"):
            compile(text.replace(change.old, change.new), change.file, "exec")


@pytest.mark.long
@pytest.mark.timeout(RUN_S + 60)
@EACH
def test_an_acting_mutant_is_found_out(mutant: ActingMutant, tmp_path: Path) -> None:
    assert found_by(mutant, tmp_path)
