"""The proof has teeth: a system that breaks one of its own rules is found out by the run.

A mutant is a copy of the tree with one place changed, never a switch in the product; see
``tests.mutants``.
"""

from collections import Counter
from pathlib import Path

import pytest

from kotaemon_node.proof import RULES
from tests.mutants import table
from tests.mutants.catalogue import MUTANTS, SHOWN_BY, Change, Mutant
from tests.mutants.trees import ROOT, RUN_S, run
from tests.property.test_turn_protocol import MUTANTS as STORIES

BY_NAME = {mutant.name: mutant for mutant in MUTANTS}
CHANGES = sorted(
    {change for mutant in MUTANTS for change in mutant.changes},
    key=lambda change: (change.file, change.old),
)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: Path(change.file).name)
def test_what_a_mutant_changes_stands_once(change: Change) -> None:
    text = (ROOT / change.file).read_text("utf-8")
    assert text.count(change.old) == 1
    if change.file.endswith(".py"):
        compile(text.replace(change.old, change.new), change.file, "exec")


def test_each_rule_has_a_mutant() -> None:
    assert set(SHOWN_BY) == set(RULES)
    for rule, name in SHOWN_BY.items():
        assert rule in BY_NAME[name].rules


def test_each_mutant_is_found_out_or_says_why_not() -> None:
    assert max(Counter(mutant.name for mutant in MUTANTS).values()) == 1
    for mutant in MUTANTS:
        assert bool(mutant.rules) != bool(mutant.survives), mutant.name
        assert mutant.rules <= set(RULES)
        assert mutant.story in {"", *STORIES}


def test_a_kept_run_shows_each_rule_red() -> None:
    rows = table.TABLE.rows()
    assert set(rows) == set(BY_NAME)
    for rule, name in SHOWN_BY.items():
        assert rows[name]["red"].get(rule), f"{rule} is not red under {name!r}"
    assert table.TABLE.out.with_suffix(".md").read_text("utf-8") == table.shown(list(rows.values()))


@pytest.mark.long
@pytest.mark.timeout(RUN_S + 60)
@pytest.mark.parametrize(
    "mutant",
    [mutant for mutant in MUTANTS if mutant.rules],
    ids=lambda mutant: mutant.name,
)
def test_a_mutant_is_found_out(tmp_path: Path, mutant: Mutant) -> None:
    row = run(mutant, tmp_path)
    print(f"{mutant.name}: {row['red']}, {row['violations']} violations, e.g. {row['example']}")
    assert mutant.rules & row["red"].keys()
