"""The same proof where sessions are kept behind Sentinel or on a Redis Cluster."""

from pathlib import Path

import pytest

from kotaemon_node.chaos.markdown import markdown
from load.chaos.run import run_scene

SECONDS = 30
WRITERS = 8
FAULTS = {
    "sentinel": ("kill_worker", "fail_over", "reset_connections"),
    "cluster": ("kill_worker", "move_slots", "reset_connections"),
}


@pytest.mark.long
@pytest.mark.timeout(400)
@pytest.mark.parametrize("kind", FAULTS)
def test_half_a_minute_on_each_kind_of_store_breaks_no_promise(tmp_path: Path, kind: str) -> None:
    found = run_scene(
        seed=7,
        clients=WRITERS,
        seconds=SECONDS,
        faults=FAULTS[kind],
        tell=print,
        log=tmp_path / "log.jsonl",
        kind=kind,
        # With the primary alone acknowledging, a failover may lose turns.
        durability="replica" if kind == "sentinel" else "local",
    )
    print(markdown(found, made_by="make test-long"))
    assert found["violations"] == []
    assert found["failures"] == []
    assert found["reader_problems"] == []
    assert found["kills"]["turns_hit"] >= 1
    assert {row["name"] for row in found["faults"]} == set(FAULTS[kind])


@pytest.mark.long
@pytest.mark.timeout(400)
def test_a_store_that_was_wiped_is_told_to_whoever_knows_better(tmp_path: Path) -> None:
    """Pods live on here: what no living pod remembers, nobody can tell."""
    found = run_scene(
        seed=2,
        clients=WRITERS,
        seconds=12,
        faults=("wipe_redis",),
        tell=print,
        log=tmp_path / "log.jsonl",
    )
    print(markdown(found, made_by="make test-long"))
    assert found["violations"] == []
    assert found["failures"] == []
    assert found["reader_problems"] == []
    assert found["readers"]["gone"] > 0
