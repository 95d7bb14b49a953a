"""``kotaemon eval`` as a command: it has the coordinator's own program build what it asks."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kotaemon_node.evaluation.building import CoordinatorBuild
from kotaemon_node.evaluation.errors import ExperimentError

DOCUMENTS = {
    "returns.md": "# Returns\n\nGoods may be sent back within 30 days.",
    "shipping.md": "# Shipping\n\nParcels arrive within three working days.",
    "guarantee/kettle.txt": "The guarantee of the kettle lasts two years.",
}
QUESTIONS: list[dict[str, Any]] = [
    {"question": "When will my parcel arrive?", "documents": ["shipping.md"], "answers": ["three"]},
    {"question": "How long is the guarantee of a kettle?", "documents": ["guarantee/kettle.txt"]},
    {"question": "Who won the match last night?", "documents": [], "answerable": False},
]


def put(folder: Path) -> Path:
    """Write questions, documents and an experiment; return the experiment's file."""
    for name, text in DOCUMENTS.items():
        path = folder / "knowledge" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    (folder / "questions.jsonl").write_text("\n".join(map(json.dumps, QUESTIONS)), "utf-8")
    file = folder / "shop.yaml"
    file.write_text("experiment: shop\nevaluation: {dataset: questions.jsonl}\n", "utf-8")
    return file


def test_what_keeps_the_child_from_building_is_told(tmp_path: Path) -> None:
    put(tmp_path)
    build = CoordinatorBuild(
        model="all-MiniLM-L6-v2", backend="onnx", models=tmp_path / "none", threads=1
    )
    with pytest.raises(ExperimentError, match=r"cannot be built: .*all-MiniLM-L6-v2"):
        build(tmp_path / "knowledge", tmp_path / "room", lambda *_: None)


@pytest.mark.long
def test_a_file_becomes_a_report_and_the_same_one_again(tmp_path: Path) -> None:
    file = put(tmp_path)
    command = [sys.executable, "-m", "kotaemon_node.cli.main", "eval", str(file), "--out"]
    for name in ("first", "second"):
        told = subprocess.run(
            [*command, str(tmp_path / name)], capture_output=True, text=True, check=False
        )
        assert told.returncode == 0, told.stderr
        assert "| recall@1 | 1.000 |" in told.stdout
    first, second = ((tmp_path / it / "results.json").read_bytes() for it in ("first", "second"))
    assert first == second
    found = json.loads(first)
    assert found["metrics"]["dont_know"]["mean"] == 1
    assert [it["cited"] for it in found["questions"]] == [
        ["shipping.md"],
        ["guarantee/kettle.txt"],
        [],
    ]
    assert (tmp_path / "first" / "report.html").read_text("utf-8").startswith("<!doctype html>")
