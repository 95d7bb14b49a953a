"""The harness of ``make bench``: statistics, rounds, questions, what is kept and refused."""

import json
import subprocess
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

from load.bench.speed.arms import Measured, at_least, at_most
from load.bench.speed.corpus import policy, questions
from load.bench.speed.durable import sample_of
from load.bench.speed.figures import quantile, ratio, significant, spread
from load.bench.speed.report import kept_results, printed, write
from load.bench.speed.rounds import Samples, in_rounds, interleaved
from load.bench.speed.run import main
from load.surroundings import DirtyTree, changed_since, refuse_dirty


def test_quantiles_lie_between_samples() -> None:
    assert quantile([4.0, 1.0, 3.0, 2.0], 0.5) == 2.5
    assert quantile([1.0, 2.0, 3.0, 4.0, 5.0], 0.25) == 2.0
    assert quantile([7.0], 0.99) == 7.0
    with pytest.raises(ValueError, match="no samples"):
        quantile([], 0.5)


def test_a_spread_has_middle_quarters_and_ends() -> None:
    found = spread([5.0, 1.0, 4.0, 2.0, 3.0])
    assert (found.median, found.low, found.high) == (3.0, 2.0, 4.0)
    assert (found.least, found.most, found.count) == (1.0, 5.0, 5)


def test_a_ratio_is_taken_within_each_round() -> None:
    # The machine was ten times slower in the second round: that cancels out.
    assert ratio([20.0, 2.0, 30.0], [10.0, 1.0, 10.0]).median == 2.0
    with pytest.raises(ValueError, match="argument"):
        ratio([1.0, 2.0], [1.0])


def test_kept_figures_have_four_digits() -> None:
    assert significant(0.123456) == 0.1235
    assert significant(123456.0) == 123500.0


def test_each_arm_runs_once_a_round_in_changing_order() -> None:
    order = list(interleaved(["a", "b", "c"], rounds=20, seed=1))
    assert Counter(order) == Counter({(number, arm): 1 for number in range(20) for arm in "abc"})
    firsts = {arm for number, arm in order[::3]}
    assert firsts == {"a", "b", "c"}
    assert order == list(interleaved(["a", "b", "c"], rounds=20, seed=1))


