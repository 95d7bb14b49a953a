"""The chart's backups by schedule: what their shell does when a tenant, or all, cannot be saved."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.helm_chart import F, one, rendered

JOB = f"{F}-backup-incr"


def job() -> Any:
    made = one(rendered(sets=("backup.enabled=true",)), "CronJob", JOB)
    return made["spec"]["jobTemplate"]["spec"]


@pytest.mark.parametrize(
    ("backup", "prune", "ends"), [(0, 0, 0), (3, 0, 3), (1, 0, 1), (0, 1, 3), (3, 1, 3)]
)
def test_old_backups_go_whatever_became_of_tonights(
    tmp_path: Path, backup: int, prune: int, ends: int
) -> None:
    """Else one tenant's trouble fills the volume, and then nobody is saved."""
    program, told = tmp_path / "kotaemon", tmp_path / "told"
    program.write_text(
        f'#!/bin/sh\necho "$*" >>{told}\n[ "$2" != prune ] || exit {prune}\nexit {backup}\n'
    )
    program.chmod(0o755)
    [container] = job()["template"]["spec"]["containers"]

    done = subprocess.run(
        container["command"],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        check=False,
        timeout=30,
    )

    assert done.returncode == ends
    assert told.read_text().splitlines() == [
        "backup --all-tenants",
        "backup prune --all-tenants --keep 14",
    ]


def test_what_was_saved_is_not_saved_again_the_same_night() -> None:
    spec = job()
    assert spec["podFailurePolicy"] == {
        "rules": [
            {
                "action": "FailJob",
                "onExitCodes": {"containerName": "backup", "operator": "In", "values": [2, 3]},
                "onPodConditions": [],
            }
        ]
    }
    assert spec["template"]["spec"]["restartPolicy"] == "Never"
