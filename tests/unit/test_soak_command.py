"""What ``make soak`` refuses before it starts anything, and what it keeps."""

from pathlib import Path
from typing import Any

import pytest

from load.soak import __main__ as command
from load.soak.plan import Plan
from load.soak.run import NotRun
from load.surroundings import DirtyTree
from tests.unit.test_soak_figures import looks, results

PLANS: list[Plan] = []


@pytest.fixture(autouse=True)
def _runs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    PLANS.clear()
    monkeypatch.setattr(command.surroundings, "refuse_dirty", lambda: None)
    monkeypatch.setattr(command.surroundings, "changed_since", lambda _: [])
    ran(monkeypatch)


def ran(monkeypatch: pytest.MonkeyPatch, **changed: Any) -> None:
    def soak(plan: Plan, **_: Any) -> tuple[dict[str, Any], Any]:
        PLANS.append(plan)
        return results(**changed), looks()

    monkeypatch.setattr(command, "soak", soak)


def test_twelve_hours_of_eight_thousand_users_unless_asked_otherwise(tmp_path: Path) -> None:
    assert command.main(["--out", str(tmp_path)]) == 0
    assert command.main(["--minutes", "30", "--users", "20", "--out", str(tmp_path)]) == 0
    assert [(it.users, it.seconds, it.every_s) for it in PLANS] == [
        (8_000, 43_200.0, 60.0),
        (20, 1_800.0, 60.0),
    ]
    assert {it.name for it in tmp_path.iterdir()} == {"soak.json", "soak.md", "soak"}
    assert {it.name for it in (tmp_path / "soak").iterdir()} == {
        "latency.svg", "memory.svg", "redis.svg",
    }  # fmt: skip


def test_a_tree_that_differs_from_its_commit_is_refused_or_keeps_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def dirty() -> None:
        raise DirtyTree("The tree differs from its commit")

    monkeypatch.setattr(command.surroundings, "refuse_dirty", dirty)
    assert command.main(["--out", str(tmp_path)]) == 2
    assert "differs from its commit" in capsys.readouterr().out
    assert PLANS == []
    assert command.main(["--dirty", "--out", str(tmp_path)]) == 0
    assert "# Many connected users" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_more_users_than_the_balancer_may_have_files_for_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(command.resource, "getrlimit", lambda _: (1_024, 4_096))
    assert command.main(["--users", "1299", "--out", str(tmp_path)]) == 2
    assert "at most --users 1298" in capsys.readouterr().out
    assert command.main(["--users", "1298", "--out", str(tmp_path)]) == 0


def test_what_was_not_right_or_ended_early_is_kept_and_ends_with_1(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ran(monkeypatch, wrong=["worker-0 grows"])
    assert command.main(["--out", str(tmp_path)]) == 1
    assert "worker-0 grows" in (tmp_path / "soak.md").read_text()
    ran(monkeypatch, stopped_early=True)
    assert command.main(["--out", str(tmp_path)]) == 1
    assert "stopped before its end" in (tmp_path / "soak.md").read_text()


def test_a_tree_that_changed_in_twelve_hours_loses_nothing_and_spoils_no_results(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(command.surroundings, "changed_since", lambda commit: [f"new-{commit}.py"])
    monkeypatch.setattr(command.tempfile, "mkdtemp", lambda prefix: str(tmp_path / "aside"))
    assert command.main(["--out", str(tmp_path / "results")]) == 1
    shown = capsys.readouterr().out
    assert "of no commit:\n  new-abc123.py" in shown
    assert f"kept in {tmp_path / 'aside'}" in shown
    assert (tmp_path / "aside" / "soak.json").exists()
    assert not (tmp_path / "results").exists()

    def gone(_: str) -> list[str]:
        raise FileNotFoundError("git")

    monkeypatch.setattr(command.surroundings, "changed_since", gone)
    assert command.main(["--out", str(tmp_path / "results")]) == 1
    assert "not known: git" in capsys.readouterr().out
    assert not (tmp_path / "results").exists()


def test_what_was_not_run_keeps_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def soak(plan: Plan, **_: Any) -> Any:
        raise NotRun("The users' process ended before it asked")

    monkeypatch.setattr(command, "soak", soak)
    assert command.main(["--out", str(tmp_path)]) == 1
    assert "ended before it asked" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("wrong", [["--users", "0"], ["--minutes", "0"], ["--every", "0"]])
def test_nothing_cannot_be_asked_for(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(wrong)
    assert "more than nothing" in capsys.readouterr().err