def test_samples_are_kept_by_round_however_they_were_drawn(tmp_path: Path) -> None:
    samples = in_rounds(
        {"a": lambda number: {"per_s": 2.0 + number}, "b": lambda number: {"per_s": 1.0}},
        rounds=3,
        seed=5,
        pause_s=0.0,
    )
    assert samples.of("a", "per_s") == [2.0, 3.0, 4.0]
    assert samples.ratio("a", "b", "per_s").median == 3.0
    samples.keep(tmp_path / "raw" / "x.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "raw" / "x.jsonl").read_text().splitlines()]
    assert [row["arm"] for row in rows].count("a") == 3
    with pytest.raises(KeyError, match="c has no per_s"):
        samples.of("c", "per_s")


def test_no_two_questions_are_the_same_and_each_names_its_policy() -> None:
    asked = list(islice(questions(50), 1_000))
    assert len(set(asked)) == len(asked)
    assert asked[:20] == list(islice(questions(50), 20))
    assert asked[7:20] == list(islice(questions(50, first=7), 13))
    forms = {policy(number)[0].rpartition(" ")[2] for number in range(50)}
    assert all(any(form in question for form in forms) for question in asked)
    assert len({policy(number)[1] for number in range(50)}) == 50


def test_lost_streams_make_no_figure() -> None:
    seen = {"lost": 0, "errors": {}, "words": 4, "frames": 2, "server_cpu_s": 0.002}
    empty: dict[str, dict[str, int]] = {"first_text_ms": {}, "late_ms": {}}
    found = sample_of({**seen, **empty, "delay_ms": {"1": 97, "7": 2, "90": 1}})
    assert (found["delay_p50_ms"], found["delay_p99_ms"]) == (1.0, 7.0)
    assert found["cpu_ms_per_1000_words"] == pytest.approx(500.0)
    with pytest.raises(RuntimeError, match="1 streams were lost"):
        sample_of({**seen, **empty, "delay_ms": {}, "lost": 1})


def measured() -> Measured:
    samples = Samples()
    for number, value in enumerate((10.0, 12.0, 11.0)):
        samples.add("worker", number, {"per_s": value})
        samples.add("limit", number, {"per_s": 20.0})
    return Measured(
        samples,
        {"worker_over_limit": samples.ratio("worker", "limit", "per_s"), "right": 1.0},
        (at_least("worker_over_limit", 0.7), at_most("right", 1.0)),
        drawn=(("Answers & more", "per_s", "a second", ("limit", "worker")),),
        notes=("A note.",),
    )


def test_what_is_kept_tells_figures_goals_spreads_and_where(tmp_path: Path) -> None:
    around = {
        "commit": "abc", "machine": "2 cores", "cores": "apart", "rounds": 3, "seconds": 1.0,
    }  # fmt: skip
    found = {"throughput": {"measured": measured(), "took_s": 3.0, "machine_taken_by_others": 0.25}}
    results = kept_results(around, found)
    write(results, found, out=tmp_path)
    kept = json.loads((tmp_path / "bench.json").read_text())
    assert kept["worker_over_limit"] == 0.55
    assert kept["goals"]["worker_over_limit"] == {"at least": 0.7, "is": 0.55, "met": False}
    assert kept["goals"]["right"]["met"]
    assert kept["spreads"]["worker_over_limit"]["most"] == 0.6
    assert kept["surroundings"] == around
    assert "NOT MET: at least 0.7" in printed(results)
    page = (tmp_path / "bench.md").read_text()
    assert "Commit abc; 2 cores" in page
    assert "A note." in page
    assert "others took 25% of the machine" in page
    plot = (tmp_path / "bench" / "throughput-per_s.svg").read_text()
    assert "Answers &amp; more" in plot
    assert len((tmp_path / "bench" / "throughput.jsonl").read_text().splitlines()) == 6


def git(root: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=T", "-c", "user.email=t@example.org")
    subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True)


def test_a_tree_that_differs_from_its_commit_is_refused(tmp_path: Path) -> None:
    git(tmp_path, "init")
    (tmp_path / "code.py").write_text("1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    refuse_dirty(tmp_path)
    results = tmp_path / "load" / "results"
    results.mkdir(parents=True)
    (results / "bench.json").write_text("{}")
    refuse_dirty(tmp_path)  # results are what a run writes
    (tmp_path / "new.py").write_text("2\n")
    with pytest.raises(DirtyTree, match=r"new\.py[^$]*--dirty"):
        refuse_dirty(tmp_path)


def test_what_changed_since_a_run_began_is_told_though_it_was_committed(tmp_path: Path) -> None:
    git(tmp_path, "init")
    (tmp_path / "code.py").write_text("1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    git(tmp_path, "tag", "began")
    results = tmp_path / "load" / "results"
    results.mkdir(parents=True)
    (results / "soak.json").write_text("{}")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "results are no part of it")
    assert changed_since("began-dirty", tmp_path) == []  # for results, which are no part of it
    (tmp_path / "code.py").write_text("2\n")
    git(tmp_path, "commit", "-am", "second")
    (tmp_path / "new.py").write_text("3\n")
    assert changed_since("began", tmp_path) == ["code.py", "new.py"]


def test_a_dirty_tree_measures_nothing_unless_asked_to(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def dirty() -> None:
        raise DirtyTree("The tree differs from its commit")

    monkeypatch.setattr("load.bench.speed.run.refuse_dirty", dirty)
    monkeypatch.setattr("load.bench.speed.run.MEASURES", {"throughput": lambda context: measured()})
    assert main(["--out", str(tmp_path)]) == 2
    assert "differs from its commit" in capsys.readouterr().out
    assert main(["--out", str(tmp_path), "--dirty"]) == 1  # a goal is not met
    assert "worker_over_limit" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())
