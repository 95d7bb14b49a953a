"""Pods of a real older version beside those of this tree, under load, forward and back."""

import json
import subprocess
from pathlib import Path

import pytest

from load.upgrade.run import Wishes, right, run_upgrade
from tests.wheel import ROOT

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

# Each with what docs/how-to/upgrade.md asks to set while pods of it still run.
OLD = {
    # Before seals, doors and audit log.
    "1eae495": {"ENCRYPTION_SEAL": "off"},
    # With seals, before logins ended everywhere and before session events were thinned.
    "2f4da8d": {},
}


@pytest.mark.parametrize("old", OLD)
def test_no_invariant_breaks_while_versions_are_mixed(old: str, tmp_path: Path) -> None:
    there = subprocess.run(["git", "cat-file", "-e", old], cwd=ROOT, check=False)
    if there.returncode:
        pytest.skip(f"this clone does not hold the older version {old}: `git fetch --unshallow`")

    found = run_upgrade(
        Wishes(old=old, clients=10, side_by_side_s=4.0, settings=OLD[old]),
        tell=print,
        log=tmp_path / "log.jsonl",
    )

    shown = json.dumps(found, indent=1, ensure_ascii=False)
    assert found["violations"] == [], shown
    assert found["failures"] == [], shown
    assert right(found), shown
