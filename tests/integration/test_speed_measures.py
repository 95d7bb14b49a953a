"""Each measure of ``make bench`` runs to its end with tiny sizes, and gives what is promised."""

from pathlib import Path

import pytest

from load.bench.speed.arms import Context, middle
from load.bench.speed.cores import cores
from load.bench.speed.run import MEASURES, ROOT

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

PROMISED = {
    "throughput": {"worker_over_limit", "worker_over_naive", "limit_over_naive", "p50_over_limit"},
    "cached": {"cached_p50_ms", "cached_over_uncached"},
    "history": {"history_1000_over_10", "naive_history_1000_over_10", "redis_turn_over_json"},
    "durable": {"durable_delay_p99_ms", "durable_cpu_over_undurable"},
    "scaling": {"two_workers_over_one", "two_cores_over_one"},
    "streams": {"stream_kib_each", "heartbeat_lateness_p99_ms", "first_text_p99_ms"},
    "start": {"worker_start_s", "further_worker_mib"},
    "ingest": {"ingest_over_limit"},
    # A server of its own, which few machines have: what to name is said where it is not there.
    "peer": None,
}


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    return Context(
        cores=cores(),
        models=ROOT / ".models",
        rounds=1,
        seconds=3.0,
        passages=60,
        share=0.05,
        room=tmp_path_factory.mktemp("room"),
        tell=lambda _: None,
    )


def test_every_measure_is_looked_at_here() -> None:
    assert set(PROMISED) == set(MEASURES)


def test_a_peer_that_is_not_there_is_told(context: Context) -> None:
    with pytest.raises(FileNotFoundError, match="HAYHOOKS"):
        MEASURES["peer"](context)


@pytest.mark.parametrize(("name", "promised"), [one for one in PROMISED.items() if one[1]])
def test_a_measure_gives_its_figures(
    name: str, promised: set[str], context: Context, tmp_path: Path
) -> None:
    measured = MEASURES[name](context)
    assert promised <= set(measured.figures)
    assert all(middle(value) == middle(value) for value in measured.figures.values())
    assert {goal.figure for goal in measured.goals} <= set(measured.figures)
    # Of every measure, some arm is there twice.
    assert any("a_over_a" in figure for figure in measured.figures)
    measured.samples.keep(tmp_path / "raw.jsonl")
    assert (tmp_path / "raw.jsonl").read_text().count("\n") == len(measured.samples.rows)
