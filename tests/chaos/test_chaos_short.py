"""A minute of faults, the same ones each time: no promise is broken, and kills met turns."""

import json
from pathlib import Path

import pytest

from load.chaos.faults import FAULTS
from load.chaos.report import markdown, results, right
from load.chaos.run import order, run

SECONDS = 45
WRITERS = 8
SEED = 5
SHORT = ("kill_worker", "kill_balancer", "kill_redis", "reset_connections", "replay_events")


@pytest.mark.timeout(400)
def test_a_minute_of_faults_breaks_no_promise(tmp_path: Path) -> None:
    found = results(
        run(
            seed=SEED,
            clients=WRITERS,
            seconds=SECONDS,
            faults=SHORT,
            tell=print,
            log=tmp_path / "log.jsonl",
        )
    )
    print(markdown(found))
    assert found["violations"] == []
    assert found["failures"] == []
    assert found["reader_problems"] == []
    assert found["kills"]["turns_hit"] >= 1
    assert found["readers"]["resumed"] > 0
    assert found["turns"]["sent"] > WRITERS
    assert right(found)
    json.dumps(found)


def test_the_order_of_faults_follows_from_the_seed_and_has_each_of_them() -> None:
    def first(seed: int) -> list[str]:
        faults = order(seed, list(FAULTS))
        return [next(faults).name for _ in range(len(FAULTS) + 7)]

    assert first(1) == first(1) != first(2)
    assert set(first(1)) == set(FAULTS)
    assert first(1).count("kill_worker") == 8
