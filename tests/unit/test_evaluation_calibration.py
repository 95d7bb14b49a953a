"""How far proxies agree with people, on made-up judgements."""

import json
from pathlib import Path

import pytest

from kotaemon_node.evaluation.calibration import calibrate, read_scored
from kotaemon_node.evaluation.errors import ExperimentError
from tests.fakes.encoder import HashingEncoder

RESPONSES = (
    ("Tea is hot.", ("4", "4", "3")),
    ("Tea is hot and red.", ("3", "2", "3")),
    ("Coffee costs nothing.", ("1", "1", "1")),
)


def judged(path: Path) -> Path:
    row = {
        "turns": [{"role": "user", "text": "Is tea hot?"}],
        "contexts": [{"passage_id": "p", "text": "Tea is served hot."}],
        "responses": [
            {
                "response": response,
                "human": {"faithfulness": said, "appropriateness": said, "completeness": ("2",)},
            }
            for response, said in RESPONSES
        ],
    }
    path.write_text(json.dumps(row))
    return path


def test_means_of_judges_are_correlated_with_the_proxies(tmp_path: Path) -> None:
    path = judged(tmp_path / "tasks.jsonl")
    assert [it.human["faithfulness"] for it in read_scored(path)] == pytest.approx(
        [11 / 3, 8 / 3, 1]
    )
    told: list[int] = []
    found = calibrate(path, HashingEncoder(), tell=lambda _, done, of: told.append(of - done))
    assert found["faithfulness_proxy"]["faithfulness"] == {"spearman": 1, "kendall": 1, "n": 3}
    # All were found equally complete: there is no order to agree with.
    assert found["faithfulness_proxy"]["completeness"]["spearman"] is None
    assert told == [3, 2, 1]


def test_rows_of_another_form_say_where(tmp_path: Path) -> None:
    path = tmp_path / "tasks.jsonl"
    path.write_text(json.dumps({"turns": [{"role": "user", "text": "?"}], "contexts": []}))
    with pytest.raises(ExperimentError, match=r"tasks.jsonl:1: it needs turns, contexts"):
        read_scored(path)
