"""``kotaemon up --bus kafka --build-workers``: they are supervised and make documents."""

import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.cluster import Cluster

DOCUMENTS = 40


class WithBuildWorkers(Cluster):
    """A cluster with a broker and two build workers."""

    def command(self, *arguments: str, timeout_s: float = 240.0) -> Any:
        more = ("--bus", "kafka", "--build-workers", "2") if arguments[0] == "up" else ()
        return super().command(*arguments, *more, timeout_s=timeout_s)

    def made(self) -> int:
        """Return how many pieces the build workers have made."""
        return sum(self.log(f"build-worker-{slot}").count("piece_made") for slot in range(2))


@pytest.mark.long
def test_build_workers_are_run_supervised_and_make_documents(tmp_path: Path) -> None:
    knowledge = tmp_path / "knowledge"
    knowledge.mkdir()
    (knowledge / "a.md").write_text("# Lamps\n\nA lamp.")
    with WithBuildWorkers(tmp_path / "data", workers=1, knowledge=knowledge) as cluster:
        rows = [row for row in cluster.ps() if row["role"] == "build-worker"]
        assert [row["name"] for row in rows] == ["build-worker-0", "build-worker-1"]
        assert all(row["ready"] for row in rows)
        first = cluster.pid("build-worker-0")
        os.kill(first, signal.SIGKILL)
        cluster.wait_until(
            lambda: cluster.row("build-worker-0")["pid"] not in (None, first), what="it is back"
        )
        cluster.wait_until(
            lambda: '"there":2' in cluster.log("coordinator").replace(" ", ""),
            what="the coordinator sees its build workers",
        )
        for number in range(DOCUMENTS):
            text = "".join(f"# Part {at}\n\nFact {at} of {number}.\n\n" for at in range(20))
            (knowledge / f"{number:02}.md").write_text(text)
        cluster.wait_until(cluster.made, what="a piece", timeout_s=120.0)
        running = [row["pid"] for row in cluster.ps()]
    assert not any(psutil.pid_exists(pid) for pid in running if pid)
