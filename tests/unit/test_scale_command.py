"""What ``python -m load.scale`` refuses before it measures, and what it makes of what is kept."""

import shutil
from pathlib import Path

import pytest

from load.scale import __main__ as command
from load.surroundings import DirtyTree

MEASURED: list[Path] = []


@pytest.fixture(autouse=True)
def _measures_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    MEASURED.clear()
    shutil.copy(command.RESULTS / "scale.json", tmp_path)

    def measure(out: Path, *, only: list[str]) -> None:
        assert only == []
        MEASURED.append(out)

    monkeypatch.setattr(command, "measure", measure)
    monkeypatch.setattr(command.surroundings, "refuse_dirty", lambda: None)


def test_a_tree_that_differs_from_its_commit_is_not_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def dirty() -> None:
        raise DirtyTree("The tree differs from its commit")

    monkeypatch.setattr(command.surroundings, "refuse_dirty", dirty)
    assert command.main(["measure", "--results", str(tmp_path)]) == 2
    assert "differs from its commit" in capsys.readouterr().out
    assert MEASURED == []
    assert command.main(["measure", "--dirty", "--results", str(tmp_path)]) == 0
    assert len(MEASURED) == 1
    assert MEASURED[0].parent != tmp_path
    assert "# A cluster on paper" in capsys.readouterr().out
    assert {it.name for it in tmp_path.iterdir()} == {"scale.json"}
    # Arithmetic over kept costs is of their commits, whatever is checked out.
    assert command.main(["--results", str(tmp_path)]) == 0


def test_a_clean_tree_is_measured_and_the_tables_made(tmp_path: Path) -> None:
    assert command.main(["measure", "--results", str(tmp_path)]) == 0
    assert [it.parent for it in MEASURED] == [tmp_path]
    assert (tmp_path / "scale_redis_25.svg").exists()


def test_answers_that_a_model_writes_last_ten_seconds(tmp_path: Path) -> None:
    assert command.main(["--results", str(tmp_path)]) == 0
    assert "lasts 10 s" in (tmp_path / "scale_model_2.5.md").read_text("utf-8")
    assert "lasts 10 s" not in (tmp_path / "scale_model_25.md").read_text("utf-8")
    assert command.main(["--turns-per-pod", "5:4", "--results", str(tmp_path)]) == 0
    assert "lasts 4 s" in (tmp_path / "scale_model_5.md").read_text("utf-8")


@pytest.mark.parametrize("pace", ["many", "0", "5:", "5:-1", "5:4:3"])
def test_a_pace_that_is_none_is_refused(pace: str, tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        command.main(["--turns-per-pod", pace, "--results", str(tmp_path)])


def test_the_kept_tables_are_those_of_the_kept_costs(tmp_path: Path) -> None:
    assert command.main(["--results", str(tmp_path)]) == 0
    for made in sorted(tmp_path.glob("scale_*")):
        assert made.read_text("utf-8") == (command.RESULTS / made.name).read_text("utf-8")
