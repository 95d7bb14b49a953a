"""A cluster whose encoder is a program of its own, which is killed and comes back."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

import pytest
import requests

from kotaemon_node.local.ports import choose_block
from tests.cluster import Cluster

ROOT = Path(__file__).resolve().parents[2]
MODEL = "all-MiniLM-L6-v2"
# No word of it stands in the passage: only its meaning leads there.
QUESTION = "How much money for the drinking vessel?"
WORDS = "aurora cup dollars"


class EncoderProgram:
    """``kotaemon encoder``, with the real model."""

    def __init__(self) -> None:
        self.port = choose_block(1)
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self.end(signal.SIGKILL)

    def start(self) -> None:
        environment = {
            **{name: text for name, text in os.environ.items() if not name.startswith("ENCODER_")},
            "PYTHONPATH": str(ROOT),
            "MODEL_DIR": str(ROOT / ".models"),
        }
        command = [sys.executable, "-m", "kotaemon_node.cli.main", "encoder"]
        self._process = subprocess.Popen(
            [*command, "--port", str(self.port), "--model", MODEL], env=environment
        )
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                requests.get(f"{self.url}/healthz", timeout=5).raise_for_status()
            except requests.RequestException:
                time.sleep(0.1)
            else:
                return
        raise AssertionError("the encoder did not start")

    def end(self, number: int) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        status = self._process.wait(60)
        self._process = None
        return status


def embedded(program: EncoderProgram, text: Any) -> list[dict[str, Any]]:
    answer = requests.post(
        f"{program.url}/v1/embeddings", json={"model": MODEL, "input": text}, timeout=60
    )
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, Any]] = answer.json()["data"]
    return rows


def counted(cluster: Cluster, pod: str) -> dict[str, float]:
    """Return how many of a pod's requests to its encoder had which outcome."""
    name = "kotaemon_encoder_requests_total"
    text = requests.get(f"{cluster.pod_url(pod)}/metrics", timeout=60).text
    rows = [line for line in text.splitlines() if line.startswith(f"{name}{{")]
    return {row.split('"')[1]: float(row.rpartition(" ")[2]) for row in rows}


def found(cluster: Cluster, pod: str, question: str) -> list[dict[str, Any]]:
    """Search at one pod; an answer that is no success fails the test."""
    answer = requests.get(
        f"{cluster.pod_url(pod)}/v1/search", params={"q": question, "top_k": 1}, timeout=60
    )
    assert answer.status_code == 200, answer.text
    hits: list[dict[str, Any]] = answer.json()["passages"]
    return hits


@pytest.mark.long
def test_the_program_embeds_and_ends_as_it_is_told() -> None:
    with EncoderProgram() as program:
        assert len(embedded(program, ["one", "two"])) == 2
        assert len(embedded(program, "one")[0]["embedding"]) == 384
        metrics = requests.get(f"{program.url}/metrics", timeout=60).text
        assert "kotaemon_embeddings_texts_total 3.0" in metrics
        assert f'kotaemon_encoder_agreement{{model="{MODEL}"}} 0.98' in metrics
        assert program.end(signal.SIGTERM) == 0


@pytest.mark.long
def test_while_the_encoder_is_away_a_cluster_answers_by_words(tmp_path: Path) -> None:
    knowledge = tmp_path / "knowledge"
    knowledge.mkdir()
    texts = {
        "aurora": "The Aurora cup costs 18 dollars.",
        "returns": "Parcels are picked up on Mondays.",
        "music": "The choir sings in the old harbour on Sundays.",
    }
    for name, text in texts.items():
        (knowledge / f"{name}.txt").write_text(text, "utf-8")
    with EncoderProgram() as program:
        settings = {
            "ENCODER_BACKEND": "http",
            "ENCODER_MODEL": MODEL,
            "ENCODER_URL": f"{program.url}/v1",
        }
        with Cluster(
            tmp_path / "data", knowledge=knowledge, workers=1, environment=settings
        ) as cluster:
            (pod,) = cluster.workers()
            assert "18 dollars" in found(cluster, pod, QUESTION)[0]["text"]
            assert counted(cluster, pod)["failed"] == 0

            program.end(signal.SIGKILL)
            for _ in range(5):
                assert "18 dollars" in found(cluster, pod, WORDS)[0]["text"]
            assert "18 dollars" not in str(found(cluster, pod, QUESTION))
            away = counted(cluster, pod)
            assert away["failed"] >= 1
            # Not each question has waited for it.
            assert away["skipped"] >= 1
            answer = requests.get(f"{cluster.url}/ask", params={"q": WORDS}, timeout=60)
            assert answer.status_code == 200

            program.start()
            cluster.wait_until(
                lambda: "18 dollars" in str(found(cluster, pod, QUESTION)),
                what="questions are searched by meaning again",
            )
